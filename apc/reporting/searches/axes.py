"""Axes of a search's figures: where scores start, points that lie below, and the values of a knob."""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from apc.reporting.figures.style import points
from apc.reporting.searches.trials import Trial, are_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BELOW = "below the axis"


class KnobAxis(NamedTuple):
    """One axis of parallel coordinates."""

    heights: dict[int, float]
    """Number of the trial -> its height (0 to 1), of the trials that have the knob."""
    ticks: list[tuple[float, str]]
    """Height and text of each label."""


def floor(scores: Sequence[float]) -> float:
    """Where the axis of scores starts: a few failures far below must not flatten the rest."""
    ordered = sorted(scores)
    low, top = ordered[len(ordered) // 4], ordered[-1]
    start = low - 0.75 * (top - low) - 0.5
    return start if start - ordered[0] > 0.5 * (top - start) else ordered[0] - 0.05 * (top - ordered[0]) - 0.2


def scatter(ax: "Axes", scores: Sequence[tuple[float, float]], low: float, name: str, series: int = 0) -> None:
    """Points (x, score); those below the axis, at `low`, as triangles on its edge, which the legend tells."""
    inside = [(x, score) for x, score in scores if score >= low]
    below = [x for x, score in scores if score < low]
    look = points(series, markersize=4, alpha=0.8)
    ax.plot([x for x, _ in inside], [score for _, score in inside], label=name, **look)
    if below:
        triangle: dict[str, Any] = look | {"marker": 7, "markersize": 6}
        ax.plot(below, [low] * len(below), **triangle)
        ax.plot([], [], label=BELOW, **triangle | {"color": "#888888"})


def is_logarithmic(values: Sequence[float]) -> bool:
    """Whether a knob spans two decades or more: it was searched by its logarithm."""
    return min(values) > 0 and max(values) / min(values) >= 100 and statistics.median(values) < 0.3 * max(values)


def knob_axis(trials: Sequence[Trial], knob: str) -> KnobAxis:
    """Values from the lowest to the highest, on a logarithmic scale where they span decades; choices by name."""
    own = {trial.number: trial.values[knob] for trial in trials if knob in trial.values}
    if not are_numbers(own.values()):
        names = sorted({str(value) for value in own.values()})
        step = 1 / max(len(names) - 1, 1)
        heights = {number: names.index(str(value)) * step for number, value in own.items()}
        return KnobAxis(heights, [(i * step, name) for i, name in enumerate(names)])
    log = is_logarithmic(list(own.values()))
    scaled = {number: math.log10(value) if log else float(value) for number, value in own.items()}
    low, high = min(scaled.values()), max(scaled.values())
    heights = {number: (value - low) / (high - low) if high > low else 0.5 for number, value in scaled.items()}
    ticks = [(share, low + share * (high - low)) for share in (0, 0.5, 1)]
    return KnobAxis(heights, [(share, f"{10**value if log else value:.2g}") for share, value in ticks])
