"""The specification curve of a claim: its difference under every specification, sorted, and below what each one is."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apc.escaping import short
from apc.reporting.figures.forest import COLOURS, OPEN
from apc.reporting.figures.style import BEST, empty, legend_below, once, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 0.1
"""Of a mark's width that stays free on either side of a run of marks."""


class Point(NamedTuple):
    """The difference under one specification, in points."""

    mean: float
    low: float
    """Ends of the interval; NaN of one seed."""
    high: float
    counted: bool
    """Whether its verdict is counted on the page."""


@once
def specification_curve(
    points: Sequence[Point], marks: Mapping[str, Sequence[bool]], printed: float, path: Path
) -> Path:
    """A point a specification, in the order given, with its interval; `marks` is choice -> which made it."""
    heights = [2.3, 0.25 + 0.125 * len(marks)]
    ratios: dict[str, Any] = {"gridspec_kw": {"height_ratios": heights}, "sharex": True}
    figure, (above, below) = empty(7, 0.8 + sum(heights), 2, 1, **ratios)
    _differences(above, points, printed)
    _marks(below, marks, len(points))
    legend_below(figure, [above])
    return save(figure, path)


def _differences(ax: "Axes", points: Sequence[Point], printed: float) -> None:
    """Points and intervals; hollow without an interval, grey where it holds 0."""
    ax.axhline(0, color="#444444", linewidth=0.8, zorder=1)
    ax.axhline(printed, color="black", linewidth=0.8, linestyle=":", zorder=1, label=f"paper: {printed:+.1f}")
    kinds = [_kind(point) for point in points]
    for kind, colour, hollow in (
        ("surely above 0", COLOURS["reproduced"], False),
        ("the interval holds 0", OPEN, False),
        ("surely below 0", COLOURS["contradicted"], False),
        ("one seed", OPEN, True),
    ):
        at = [place for place, own in enumerate(kinds, start=1) if own == kind]
        xs = [x for i in at for x in (i, i, math.nan)]
        ys = [y for i in at for y in (points[i - 1].low, points[i - 1].high, math.nan)]
        if at and not hollow:
            ax.plot(xs, ys, color=colour, linewidth=0.9, zorder=2, solid_capstyle="butt")
        if at:
            face = "white" if hollow else colour
            look: dict[str, Any] = {"marker": "o", "markersize": 2.6, "markerfacecolor": face, "markeredgewidth": 0.7}
            ax.plot(at, [points[i - 1].mean for i in at], linestyle="none", color=colour, zorder=3, label=kind, **look)
    counted = [place for place, point in enumerate(points, start=1) if point.counted]
    if counted:
        star = BEST | {"markersize": 8}
        ax.plot(counted, [points[i - 1].mean for i in counted], label="its verdict is counted", **star)
    ax.set_ylabel("difference, points of mIoU")
    ax.grid(axis="x", visible=False)
    ax.tick_params(axis="x", length=0, labelbottom=False)


def _kind(point: Point) -> str:
    if math.isnan(point.low):
        return "one seed"
    return "surely above 0" if point.low > 0 else "surely below 0" if point.high < 0 else "the interval holds 0"


def _marks(ax: "Axes", marks: Mapping[str, Sequence[bool]], n: int) -> None:
    """A line a choice, dark where it was made; alternatives stand together on ground of one colour."""
    groups = [list(own) for _, own in itertools.groupby(marks, lambda choice: choice.split(": ")[0])]
    names: list[str] = []
    for number, group in enumerate(groups):
        if number % 2:
            ax.axhspan(len(names) - 0.5, len(names) + len(group) - 0.5, color="#f1f1f1", zorder=0, linewidth=0)
        own = [choice if choice == group[0] else choice.split(": ", 1)[1] for choice in group]
        names += [short(choice, quoted=False, most=36) for choice in own]
    for row, made in enumerate(marks.values()):
        xs = [x for start, end in _runs(made) for x in (start + 0.5 + GAP, end + 0.5 - GAP, math.nan)]
        ax.plot(xs, [row] * len(xs), color="#333333", linewidth=4.5, solid_capstyle="butt", zorder=2)
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, n + 1)
    ax.grid(visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"{n} specifications, by rising difference", fontsize=8)


def _runs(made: Sequence[bool]) -> list[tuple[int, int]]:
    """First and behind the last of every stretch of marks: one bar each, so that a figure of hundreds stays small."""
    edges = [i for i in range(len(made) + 1) if (i < len(made) and made[i]) != (i > 0 and made[i - 1])]
    return list(zip(edges[::2], edges[1::2], strict=True))
