"""Axes of a search's figures: where scores start, and points that lie below."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from apc.reporting.figures.style import points
from apc.reporting.names import score_name
from apc.reporting.searches.trials import Trial
from apc.runs.scores import SCORES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BELOW = "below the axis"


def floor(scores: Sequence[float]) -> float:
    """Where the axis of scores starts: a few failures far below must not flatten the rest."""
    ordered = sorted(scores)
    low, top = ordered[len(ordered) // 4], ordered[-1]
    start = low - 0.75 * (top - low) - 0.5
    start = start if start - ordered[0] > 0.5 * (top - start) else ordered[0] - 0.05 * (top - ordered[0]) - 0.2
    return start if ordered[0] < 0 else max(start, 0.0)  # no score in percent is below 0


def lowest(done: Sequence[Trial]) -> float:
    """Where the axis of complete trials starts; below it lie failures, but nothing of a search that lowers its
    score."""
    scores = [trial.score for trial in done]
    if done[0].lowers:
        return min(scores) - 0.05 * (max(scores) - min(scores))
    return floor(scores)


def with_unit(metric: str) -> str:
    """A score as the name of an axis: in percent, in seconds, or without a unit."""
    unit = SCORES[metric].unit if metric in SCORES else "%"
    return f"{score_name(metric)} ({unit})" if unit and not metric.endswith("_seconds") else score_name(metric)


def scatter(ax: "Axes", scores: Sequence[tuple[float, float]], low: float, name: str, series: int = 0) -> None:
    """Points (x, score); those below the axis, at `low`, as triangles on its edge, which the legend tells."""
    inside = [(x, score) for x, score in scores if score >= low]
    below = [x for x, score in scores if score < low]
    look = points(series, markersize=4, alpha=0.8)
    ax.plot([x for x, _ in inside], [score for _, score in inside], label=name, **look)
    scatter_below(ax, below, low, look["color"])


def scatter_below(ax: "Axes", below: Sequence[float], low: float, colour: str) -> None:
    """Triangles at `low`, the axis' edge, where points lie below it; the legend tells."""
    if below:
        look: dict[str, Any] = {"marker": 7, "markersize": 6, "linestyle": "none", "alpha": 0.8}
        ax.plot(below, [low] * len(below), color=colour, **look)
        ax.plot([], [], label=BELOW, color="#888888", **look)


def is_logarithmic(values: Sequence[float]) -> bool:
    """Whether a knob spans two decades or more: it was searched by its logarithm."""
    return min(values) > 0 and max(values) / min(values) >= 100 and statistics.median(values) < 0.3 * max(values)
