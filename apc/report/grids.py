"""Figures of settings against each other: heat map of two knobs, score over one knob, accuracy against time."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apc.report.groups import Group
from apc.report.plotting import COLOURS, MARKERS, colour_bar, empty, legend_below, once, save
from apc.report.statistics import summary

PAIRS = (("lambda1", "lambda2"), ("theta", "epsilon"))
"""Pairs of knobs that the paper's Figures 5 and 4 set beside each other."""
PAPER = {"lambda1": 0.02, "lambda2": 0.01, "theta": 0.9, "epsilon": 0.85, "k": 6}
"""The paper's values (section 4.1)."""

Cells = Mapping[tuple[float, float], Sequence[float]]
"""(value of the first knob, of the second) -> a score a seed."""


def cells(group: Group, pair: tuple[str, str], metric: str) -> Cells:
    """Scores on the grid of two knobs, all else equal to the row with the most neighbours; empty without a grid."""
    first, second = pair
    found: dict[tuple[float, float], list[float]] = {}
    for row in group.rows:
        x, y, value = row.config.get(first), row.config.get(second), row.value(metric)
        if isinstance(x, int | float) and isinstance(y, int | float) and math.isfinite(value):
            found.setdefault((float(x), float(y)), []).append(value)
    width, height = (len({place[i] for place in found}) for i in (0, 1))
    # settings drawn at random fill a diagonal, not a grid
    return found if min(width, height) >= 2 and max(width, height) >= 3 and 3 * len(found) > width * height else {}


@once
def heat_map(grid: Cells, pair: tuple[str, str], metric: str, path: Path) -> Path:
    """Means as colours with their numbers, settings not run left white, the paper's framed and the best starred."""
    import numpy as np

    xs, ys = (sorted({place[i] for place in grid}) for i in (0, 1))
    means = {place: summary(values).mean for place, values in grid.items()}
    picture = np.array([[means.get((x, y), math.nan) for x in xs] for y in ys])
    figure, (ax,) = empty(min(1.9 + 0.75 * len(xs), 7), 1.2 + 0.42 * len(ys), 1, 1)
    ordered = sorted(means.values())
    low = max(ordered[0], ordered[-1] - 2 * (ordered[-1] - ordered[len(ordered) // 4]) - 1)
    image = ax.imshow(picture, origin="lower", aspect="auto", cmap="cividis", vmin=low, vmax=ordered[-1])
    best = max(means, key=lambda place: means[place])
    for (x, y), mean in means.items():
        text = f"{mean:.1f}" + (" ★" if (x, y) == best else "")
        dark = mean < (low + ordered[-1]) / 2
        colour = "white" if dark else "black"
        ax.text(xs.index(x), ys.index(y), text, ha="center", va="center", fontsize=7, color=colour)
    if (paper := (PAPER.get(pair[0]), PAPER.get(pair[1]))) in means:
        from matplotlib.patches import Rectangle

        corner = xs.index(paper[0]) - 0.47, ys.index(paper[1]) - 0.47
        frame = Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=COLOURS[1], linewidth=2, label="paper's setting")
        ax.add_patch(frame)
    ax.set_xticks(range(len(xs)), [f"{x:g}" for x in xs])
    ax.set_yticks(range(len(ys)), [f"{y:g}" for y in ys])
    ax.set_xlabel(pair[0])
    ax.set_ylabel(pair[1])
    ax.grid(visible=False)
    colour_bar(figure, image, ax, f"{metric} (%)", "min" if ordered[0] < low else "neither")
    legend_below(figure, [ax])
    return save(figure, path)


def values_of(group: Group, knob: str) -> dict[float, str]:
    """Value -> label of the rows that differ in one number only; empty where fewer than three do.

    Of a pair that is varied one after the other, those rows at which the other knob has the paper's value.
    """
    others = [other for pair in PAIRS if knob in pair for other in pair if other != knob]
    rows = [row for row in group.rows if all(row.config.get(other) == PAPER[other] for other in others)]
    found: dict[float, str] = {}
    for row in rows:
        value = row.config.get(knob)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.setdefault(float(value), row.row)
    return dict(sorted(found.items())) if len(found) >= 3 and len(found) == len({row.row for row in rows}) else {}


@once
def over_values(group: Group, knob: str, metrics: Mapping[str, str], path: Path) -> Path | None:
    """Sensitivity to one knob: mean over seeds with a band of one standard deviation, the paper's value marked.

    `metrics` are the names of the lines by metric.
    """
    points = values_of(group, knob)
    if not points:
        return None
    figure, (ax,) = empty(4.5, 3.0, 1, 1)
    for i, (metric, name) in enumerate(metrics.items()):
        own = [(v, s) for v, label in points.items() if (s := summary(group.scores(label, metric).values())).n]
        x, y = [v for v, _ in own], [s.mean for _, s in own]
        spread = [s.std if s.n > 1 else 0.0 for _, s in own]
        ax.plot(x, y, color=COLOURS[i], marker=MARKERS[i], markersize=4, linestyle=("-", "--", ":")[i % 3], label=name)
        low, high = ([m + sign * s for m, s in zip(y, spread, strict=True)] for sign in (-1, 1))
        ax.fill_between(x, low, high, color=COLOURS[i], alpha=0.15, linewidth=0)
    if knob in PAPER:
        ax.axvline(PAPER[knob], color="#555555", linestyle="--", linewidth=1, label="paper's value", zorder=1)
    ax.set_xlabel(knob)
    ax.set_ylabel("mIoU (%)")
    if all(v == int(v) for v in points):
        ax.set_xticks(list(points), [f"{v:g}" for v in points])
    legend_below(figure, [ax])
    return save(figure, path)


@once
def time_and_accuracy(group: Group, labels: Sequence[str], metric: str, path: Path) -> Path | None:
    """Score against seconds of training: mean of a row with one standard deviation both ways, single seeds faint."""
    figure, (ax,) = empty(4.5, 3.2, 1, 1)
    drawn = 0
    for i, label in enumerate(labels):
        seconds, scores = group.scores(label, "train_seconds"), group.scores(label, metric)
        both = sorted(set(seconds) & set(scores))
        if not both:
            continue
        drawn += 1
        x, y = summary(seconds[s] for s in both), summary(scores[s] for s in both)
        look: dict[str, Any] = {"marker": MARKERS[i % 8], "color": COLOURS[i % 8], "linestyle": "none"}
        ax.plot([seconds[s] for s in both], [scores[s] for s in both], markersize=3, alpha=0.4, **look)
        ax.errorbar(
            [x.mean], [y.mean], [y.std if y.n > 1 else 0], [x.std if x.n > 1 else 0], markersize=7, capsize=2,
            label=label, **look,
        )  # fmt: skip
    if drawn < 2:
        return None
    ax.set_xlabel("training (wall seconds)")
    ax.set_ylabel(f"{metric} (%)")
    ax.margins(0.1)
    legend_below(figure, [ax])
    return save(figure, path)
