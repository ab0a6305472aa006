"""mIoU from confusion matrices, one a photograph, for several protocols in one pass over the images.

Shapes: n photographs, C classes, H,W a photograph's own pixels.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.distributed as dist

from apc.config import Config
from apc.data import Split
from apc.evaluate.inference import Cost, LabelMap, label_maps
from apc.evaluate.protocol import PROTOCOLS, RUNS_OWN, Protocol
from apc.features import ClosedFeatures
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


def halves(counts: np.ndarray) -> dict[str, float]:
    """mIoU in percent of every second photograph, `tune_miou`, and of the others, `held_miou`, from matrices (n,C,C):
    a search that chooses by the one has never seen the other. Empty where a half has no mask."""
    parts = {"tune_miou": counts[::2].sum(0), "held_miou": counts[1::2].sum(0)}
    return {name: miou(total) for name, total in parts.items()} if all(t.any() for t in parts.values()) else {}


def pixel_accuracy(matrix: np.ndarray) -> float:
    """Percent of the truth's pixels that have the right class; NaN where there is no truth at all."""
    return float(100 * np.trace(matrix) / matrix.sum()) if matrix.any() else float("nan")


def foreground(matrix: np.ndarray) -> dict[str, float]:
    """Precision and recall in percent of foreground pixels whose class is right: too much or too little?"""
    hits = np.diag(matrix)[1:].sum()
    return {
        "precision": 100 * float(hits / max(matrix[:, 1:].sum(), 1)),
        "recall": 100 * float(hits / max(matrix[1:].sum(), 1)),
    }


def score(
    method: Method, split: Split, cfg: Config, protocols: Sequence[Protocol] = PROTOCOLS, device: str = "cpu",
    closed: ClosedFeatures | None = None, *, crf_workers: int = 0, cost: Cost | None = None,
    progress: Callable[[int], None] | None = None, keep: Callable[[LabelMap], None] | None = None,
    keep_protocols: Sequence[Protocol] = (),
) -> dict[str, np.ndarray]:
    """Confusion matrices (n,C,C) int32 by protocol name; zeros for photographs without a mask, which are left out.

    Under torch.distributed every process scores its share of the photographs and all get the whole result.
    `crf_workers` processes run the CRF, 0 runs it here. `progress` hears how many photographs the network is done
    with. `keep` is given every label map of `keep_protocols`, those of photographs without a mask too.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    num_classes = len(split.classes)
    scored = [p for p in protocols if not (p.crf == RUNS_OWN and cfg.crf == "none")]
    counts = {p.name: np.zeros((len(split), num_classes, num_classes), np.int32) for p in scored}
    mask = functools.lru_cache(maxsize=256)(split.mask)  # a photograph's label maps come at about the same time
    seen = 0

    def size(i: int) -> tuple[int, ...] | None:
        nonlocal seen
        if progress:
            progress(seen)
        seen += 1
        truth = mask(i)
        return truth.shape if truth is not None else split.photo(i).shape[:2] if keep else None

    training, mine = method.training, range(rank, len(split), world)
    method.eval()
    every = list(dict.fromkeys([*scored, *keep_protocols]))
    made = label_maps(
        method, split, cfg, every, device=device, wanted=size, indices=mine, closed=closed, crf_workers=crf_workers,
        cost=cost,
    )
    with contextlib.closing(made):
        for found in made:
            truth = mask(found.i)
            if truth is not None and found.protocol in scored:
                counts[found.protocol.name][found.i] = confusion(truth, found.labels, num_classes)
            if keep and found.protocol in keep_protocols:
                keep(found)
    method.train(training)
    if progress:
        progress(seen)
    if world > 1:
        for name in counts:
            total = torch.from_numpy(counts[name]).to(device)
            dist.all_reduce(total)
            counts[name] = total.cpu().numpy()
    return counts
