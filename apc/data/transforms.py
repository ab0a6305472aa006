"""From an image at its own size to what the network reads. Randomness comes from the generator it is given.

Shapes: S side of the resized image, H,W the photograph's own pixels.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from apc.config import Config


def squash(image: np.ndarray, size: int) -> Tensor:
    """Resize to a square whatever the aspect, as the paper does: (H,W,3) uint8 -> (3,S,S) uint8."""
    if image.shape[:2] != (size, size):
        image = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    return torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous()


def augment(image: Tensor, cfg: Config, rng: np.random.Generator) -> tuple[Tensor, tuple[int, int]]:
    """Random flips and colour changes: (3,S,S) uint8 -> (3,S,S) float in [0,1], and which flips were made."""
    flips = (int(cfg.flip != "none" and rng.random() < 0.5), int(cfg.flip == "both" and rng.random() < 0.5))
    dims = [dim for dim, flipped in zip((2, 1), flips, strict=True) if flipped]
    out = image.flip(dims).float() / 255
    if cfg.jitter:
        low, high = 1 - 0.8 * cfg.jitter, 1 + 0.8 * cfg.jitter
        out = tv.adjust_brightness(out, rng.uniform(low, high))
        out = tv.adjust_contrast(out, rng.uniform(low, high))
        out = tv.adjust_saturation(out, rng.uniform(low, high))
    return out, flips
