"""A procedural miniature of PASCAL VOC: pictures of eight invented things, drawn from a seed, nothing to download.

What the paper says of photographs holds here by construction. A thing is a dull, textured body and, part of the time,
a small striking head: a classifier can live on heads alone, so one patch a class finds heads and misses bodies. Lone
heads of absent classes lie about as outliers. Backgrounds and clutter come from the same hues, shapes and patterns as
the things, independent of the labels. Sizes and rates are those measured in the project's scale-model study.
"""

import functools
from colorsys import hsv_to_rgb
from typing import Any, NamedTuple

import numpy as np
import torch

from apc.config import Config
from apc.data.cache import Files
from apc.data.masks import palette
from apc.data.painting import (
    NUM_HUES,
    PATTERNS,
    PERIODS,
    SHAPES,
    SIDE,
    Array,
    Bytes,
    Figure,
    Painted,
    background,
    develop,
    dull,
    paint,
    striking,
)
from apc.data.split import Split, chosen, side_of
from apc.data.transforms import squash

VERSION = 1
"""Raise it when any picture changes, so that no run is taken for one on other pictures."""
SIZES = {"train": 1600, "val": 256, "test": 256}
"""Pictures of each split."""
SPLITS = tuple(SIZES)
MIN_PIXELS = 30  # a class with fewer is not in the picture: nobody who names what is there would have seen it


class Kind(NamedTuple):
    """What all things of a class have in common; hues are counted in eighths of the colour circle."""

    name: str
    hue: int
    shape: str
    pattern: str
    period: float
    head_hues: tuple[int, int]
    head_pattern: str


KINDS = (
    Kind("ruby", 0, "egg", "bands", 4.5, (0, 3), "checks"),
    Kind("amber", 1, "box", "dots", 4.5, (3, 6), "stripes"),
    Kind("olive", 2, "drop", "stripes", 7.0, (6, 1), "rings"),
    Kind("fern", 3, "star", "rings", 4.5, (1, 4), "bands"),
    Kind("lagoon", 4, "kite", "waves", 7.0, (4, 7), "dots"),
    Kind("cobalt", 5, "egg", "checks", 7.0, (7, 2), "stripes"),
    Kind("plum", 6, "box", "waves", 4.5, (2, 5), "checks"),
    Kind("rose", 7, "drop", "bands", 3.0, (5, 0), "rings"),
)
CLASSES = ["background", *(kind.name for kind in KINDS)]


def colours() -> Bytes:
    """VOC's colours (256,3), those of the classes here in their places: amber is amber, which VOC paints green."""
    found = palette().copy()
    found[1 : len(CLASSES)] = [[round(255 * part) for part in hsv_to_rgb(kind.hue / 8, 0.9, 0.9)] for kind in KINDS]
    return found


def load(cfg: Config, split: str, *, lazily: bool = False) -> Split:
    """Split `train`, `val` or `test` of `data_seed`, drawn now; see data.load."""
    numbers = chosen(cfg, split, SIZES[split])
    images, masks = zip(*(_drawn(split, i, cfg.data_seed) for i in numbers), strict=True)
    labels = torch.zeros(len(numbers), len(CLASSES))
    for i, mask in enumerate(masks):
        labels[i, torch.from_numpy(np.unique(mask)).long()] = 1
    loaded = Split(
        CLASSES,
        [str(i) for i in numbers],
        labels[:, 1:],
        torch.stack([squash(image, side_of(cfg, split)) for image in images]),
        photo=lambda i: images[i],
        listed=SIZES[split],
        rows=numbers,
    )
    if split != "train":
        loaded.mask = lambda i: masks[i]
    return loaded


def files(root: str, name: str) -> Files:
    """There are none: pictures are drawn."""
    raise ValueError("dataset pocket has no files; its pictures are drawn when they are asked for")


def fingerprint(cfg: Config) -> str:
    """Version of the drawing, and the seed."""
    return f"pocket-{VERSION}-{cfg.data_seed}"


def provenance(cfg: Config) -> dict[str, Any]:
    """Nothing: the fingerprint says all."""
    return {}


def draw(split: str, index: int, data_seed: int) -> tuple[Bytes, Bytes]:
    """Picture `index` of a split: image (96,96,3) and mask (96,96) of class numbers, 0 for background.

    The same three arguments give the same picture, whatever was drawn before.
    """
    rng = np.random.default_rng([data_seed, list(SIZES).index(split), index])
    image, mask = _scene(rng)
    while not mask.any():  # all hidden or too small: hardly ever, but every picture shows something
        image, mask = _scene(rng)
    return develop(rng, image), mask


_drawn = functools.cache(draw)


def _scene(rng: np.random.Generator) -> tuple[Array, Bytes]:
    """Background, clutter, outliers, things and what lies over them, in this order, with the mask."""
    image, mask = background(rng), np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(rng.integers(2, 6)):
        _clutter(rng, image, rng.uniform(4, 13))
    present = 1 + rng.choice(len(KINDS), size=rng.choice([1, 2, 3], p=[0.55, 0.33, 0.12]), replace=False)
    if rng.random() < 0.5:
        absent = np.setdiff1d(np.arange(1, len(CLASSES)), present)
        for c in rng.choice(absent, size=rng.integers(1, 3)):
            spot, radius, angle = rng.uniform(8, SIDE - 8, size=2), rng.uniform(4, 7), rng.uniform(0, 2 * np.pi)
            _head(rng, image, KINDS[c - 1], spot, radius, angle)
    spots: list[Array] = []
    for c in present:
        for _ in range(rng.integers(1, 4) if len(present) < 3 else 1):
            draw_thing(rng, image, mask, int(c), spots)
    if rng.random() < 0.3:
        window, alpha = _clutter(rng, image, rng.uniform(4, 7))
        mask[window][alpha > 0.5] = 0
    rare = np.bincount(mask.ravel(), minlength=len(CLASSES)) < MIN_PIXELS
    mask[rare[mask]] = 0
    return image, mask


def draw_thing(rng: np.random.Generator, image: Array, mask: Bytes, c: int, spots: list[Array]) -> None:
    """One thing of class c: its body and, in three of five, its head; where it overlaps others it lies on top."""
    kind = KINDS[c - 1]
    half = float(np.exp(rng.uniform(np.log(6), np.log(20))))
    margin = 0.7 * half + 4
    tries = rng.uniform(margin, SIDE - margin, size=(4, 2))
    room = [min((np.hypot(*(spot - other)) for other in spots), default=0) for spot in tries]
    spot = tries[int(np.argmax(room))]
    spots.append(spot)
    angle = rng.normal(0, 0.4) + np.pi * rng.integers(2)
    tones = dull(rng, kind.hue / NUM_HUES + rng.normal(0, 0.04))
    parts = [paint(image, Figure(spot, half, angle, kind.shape, kind.pattern, kind.period, tones))]
    if rng.random() < 0.6:
        end = spot + 0.9 * half * np.array([np.sin(angle), np.cos(angle)])
        parts.append(_head(rng, image, kind, end, max(0.38 * half, 4.5), angle))
    for window, alpha in parts:
        mask[window][alpha > 0.5] = c


def _head(rng: np.random.Generator, image: Array, kind: Kind, spot: Array, radius: float, angle: float) -> Painted:
    """A class's head, wherever it lies."""
    tones = striking(rng, kind.head_hues[0] / NUM_HUES, kind.head_hues[1] / NUM_HUES)
    return paint(image, Figure(spot, radius, angle, "disc", kind.head_pattern, 4.5, tones))


def _clutter(rng: np.random.Generator, image: Array, size: float) -> Painted:
    """A shape of no class, made of the same parts as the bodies."""
    shape, pattern = SHAPES[rng.integers(len(SHAPES))], PATTERNS[rng.integers(len(PATTERNS))]
    spot, angle = rng.uniform(0, SIDE, size=2), rng.uniform(0, 2 * np.pi)
    period, tones = PERIODS[rng.integers(len(PERIODS))], dull(rng, rng.random())
    return paint(image, Figure(spot, size, angle, shape, pattern, period, tones))
