"""Outlines as labelling tools draw them, painted into masks in their order: what is drawn later lies on top.

Shapes: H,W the photograph's own pixels.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from apc.data.coco_outlines import FAR
from apc.data.headers import LIMIT

Points = Sequence[tuple[float, float]]


class Outline(NamedTuple):
    """Pixels of a class: inside a polygon, or where a bitmap is true."""

    number: int
    """Class number, or 255."""
    polygon: Points = ()
    """Corners x,y in pixels from the upper left corner."""
    bitmap: np.ndarray | None = None
    corner: tuple[int, int] = (0, 0)
    """Where the bitmap's upper left pixel lies, x,y."""


def paint(outlines: Sequence[Outline], size: tuple[int, int]) -> np.ndarray:
    """Mask (H,W) uint8 of outlines; `size` is (H,W)."""
    height, width = require_size(size)
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    for outline in outlines:
        if outline.bitmap is not None:
            if not all(abs(at) <= FAR * max(size) for at in outline.corner):
                raise ValueError(f"its bitmap lies far outside of its image of {width}x{height}")
            image.paste(outline.number, outline.corner, Image.fromarray(outline.bitmap.astype(np.uint8) * 255))
        else:
            draw.polygon([(x, y) for x, y in outline.polygon], fill=outline.number)
    return np.asarray(image).copy()


def require_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size (H,W) that a file of labels says, before anything is made of it; ValueError where it cannot be."""
    height, width = size
    if not (height > 0 and width > 0 and height * width <= LIMIT):
        raise ValueError(f"it is of an image of {width}x{height}")
    return size


def filled(points: Points, size: tuple[int, int]) -> np.ndarray:
    """Pixels (H,W) bool inside a polygon whose corners lie between pixels, as COCO and Label Studio count: 0 is the
    photograph's edge. labelme's lie on pixels, and its polygons hold those, too."""
    from pycocotools import mask as codes

    height, width = require_size(size)
    if not all(-FAR * width <= x <= (FAR + 1) * width and -FAR * height <= y <= (FAR + 1) * height for x, y in points):
        raise ValueError(f"a corner of it lies far outside of its image of {width}x{height}")
    [code] = codes.frPyObjects([[part for point in points for part in point]], *size)
    inside: np.ndarray = codes.decode(code).astype(bool)
    return inside


def unrolled(runs: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Pixels (H,W) bool of lengths of runs, row by row, outside and inside by turns."""
    require_size(size)
    if any(run < 0 for run in runs):
        raise ValueError(f"it has a run of {min(runs)} pixels")
    if sum(runs) != size[0] * size[1]:
        raise ValueError(f"its runs cover {sum(runs)} pixels, not {size[1]}x{size[0]}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size)


def points_of(value: Any) -> list[tuple[float, float]]:
    """Corners as pairs of finite numbers; ValueError where they are none."""
    try:
        points = [(float(x), float(y)) for x, y in value]
    except (TypeError, ValueError):
        raise ValueError("its corners are no pairs of numbers") from None
    if not all(math.isfinite(part) and abs(part) < 1e6 for point in points for part in point):
        raise ValueError("a corner is not finite, or lies a million pixels away")
    return points


def circle(centre: tuple[float, float], radius: float) -> list[tuple[float, float]]:
    return ellipse(centre, radius, radius)


def ellipse(centre: tuple[float, float], rx: float, ry: float, degrees: float = 0.0) -> list[tuple[float, float]]:
    """Corners of an ellipse, turned clockwise as it is seen."""
    x, y, turn = *centre, math.radians(degrees)
    corners = []
    for step in range(72):
        a, b = rx * math.cos(step * math.pi / 36), ry * math.sin(step * math.pi / 36)
        corners.append((x + a * math.cos(turn) - b * math.sin(turn), y + a * math.sin(turn) + b * math.cos(turn)))
    return corners


def brush(codes: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Pixels (H,W) bool of a brush of Label Studio: its run-length code of RGBA bytes, of which alpha is taken.

    The code, by the bit: 32 for how many bytes, 5 for the size of a word less 1, four times 4 for the sizes of run
    lengths less 1; then runs: 1 bit whether one word repeats, 2 bits which size the length has, the length less 1, and
    one word or as many words as it says.
    """
    try:
        bits = "".join(f"{code:08b}" for code in bytes(codes))
    except (TypeError, ValueError):
        raise ValueError("its brush is no list of bytes") from None
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise ValueError("its brush ends too soon")
        at += count
        return int(bits[at - count : at], 2)

    count, word = take(32), take(5) + 1
    if count != size[0] * size[1] * 4 or word != 8:
        raise ValueError(f"its brush has {count} bytes, not 4 for each pixel of {size[1]}x{size[0]}")
    lengths = [take(4) + 1 for _ in range(4)]
    out, done = np.zeros(count, np.uint8), 0
    while done < count:
        repeats, length = take(1), take(lengths[take(2)]) + 1
        end = min(done + length, count)
        if repeats:
            out[done:end] = take(word)
        else:
            for place in range(done, end):
                out[place] = take(word)
        done = end
    alpha: np.ndarray = out.reshape(*size, 4)[..., 3] > 0
    return alpha
