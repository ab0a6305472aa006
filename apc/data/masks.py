"""Masks as palette PNGs of class numbers: 0 background, 1.. the classes, 255 ignored.

Shapes: H,W the photograph's own pixels.
"""

import io
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from apc.data.headers import LIMIT, opened
from apc.files import write_encoded

IGNORE = 255


@cache
def palette() -> np.ndarray:
    """VOC's 256 colours, (256,3) uint8: the bits of a class number, dealt out to red, green and blue, highest first."""
    colours = np.zeros((256, 3), np.uint8)
    for number in range(256):
        for bit in range(8):
            colours[number, bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return colours


class Truth(NamedTuple):
    """What a mask holds, and what its palette tells of it."""

    values: list[int]
    """Numbers that occur, rising."""
    painted: dict[int, int]
    """Classes among them whose colour in the file is, among VOC's colours, that of another class: which one."""


class WrongSize(ValueError):
    """A mask that is not as large as its image."""

    def __init__(self, path: Path, mask: tuple[int, ...], image: tuple[int, ...]) -> None:
        super().__init__(f"{path}: the mask is {mask[1]}x{mask[0]}, its image {image[1]}x{image[0]}")
        self.mask = mask


def read_mask(path: Path, size: tuple[int, ...], num_classes: int, max_pixels: int = LIMIT) -> np.ndarray:
    """Class numbers (H,W) uint8; ValueError where they do not fit an image of `size` (H,W) or the classes."""
    return _read(path, size, num_classes, max_pixels)[0]


def truth_in(path: Path, size: tuple[int, ...], num_classes: int, max_pixels: int = LIMIT) -> Truth:
    """What a mask holds; ValueError as `read_mask`."""
    _, values, colours = _read(path, size, num_classes, max_pixels)
    classes = {tuple(colour): number for number, colour in enumerate(palette()[:num_classes].tolist()) if number}
    shown = {v: classes.get(tuple(colours[3 * v : 3 * v + 3]), v) for v in values if 0 < v < num_classes}
    return Truth(values, {value: number for value, number in shown.items() if number != value})


def _read(path: Path, size: tuple[int, ...], num_classes: int, most: int) -> tuple[np.ndarray, list[int], list[int]]:
    """A mask, the numbers in it, and its palette, empty where it has none."""
    try:
        with opened(path, most) as image:
            if image.mode not in ("P", "L", "1", "I", "I;16"):
                raise ValueError(f"its pixels are {image.mode}, not class numbers; {_NUMBERED}")
            mask = np.asarray(image)
            colours = image.getpalette() or [] if image.mode == "P" else []
    except MemoryError:
        raise
    except Exception as error:  # as in images.decode
        raise ValueError(f"{path}: the mask cannot be decoded ({error})") from None
    if mask.shape != tuple(size):
        raise WrongSize(path, mask.shape, tuple(size))
    values = values_in(mask)
    strange = [value for value in values if value >= num_classes and value != IGNORE]
    if strange:
        known = f"the classes are 0 to {num_classes - 1}, 255 is ignored"
        raise ValueError(f"{path}: the mask has the value {strange[0]}; {known}")
    return mask.astype(np.uint8), values, colours


_NUMBERED = "save it as a palette or grey PNG, or let `apc data import` turn its colours into numbers"


def values_in(mask: np.ndarray) -> list[int]:
    """Numbers that occur in a mask, rising; for bytes ten times faster than sorting them."""
    if mask.dtype != np.uint8:
        return [int(value) for value in np.unique(mask)]
    return [int(value) for value in np.flatnonzero(np.bincount(mask.ravel(), minlength=256))]


def write_mask(path: Path, mask: np.ndarray, source: str) -> None:
    """Write class numbers (H,W) uint8, whole or not at all; the file remembers a hash of what it was made of."""
    image, info = Image.fromarray(mask), PngInfo()
    image.putpalette(palette().tobytes())
    info.add_text("source", source)
    encoded = io.BytesIO()
    image.save(encoded, format="PNG", pnginfo=info)
    write_encoded(path, encoded.getvalue())


def made_of(path: Path) -> str:
    """The hash `write_mask` was given; empty where there is no such file or it is no such mask."""
    try:
        with opened(path) as image:
            image.load()
            return str(image.info.get("source", ""))
    except (OSError, ValueError, SyntaxError):
        return ""


def mask_image(labels: np.ndarray) -> Image.Image:
    """Class numbers (H,W) uint8 as a palette image: its pixels are the numbers, its colours VOC's."""
    image = Image.fromarray(labels)
    image.putpalette(palette().tobytes())
    return image
