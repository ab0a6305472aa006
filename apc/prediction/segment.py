"""One photograph through the network and, where wanted, the CRF; memory grows with its pixels, not with its classes.

Shapes: H,W the photograph's own pixels, S side of the image the network reads, C classes (background is class 0).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from apc.config import Config
from apc.data.transforms import as_floats, squash
from apc.methods.base import Method
from apc.models.crf import CRF, CRFPool, dense_crf

CRF_PIXELS = 1 << 20
"""The CRF sees photographs above a megapixel at a megapixel: its spreads are in pixels of photographs as VOC's, and
its time and memory grow with them. Smaller ones it sees as they are."""


@dataclass(frozen=True)
class Prediction:
    """What the network says of one photograph."""

    labels: np.ndarray
    """Class of each pixel, (H,W) uint8."""
    confidence: float
    """Probability of each pixel's class before the CRF, mean over the pixels, 0 to 1."""
    heat: Tensor
    """Pixel probabilities of the patch branch before any image label, (C,S,S); (0,S,S) without such a branch."""


def segment(
    method: Method, photo: np.ndarray, cfg: Config, branch: str, present: list[int] | None = None, device: str = "cpu"
) -> Prediction:
    """Predict a photograph (H,W,3) uint8 at cfg.scored_size with cfg.crf; `present` are the only classes allowed."""
    return begin(method, photo, cfg, branch, present, device, CRFPool(0))()


@torch.no_grad()
def begin(
    method: Method, photo: np.ndarray, cfg: Config, branch: str, present: list[int] | None, device: str, pool: CRFPool
) -> Callable[[], Prediction]:
    """`segment` up to the CRF, which goes to the pool; to call what is returned is to wait for it."""
    image = as_floats(squash(photo, cfg.scored_size)[None], device)
    with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=cfg.amp == "bf16"):
        branches = {name: made[0].float().cpu() for name, made in method.predict(image).items()}
    if branch not in branches:
        raise ValueError(f"branch is {branch!r}; this model has {', '.join(branches)}")
    p = branches[branch]
    if present is not None:
        allowed = torch.zeros(len(p)).index_fill(0, torch.tensor([0, *present]), 1)
        p = p * allowed[:, None, None]
        p = p / p.sum(0).clamp(min=1e-8)
    shape = photo.shape[0], photo.shape[1]
    heat = branches.get("patch", p[:0])
    if cfg.crf == "none":
        made = Prediction(*_winners(p, shape), heat)
        return lambda: made
    refined = _refined(p, photo, cfg.crf, pool)
    return lambda: Prediction(*refined(), heat)


def _plane(plane: Tensor, shape: tuple[int, int]) -> Tensor:
    """One class map resized: (S,S) -> (H,W)."""
    return F.interpolate(plane[None, None], size=shape, mode="bilinear", align_corners=False)[0, 0]


def _winners(p: Tensor, shape: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Class of each pixel (H,W) from probabilities (C,h,w), and the winners' mean; one class at a time."""
    best, labels = torch.full(shape, -1.0), torch.zeros(shape, dtype=torch.uint8)
    for c, plane in enumerate(p):
        if c == 0 or plane.any():
            full = _plane(plane, shape)
            labels.masked_fill_(full > best, c)
            torch.maximum(best, full, out=best)
    return labels.numpy(), best.double().mean().item()


def _refined(p: Tensor, photo: np.ndarray, crf: str, pool: CRFPool) -> Callable[[], tuple[np.ndarray, float]]:
    """The same after a dense CRF on the classes that win a pixel (apc/models/crf.py), when the pool is through."""
    height, width = photo.shape[:2]
    shrink = min(1.0, (CRF_PIXELS / (height * width)) ** 0.5)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        photo = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BOX))
    shape = photo.shape[0], photo.shape[1]
    labels, confidence = _winners(p, shape)
    winners = np.unique(labels)
    if len(winners) == 1:
        return lambda: (np.full((height, width), winners[0], dtype=np.uint8), confidence)
    kept = torch.stack([_plane(p[int(c)], shape) for c in winners]).numpy()
    future = pool.call(dense_crf, photo, kept / kept.sum(0).clip(1e-8), CRF[crf])

    def finished() -> tuple[np.ndarray, float]:
        refined = future.result()
        chosen = refined.argmax(0)
        sure = float(np.take_along_axis(kept, chosen[None], 0).mean(dtype=np.float64))
        if shrink < 1:
            chosen = _winners(torch.from_numpy(refined), (height, width))[0]
        return winners[chosen].astype(np.uint8), sure

    return finished
