"""Figures of a search: history and tuning curve, slices along each knob, a race."""

import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.reporting.figures.style import BEST, COLOURS, MARKERS, empty, legend_below, once, points, save
from apc.reporting.names import ROWS, row_name
from apc.reporting.searches.axes import BELOW, floor, is_logarithmic, lowest, scatter, with_unit
from apc.reporting.searches.importance import varied
from apc.reporting.searches.pareto import front, with_two
from apc.reporting.searches.trials import Trial, are_numbers, best_so_far, complete, values_of
from apc.reporting.searches.tuning_curve import Band, tuning_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEAR = 0.15
"""Share of a knob's range within which trials count as near each other, a standard deviation of the weights."""


@once
def history_and_cost(tried: Sequence[Trial], metric: str, paper: str, replays: Band | None, path: Path) -> Path | None:
    """Scores of the trials with the best so far; left over the trials, then the best over what it cost. Of a search
    with two objectives their front is on the right."""
    done = complete(tried)
    if not done:
        return None
    best_of_two = front(tried)
    figure, axes = empty(9 if best_of_two else 7, 3.0, 1, 3 if best_of_two else 2)
    axes[1].sharey(axes[0])
    axes[1].tick_params(labelleft=False)
    if best_of_two:
        _front(axes[2], tried, best_of_two)
    _history(axes[0], tried, paper)
    low = lowest(done)
    high = max(tuning_curve(axes[1], tried, low, replays), *(trial.score for trial in done))
    span = high - low or 1.0
    axes[0].set_ylim(low - 0.03 * span, high + 0.05 * span)
    axes[0].set_ylabel(with_unit(metric))
    legend_below(figure, axes)
    return save(figure, path)


def _history(ax: "Axes", trials: Sequence[Trial], paper: str) -> None:
    """Every trial with the best so far; `paper` is the label of the paper's setting."""
    done = complete(trials)
    best, low = done[0], lowest(done)
    ordered = sorted(done, key=lambda t: t.number)
    scatter(ax, [(t.number, t.score) for t in ordered], low, "complete trial")
    gains = itertools.accumulate((trial.gain for trial in ordered), max)
    x, y = [trial.number for trial in ordered], [-gain if best.lowers else gain for gain in gains]
    ax.step(x, y, where="post", color=COLOURS[1], linewidth=1.6, label="best so far")
    pruned = [t for t in trials if t.state == "pruned"]
    for where, marker, these in (
        ("last score", "x", [t for t in pruned if t.last >= low]),
        (BELOW, "1", [t for t in pruned if t.last < low]),
        ("no score", "+", [t for t in pruned if math.isnan(t.last)]),
    ):
        if these:
            look: dict[str, Any] = {"marker": marker, "markersize": 6, "color": "#666666", "linestyle": "none"}
            heights = [t.last if t.last >= low else low for t in these]
            ax.plot([t.number for t in these], heights, label=f"PRUNED ({where})", **look)
    if failed := [t for t in trials if t.state == "failed"]:
        look = {"marker": "|", "markersize": 9, "color": "#CC79A7", "linestyle": "none"}
        ax.plot([t.number for t in failed], [low] * len(failed), label="failed", **look)
    if own := next((t for t in done if t.label == paper), None):
        ax.axhline(own.score, color="#555555", linestyle="--", linewidth=1, label="paper's setting")
    ax.plot([best.number], [best.score], label="best", **BEST)
    ax.set_xlabel("trial, in the order proposed")
    ax.locator_params(axis="x", integer=True)


def _front(ax: "Axes", trials: Sequence[Trial], best: Sequence[Trial]) -> None:
    """Both objectives of the complete trials; those that none beats are joined."""
    first, second = best[0].search["objectives"]
    done = with_two(trials)
    look = points(0, markersize=4, alpha=0.8, label="complete trial")
    ax.plot([t.objectives[1] for t in done], [t.objectives[0] for t in done], **look)
    x, y = [t.objectives[1] for t in best], [t.objectives[0] for t in best]
    ax.plot(x, y, marker=MARKERS[1], markersize=4, color=COLOURS[2], linewidth=1.6, label="front")
    ax.set_xlabel(second if second.endswith("_seconds") else f"{second} (%)")
    ax.set_ylabel(first if first.endswith("_seconds") else f"{first} (%)")


@once
def against_knobs(tried: Sequence[Trial], metric: str, path: Path) -> Path | None:
    """Slices: score against each knob among the complete trials that have it, coloured by the first knob that is no
    number, with the mean of the trials nearby."""
    done = complete(tried)
    names = varied(done)
    if not names:
        return None
    columns = min(len(names), 3)
    lines = math.ceil(len(names) / columns)
    figure, axes = empty(7, 0.6 + 2.0 * lines, lines, columns, sharey=True)
    kind = next((name for name in names if not are_numbers(values_of(done, name))), "")
    for ax, name in zip(axes, names, strict=False):
        _against_knob(ax, done, name, kind)
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    for ax in axes[::columns]:
        ax.set_ylabel(textwrap.fill(with_unit(metric), 20))  # a slice is lower than a long name
    legend_below(figure, axes)
    return save(figure, path, settled=True)


def _against_knob(ax: "Axes", done: Sequence[Trial], name: str, kind: str) -> None:
    """Score against one knob; `kind` names the knob that the colours tell apart, empty for one colour."""
    low = lowest(done)
    own = [t for t in done if name in t.values]
    choices = [] if are_numbers(values_of(own, name)) else sorted({str(t.values[name]) for t in own})
    for i, value in enumerate(sorted({str(t.values.get(kind)) for t in done}) if kind else [""]):
        part = [t for t in own if not kind or str(t.values.get(kind)) == value]
        x = [choices.index(str(t.values[name])) if choices else float(t.values[name]) for t in part]
        scores = [t.score for t in part]
        scatter(
            ax,
            list(zip(x, scores, strict=True)),
            low,
            row_name(value) if value in ROWS else f"{kind} {value}" if kind else "trial",
            i,
        )
    if choices:
        ax.set_xticks(range(len(choices)), [row_name(choice) for choice in choices], fontsize=7, rotation=20)
        ax.set_xlim(-0.5, len(choices) - 0.5)
    else:
        values = [float(t.values[name]) for t in own]
        if logarithmic := is_logarithmic(values):
            ax.set_xscale("log")
        elif all(isinstance(t.values[name], int) for t in own):
            ax.locator_params(axis="x", integer=True)
        if len(own) >= FEWEST:
            x, y = nearby_mean(values, [max(t.score, low) for t in own], logarithmic)
            ax.plot(x, y, color="black", linewidth=1.4, label="mean of the trials nearby")
    ax.set_xlabel(name if len(own) == len(done) else f"{name} ({len(own)} of {len(done)} trials have it)")


FEWEST = 10
"""Trials with a knob below which a mean along it would be a line through single ones."""


def nearby_mean(
    values: Sequence[float], scores: Sequence[float], logarithmic: bool = False
) -> tuple[list[float], list[float]]:
    """The mean score along a knob, each trial weighing the less the farther it lies (Gaussian, NEAR of the range)."""
    at = [math.log(v) if logarithmic and v > 0 else v for v in values]
    low, high = min(at), max(at)
    width = NEAR * (high - low) or 1.0
    line = [low + (high - low) * i / 40 for i in range(41)]
    means = []
    for x in line:
        weights = [math.exp(-(((x - own) / width) ** 2) / 2) for own in at]
        means.append(sum(w * s for w, s in zip(weights, scores, strict=True)) / sum(weights))
    return [math.exp(x) if logarithmic else x for x in line], means


@once
def race(searches: Mapping[str, Sequence[Trial]], metric: str, path: Path) -> Path | None:
    """Best score so far of several searches over the epochs they trained."""
    lines = {name: best_so_far(tried) for name, tried in searches.items() if complete(tried)}
    if not lines:
        return None
    figure, (ax,) = empty(5, 3.0, 1, 1)
    every = [entry.score for line in lines.values() for entry in line]
    low = floor(every)
    for i, (name, line) in enumerate(lines.items()):
        x = [entry.epochs for entry in line]
        y = [entry.score if entry.score >= low else math.nan for entry in line]  # begins where it is seen
        style = ("-", "--", ":")[i % 3]
        ax.step(x, y, where="post", color=COLOURS[i], linewidth=1.7, linestyle=style, label=name)
        winner = next(entry for entry in line if entry.score == line[-1].score)
        epochs, score = [winner.epochs], [winner.score]
        ax.plot(epochs, score, marker="*", markersize=10, color=COLOURS[i], markeredgecolor="black")
        text, place = f"{winner.score:.1f}, trial {winner.number}", (winner.epochs, winner.score)
        ax.annotate(text, place, textcoords="offset points", xytext=(6, 5), fontsize=7)
    ax.set_xlim(left=0)
    ax.set_ylim(low, max(every) + 0.1 * (max(every) - low))
    ax.set_xlabel("epochs trained, all seeds together")
    ax.set_ylabel(textwrap.fill(f"best so far: {with_unit(metric)}", 24))
    legend_below(figure, [ax])
    return save(figure, path)
