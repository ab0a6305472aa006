"""Pictures to look at: palette masks, overlays, heat maps of the patch branch, contact sheets. Pillow draws them.

Shapes: H,W the photograph's own pixels, S side of the image the network reads, C classes (background is class 0).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from apc.data.masks import palette
from apc.escaping import in_a_line

INK, PAPER, SOFT = (25, 25, 25), (255, 255, 255), (120, 120, 120)
LARGEST, SMALLEST = 1600, 480  # pixels of an overlay's longer side: enough for a screen, enough to see something
SHEET = 3, 6  # columns and rows of a contact sheet's page


def percent(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Share of the pixels of each class in percent: (H,W) -> (C,)."""
    some = np.array_split(labels, -(-labels.size // 2**22))  # numpy counts bytes as numbers of eight bytes
    counts = sum(np.bincount(rows.ravel(), minlength=num_classes)[:num_classes] for rows in some)  # some are ignored
    return np.asarray(100 * counts / labels.size)


def overlay(photo: np.ndarray, labels: np.ndarray, classes: list[str]) -> Image.Image:
    """The mask over its photograph (H,W,3), regions bordered and named; below, the classes found and their shares."""
    classes, shares = _shown(classes), percent(labels, len(classes))
    longer = max(labels.shape)
    factor = min(1.0, LARGEST / longer) if longer >= SMALLEST else float(-(-SMALLEST // longer))
    size = _scaled(photo, factor)
    picture = painted(photo, labels, size)
    text = _font(max(14, round(max(size) / 34)))
    _name_regions(picture, labels, classes, text)
    shown = [c for c in np.argsort(-shares, kind="stable") if c and shares[c] > 0]
    words = [(tuple(palette()[c].tolist()), f"{classes[c]} {_in_words(shares[c])}") for c in shown]
    return _below(picture, _legend(words or [(PAPER, "no class found")], picture.width, text))


def painted(
    photo: np.ndarray, labels: np.ndarray, size: tuple[int, int], colours: np.ndarray | None = None
) -> Image.Image:
    """Photograph and mask at `size` (width, height): classes in half their colour, a white line around each region.
    `colours` (256,3) are VOC's unless others are given."""
    image = Image.fromarray(photo)
    smooth = Image.Resampling.BOX if size < image.size else Image.Resampling.BICUBIC
    base = np.asarray(image.resize(size, smooth) if size != image.size else image)
    classes = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    over = (palette() if colours is None else colours)[classes]
    blended = np.where((classes > 0)[..., None], base // 2 + over // 2, base)
    edge = np.zeros(classes.shape, bool)
    edge[:, 1:] |= classes[:, 1:] != classes[:, :-1]
    edge[1:] |= classes[1:] != classes[:-1]
    if max(size) >= 800:  # one pixel is lost on a large picture
        edge = ndimage.binary_dilation(edge, iterations=max(size) // 800)
    blended[edge] = 255
    return Image.fromarray(blended)


def _name_regions(picture: Image.Image, labels: np.ndarray, classes: list[str], text: ImageFont.FreeTypeFont) -> None:
    """Write the class into every region above half a per cent of the picture, where it is thickest."""
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    small = np.asarray(Image.fromarray(labels).resize(_within(picture.size, (256, 256)), Image.Resampling.NEAREST))
    for c in np.unique(small[small > 0]):
        regions, count = ndimage.label(small == c)
        for number in range(1, count + 1):
            region = regions == number
            if region.mean() < 0.005:
                continue
            depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
            y, x = np.unravel_index(depth.argmax(), depth.shape)
            half_wide, half_high = draw.textlength(classes[c], text) / 2 + 3, text.size * 0.7
            at = (
                min(max((float(x) + 0.5) * width / small.shape[1], half_wide), width - half_wide),
                min(max((float(y) + 0.5) * height / small.shape[0], half_high), height - half_high),
            )
            draw.text(at, classes[c], PAPER, text, anchor="mm", stroke_width=max(2, text.size // 8), stroke_fill=INK)


def heat_maps(photo: np.ndarray, heat: Tensor, shown: Sequence[int], classes: list[str]) -> Image.Image:
    """Probability of each class in `shown` over a dimmed photograph, yellow where it is high (paper, Figure 6).

    `heat` are the patch branch's pixel probabilities (C,S,S); each title gives the highest one.
    """
    classes, size = _shown(classes), _within(_scaled(photo, 1.0), (400, 400), enlarge=True)
    small = Image.fromarray(photo).resize(size, Image.Resampling.BOX)
    grey, text = np.asarray(small.convert("L"), dtype=np.float32)[..., None], _font(15)
    panels = [_titled(small, "photograph", text)]
    for c in shown:
        p = F.interpolate(heat[c][None, None], size=size[::-1], mode="bilinear", align_corners=False)[0, 0].numpy()
        mixed = 0.4 * grey + 0.6 * _viridis()[(255 * p.clip(0, 1)).round().astype(int)]
        panels.append(_titled(Image.fromarray(mixed.astype(np.uint8)), f"{classes[c]}, at most {p.max():.2f}", text))
    return _below(_grid(panels, min(len(panels), 4), 8), _colour_bar(text))


def contact_sheet(cells: Sequence[Image.Image]) -> Image.Image:
    """One page of `sheet_cell`s."""
    return _grid(cells, min(len(cells), SHEET[0]), 16)


def sheet_cell(photo: np.ndarray, labels: np.ndarray, classes: list[str], name: str) -> Image.Image:
    """Photograph and overlay side by side; below, its name and the classes found."""
    classes, box, text, small = _shown(classes), (250, 188), _font(14), _font(13)
    size = _within(_scaled(photo, 1.0), box, enlarge=True)
    cell = Image.new("RGB", (2 * box[0] + 6, box[1] + 44), PAPER)
    for left, shown in ((0, np.zeros_like(labels)), (size[0] + 6, labels)):
        cell.paste(painted(photo, shown, size), (left, box[1] - size[1]))
    draw, shares = ImageDraw.Draw(cell), percent(labels, len(classes))
    draw.text((2, box[1] + 4), _shortened(name, text, cell.width - 4), INK, text)
    x = 2.0
    for c in (c for c in np.argsort(-shares, kind="stable") if c and shares[c] > 0):
        word = f"{classes[c]} {_in_words(shares[c])}"
        if x + 20 + draw.textlength(word, small) > cell.width:
            draw.text((x, box[1] + 24), "…", SOFT, small)
            break
        draw.rectangle((x, box[1] + 27, x + 11, box[1] + 38), tuple(palette()[c].tolist()), SOFT)
        draw.text((x + 16, box[1] + 24), word, INK, small)
        x += 30 + draw.textlength(word, small)
    if x == 2:
        draw.text((2, box[1] + 24), "no class found", SOFT, small)
    return cell


def _shown(classes: list[str]) -> list[str]:
    """Class names as they are drawn: Pillow measures no text of two lines."""
    return [in_a_line(name) for name in classes]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: the same on every machine."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


@cache
def _viridis() -> np.ndarray:
    """(256,3) float32, 0 to 255: dark blue is 0, yellow is 1."""
    return (255 * matplotlib.colormaps["viridis"](np.arange(256))[:, :3]).astype(np.float32)


def _in_words(share: float) -> str:
    return f"{share:.0f} %" if share >= 0.95 else f"{share:.1f} %" if share >= 0.05 else "under 0.1 %"


def _scaled(photo: np.ndarray, factor: float) -> tuple[int, int]:
    return max(1, round(photo.shape[1] * factor)), max(1, round(photo.shape[0] * factor))


def _within(size: tuple[int, int], box: tuple[int, int], enlarge: bool = False) -> tuple[int, int]:
    """Largest (width, height) of the same shape that fits the box, at least a pixel each way."""
    factor = min(box[0] / size[0], box[1] / size[1])
    factor = factor if enlarge else min(factor, 1.0)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _shortened(name: str, text: ImageFont.FreeTypeFont, width: float) -> str:
    """A file name that fits; its end says most."""
    name = in_a_line(name)
    if text.getlength(name) <= width:
        return name
    while text.getlength("…" + name) > width:
        name = name[1:]
    return "…" + name


def _titled(picture: Image.Image, title: str, text: ImageFont.FreeTypeFont) -> Image.Image:
    panel = Image.new("RGB", (max(picture.width, round(text.getlength(title)) + 4), picture.height + 24), PAPER)
    ImageDraw.Draw(panel).text((2, 2), title, INK, text)
    panel.paste(picture, (0, 24))
    return panel


def _grid(panels: Sequence[Image.Image], columns: int, gap: int) -> Image.Image:
    """Panels row by row, each column as wide and each row as high as its largest."""
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    wide = max(panel.width for panel in panels)
    tall = [max(panel.height for panel in row) for row in rows]
    page = Image.new("RGB", (columns * (wide + gap) + gap, sum(tall) + (len(rows) + 1) * gap), PAPER)
    y = gap
    for row, height in zip(rows, tall, strict=True):
        for i, panel in enumerate(row):
            page.paste(panel, (gap + i * (wide + gap), y))
        y += height + gap
    return page


def _below(picture: Image.Image, strip: Image.Image) -> Image.Image:
    both = Image.new("RGB", (max(picture.width, strip.width), picture.height + strip.height), PAPER)
    both.paste(picture, (0, 0))
    both.paste(strip, (0, picture.height))
    return both


def _legend(words: Sequence[tuple[tuple[int, ...], str]], width: int, text: ImageFont.FreeTypeFont) -> Image.Image:
    """Colours and what they stand for, in as many lines as `width` asks for."""
    line, side, gap = round(text.size * 1.7), text.size, text.size // 2
    places, x, y = [], float(gap), 0
    for _, word in words:
        long = side + gap + text.getlength(word)
        if x > gap and x + long > width:
            x, y = float(gap), y + line
        places.append((x, y))
        width = max(width, round(x + long + gap))  # a word longer than the picture is wide
        x += long + 2 * gap
    strip = Image.new("RGB", (width, y + line), PAPER)
    draw = ImageDraw.Draw(strip)
    for (colour, word), (x, y) in zip(words, places, strict=True):
        top = y + (line - side) // 2
        draw.rectangle((x, top, x + side, top + side), colour, SOFT if colour != PAPER else PAPER)
        draw.text((x + side + gap, y + line / 2), word, INK, text, anchor="lm")
    return strip


def _colour_bar(text: ImageFont.FreeTypeFont) -> Image.Image:
    strip = Image.new("RGB", (420, 30), PAPER)
    draw = ImageDraw.Draw(strip)
    strip.paste(Image.fromarray(_viridis().astype(np.uint8)[None].repeat(12, 0)), (28, 7))
    draw.text((12, 13), "0", INK, text, anchor="lm")
    draw.text((290, 13), "1  probability", INK, text, anchor="lm")
    return strip
