"""The forest plot of all claims: our difference with its interval for each data set, the paper's printed value a tick.

The verdict is told three ways, so that it survives grey paper and colour-blind eyes: by colour, by whether the marker
is filled, and by a sign in a column of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apc.reporting.figures.style import MARKERS, empty, once, save
from apc.reporting.names import SIGNS, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"reproduced": "#0072B2", "contradicted": "#D55E00"}
"""By outcome; every other one is grey."""
OPEN = "#767676"
POINTS, SECONDS = "points of mIoU (Table 9: hundredths of a cosine)", "seconds saved"
"""What the axes of the two panels measure."""
TICKS = {POINTS: (-30, -10, -3, 0, 3, 10, 30), SECONDS: (-1000, -100, -10, 0, 10, 100, 1000)}
APART = 0.1
"""Between two columns of signs, as a share of the axis."""
LINEAR = {POINTS: 3.0, SECONDS: 10.0}
"""About how far from 0 an axis is even; farther out it is logarithmic (asinh)."""


class Told(NamedTuple):
    """What was measured of a claim."""

    mean: float
    low: float
    """Ends of the interval; NaN without one."""
    high: float
    outcome: str
    small: bool
    """Surely below half of what is printed, and not contradicted."""


@dataclass(frozen=True)
class Line:
    """One claim of the plot."""

    name: str
    printed: float | None
    """The paper's difference in the unit of the axis; None where it prints none, or in another unit."""
    axis: str
    """POINTS or SECONDS."""
    measured: Mapping[str, Told]
    """By series; one that was not run is left out."""


@once
def forest(lines: Sequence[Line], series: Sequence[str], path: Path) -> Path | None:
    """A line a claim, a marker a series (a data set, or whose rows), a panel for each unit."""
    panels = {axis: [line for line in lines if line.axis == axis] for axis in (POINTS, SECONDS)}
    panels = {axis: own for axis, own in panels.items() if own}
    if not panels or not series:
        return None
    step = 0.16 + 0.045 * len(series)
    heights = [len(own) + 1.2 for own in panels.values()]
    ratios = {"gridspec_kw": {"height_ratios": heights}}
    figure, axes = empty(7, 0.8 + step * sum(heights) + 0.35 * len(panels), len(panels), 1, **ratios)
    for ax, (axis, own) in zip(axes, panels.items(), strict=True):
        _panel(ax, own, series, axis)
    _signs_of_series(axes[0], series)
    _legend(figure, series)
    return save(figure, path)


def _panel(ax: "Axes", lines: Sequence[Line], series: Sequence[str], axis: str) -> None:
    """The claims of one unit from top to bottom."""
    for at, line in enumerate(lines):
        if at % 2:
            ax.axhspan(at - 0.5, at + 0.5, color="#f4f4f4", zorder=0, linewidth=0)
        if line.printed is not None:
            ax.plot([line.printed] * 2, [at - 0.42, at + 0.42], color="black", linewidth=1.8, zorder=3)
        for i, name in enumerate(series):
            if name in line.measured:
                _measured(ax, line.measured[name], at + _shift(i, len(series)), MARKERS[i % 8])
            told = line.measured.get(name)
            outcome = told.outcome if told else "pending"
            sign = SIGNS[outcome] + SMALL * bool(told and told.small)
            text: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "ha": "center", "va": "center"}
            ax.text(1.04 + APART * i, at, sign, color=COLOURS.get(outcome, OPEN), fontsize=9, **text)
    ax.axvline(0, color="#444444", linewidth=0.8, zorder=1)
    ax.set_xscale("asinh", linear_width=LINEAR[axis])
    ax.set_yticks(range(len(lines)), [line.name for line in lines], fontsize=7.5)
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    what = f"difference in {axis}" if axis == POINTS else f"{axis} (the paper prints hours)"
    ax.set_xlabel(f"{what}\neven as far as ±{LINEAR[axis]:g}, logarithmic farther out", fontsize=8)
    low, high = ax.get_xlim()
    ax.set_xticks([], minor=True)
    shown = [tick for tick in TICKS[axis] if low <= tick <= high] or [0]
    ax.set_xticks(shown, [f"{tick:+d}".replace("-", "−") if tick else "0" for tick in shown])


def _measured(ax: "Axes", told: Told, at: float, marker: str) -> None:
    """One difference: filled where it is decided, with its interval where there is one, else small."""
    mean, low, high, outcome, _ = told
    colour = COLOURS.get(outcome, OPEN)
    several = low == low
    if several:
        ax.plot([low, high], [at, at], color=colour, linewidth=1.3, zorder=2, solid_capstyle="butt")
    face = colour if outcome in COLOURS else "white"
    ax.plot(
        [mean],
        [at],
        marker=marker,
        markersize=5 if several else 3,
        color=colour,
        markerfacecolor=face,
        linestyle="none",
        zorder=4,
        clip_on=False,
    )


def _shift(series: int, of: int) -> float:
    """Where the marker of a series lies beside its claim's line, so that several do not cover each other."""
    return (series - (of - 1) / 2) * 0.56 / max(of, 2)


def _signs_of_series(ax: "Axes", series: Sequence[str]) -> None:
    """Heads of the columns of signs."""
    for i, name in enumerate(series):
        text: dict[str, Any] = {"transform": ax.transAxes, "rotation": 50, "ha": "left", "va": "bottom"}
        ax.text(1.025 + APART * i, 1.01, name, fontsize=7.5, **text)


def _legend(figure: Any, series: Sequence[str]) -> None:
    """What markers, colours and signs mean."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=OPEN, marker=MARKERS[i % 8], markersize=5, linestyle="none", label=name)
        for i, name in enumerate(series)
    ]
    paper: dict[str, Any] = {"color": "black", "marker": "|", "markersize": 9, "mew": 1.8}
    handles.append(Line2D([], [], linestyle="none", label="paper, where it prints one", **paper))
    for outcome in ("reproduced", "contradicted", "undecided"):
        colour = COLOURS.get(outcome, OPEN)
        face = colour if outcome in COLOURS else "white"
        look: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 5, "markerfacecolor": face}
        handles.append(Line2D([], [], label=f"{SIGNS[outcome]} {outcome}", linewidth=1.3, **look))
    alone: dict[str, Any] = {"color": OPEN, "marker": "o", "markersize": 3, "markerfacecolor": "white"}
    handles.append(Line2D([], [], linestyle="none", label=f"{SIGNS['undecided']} one seed, no interval", **alone))
    handles.append(Line2D([], [], linestyle="none", label=f"{SIGNS['pending']} not run"))
    handles.append(Line2D([], [], linestyle="none", label=f"{SMALL} surely below half of the paper's"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3), fontsize=7.5, frameon=False)
