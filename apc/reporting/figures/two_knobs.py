"""Figures of settings against each other: heat map of two knobs, accuracy against time."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apc.reporting.figures.one_knob import PAPER
from apc.reporting.figures.style import COLOURS, colour_bar, empty, legend_below, once, points, save
from apc.reporting.groups import Group
from apc.reporting.names import score_name
from apc.reporting.tables import clock_of
from apc.reporting.verdicts.intervals import summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Cells = Mapping[tuple[float, float], Sequence[float]]
"""(value of the first knob, of the second) -> a score a seed."""


def cells(group: Group, pair: tuple[str, str], metric: str) -> Cells:
    """Scores on the grid of two knobs; empty where they fill no grid or a place on it stands for two settings."""
    first, second = pair
    scores: dict[tuple[float, float], list[float]] = {}
    labels: dict[tuple[float, float], set[str]] = {}
    for row in group.rows:
        x, y, value = row.config.get(first), row.config.get(second), row.value(metric)
        if isinstance(x, int | float) and isinstance(y, int | float) and math.isfinite(value):
            scores.setdefault((float(x), float(y)), []).append(value)
            labels.setdefault((float(x), float(y)), set()).add(row.row)
    width, height = (len({place[i] for place in scores}) for i in (0, 1))
    # settings drawn at random fill a diagonal; one line through each knob's default is the least that is a grid
    filled = min(width, height) >= 2 and max(width, height) >= 3 and len(scores) >= width + height - 1
    return scores if filled and all(len(own) == 1 for own in labels.values()) else {}


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
        _frame(ax, xs.index(paper[0]), ys.index(paper[1]))
    ax.set_xticks(range(len(xs)), [f"{x:g}" for x in xs])
    ax.set_yticks(range(len(ys)), [f"{y:g}" for y in ys])
    ax.set_xlabel(pair[0])
    ax.set_ylabel(pair[1])
    ax.grid(visible=False)
    colour_bar(figure, image, ax, f"{score_name(metric)} (%)", "min" if ordered[0] < low else "neither")
    legend_below(figure, [ax])
    return save(figure, path)


def _frame(ax: "Axes", column: int, row: int) -> None:
    """A frame around the cell of the paper's setting."""
    from matplotlib.patches import Rectangle

    corner = column - 0.47, row - 0.47
    ax.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=COLOURS[1], linewidth=2, label="paper's setting"))


class Timed(NamedTuple):
    """One seed of a row."""

    seconds: float
    """Of training."""
    score: float


Points = Mapping[str, Sequence[Timed]]
"""Row -> its seeds."""


def timed(group: Group, labels: Sequence[str], metric: str) -> dict[str, Points]:
    """Axis name -> points of each clock that the rows have: the whole schedule, and the time to 95 % beside it."""
    panels: dict[str, Points] = {}
    for name, seconds in (("training", "train_seconds"), ("to 95 % of the final score", "to_95_seconds")):
        clock = clock_of(group, seconds)
        rows = {}
        for label in labels:
            spent, scores = group.scores(label, clock), group.scores(label, metric)
            rows[label] = [Timed(spent[seed], scores[seed]) for seed in sorted(set(spent) & set(scores))]
        kind = "processor" if "cpu" in clock else "wall"
        if sum(bool(seeds) for seeds in rows.values()) > 1:
            panels[f"{name} ({kind} seconds)"] = rows
    return panels


@once
def time_and_accuracy(panels: Mapping[str, Points], metric: str, path: Path) -> Path | None:
    """Score against seconds: mean of a row with one standard deviation both ways, single seeds faint."""
    if not panels:
        return None
    figure, axes = empty(4.5 if len(panels) == 1 else 7, 3.2, 1, len(panels), sharey=True)
    for ax, (name, rows) in zip(axes, panels.items(), strict=True):
        for i, (label, seeds) in enumerate(rows.items()):
            if seeds:
                _row_in_time(ax, seeds, i, label)
        ax.set_xlabel(name)
        ax.margins(0.1)
    axes[0].set_ylabel(f"{score_name(metric)} (%)")
    legend_below(figure, axes)
    return save(figure, path)


def _row_in_time(ax: "Axes", seeds: Sequence[Timed], series: int, label: str) -> None:
    """A row's mean with its deviations, and its single seeds where there are several."""
    if len(seeds) > 1:
        faint = points(series, markersize=3, alpha=0.4)
        ax.plot([seed.seconds for seed in seeds], [seed.score for seed in seeds], **faint)
    seconds, score = summary(seed.seconds for seed in seeds), summary(seed.score for seed in seeds)
    up, across = (s.std if s.n > 1 else 0 for s in (score, seconds))
    if len(seeds) < 2:  # no spread, and no bar in the legend
        ax.plot([seconds.mean], [score.mean], **points(series, markersize=7, label=label))
        return
    look = points(series, markersize=7, capsize=2, label=label)
    ax.errorbar([seconds.mean], [score.mean], [up], [across], **look)
