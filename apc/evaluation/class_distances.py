"""Table 9: how far patch embeddings of one class lie from each other, and classes from classes.

The paper defines neither; this is method-spec 4, row 20. A patch of a validation image belongs to the class that has
more than half of its pixels in the ground truth. F_out's vectors are scaled to unit length, as in PCE (Eq. 4), and a
class's mean is the mean of its vectors.

Shapes: B images, h,w patch grid, N = h*w patches, D features, C classes (background is class 0).
"""

import itertools

import numpy as np
import torch
from torch import Tensor

from apc.config import Config
from apc.data import Split
from apc.data.transforms import as_floats
from apc.methods.apc import APC
from apc.models.build import autocast, images_at_once


def majority(mask: np.ndarray, grid: tuple[int, int], num_classes: int) -> np.ndarray:
    """Class of each patch (h,w) int64 of a mask (H,W): the one that more than half of the pixels have, -1 for none.

    A pixel belongs to the patch its centre falls into, so masks need not be multiples of the grid; 255 is no class.
    """
    (height, width), (h, w) = mask.shape, grid
    rows = ((np.arange(height) + 0.5) * h / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * w / width).astype(np.int64)
    patch = rows[:, None] * w + columns
    pixels = np.bincount(patch.ravel(), minlength=h * w)
    valid = mask < num_classes
    pairs = patch[valid] * num_classes + mask[valid]
    counts = np.bincount(pairs, minlength=h * w * num_classes).reshape(h * w, num_classes)
    winner = counts.argmax(1)
    return np.where(2 * counts.max(1) > pixels, winner, -1).reshape(grid)


def class_means(vectors: Tensor, classes: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Sums (C,D) of unit vectors and their number (C,) by class: vectors (N,D), classes (N,) with -1 for none."""
    known = classes >= 0
    unit = torch.nn.functional.normalize(vectors[known].double(), dim=-1)
    sums = unit.new_zeros(num_classes, vectors.shape[-1]).index_add_(0, classes[known], unit)
    return sums, torch.bincount(classes[known], minlength=num_classes)


def cosine_distances(sums: Tensor, counts: Tensor) -> dict[str, float]:
    """The three distances in hundredths, from the sums (C,D) and numbers (C,) of unit vectors of each class.

    `intra_cosine`: of an object class's patches to its mean, averaged over classes; the mean of 1 - cos is exactly one
    less the length of the mean. `inter_cosine`: between the means of two object classes, averaged over pairs.
    `background_cosine`: between the means of an object class and the background, averaged over classes.
    A distance that no class or pair has is left out.
    """
    means = sums / counts[:, None].clip(1)
    lengths = means.norm(dim=-1)
    unit = torch.nn.functional.normalize(means, dim=-1)
    objects = [c for c in range(1, len(counts)) if counts[c] > 0]
    distances_of = {
        "intra_cosine": [1 - lengths[c] for c in objects],
        "inter_cosine": [1 - unit[a] @ unit[b] for a, b in itertools.combinations(objects, 2)],
        "background_cosine": [1 - unit[0] @ unit[c] for c in objects if counts[0] > 0],
    }
    return {name: 100 * float(torch.stack(values).mean()) for name, values in distances_of.items() if values}


@torch.no_grad()
def distances(method: APC, split: Split, cfg: Config, device: str = "cpu") -> dict[str, float]:
    """`cosine_distances` of a trained model over the photographs of a split that have a mask; empty without masks."""
    num_classes, training = len(split.classes), method.training
    method.eval()
    sums: Tensor | float = 0.0
    counts: Tensor | int = 0
    group = images_at_once(cfg.scored_size)
    for start in range(0, len(split), group):
        masks = {i: mask for i in range(start, min(start + group, len(split))) if (mask := split.mask(i)) is not None}
        if not masks:
            continue
        images = as_floats(split.images[list(masks)], device)
        with autocast(cfg, device):
            f_out, _, _ = method.branches(images)
        grid = method.encoder.grid(images)
        classes = np.concatenate([majority(mask, grid, num_classes).ravel() for mask in masks.values()])
        more, number = class_means(f_out.flatten(0, 1).cpu(), torch.from_numpy(classes), num_classes)
        sums, counts = sums + more, counts + number
    method.train(training)
    return cosine_distances(sums, counts) if isinstance(sums, Tensor) and isinstance(counts, Tensor) else {}
