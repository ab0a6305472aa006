"""mIoU from confusion matrices, one a photograph, for several protocols in one pass over the images.

Shapes: n photographs, C classes, H,W a photograph's own pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from apc.config import Config
from apc.data import Split
from apc.evaluate.crf import CRF, crf_labels
from apc.evaluate.protocol import PROTOCOLS, Protocol
from apc.features import VAL, ClosedFeatures
from apc.model.method import Method


def confusion(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts [truth, predicted], (C,C) int64; pixels whose truth is no class (255) are dropped."""
    valid = truth < num_classes
    pairs = num_classes * truth[valid].astype(np.int64) + predicted[valid]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def iou(matrix: np.ndarray) -> np.ndarray:
    """IoU of each class in percent from a confusion matrix (C,C) -> (C,); NaN for classes without truth pixels."""
    rows, hits = matrix.sum(1), np.diag(matrix)
    union = rows + matrix.sum(0) - hits
    return np.where(rows > 0, 100 * hits / np.maximum(union, 1), np.nan)


def miou(matrix: np.ndarray) -> float:
    """Mean IoU in percent over the classes that occur in the truth; NaN where there is no truth at all."""
    values = iou(matrix)
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def foreground(matrix: np.ndarray) -> dict[str, float]:
    """Precision and recall in percent of foreground pixels whose class is right: too much or too little?"""
    hits = np.diag(matrix)[1:].sum()
    return {
        "precision": 100 * float(hits / max(matrix[:, 1:].sum(), 1)),
        "recall": 100 * float(hits / max(matrix[1:].sum(), 1)),
    }


@torch.no_grad()
def score(
    method: Method, split: Split, cfg: Config, protocols: Sequence[Protocol] = PROTOCOLS, device: str = "cpu",
    closed: ClosedFeatures | None = None,
) -> dict[str, np.ndarray]:
    """Confusion matrices (n,C,C) int64 by protocol name; zeros for photographs without a mask.

    Under torch.distributed every process scores its share of the photographs and all get the whole result.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    num_classes = len(split.classes)
    protocols = [p for p in protocols if not (p.crf and cfg.crf == "none")]
    counts = {p.name: np.zeros((len(split), num_classes, num_classes), np.int64) for p in protocols}
    training, mine = method.training, range(rank, len(split), world)
    method.eval()
    for start in range(0, len(mine), 16):
        indices = list(mine[start : start + 16])
        images = split.images[indices].to(device).float() / 255
        kept = closed(images, [(VAL, i) for i in indices]) if closed else None
        with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=cfg.amp == "bf16"):
            branches = method.predict(images, kept)
        for n, i in enumerate(indices):
            truth = split.mask(i)
            if truth is None:
                continue
            mine_only = {branch: probabilities[n] for branch, probabilities in branches.items()}
            for name, labels in _predictions(split, i, mine_only, truth.shape, cfg, protocols).items():
                counts[name][i] = confusion(truth, labels, num_classes)
    method.train(training)
    if world > 1:
        for name in counts:
            total = torch.from_numpy(counts[name]).to(device)
            dist.all_reduce(total)
            counts[name] = total.cpu().numpy()
    return counts


def _predictions(
    split: Split,
    i: int,
    branches: dict[str, Tensor],
    shape: tuple[int, ...],
    cfg: Config,
    protocols: Sequence[Protocol],
) -> dict[str, np.ndarray]:
    """Label maps (H,W) of one photograph by protocol name; branches are probabilities (C,S,S)."""
    photo = split.photo(i) if any(p.crf for p in protocols) else None
    present = F.pad(split.labels[i], (1, 0), value=1.0)[:, None, None].numpy()
    full = {b: _resize(p, shape) for b, p in branches.items()}
    made: dict[str, np.ndarray] = {}
    refined: dict[tuple[str, bytes], np.ndarray] = {}
    for p in protocols:
        probabilities = full[p.branch]
        if p.image_labels:
            probabilities = probabilities * present
            probabilities = probabilities / probabilities.sum(0).clip(1e-8)
        labels = probabilities.argmax(0)
        if p.crf:
            assert photo is not None
            # Image labels that rule out no winning class leave the CRF, which sees the winners alone, as it was.
            key = p.branch, np.unique(labels).tobytes()
            if key not in refined:
                refined[key] = crf_labels(photo, probabilities, CRF[cfg.crf])
            labels = refined[key]
        made[p.name] = labels
    return made


def _resize(probabilities: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    resized = F.interpolate(probabilities[None].float(), size=shape, mode="bilinear", align_corners=False)
    return resized[0].cpu().numpy()
