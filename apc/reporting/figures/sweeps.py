"""Figures 4 and 5: scores over the values of a knob, one panel each, with spread, the paper's value and our best."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apc.reporting.figures.style import BEST, COLOURS, MARKERS, empty, legend_below, once, points, save
from apc.reporting.searches.axes import floor, scatter_below
from apc.reporting.verdicts.intervals import summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Seeds = Mapping[int, float]
"""Score by seed."""


class Sweep(NamedTuple):
    """One panel: scores over the values of one knob."""

    name: str
    """Axis label."""
    title: str
    lines: Mapping[str, Mapping[float, Seeds]]
    """Name of the line -> value -> score by seed; the first line is the main one."""
    marks: Mapping[str, float]
    """What it is -> value at which a line stands, the paper's value first."""
    best: float | None
    """Ours."""
    at_zero: str = ""
    """Remark at the main line's point for the value 0."""


@once
def sweeps(panels: Sequence[Sweep], path: Path) -> Path:
    """Panels side by side: mean over seeds with a band of one standard deviation, and every seed as a faint point."""
    figure, axes = empty(7 if len(panels) > 1 else 4.5, 3.3, 1, len(panels), sharey=True)
    every = [s for panel in panels for line in panel.lines.values() for own in line.values() for s in own.values()]
    low = floor(every) if every else 0.0
    for ax, panel in zip(axes, panels, strict=True):
        _panel(ax, panel, low)
    if every and min(every) < low:
        axes[0].set_ylim(low - 0.03 * (max(every) - low), max(every) + 0.05 * (max(every) - low))
    axes[0].set_ylabel("mIoU (%)")
    legend_below(figure, axes)
    return save(figure, path)


def _panel(ax: "Axes", panel: Sweep, low: float) -> None:
    """One knob: its lines, the values marked, and our best; means below `low`, where the axis starts, on its edge."""
    values = sorted({v for line in panel.lines.values() for v, scores in line.items() if scores})
    ax.set_title(panel.title, fontsize=9)
    ax.set_xlabel(panel.name)
    if len(values) < 2:
        ax.text(0.5, 0.5, "pending", transform=ax.transAxes, ha="center", color="#666666")
        return
    _value_axis(ax, values, (*panel.marks.values(), panel.best))
    for i, (name, line) in enumerate(panel.lines.items()):
        _line(ax, {v: line[v] for v in sorted(line) if line[v]}, i, name, low)
    for i, (name, value) in enumerate(panel.marks.items()):
        ax.axvline(value, color="#555555", linestyle=("--", ":")[i % 2], linewidth=1, label=name, zorder=1)
    main = next(iter(panel.lines.values()))
    if panel.at_zero and main.get(0.0):
        _remark(ax, panel.at_zero, max(summary(main[0.0].values()).mean, low))
    if panel.best is not None and main.get(panel.best):
        whose = f": {next(iter(panel.lines))}" if len(panel.lines) > 1 else ""
        ax.plot([panel.best], [summary(main[panel.best].values()).mean], label=f"best mean{whose}", **BEST)


def _remark(ax: "Axes", text: str, height: float) -> None:
    """A remark beside the point at 0."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    place: dict[str, Any] = {"textcoords": "offset points", "xytext": (7, 4)}
    ax.annotate(text, (0, height), fontsize=7, color="#444444", bbox=box, **place)


def _value_axis(ax: "Axes", values: list[float], important: Sequence[float | None]) -> None:
    """Logarithmic axis with room for 0, ticks at the searched values, labels where they do not collide.

    The labels of the `important` values go before others.
    """
    positive = [v for v in values if v > 0]
    if positive and max(positive) > 5 * min(positive):
        ax.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
        ax.set_xlim(-0.25 * min(positive) if 0 in values else 0.7 * min(positive), 1.5 * max(positive))
    place = {v: float(ax.transAxes.inverted().transform(ax.transData.transform((v, 0)))[0]) for v in values}
    shown: list[float] = []
    for value in sorted(values, key=lambda v: (v not in important, v not in (0, max(values)), -v)):
        if all(
            abs(place[value] - place[other]) > 0.02 + 0.015 * max(len(f"{value:g}"), len(f"{other:g}"))
            for other in shown
        ):
            shown.append(value)
    ax.set_xticks(sorted(shown), [f"{v:g}" for v in sorted(shown)])
    ax.set_xticks(sorted(set(values) - set(shown)), [], minor=True)


def _line(ax: "Axes", scores_at: Mapping[float, Seeds], series: int, name: str, bottom: float) -> None:
    """Means over the values of a knob, a band of one standard deviation, and every seed as a faint point."""
    colour, marker = COLOURS[series], MARKERS[series]
    means = [summary(scores.values()) for scores in scores_at.values()]
    x, y = list(scores_at), [s.mean if s.mean >= bottom else math.nan for s in means]  # begins where it is seen
    look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "-" if series == 0 else "--"}
    ax.plot(x, y, markersize=4, linewidth=1.6, label=name, zorder=3, **look)
    spread = [s.std if s.n > 1 else 0.0 for s in means]
    low, high = ([m + sign * s for m, s in zip(y, spread, strict=True)] for sign in (-1, 1))
    ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)
    scatter_below(ax, [value for value, mean in zip(x, y, strict=True) if math.isnan(mean)], bottom, colour)
    for value, scores in scores_at.items():
        faint = points(series, markersize=2.5, alpha=0.4, zorder=2)
        ax.plot([value] * len(scores), list(scores.values()), **faint)
