"""The look of the figures and how they are written: PNG of 150 dots an inch, SVG and PDF, free of dates and versions.

Colours are Okabe and Ito's, which colour-blind eyes tell apart; markers differ as well.
"""

import functools
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from apc.files import write_encoded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE_VERSION = 3
"""Of how figures are drawn. Raise it when a change here or in a function with `@once` changes a drawing of the same
numbers: every figure is drawn anew by the next `apc report`, and until then the old ones are taken for right."""
BEST: dict[str, Any] = {
    "marker": "*",
    "markersize": 11,
    "color": "#E69F00",
    "markeredgecolor": "black",
    "markeredgewidth": 0.7,
    "linestyle": "none",
    "zorder": 5,
}
"""How the best setting is marked, in matplotlib's words."""
_STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "apc",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}

P = ParamSpec("P")
R = TypeVar("R", bound=Path | None)
_digest: ContextVar[str] = ContextVar("digest", default="")


def once(draw: Callable[P, R]) -> Callable[P, R]:
    """A figure function, its last argument the path, that draws only what has changed since the file was written.

    Drawing is nearly all of a report's time. The PNG bears a digest of what was drawn: function, numbers and texts,
    STYLE_VERSION and matplotlib's version. The code is not in it: a function may move without a new picture.
    """

    @functools.wraps(draw)
    def drawn(*args: P.args, **named: P.kwargs) -> R:
        import matplotlib

        assert not named and isinstance(args[-1], Path)
        text = json.dumps([draw.__name__, _plain(args[:-1]), STYLE_VERSION, matplotlib.__version__])
        digest = hashlib.sha256(text.encode()).hexdigest()
        png, *others = (args[-1].with_name(args[-1].name + ending) for ending in (".png", ".svg", ".pdf"))
        if png.is_file() and all(path.is_file() for path in others) and digest.encode() in png.read_bytes()[:1000]:
            return cast(R, png)
        token = _digest.set(digest)
        try:
            return draw(*args, **named)
        finally:
            _digest.reset(token)

    return drawn


def _plain(value: Any) -> Any:
    """Numbers and texts in nested lists, without the names of classes and fields; json refuses whatever else is left,
    so that no address or module's path gets into a digest."""
    if is_dataclass(value):
        return [_plain(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, Mapping):  # as pairs: keys may be pairs of numbers
        return [[_plain(key), _plain(item)] for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def points(series: int, **more: Any) -> dict[str, Any]:
    """How the points of the nth series of a figure look, in matplotlib's words: colour and marker, no line; hollow
    where the colours come a second time."""
    look = {"color": COLOURS[series % 8], "marker": MARKERS[(series + series // 8) % 8], "linestyle": "none"}
    return look | ({"markerfacecolor": "white"} if series // 8 % 2 else {}) | more


def empty(width: float, height: float, rows: int, columns: int, **options: Any) -> "tuple[Figure, list[Axes]]":
    """An empty figure in inches and its axes, row by row; without pyplot, so no window system and no global state."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def legend_below(figure: "Figure", axes: "Sequence[Axes]") -> None:
    """One legend for all the axes, below them, in as many columns as fit the figure."""
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if handles:
        column = 0.5 + 0.068 * max(map(len, handles))  # inches: a handle and the text at 8 points
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=max(1, min(len(handles), 4, int(figure.get_figwidth() / column))),
            frameon=False,
            fontsize=8,
        )


def colour_bar(figure: "Figure", image: Any, ax: "Axes", label: str, extend: str) -> None:
    """The scale of colours beside an axis, in the size of the other text."""
    bar = figure.colorbar(image, ax=ax, extend=extend, pad=0.02)
    bar.set_label(label, fontsize=8.5)
    bar.ax.tick_params(labelsize=8)


def save(figure: "Figure", path: Path, *, lines: bool = True, settled: bool = False) -> Path:
    """Write PNG, PDF and, of `lines` and no photographs, SVG, without dates or program versions: equal numbers give
    equal files. A `settled` figure is laid out twice: the first time may not know how wide the axes' numbers are."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if "$" in text.get_text():  # of a name: no text of ours is a formula, and those of axes are set later
            text.set_parse_math(False)
    if settled:
        figure.draw_without_rendering()
    png, svg, pdf = (path.with_name(path.name + ending) for ending in (".png", ".svg", ".pdf"))
    drawn, vectors, printed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with rc_context(_STYLE):
        figure.savefig(drawn, format="png", dpi=150, metadata={"Software": None, "Comment": _digest.get()})
        figure.set_layout_engine("none")  # laid out once; the others take the same places
        figure.savefig(printed, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        if lines:
            figure.savefig(vectors, format="svg", metadata=dict.fromkeys(_UNTOLD))
            write_encoded(svg, _short(vectors.getvalue()))
    write_encoded(pdf, printed.getvalue())
    write_encoded(png, drawn.getvalue())  # last: its digest vouches for all
    return png


_UNTOLD = ("Date", "Creator", "Format", "Type")
"""What matplotlib would say of itself in an SVG."""


def _short(svg: bytes) -> bytes:
    """An SVG with places to a hundredth of a point, its two fonts said once, no line breaks, no spaces around the
    letters of a path and no names of groups, to which nothing refers: less than half of its bytes, the same picture."""

    def rounded(attribute: re.Match[bytes]) -> bytes:
        return re.sub(rb"(\.\d\d)\d+", rb"\1", attribute[0])

    def tight(path: re.Match[bytes]) -> bytes:
        return b' d="%s"' % re.sub(rb"\s*([A-Za-z])\s*", rb"\1", path[1])

    svg = re.sub(rb'<g id="[^"]*">', b"<g>", re.sub(rb"<!DOCTYPE[^>]*>", b"", svg))
    svg = re.sub(rb">\s+<", b"><", re.sub(rb' d="([^"]*)"', tight, svg))
    svg = re.sub(rb"; font-family: 'DejaVu Sans', [^;\"]*sans-serif", b"", svg)
    svg = svg.replace(b"*{stroke-linejoin", b"*{font-family: 'DejaVu Sans', Verdana, sans-serif; stroke-linejoin", 1)
    return re.sub(rb' (?:d|x|y|x1|x2|y1|y2|width|height|transform|points)="[^"]*"', rounded, svg)
