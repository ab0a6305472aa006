"""From an image at its own size to what the network reads. Randomness comes from the generator it is given.

Shapes: B images, S side of the resized image, H,W the photograph's own pixels.
"""

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


def augment(image: Tensor, cfg: Config, rng: np.random.Generator) -> tuple[Tensor, tuple[int, int]]:
    """Random flips and colour changes: (3,S,S) uint8 -> the same, and which flips were made.

    Colour changes leave floats in [0,1]; without them the bytes stay bytes, for `as_floats` on the device.
    """
    flips = (int(cfg.flip != "none" and rng.random() < 0.5), int(cfg.flip == "both" and rng.random() < 0.5))
    dims = [dim for dim, flipped in zip((2, 1), flips, strict=True) if flipped]
    out = image.flip(dims) if dims else image
    if cfg.jitter:
        low, high = 1 - 0.8 * cfg.jitter, 1 + 0.8 * cfg.jitter
        out = tv.adjust_brightness(out.float() / 255, rng.uniform(low, high))
        out = tv.adjust_contrast(out, rng.uniform(low, high))
        out = tv.adjust_saturation(out, rng.uniform(low, high))
    return out, flips


def stack(images: list[Tensor]) -> Tensor:
    """Images (3,S,S) -> (B,3,S,S). Those that lie pixel by pixel are stacked so, a plain copy; see `as_floats`."""
    if all(image.is_contiguous() for image in images):
        return torch.stack(images)
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def as_floats(images: Tensor, device: str) -> Tensor:
    """A batch on the device, as floats in [0,1] in torch's usual order of memory, whatever the loader handed over."""
    moved = images.to(device, non_blocking=True).contiguous()
    return moved if moved.is_floating_point() else moved.float() / 255
