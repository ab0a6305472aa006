"""From an image at its own size to what the network reads. Randomness comes from the generator it is given.

Shapes: B images, S side of the resized image, H,W the photograph's own pixels.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as tv

from apc.config import Config


def resize(image: np.ndarray, height: int, width: int) -> Tensor:
    """Bilinear, with anti-aliasing where it shrinks: (H,W,3) uint8 -> (3,height,width) uint8.

    At most one grey level from Pillow's, in a fifth of its time. A resized image lies in memory pixel by pixel.
    """
    pixels = torch.from_numpy(image)
    if image.shape[:2] == (height, width):
        return pixels.permute(2, 0, 1).contiguous()
    batch = pixels[None].permute(0, 3, 1, 2)  # the other order leaves strides that miss torch's fast kernel
    return F.interpolate(batch, size=(height, width), mode="bilinear", antialias=True)[0]


def squash(image: np.ndarray, size: int) -> Tensor:
    """Resize to a square whatever the aspect, as the paper does: (H,W,3) uint8 -> (3,S,S) uint8."""
    return resize(image, size, size)


Flips = tuple[int, int]
"""Whether an image is flipped left to right and upside down."""


class Augmented(NamedTuple):
    """A training image, (3,S,S) each."""

    image: Tensor
    """As the network learns from it: bytes, or floats in [0,1] where colours may change."""
    plain: Tensor
    """The same place of it, flipped alike, with its own colours."""
    flips: Flips
    box: "Box"
    """What is left of the whole image, before it is flipped."""


class Box(NamedTuple):
    """A part of an image in pixels."""

    top: int
    left: int
    height: int
    width: int


def recolours(cfg: Config) -> bool:
    """Whether an image's colours are changed in training."""
    return cfg.jitter > 0 or cfg.grey > 0 or cfg.blur > 0


def augment(image: Tensor, cfg: Config, rng: np.random.Generator) -> Augmented:
    """A random crop that is resized to the whole, flips and colour changes of (3,S,S) uint8. Without colour changes the
    bytes stay bytes, for `as_floats` on the device."""
    side = image.shape[-1]
    box = _box(side, cfg.crop_scale, rng) if cfg.crop_scale < 1 else Box(0, 0, side, side)
    place = tv.resized_crop(image, *box, [side, side], antialias=True) if cfg.crop_scale < 1 else image
    flips = drawn_flips(cfg, rng)
    plain = flipped(place, flips)
    return Augmented(_recoloured(plain, cfg, rng) if recolours(cfg) else plain, plain, flips, box)


def drawn_flips(cfg: Config, rng: np.random.Generator) -> Flips:
    """Flips as `augment` draws them, after the crop if there is one."""
    return int(cfg.flip != "none" and rng.random() < 0.5), int(cfg.flip == "both" and rng.random() < 0.5)


def flipped(image: Tensor, flips: Flips) -> Tensor:
    """An image (3,S,S), flipped."""
    dims = [dim for dim, wanted in zip((2, 1), flips, strict=True) if wanted]
    return image.flip(dims) if dims else image


def _box(side: int, least: float, rng: np.random.Generator) -> Box:
    """A part of a square image, from `least` of its area to all of it, three by four to four by three; where it would
    be longer than the image, its other side is `least` of the image's or more."""
    area, aspect = rng.uniform(least, 1), math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    shares = [min(max(math.sqrt(area * a), least), 1.0) for a in (1 / aspect, aspect)]
    height, width = (max(round(side * share), 1) for share in shares)
    top, left = (int(rng.integers(side - length + 1)) for length in (height, width))
    return Box(top, left, height, width)


def _recoloured(plain: Tensor, cfg: Config, rng: np.random.Generator) -> Tensor:
    """Random changes of colour and sharpness: bytes -> floats in [0,1]."""
    out = plain.float() / 255
    if cfg.jitter:
        low, high = 1 - 0.8 * cfg.jitter, 1 + 0.8 * cfg.jitter
        out = tv.adjust_brightness(out, rng.uniform(low, high))
        out = tv.adjust_contrast(out, rng.uniform(low, high))
        out = tv.adjust_saturation(out, rng.uniform(low, high))
    if cfg.grey and rng.random() < cfg.grey:
        out = tv.rgb_to_grayscale(out, num_output_channels=3)
    if cfg.blur and rng.random() < cfg.blur:
        sigma = rng.uniform(0.1, 2.0) * out.shape[-1] / 224
        out = tv.gaussian_blur(out, [2 * math.ceil(2 * sigma) + 1] * 2, [sigma, sigma]).clamp(0, 1)
    return out


def stack(images: list[Tensor]) -> Tensor:
    """Images (3,S,S) -> (B,3,S,S). Those that lie pixel by pixel are stacked so, a plain copy; see `as_floats`."""
    if all(image.is_contiguous() for image in images):
        return torch.stack(images)
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def as_floats(images: Tensor, device: str) -> Tensor:
    """A batch on the device, as floats in [0,1] in torch's usual order of memory, whatever the loader handed over."""
    moved = images.to(device, non_blocking=True).contiguous()
    return moved if moved.is_floating_point() else moved.float() / 255
