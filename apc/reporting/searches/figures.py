"""Figures of a search: history over trials and over epochs, score against each knob, parallel coordinates, a race."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.reporting.figures.style import COLOURS, MARKERS, colour_bar, empty, legend_below, once, save
from apc.reporting.searches.importance import varied
from apc.reporting.searches.pareto import front, with_two
from apc.reporting.searches.trials import Trial, best_so_far, complete

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BELOW = "below the axis"
_RANGE = "cividis"  # grows in lightness, the same to colour-blind eyes and in grey


def floor(scores: Sequence[float]) -> float:
    """Where the axis of scores starts: a few failures far below must not flatten the rest."""
    ordered = sorted(scores)
    low, top = ordered[len(ordered) // 4], ordered[-1]
    start = low - 0.75 * (top - low) - 0.5
    return start if start - ordered[0] > 0.5 * (top - start) else ordered[0] - 0.05 * (top - ordered[0]) - 0.2


@once
def history(found: Sequence[Trial], metric: str, paper: str, path: Path) -> Path | None:
    """Scores of the trials with the best so far; left over the trials, then over the epochs trained until then. Of a
    search with two objectives their front is on the right."""
    done = complete(found)
    if not done:
        return None
    best_of_two = front(found)
    figure, axes = empty(9 if best_of_two else 7, 3.0, 1, 3 if best_of_two else 2)
    axes[1].sharey(axes[0])
    axes[1].tick_params(labelleft=False)
    if best_of_two:
        _front(axes[2], found, best_of_two)
    low, best = floor([t.score for t in done]), done[0]
    epochs, spent = [], 0
    for trial in found:
        spent += trial.epochs
        epochs.append(spent)
    line = best_so_far(found)
    for ax, x_of, line_x, name in (
        (axes[0], [t.number for t in found], [n for n, _, _ in line], "trial, in the order proposed"),
        (axes[1], epochs, [e for _, e, _ in line], "epochs trained, all seeds together"),
    ):
        at = dict(zip((t.number for t in found), x_of, strict=True))
        ordered = sorted(done, key=lambda t: t.number)
        _scores(ax, [at[t.number] for t in ordered], [t.score for t in ordered], low, "complete trial")
        ax.step(line_x, [b for _, _, b in line], where="post", color=COLOURS[1], linewidth=1.6, label="best so far")
        pruned = [t for t in found if t.state == "pruned"]
        if pruned:
            last = [t.last if math.isfinite(t.last) else low for t in pruned]
            look: dict[str, Any] = {"color": "#666666", "linestyle": "none", "markersize": 5}
            x = [at[t.number] for t in pruned]
            ax.plot(x, [max(v, low) for v in last], marker="x", label="PRUNED (last score)", **look)
        failed = [t for t in found if t.state == "failed"]
        if failed:
            ax.plot(
                [at[t.number] for t in failed],
                [low] * len(failed),
                marker="|",
                color="#CC79A7",
                linestyle="none",
                markersize=9,
                label="failed",
            )
        own = next((t for t in done if t.label == paper), None)
        if own:
            ax.axhline(own.score, color="#555555", linestyle="--", linewidth=1, label="paper's setting")
        ax.plot(
            [at[best.number]],
            [best.score],
            marker="*",
            markersize=11,
            color="#E69F00",
            markeredgecolor="black",
            markeredgewidth=0.7,
            linestyle="none",
            label="best",
            zorder=5,
        )
        ax.set_xlabel(name)
        ax.set_ylim(bottom=low - 0.03 * (best.score - low))
        ax.locator_params(axis="x", integer=True)
    axes[0].set_ylabel(f"{metric} (%)")
    legend_below(figure, axes)
    return save(figure, path)


def _front(ax: "Axes", found: Sequence[Trial], best: Sequence[Trial]) -> None:
    """Both objectives of the complete trials; those that none beats are joined."""
    first, other = best[0].search["objectives"]
    done = with_two(found)
    look: dict[str, Any] = {"color": COLOURS[0], "linestyle": "none", "marker": MARKERS[0], "markersize": 4}
    ax.plot([t.both[1] for t in done], [t.both[0] for t in done], alpha=0.8, label="complete trial", **look)
    x, y = [t.both[1] for t in best], [t.both[0] for t in best]
    ax.plot(x, y, marker=MARKERS[1], markersize=4, color=COLOURS[2], linewidth=1.6, label="front")
    ax.set_xlabel(other if other.endswith("_seconds") else f"{other} (%)")
    ax.set_ylabel(first if first.endswith("_seconds") else f"{first} (%)")


def _scores(ax: "Axes", x: Sequence[float], y: Sequence[float], low: float, name: str, index: int = 0) -> None:
    """Points; those below the axis as triangles on its edge, which the legend tells."""
    inside = [(a, b) for a, b in zip(x, y, strict=True) if b >= low]
    below = [a for a, b in zip(x, y, strict=True) if b < low]
    look: dict[str, Any] = {"color": COLOURS[index % 8], "linestyle": "none", "markersize": 4, "alpha": 0.8}
    ax.plot([a for a, _ in inside], [b for _, b in inside], marker=MARKERS[index % 8], label=name, **look)
    if below:
        ax.plot(below, [low] * len(below), marker=7, **look | {"markersize": 6})
        ax.plot([], [], marker=7, label=BELOW, **look | {"markersize": 6, "color": "#888888"})


@once
def against_knobs(found: Sequence[Trial], metric: str, path: Path) -> Path | None:
    """Score against each knob among the complete trials that have it, coloured by the first knob that is no number."""
    done = complete(found)
    names = varied(done)
    if not names:
        return None
    columns = min(len(names), 3)
    lines = math.ceil(len(names) / columns)
    figure, axes = empty(7, 0.6 + 2.0 * lines, lines, columns, sharey=True)
    low = floor([t.score for t in done])
    kind = next((n for n in names if not _number(done, n)), None)
    kinds = sorted({str(t.values.get(kind)) for t in done}) if kind else [""]
    for ax, name in zip(axes, names, strict=False):
        own = [t for t in done if name in t.values]
        words = [] if _number(done, name) else sorted({str(t.values[name]) for t in own})
        for i, value in enumerate(kinds):
            part = [t for t in own if not kind or str(t.values.get(kind)) == value]
            x = [words.index(str(t.values[name])) if words else float(t.values[name]) for t in part]
            _scores(ax, x, [t.score for t in part], low, f"{kind} {value}" if kind else "trial", i)
        if words:
            ax.set_xticks(range(len(words)), words, fontsize=7, rotation=20)
            ax.set_xlim(-0.5, len(words) - 0.5)
        elif _log([float(t.values[name]) for t in own]):
            ax.set_xscale("log")
        elif all(isinstance(t.values[name], int) for t in own):
            ax.locator_params(axis="x", integer=True)
        ax.set_xlabel(name if len(own) == len(done) else f"{name} ({len(own)} of {len(done)} trials have it)")
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    for ax in axes[::columns]:
        ax.set_ylabel(f"{metric} (%)")
    legend_below(figure, axes)
    return save(figure, path)


@once
def parallel(found: Sequence[Trial], metric: str, path: Path) -> Path | None:
    """Parallel coordinates: a line a complete trial over its knobs to its score, the better the lighter and on top."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    done = complete(found)
    names = varied(done)
    if len(names) < 2:
        return None
    figure, (ax,) = empty(7, 3.4, 1, 1)
    low, top = floor([t.score for t in done]), done[0].score
    scale = Normalize(low, top)
    places: dict[str, dict[int, float]] = {}
    for at, name in enumerate(names):
        places[name], ticks = _places(done, name)
        for height, text in ticks:
            ax.text(
                at - 0.04,
                height,
                text,
                fontsize=7,
                ha="right",
                va="center",
                zorder=6,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
            )
    for trial in reversed(done):
        share = max(scale(trial.score), 0.0)
        heights = [places[name].get(trial.number, -0.12) for name in names] + [share]
        best = trial is done[0]
        ax.plot(
            range(len(heights)),
            heights,
            color=COLOURS[1] if best else colormaps[_RANGE](share),
            linewidth=2.2 if best else 1.0,
            alpha=1.0 if best else 0.75,
            label="best" if best else None,
            zorder=5 if best else 2,
        )
    for at in range(len(names) + 1):
        ax.axvline(at, color="black", linewidth=0.8, zorder=4)
    if any(name not in t.values for t in done for name in names):
        ax.axhline(-0.12, color="#999999", linewidth=0.6, linestyle=":")
        ax.text(-0.04, -0.12, "not in the setting", fontsize=7, ha="right", va="center")
    ax.set_xticks(range(len(names) + 1), [*names, metric])
    ax.set_xlim(-0.75, len(names) + 0.05)
    ax.set_ylim(-0.2, 1.06)
    ax.yaxis.set_visible(False)
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=0)
    colour_bar(figure, ScalarMappable(scale, _RANGE), ax, f"{metric} (%)", "min")
    legend_below(figure, [ax])
    return save(figure, path)


def _places(done: Sequence[Trial], name: str) -> tuple[dict[int, float], list[tuple[float, str]]]:
    """Height of each trial on a knob's axis (0 to 1), and the axis's labels."""
    own = {t.number: t.values[name] for t in done if name in t.values}
    if not _number(done, name):
        words = sorted({str(v) for v in own.values()})
        step = 1 / max(len(words) - 1, 1)
        return {n: words.index(str(v)) * step for n, v in own.items()}, [(i * step, w) for i, w in enumerate(words)]
    log = _log(list(own.values()))
    scaled = {n: math.log10(v) if log else float(v) for n, v in own.items()}
    low, high = min(scaled.values()), max(scaled.values())
    shares = {n: (v - low) / (high - low) if high > low else 0.5 for n, v in scaled.items()}
    ticks = [(share, low + share * (high - low)) for share in (0, 0.5, 1)]
    return shares, [(share, f"{10**v if log else v:.2g}") for share, v in ticks]


@once
def race(searches: Mapping[str, Sequence[Trial]], metric: str, path: Path) -> Path | None:
    """Best score so far of several searches over the epochs they trained."""
    lines = {name: best_so_far(found) for name, found in searches.items() if complete(found)}
    if not lines:
        return None
    figure, (ax,) = empty(5, 3.0, 1, 1)
    every = [b for line in lines.values() for _, _, b in line]
    low = floor(every)
    for i, (name, line) in enumerate(lines.items()):
        x, y = [e for _, e, _ in line], [b if b >= low else math.nan for _, _, b in line]  # begins where it is seen
        style = ("-", "--", ":")[i % 3]
        ax.step(x, y, where="post", color=COLOURS[i], linewidth=1.7, linestyle=style, label=name)
        number, epochs, best = next(entry for entry in line if entry[2] == line[-1][2])
        ax.plot([epochs], [best], marker="*", markersize=10, color=COLOURS[i], markeredgecolor="black")
        text = f"{best:.1f}, trial {number}"
        ax.annotate(text, (epochs, best), textcoords="offset points", xytext=(6, 5), fontsize=7)
    ax.set_xlim(left=0)
    ax.set_ylim(low, max(every) + 0.1 * (max(every) - low))
    ax.set_xlabel("epochs trained, all seeds together")
    ax.set_ylabel(f"best {metric} so far (%)")
    legend_below(figure, [ax])
    return save(figure, path)


def _number(done: Sequence[Trial], name: str) -> bool:
    values = [t.values[name] for t in done if name in t.values]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _log(values: Sequence[float]) -> bool:
    """Whether a knob spans two decades or more: it was searched by its logarithm."""
    return min(values) > 0 and max(values) / min(values) >= 100 and statistics.median(values) < 0.3 * max(values)
