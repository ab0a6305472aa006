"""Data sets: class names and samples by split. Training splits carry image labels only; masks are for scoring.

Shapes: S side of the resized image, H,W the photograph's own pixels, C classes (background is class 0).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from apc.config import Config
from apc.data import folder, pocket
from apc.data.transforms import squash


@dataclass
class Split:
    """One split of a data set, its images resized and held in memory."""

    classes: list[str]
    """Class names, background first."""
    names: list[str]
    """File name or number of each image."""
    labels: Tensor
    """Image labels, (n, C-1), 0 or 1."""
    images: Tensor
    """Resized images, (n,3,S,S) uint8."""
    photo: Callable[[int], np.ndarray]
    """Image i at its own size, (H,W,3) uint8."""
    mask: Callable[[int], np.ndarray | None] = field(default=lambda i: None)
    """Truth of image i at its own size, (H,W) uint8, 255 = ignore; None where there is none."""

    def __len__(self) -> int:
        return len(self.names)


def load(cfg: Config, split: str) -> Split:
    """Split `train`, `val` or `test` as the config names it; training splits never open a mask."""
    size = cfg.image_size if split == "train" else cfg.scored_size
    return _pocket(cfg, split, size) if cfg.dataset == "pocket" else _folder(cfg, split, size)


def _chosen(cfg: Config, split: str, count: int) -> list[int]:
    """Numbers of the images used: `num_train` drawn with the seed, the first `num_val`."""
    if split != "train":
        if cfg.num_val > count:
            raise ValueError(f"num_val is {cfg.num_val}; the {split} list has {count} images")
        return list(range(cfg.num_val or count))
    if cfg.num_train > count:
        raise ValueError(f"num_train is {cfg.num_train}; the training list has {count} images")
    order = np.random.default_rng([cfg.seed, 1]).permutation(count) if cfg.num_train else np.arange(count)
    return sorted(int(i) for i in order[: cfg.num_train or count])


def has_test(cfg: Config) -> bool:
    """Whether the data set has a split that is used neither for training nor for choosing."""
    return cfg.dataset == "pocket"


@functools.cache
def _fingerprint(dataset: str, data_seed: int, root: str, train_list: str, val_list: str) -> str:
    if dataset == "pocket":
        return f"pocket-{pocket.VERSION}-{data_seed}"
    return folder.fingerprint(root, [train_list, val_list])


def fingerprint(cfg: Config) -> str:
    """What the data is: drawn data by version and seed, files by a hash of their contents."""
    return _fingerprint(cfg.dataset, cfg.data_seed, cfg.root, cfg.train_list, cfg.val_list)


_draw = functools.cache(pocket.draw)


def _pocket(cfg: Config, split: str, size: int) -> Split:
    chosen = _chosen(cfg, split, pocket.SIZES[split])
    images, masks = zip(*(_draw(split, i, cfg.data_seed) for i in chosen), strict=True)
    labels = torch.zeros(len(chosen), len(pocket.CLASSES))
    for i, mask in enumerate(masks):
        labels[i, torch.from_numpy(np.unique(mask)).long()] = 1
    made = Split(
        pocket.CLASSES, [str(i) for i in chosen], labels[:, 1:], torch.stack([squash(image, size) for image in images]),
        photo=lambda i: images[i],
    )
    if split != "train":
        made.mask = lambda i: masks[i]
    return made


def _folder(cfg: Config, split: str, size: int) -> Split:
    if split == "test":
        raise ValueError("dataset folder has no test split; its splits are train and val")
    listing = folder.read_list(cfg.root, cfg.train_list if split == "train" else cfg.val_list)
    chosen = _chosen(cfg, split, len(listing.names))
    names = [listing.names[i] for i in chosen]
    made = Split(
        listing.classes, names, torch.tensor([listing.labels[i] for i in chosen], dtype=torch.float32),
        torch.stack([squash(folder.read_image(cfg.root, name), size) for name in names]),
        photo=lambda i: folder.read_image(cfg.root, names[i]),
    )
    if split != "train":
        made.mask = lambda i: folder.read_mask(cfg.root, names[i], len(listing.classes))
    return made
