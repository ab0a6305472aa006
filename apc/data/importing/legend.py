"""What the pixels of masks mean: colours by a labelmap.txt, or numbers by a list of names.

Shapes: H,W the photograph's own pixels.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from apc.data.headers import LIMIT, opened
from apc.data.importing.found import BACKGROUND, IGNORED, class_name, foreground
from apc.data.importing.safely import read_text
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes
from apc.data.masks import IGNORE, values_in

BORDER = (224, 224, 192)
"""VOC's colour of pixels that count nowhere."""
LISTS = ("class_names.txt", "classes.txt", "labels.txt")
"""Files of a class a line, as labelme, this project and others name them."""


@dataclass(frozen=True)
class Legend:
    """Class numbers of pixels: `numbers` maps colours as 0xRRGGBB, or grey values, to 0, 1.. or 255."""

    classes: list[str]
    numbers: dict[int, int]
    coloured: bool
    source: str
    """Where it comes from."""
    notes: list[str] = field(default_factory=list)
    max_pixels: int = LIMIT

    def read(self, path: Path) -> np.ndarray:
        """A mask's class numbers (H,W) uint8; ValueError names a pixel that the legend does not."""
        pixels = colours_of(path, self.max_pixels) if self.coloured else values_of(path, self.max_pixels)
        values, places = np.unique(pixels, return_inverse=True)
        for value in values:
            if int(value) not in self.numbers:
                count, shown = int((pixels == value).sum()), shown_as(int(value)) if self.coloured else int(value)
                what = "the colour" if self.coloured else "the value"
                raise ValueError(
                    f"{path}: the mask has {what} {shown} in {count} pixels, which {self.source} does not name"
                )
        table = np.array([self.numbers[int(value)] for value in values], np.uint8)
        return table[places].reshape(pixels.shape)


def shown_as(colour: int) -> str:
    return f"{colour >> 16},{colour >> 8 & 255},{colour & 255}"


def colours_of(path: Path, max_pixels: int) -> np.ndarray:
    """Colours of a mask as 0xRRGGBB, (H,W) int32."""
    rgb = _pixels(path, "RGB", max_pixels).astype(np.int32)
    packed: np.ndarray = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    return packed


def values_of(path: Path, max_pixels: int) -> np.ndarray:
    """Numbers of a palette or grey mask, (H,W); a mask in colours that are all grey counts as grey."""
    return _pixels(path, "", max_pixels)


def _pixels(path: Path, mode: str, max_pixels: int) -> np.ndarray:
    try:
        with opened(path, max_pixels) as image:
            if mode or image.mode in ("P", "L", "I", "I;16", "1"):
                return np.asarray(image.convert(mode) if mode else image).astype(np.int32)
            rgb = np.asarray(image.convert("RGB")).astype(np.int32)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like
        raise ValueError(f"{path}: the mask cannot be decoded ({error})") from None
    if (rgb != rgb[..., :1]).any():
        raise ValueError(f"{path}: the mask is in colours, and no labelmap.txt says what they mean")
    grey: np.ndarray = rgb[..., 0]
    return grey


def legend_of(source: Source, wishes: Wishes) -> Legend | None:
    """What the source's files say of its masks; None where they say nothing."""
    if maps := source.named("labelmap.txt"):
        return _agreed([_of_labelmap(path, names_beside(source, wishes)) for path in maps])
    if legends := [legend for table in source.named("_classes.csv") if (legend := _of_roboflow(table))]:
        return _agreed(legends)
    if not wishes.classes and (names := names_beside(source, wishes)):
        listed, where = names
        classes = foreground(listed)
        return Legend(classes, {number: number for number in (*range(len(classes) + 1), IGNORE)}, False, where)
    return None


def _agreed(legends: list[Legend]) -> Legend:
    """The one legend that all files tell; ValueError where they differ."""
    first = legends[0]
    for other in legends[1:]:
        if (other.classes, other.numbers) != (first.classes, first.numbers):
            raise ValueError(f"{other.source}: says other than {first.source} what masks mean; import each by itself")
    return first


def names_beside(source: Source, wishes: Wishes) -> tuple[list[str], str] | None:
    """Class names in the order of their numbers, and where they are from; None where nothing says it."""
    if wishes.classes:
        return list(wishes.classes), "--classes"
    for path in source.named(*LISTS):
        lines = [line.strip() for line in read_text(path)[0].splitlines()]
        if foreground(lines):
            return [line for line in lines if line], str(path)
    return None


def _of_labelmap(path: Path, names: tuple[list[str], str] | None) -> Legend:
    """Lines of name:r,g,b:parts:actions, as CVAT and Datumaro write them; `names` gives an order."""
    colours: dict[str, int] = {}
    numbers: dict[int, int] = {}
    for line, text in enumerate(read_text(path)[0].splitlines(), start=1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        name, _, rest = text.partition(":")
        rgb = [int(part[:5]) for part in re.findall(r"-?\d+", rest.partition(":")[0])]
        if not name.strip() or len(rgb) != 3 or not all(0 <= part <= 255 for part in rgb):
            raise ValueError(f"{path}, line {line}: {text!r} is not name:red,green,blue:parts:actions")
        colour = rgb[0] << 16 | rgb[1] << 8 | rgb[2]
        if colour in (*colours.values(), *numbers):
            raise ValueError(f"{path}, line {line}: the colour {shown_as(colour)} is that of two labels")
        low = name.strip().casefold()
        if low in BACKGROUND:
            numbers[colour] = 0
        elif low in IGNORED or (low in ("ignored", "void") and tuple(rgb) == BORDER):
            numbers[colour] = IGNORE
        elif class_name(name) in colours:
            raise ValueError(f"{path}, line {line}: the label {name.strip()!r} is there twice")
        else:
            colours[class_name(name)] = colour
    classes, where = list(colours), str(path)
    if names and set(foreground(names[0])) != set(classes):
        raise ValueError(f"{path}: its labels are {', '.join(classes)}, and those of {names[1]} {', '.join(names[0])}")
    classes = foreground(names[0]) if names else classes
    if not classes:
        raise ValueError(f"{path}: names no class beside the background")
    numbers |= {colours[name]: number for number, name in enumerate(classes, start=1)}
    numbers.setdefault(0, 0)
    border = BORDER[0] << 16 | BORDER[1] << 8 | BORDER[2]
    return Legend(classes, {border: IGNORE} | numbers, True, where)


def _of_roboflow(path: Path) -> Legend | None:
    """The columns Pixel Value and Class, as Roboflow writes them beside masks; None where the table is another."""
    try:
        rows = list(csv.reader(read_text(path)[0].splitlines(), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}: is no table ({error})") from None
    if not rows or [cell.strip().casefold() for cell in rows[0][:2]] != ["pixel value", "class"]:
        return None
    numbers: dict[int, int] = {}
    classes: list[str] = []
    for line, row in enumerate(rows[1:], start=2):
        if len(row) < 2 or not re.fullmatch(r"[0-9]{1,9}", row[0].strip()):
            raise ValueError(f"{path}, line {line}: {','.join(row)!r} is not a pixel's value and its class")
        name = class_name(row[1])
        if int(row[0]) in numbers:
            raise ValueError(f"{path}, line {line}: the pixel value {row[0].strip()} has a class already")
        if name and name not in classes:
            classes.append(name)
        numbers[int(row[0])] = classes.index(name) + 1 if name else 0
    return Legend(classes, {0: 0} | numbers, False, str(path))


def legend_from_pixels(masks: Iterable[Path], wishes: Wishes) -> Legend:
    """What masks mean of which no file tells: their numbers as they are, or one class in one grey.

    With --classes of as many names as there are values the values are taken in rising order.
    """
    seen: set[int] = set()
    coloured: set[int] = set()
    for path in masks:
        try:
            seen.update(_distinct(values_of(path, wishes.max_pixels)))
        except ValueError as error:
            if "in colours" not in str(error):
                raise
            coloured.update(_distinct(colours_of(path, wishes.max_pixels)))
            if len(coloured) > 256:
                raise ValueError(
                    f"{path}: the mask has hundreds of colours; save masks as PNG, without smoothing"
                ) from None
    if coloured:
        lines = "; ".join(f"NAME:{shown_as(colour)}::" for colour in sorted(coloured - {0})[:5])
        raise ValueError(f"masks are in colours; say what they mean in a labelmap.txt with lines such as {lines}")
    values, names = sorted(seen - {0}), foreground(wishes.classes)
    if not values:
        raise ValueError("no mask has a pixel that is not 0, so nothing is labelled")
    own = [value for value in values if value != IGNORE]
    if names and (not own or own[-1] > len(names)) and len(values) == len(names):
        return Legend(names, {0: 0} | {value: i for i, value in enumerate(values, start=1)}, False, "--classes")
    if names and own and own[-1] > len(names):
        shown = ", ".join(map(str, values[:20]))
        raise ValueError(f"masks have the values {shown}, and --classes names {len(names)}; name one for each")
    if len(values) == 1 and (not own or own[0] > 20):
        note = f"every mask is 0 and {values[0]}: {values[0]} is taken for the class"
        return Legend(names or ["object"], {0: 0, values[0]: 1}, False, "the masks", [note])
    if not names and own[-1] > 2 * len(own) + 20:
        shown = ", ".join(map(str, values[:20]))
        raise ValueError(f"masks have the values {shown}; name a class for each with --classes, in rising order")
    notes = ["pixels of 255 are ignored"] if IGNORE in values else []
    if not names:
        names = [f"class_{number}" for number in range(1, own[-1] + 1)]
        notes.append(f"nothing names the classes: they are {', '.join(names)}; --classes gives them names")
    return Legend(names, {n: n for n in (*range(len(names) + 1), IGNORE)}, False, "the masks", notes)


def _distinct(pixels: np.ndarray) -> list[int]:
    return values_in(pixels.astype(np.uint8)) if pixels.max(initial=0) < 256 else [int(v) for v in np.unique(pixels)]
