"""Figures 6 and 7: what networks see, drawn of arrays, and the sections of the page that show it. No torch.

Shapes: H,W a photograph's own pixels, h,w patch grid.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.escaping import as_code, as_code_block, in_a_line, in_markdown
from apc.files import write_encoded
from apc.reporting.figures import style
from apc.reporting.names import file_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy import ndarray

RGB = tuple[float, float, float]
"""A colour, each part from 0 to 1."""
COLUMN = 1.42
"""Inches of a panel: five of them fill a page's width."""
WEAK = 0.1
"""Highest score of a panel below which it is drawn pale: its own maximum would look as sure as that of any other."""


@dataclass(frozen=True)
class Panel:
    """One image of a picture."""

    title: str
    photo: "ndarray | None" = None
    """What is shown, (H,W,3) uint8; behind patch scores it gives their extent alone."""
    heat: "ndarray | None" = None
    """Scores 0 to 1 of the patches, (h,w)."""
    outline: "ndarray | None" = None
    """Where the truth has the class, (H,W) bool, as a line."""


def recorded(name: str, results: Path) -> list[str]:
    """Data sets on which a picture was drawn."""
    return sorted(path.stem for path in (results / name).glob("*.json"))


def draw(rows: Mapping[str, Sequence[Panel]], path: Path, colours: Mapping[str, RGB] | None = None) -> Path:
    """Panels row by row, each row beside its name, as `path`.png and .pdf; `colours` are the legend's classes.

    Patch scores bring the scale of their colours.
    """
    columns = max(len(panels) for panels in rows.values())
    shapes = [next(p.photo for p in panels if p.photo is not None).shape for panels in rows.values()]
    heights = [min(max(shape[0] / shape[1], 0.6), 1.4) for shape in shapes]
    lines = 1 + any(panel.heat is not None for panels in rows.values() for panel in panels)
    tall = COLUMN * sum(heights) + (0.08 + 0.14 * lines) * len(rows) + 0.55
    ratios = {"gridspec_kw": {"height_ratios": heights}}
    figure, axes = style.empty(COLUMN * columns + 0.3, tall, len(rows), columns, **ratios)
    scale = None
    for row, (name, panels) in enumerate(rows.items()):
        for column in range(columns):
            ax = axes[row * columns + column]
            ax.set_axis_off()
            if column < len(panels):
                scale = _panel(ax, panels[column]) or scale
        first = axes[row * columns]
        first.text(
            -0.04, 0.5, in_a_line(name), transform=first.transAxes, rotation=90, va="center", ha="right", fontsize=8
        )
    if scale is not None:
        bar = figure.colorbar(scale, ax=axes, location="bottom", shrink=0.5, aspect=40, pad=0.01)
        bar.set_label(
            "score of the class (softmax over the classes of a patch), to each panel's own maximum", fontsize=8
        )
        bar.set_ticks(list(scale.get_clim()), labels=["0", "max"])
        bar.ax.tick_params(labelsize=8)
    if colours:
        from matplotlib.patches import Patch

        handles = [Patch(color=colour, label=in_a_line(name)) for name, colour in colours.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    return small(style.save(figure, path, lines=False))


def small(png: Path) -> Path:
    """The PNG in 256 colours of its own, a third of its bytes: photographs, unlike curves, do not compress."""
    from PIL import Image

    with Image.open(png) as image:
        fewer = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    encoded = io.BytesIO()
    fewer.save(encoded, format="PNG", optimize=True)
    write_encoded(png, encoded.getvalue())
    return png


def _panel(ax: "Axes", panel: Panel) -> Any:
    """Draw one panel; the image whose colours need a scale, where it has any."""
    most = "" if panel.heat is None else f"\nmaximum {panel.heat.max():.2f}" + ", weak" * bool(panel.heat.max() < WEAK)
    ax.set_title(in_a_line(panel.title) + most, fontsize=8, pad=3)
    if panel.heat is not None:
        size = panel.photo.shape if panel.photo is not None else panel.heat.shape
        image = ax.imshow(
            panel.heat,
            vmin=0,
            vmax=max(float(panel.heat.max()), 1e-6),  # each its own: on one scale a low one is black
            cmap="viridis",
            extent=(0, size[1], size[0], 0),
            aspect="equal",
            interpolation="nearest",
        )
        if panel.heat.max() < WEAK:
            ax.axhspan(0, size[0], color="white", alpha=0.65, linewidth=0)
        _outline(ax, panel)
        return image
    assert panel.photo is not None
    ax.imshow(panel.photo)
    _outline(ax, panel)
    return None


def _outline(ax: "Axes", panel: Panel) -> None:
    """White on black, to be seen on any colour."""
    if panel.outline is not None and panel.outline.any() and not panel.outline.all():
        for colour, width in (("black", 1.8), ("white", 0.8)):
            ax.contour(panel.outline.astype(float), levels=[0.5], colors=colour, linewidths=width)


def drawn_by(name: str, dataset: str) -> str:
    """The command that draws a picture."""
    photographs = " folder --root PHOTOGRAPHS --weights WEIGHTS" if dataset == "folder" else ""
    return f"python experiments/{name}.py{photographs}"


def section(name: str, dataset: str, reports: Path, *, shipped: bool = False) -> list[str]:
    """Markdown paragraphs of one picture on one data set: the figure, what it shows, and where it comes from; one line
    where it is not there, as of photographs on the page that is `shipped`."""
    path = reports / "results" / name / f"{dataset}.json"
    figure = file_name(name, dataset)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        runs = ", ".join(f"{in_markdown(label)} {as_code(run)}" for label, run in record["runs"].items())
        images = ", ".join(f"{in_markdown(image)} ({in_markdown(label)})" for label, image in record["images"].items())
        command = record["command"]
        at = record["stamp"]["commit"] + (", changed since" if record["stamp"]["dirty"] else "")
        lines = [
            f"<sub>Runs, seed {in_markdown(record['seed'])}: {runs}. Images: {in_markdown(record['rule'])}: "
            f"{images}. Drawn at commit {in_markdown(at)}, on "
            f"{in_markdown(record['stamp']['machine'])}. [PDF](figures/{figure}.pdf)</sub>",
            f"Made by:\n\n{as_code_block(command)}",
        ]
        shown = in_markdown(record["shown"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [
            f"### {in_markdown(dataset)}",
            f"> **Damaged:** {as_code(path.name)} of {name} is left out ({type(error).__name__}).",
        ]
    if not (reports / "figures" / f"{figure}.png").is_file():
        why = f"{as_code(f'{figure}.png')} is gone"
        if shipped and dataset != "pocket":
            why = "photographs are not ours to ship"
        return [f"> **Not on {in_markdown(dataset)}:** {why}. Drawn by {as_code(command)}"]
    return [f"### {in_markdown(dataset)}", shown, f"![{name} on {in_markdown(dataset)}](figures/{figure}.png)", *lines]
