"""The look of the figures and how they are written: a PNG of 150 dots an inch and a PDF, free of dates and versions.

Colours are Okabe and Ito's, which colour-blind eyes tell apart; markers differ as well.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}


def empty(width: float, height: float, rows: int, columns: int, **options: Any) -> "tuple[Figure, list[Axes]]":
    """An empty figure in inches and its axes, row by row; without pyplot, so no window system and no global state."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def legend_below(figure: "Figure", axes: "Sequence[Axes]") -> None:
    """One legend for all the axes, below them."""
    found = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if found:
        figure.legend(
            found.values(),
            found.keys(),
            loc="outside lower center",
            ncols=min(len(found), 4),
            frameon=False,
            fontsize=8,
        )


def save(figure: "Figure", path: Path) -> Path:
    """Write PNG and PDF without dates or program versions, so that equal numbers give equal files."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    png = path.with_name(path.name + ".png")
    with rc_context(_STYLE):
        figure.savefig(png, dpi=150, metadata={"Software": None})
        figure.set_layout_engine("none")  # laid out once; the PDF takes the same places
        figure.savefig(
            path.with_name(path.name + ".pdf"), metadata={"CreationDate": None, "Creator": None, "Producer": None}
        )
    return png
