"""How the embedded data's pictures are painted: shapes, patterns, colours, backgrounds, and the camera.

Images are (96,96,3) floats in [0,1] until they are developed to bytes.
"""

from colorsys import hsv_to_rgb
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]
Colour = tuple[float, float, float]
Tones = tuple[Colour, Colour]
Painted = tuple[tuple[slice, slice], Array]  # a window of the picture and the shape's coverage there, 0 to 1

SIDE = 96  # pixels: 12 patches of 8
SHAPES = ("egg", "box", "kite", "drop", "star")
PATTERNS = ("bands", "stripes", "checks", "dots", "rings", "waves")
PERIODS = (3.0, 4.5, 7.0)  # wavelengths in pixels
NUM_HUES = 8


def dull(rng: np.random.Generator, hue: float) -> Tones:
    """Two near tones of one hue: a body's low contrast."""
    saturation, value = rng.uniform(0.35, 0.65), rng.uniform(0.5, 0.8)
    return hsv_to_rgb(hue % 1, saturation, value + 0.12), hsv_to_rgb(hue % 1, saturation, value - 0.12)


def striking(rng: np.random.Generator, hue: float, other: float) -> Tones:
    """Two saturated tones of two hues: a head's high contrast."""
    first, second = (hue + rng.normal(0, 0.015)) % 1, (other + rng.normal(0, 0.015)) % 1
    return hsv_to_rgb(first, rng.uniform(0.85, 1), 0.95), hsv_to_rgb(second, rng.uniform(0.85, 1), 0.6)


class Figure(NamedTuple):
    """A patterned shape, and where it lies."""

    spot: Array
    """Row and column of its centre, in pixels."""
    size: float
    """Half its length, in pixels."""
    angle: float
    """Direction of its length, in radians."""
    shape: str
    """One of SHAPES, or `disc`."""
    pattern: str
    """One of PATTERNS."""
    period: float
    """Wavelength of the pattern, in pixels."""
    tones: Tones


def paint(image: Array, figure: Figure) -> Painted:
    """Blend a figure into the image (96,96,3), in place; the window it lies in, and its coverage there.

    Only the figure's own window is computed, which is what makes drawing fast.
    """
    spot, size, angle, shape, pattern, period, tones = figure
    reach = size + 1.5
    top, left = (int(max(c - reach, 0)) for c in spot)
    bottom, right = (int(min(c + reach + 1, SIDE)) for c in spot)
    window = (slice(top, bottom), slice(left, right))
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(spot[0])
    x = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(spot[1])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = x * cos + y * sin, y * cos - x * sin
    alpha = _limit((1 - _outline(shape, along / size, across / size)) * (0.6 * size) + 0.5, 0, 1)
    mix = 0.5 + 0.5 * wave(pattern, along, across, 2 * np.pi / period)
    first, second = np.array(tones, np.float32)
    ink = second + mix[..., None] * (first - second)
    ink *= (1 - (0.15 / size) * y)[..., None]  # lit from above
    ink -= image[window]
    image[window] += alpha[..., None] * ink
    return window, alpha


def _outline(shape: str, u: Array, v: Array) -> Array:
    """How far out a point is, 1 on the shape's edge; u runs along it and v across, both in half lengths."""
    outwards: Array
    if shape == "disc":
        outwards = np.sqrt(u * u + v * v)
    elif shape == "egg":
        outwards = np.sqrt(u * u + (v / 0.55) ** 2)
    elif shape == "box":
        outwards = np.maximum(np.abs(u), np.abs(v) / 0.5)
    elif shape == "kite":
        outwards = np.abs(u) + np.abs(v) / 0.75
    elif shape == "drop":
        outwards = np.sqrt(u * u + (v / (0.45 + 0.3 * u)) ** 2)
    else:
        assert shape == "star", shape
        outwards = np.sqrt(u * u + v * v) / (0.78 + 0.22 * np.cos(5 * np.arctan2(v, u)))
    return outwards


def wave(pattern: str, along: Array, across: Array, frequency: float) -> Array:
    """Value of a pattern in [-1,1]; coordinates in pixels, frequency in radians a pixel."""
    if pattern == "bands":
        return _steep(np.sin(along * frequency))
    if pattern == "stripes":
        return _steep(np.sin(across * frequency))
    if pattern == "checks":
        return _steep(np.sin(along * frequency) * np.sin(across * frequency) * 1.5)
    if pattern == "dots":
        return _steep(np.cos(along * frequency) + np.cos(across * frequency) - 0.6)
    if pattern == "rings":
        return _steep(np.cos(np.sqrt(along * along + across * across) * frequency))
    assert pattern == "waves", pattern
    return _steep(np.sin(across * frequency + 1.6 * np.sin(along * (0.6 * frequency))))


def _steep(values: Array) -> Array:
    return _limit(1.6 * values, -1, 1)


def _limit(values: Array, low: float, high: float) -> Array:
    return np.minimum(np.maximum(values, low), high)  # a third of np.clip's time on arrays this small


def background(rng: np.random.Generator) -> Array:
    """A random cut of a random texture between two random colours (96,96,3); says nothing of what lies on it."""
    bank = _textures()
    texture = bank[rng.integers(len(bank))]
    top, left = rng.integers(0, bank.shape[1] - SIDE + 1, size=2)
    cut = texture[top : top + SIDE, left : left + SIDE]
    if rng.random() < 0.5:
        cut = cut.T
    colours = [hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.5), rng.uniform(0.25, 0.9)) for _ in range(2)]
    first, second = np.array(colours, np.float32)
    coloured: Array = first + cut[..., None] * (second - first)
    return coloured


@cache
def _textures() -> Array:
    """The bank of backgrounds: 48 fields of smooth noise in [0,1], every third mixed with a pattern (48,160,160)."""
    rng, side = np.random.default_rng(48), 160
    rows = np.arange(side, dtype=np.float32)
    fields = []
    for number in range(48):
        field = np.zeros((side, side), np.float32)
        for cells, strength in ((4, 1.0), (12, 0.6), (32, 0.4), (96, 0.25)):
            place = np.linspace(0, cells - 1, side)
            weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(cells)))  # linear interpolation as a matrix
            field += strength * (weights @ rng.standard_normal((cells, cells)) @ weights.T).astype(np.float32)
        field = 0.5 + field / (4 * field.std())
        if number % 3 == 0:
            pattern, period, angle = PATTERNS[rng.integers(len(PATTERNS))], rng.uniform(3, 12), rng.uniform(0, np.pi)
            along = rows[None] * np.cos(angle) + rows[:, None] * np.sin(angle)
            across = rows[:, None] * np.cos(angle) - rows[None] * np.sin(angle)
            field += 0.2 * wave(pattern, along.astype(np.float32), across.astype(np.float32), 2 * np.pi / period)
        fields.append(np.clip(field, 0, 1))
    return np.stack(fields).astype(np.float32)


def develop(rng: np.random.Generator, image: Array) -> Bytes:
    """From painted colours to bytes: light that falls off to one side, and the camera's noise."""
    ramp = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
    fall_x, fall_y = rng.normal(0, 0.15, size=2).astype(np.float32)
    lit = image * (1 + fall_x * ramp + fall_y * ramp[:, None])[..., None]
    start = rng.integers(len(_grain()) - lit.size)
    lit += _grain()[start : start + lit.size].reshape(lit.shape)
    return (_limit(lit, 0, 1) * 255 + 0.5).astype(np.uint8)


@cache
def _grain() -> Array:
    """A long strip of noise, of which every picture takes a random piece: drawing it anew is a fifth of the time."""
    return 0.03 * np.random.default_rng(3).standard_normal(1 << 20, np.float32)
