"""mIoU from confusion matrices, for several protocols in one pass over the images.

Shapes: n photographs, C classes, H,W a photograph's own pixels.
"""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist

from apc.config import Config
from apc.data import Split
from apc.devices import processes
from apc.evaluation.forward import Network
from apc.evaluation.inference import label_maps
from apc.evaluation.scoring import Scoring
from apc.methods.base import Method
from apc.runs.protocols import PROTOCOLS, RUNS_OWN, Protocol


def confusion(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts [truth, predicted], (C,C) int64; pixels whose truth is no class (255) are dropped."""
    valid = truth < num_classes
    pairs = num_classes * truth[valid].astype(np.int64) + predicted[valid]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


class Counts(NamedTuple):
    """What the photographs scored under a protocol: all that their mIoU needs, for any choice of them.

    A confusion matrix a photograph would be a GiB a protocol for COCO's 40,137 photographs and 81 classes.
    """

    images: np.ndarray
    """`tallies` of each photograph, (n,3,C) int32; zeros for one without a mask."""
    total: np.ndarray
    """Confusion matrix of all photographs, (C,C) int64."""


def tallies(matrix: np.ndarray) -> np.ndarray:
    """Pixels of each class that are right, that the truth has and that were called so: (C,C) -> (3,C)."""
    return np.stack([np.diag(matrix), matrix.sum(1), matrix.sum(0)])


def iou(matrix: np.ndarray) -> np.ndarray:
    """IoU of each class in percent from a confusion matrix (C,C) -> (C,); NaN for classes without truth pixels."""
    return _iou(*tallies(matrix))


def miou(matrix: np.ndarray) -> float:
    """Mean IoU in percent over the classes that occur in the truth; NaN where there is no truth at all."""
    return _mean(iou(matrix))


def halves(images: np.ndarray) -> dict[str, float]:
    """mIoU in percent of every second photograph, `tune_miou`, and of the others, `held_miou`, from tallies (n,3,C):
    a search that chooses by the one has never seen the other. Empty where a half has no mask."""
    parts = {"tune_miou": images[::2].sum(0, np.int64), "held_miou": images[1::2].sum(0, np.int64)}
    return {name: _mean(_iou(*sums)) for name, sums in parts.items()} if all(s.any() for s in parts.values()) else {}


def _iou(right: np.ndarray, truth: np.ndarray, called: np.ndarray) -> np.ndarray:
    return np.where(truth > 0, 100 * right / np.maximum(truth + called - right, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


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
    method: Method,
    split: Split,
    cfg: Config,
    protocols: Sequence[Protocol] = PROTOCOLS,
    scoring: Scoring | None = None,
) -> dict[str, Counts]:
    """Counts by protocol name; photographs without a mask count nothing.

    Under torch.distributed every process scores its share of the photographs and all get the whole result.
    """
    scoring = scoring or Scoring()
    rank, world = processes()
    num_classes, keep = len(split.classes), scoring.keep
    scored = [p for p in protocols if not (p.crf == RUNS_OWN and cfg.crf == "none")]
    counts = {
        p.name: Counts(np.zeros((len(split), 3, num_classes), np.int32), np.zeros((num_classes, num_classes), np.int64))
        for p in scored
    }
    mask = functools.lru_cache(maxsize=256)(split.mask)  # a photograph's label maps come at about the same time
    mine = range(rank, len(split), world)

    def photographs() -> Iterator[tuple[int, tuple[int, ...]]]:
        for number, i in enumerate(mine):
            scoring.progress(number)
            truth = mask(i)
            if truth is not None or keep:
                yield i, (split.photo(i).shape[:2] if truth is None else truth.shape)

    training = method.training
    method.eval()
    every = list(dict.fromkeys([*scored, *(keep.protocols if keep else [])]))

    def wanted(i: int) -> Sequence[Protocol]:
        """What a photograph without a mask is kept for; it counts nothing."""
        return keep.protocols if keep and mask(i) is None else every

    network = Network(method, split, cfg, scoring)
    with contextlib.closing(label_maps(network, every, photographs(), wanted)) as maps:
        for labelled in maps:
            truth = mask(labelled.i)
            if truth is not None and labelled.protocol in scored:
                matrix, sums = confusion(truth, labelled.labels, num_classes), counts[labelled.protocol.name]
                sums.images[labelled.i] = tallies(matrix)
                sums.total[:] += matrix
            if keep and labelled.protocol in keep.protocols:
                keep.take(labelled)
    method.train(training)
    scoring.progress(len(mine))
    if world > 1:
        for array in (array for sums in counts.values() for array in sums):
            total = torch.from_numpy(array).to(scoring.device)
            dist.all_reduce(total)
            array[:] = total.cpu().numpy()
    return counts
