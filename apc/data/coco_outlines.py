"""COCO's outlines as pixels: polygons, as numbers or as pairs of them, and run-length codes, plain and compressed.

Whatever stands in a file is judged here before pycocotools sees it: of coordinates that are not finite it crashes, and
of absurd ones it never returns.
"""

import math
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from apc.data.masks import IGNORE
from apc.escaping import short

FAR = 10
"""Sides of its image that a point may lie away from it."""

UPRIGHT = "turned_by_exif"
"""Key of `info`, true where outlines are drawn on photographs as their EXIF turns them: as `apc predict` does."""


class Object(NamedTuple):
    """A thing or a crowd of an image, as COCO outlines it."""

    number: int
    """Class number."""
    crowd: bool
    outline: Any
    """Polygons, or a run-length code."""

    @property
    def boxed(self) -> bool:
        """Whether it has no outline at all, as where only boxes were drawn."""
        return not self.outline or (isinstance(self.outline, list) and all(part == [] for part in self.outline))


class BadOutline(ValueError):
    """An outline that cannot be read; `which` is the number of its object among those of its image."""

    def __init__(self, which: int, reason: str) -> None:
        super().__init__(reason)
        self.which = which


def paint(objects: list[Object], height: int, width: int) -> np.ndarray:
    """Mask (height,width) uint8 of an image's objects; BadOutline where one cannot be read."""
    shapes: list[tuple[bool, int, int, np.ndarray]] = []
    for which, thing in enumerate(objects):
        try:
            shape = _shape(thing.outline, height, width)
        except MemoryError:
            raise
        except Exception as error:  # pycocotools raises whatever it likes
            raise BadOutline(which, str(error)) from None
        shapes.append((thing.crowd, int(shape.sum()), thing.number, shape))
    painted = np.zeros((height, width), np.uint8)
    for crowd, _, number, shape in sorted(shapes, key=lambda s: (not s[0], -s[1])):
        painted[shape] = IGNORE if crowd else number
    return painted


def _shape(outline: Any, height: int, width: int) -> np.ndarray:
    """The pixels of an outline, (height,width) bool; ValueError where it cannot be read."""
    if not outline:
        return np.zeros((height, width), bool)
    if isinstance(outline, dict):
        return _decoded(outline, height, width)
    if not isinstance(outline, list):
        raise ValueError(f"it is a {type(outline).__name__}, neither polygons nor a run-length code")
    polygons = [p for polygon in _polygons(outline) if len(p := _points(polygon, height, width)) >= 6]  # less is a line
    if not polygons:
        return np.zeros((height, width), bool)
    from pycocotools import mask as codes

    shape: np.ndarray = codes.decode(codes.merge(codes.frPyObjects(polygons, height, width))).astype(bool)
    return shape


def _polygons(outline: list[Any]) -> list[Any]:
    """The polygons of an outline: several, or a single one that is not in a list of its own."""
    if all(_is_number(value) for value in outline):
        return [outline]
    if len(outline) >= 3 and all(_is_pair(point) for point in outline):
        return [outline]
    return outline


def _points(polygon: Any, height: int, width: int) -> list[float]:
    """Coordinates x, y, x, y, ... of a polygon; ValueError where they are none, or beyond reason."""
    if not isinstance(polygon, list):
        raise ValueError(f"a polygon of it is a {type(polygon).__name__}, not a list of numbers")
    if polygon and all(_is_pair(point) for point in polygon):
        polygon = list(chain.from_iterable(polygon))
    if strange := [value for value in polygon if not _is_number(value)]:
        raise ValueError(f"a polygon of it has {strange[0]!r} where a coordinate should be")
    if len(polygon) % 2:
        raise ValueError(f"a polygon of it has {len(polygon)} numbers; coordinates come in pairs")
    for axis, side in ((0, width), (1, height)):
        for value in polygon[axis::2]:
            if abs(value) > 1e15 or not -FAR * side <= value <= (FAR + 1) * side:
                named = f"{value:g}" if abs(value) < 1e300 else short(value)
                raise ValueError(f"a polygon of it has the coordinate {named} in an image of {width}x{height}")
    return [float(value) for value in polygon]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_pair(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(map(_is_number, point))


def _decoded(code: dict[str, Any], height: int, width: int) -> np.ndarray:
    """A run-length code's pixels; runs go down the columns, and the first one is of the background."""
    size, counts = code.get("size"), code.get("counts")
    if not isinstance(counts, str | bytes | list):
        raise ValueError("it is no run-length code: it has no counts")
    runs = [_whole_number(run) for run in counts] if isinstance(counts, list) else _uncompressed(counts)
    if not runs:
        return np.zeros((height, width), bool)
    if not isinstance(size, list) or len(size) != 2 or [_whole_number(side) for side in size] != [height, width]:
        of = "x".join(str(side) for side in reversed(size)) if isinstance(size, list) else repr(size)
        raise ValueError(f"it is of an image of {of}, not of {width}x{height}")
    if min(runs) < 0:
        raise ValueError(f"its run-length code has a run of {min(runs)} pixels")
    if sum(runs) != height * width:
        raise ValueError(f"its run-length code covers {sum(runs)} pixels, and the image has {height * width}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _whole_number(value: Any) -> int:
    if not _is_number(value) or not math.isfinite(value) or value != int(value):
        raise ValueError(f"its run-length code has {value!r} where a whole number should be")
    return int(value)


def _uncompressed(counts: str | bytes) -> list[int]:
    """Runs of a compressed code: six bits a letter, the lowest first, the fifth bit the sign, the sixth for more; from
    the fourth run on the difference to the run before the last."""
    text = counts.encode() if isinstance(counts, str) else counts
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = letter - 48
        if not 0 <= bits < 64:
            raise ValueError("its run-length code has letters that are none of such a code")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            if shift > 60:
                raise ValueError("its run-length code has a run without an end")
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("its run-length code is cut")
    return runs
