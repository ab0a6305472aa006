"""Data sets: class names and samples by split. Training splits carry image labels only; masks are for scoring.

Shapes: S side of the resized image, H,W the photograph's own pixels, C classes (background is class 0).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from apc.config import Config
from apc.data import cache, folder, pocket, prepared
from apc.data.images import Images, Lazy, decode, decoded, require_whole
from apc.data.masks import read_mask
from apc.data.prepared import Entry
from apc.data.transforms import squash

PREPARED = ("voc", "coco")
"""Data sets that `apc data prepare` makes ready."""


@dataclass
class Split:
    """One split of a data set."""

    classes: list[str]
    """Class names, background first."""
    names: list[str]
    """File name or number of each image."""
    labels: Tensor
    """Image labels, (n, C-1), 0 or 1."""
    images: Images
    """Resized images, (n,3,S,S) uint8: in memory, in a cache, or decoded when asked for."""
    photo: Callable[[int], np.ndarray]
    """Image i at its own size, (H,W,3) uint8."""
    mask: Callable[[int], np.ndarray | None] = field(default=lambda i: None)
    """Truth of image i at its own size, (H,W) uint8, 255 = ignore; None where there is none."""
    verified: bool = False
    """Whether every file was read whole when the data set was prepared."""

    def __len__(self) -> int:
        return len(self.names)


def load(cfg: Config, split: str) -> Split:
    """Split `train`, `val` or `test` as the config names it; training splits never open a mask."""
    size = cfg.image_size if split == "train" else cfg.scored_size
    if cfg.dataset == "pocket":
        return _pocket(cfg, split, size)
    if split == "test":
        raise ValueError(f"dataset {cfg.dataset} has no test split; its splits are train and val")
    return _folder(cfg, split, size) if cfg.dataset == "folder" else _prepared(cfg, split, size)


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
    lists = [train_list, val_list]
    return folder.fingerprint(root, lists) if dataset == "folder" else prepared.fingerprint(root, dataset, lists)


def fingerprint(cfg: Config) -> str:
    """What the data is: drawn data by version and seed, your files by a hash of their contents, VOC and COCO by a hash
    of their prepared lists, which hold the hashes of the contents."""
    return _fingerprint(cfg.dataset, cfg.data_seed, cfg.root, cfg.train_list, cfg.val_list)


def provenance(cfg: Config) -> dict[str, Any]:
    """What a row's stamp must say of the data beside its fingerprint: which part of it, and whether it was whole."""
    if cfg.dataset not in PREPARED:
        return {}
    told = prepared.manifest(cfg.root, cfg.dataset)
    subsets = [cfg.coco_images] if cfg.dataset == "coco" else ["train_aug", "val"]
    whole = all(told["whole"][subset] for subset in subsets)
    lists = (cfg.train_list, cfg.val_list) == ("train.csv", "val.csv")
    return {"subset": " ".join(subsets), "label_source": cfg.label_source, "whole": whole and lists}


def files(dataset: str, root: str, name: str) -> cache.Files:
    """All images of one list, for their cache."""
    base = prepared.folder_of(root, dataset) / "cache" / Path(name).stem
    again = f"apc data cache {dataset} --root {root} --lists {name}"
    if dataset == "folder":
        names = folder.read_list(root, name).names
        paths = [Path(root) / "images" / n for n in names]
        stats = [path.stat() for path in paths]
        keys = [f"{n} {s.st_size} {s.st_mtime_ns}" for n, s in zip(names, stats, strict=True)]
    else:
        entries = _entries(root, dataset, name)
        paths = [Path(root) / entry.image for entry in entries]
        keys = [f"{entry.image} {entry.image_hash}" for entry in entries]
    return cache.Files(paths, keys, base, again)


def _images(cfg: Config, name: str, size: int, rows: list[int]) -> Images:
    """The images `rows` of a list, from its cache where there is one."""
    listed = files(cfg.dataset, cfg.root, name)
    kept = cache.find(listed, size)
    if kept is not None:
        return cache.cached(kept, rows)
    images = decoded([listed.paths[i] for i in rows], size)
    if isinstance(images, Lazy) and cfg.dataset == "folder":
        for i in rows:
            require_whole(listed.paths[i])
    return images


_draw = functools.cache(pocket.draw)


def _pocket(cfg: Config, split: str, size: int) -> Split:
    chosen = _chosen(cfg, split, pocket.SIZES[split])
    images, masks = zip(*(_draw(split, i, cfg.data_seed) for i in chosen), strict=True)
    labels = torch.zeros(len(chosen), len(pocket.CLASSES))
    for i, mask in enumerate(masks):
        labels[i, torch.from_numpy(np.unique(mask)).long()] = 1
    made = Split(
        pocket.CLASSES,
        [str(i) for i in chosen],
        labels[:, 1:],
        torch.stack([squash(image, size) for image in images]),
        photo=lambda i: images[i],
    )
    if split != "train":
        made.mask = lambda i: masks[i]
    return made


def _folder(cfg: Config, split: str, size: int) -> Split:
    name = cfg.train_list if split == "train" else cfg.val_list
    listing = folder.read_list(cfg.root, name)
    chosen = _chosen(cfg, split, len(listing.names))
    names = [listing.names[i] for i in chosen]
    made = Split(
        listing.classes,
        names,
        torch.tensor([listing.labels[i] for i in chosen], dtype=torch.float32),
        _images(cfg, name, size, chosen),
        photo=lambda i: folder.read_image(cfg.root, names[i]),
    )
    if split != "train":
        made.mask = lambda i: folder.read_mask(cfg.root, names[i], len(listing.classes))
    return made


def _entries(root: str, dataset: str, name: str) -> list[Entry]:
    path = prepared.folder_of(root, dataset) / name
    return _parsed(root, dataset, name, path.stat().st_mtime_ns if path.is_file() else 0)


@functools.lru_cache(maxsize=4)
def _parsed(root: str, dataset: str, name: str, changed: int) -> list[Entry]:
    return prepared.read_entries(root, dataset, name)


def _prepared(cfg: Config, split: str, size: int) -> Split:
    root, name = Path(cfg.root), cfg.train_list if split == "train" else cfg.val_list
    classes, listed = prepared.read_classes(cfg.root, cfg.dataset), _entries(cfg.root, cfg.dataset, name)
    used = [i for i, entry in enumerate(listed) if cfg.dataset != "coco" or cfg.coco_images in entry.subsets.split()]
    if not used:
        raise ValueError(f"coco_images is {cfg.coco_images}; {name} has no such image")
    rows = [used[i] for i in _chosen(cfg, split, len(used))]
    entries = [listed[i] for i in rows]
    prepared.require_unchanged(cfg.root, cfg.dataset, entries)
    made = Split(
        classes,
        [Path(entry.image).name for entry in entries],
        torch.from_numpy(prepared.labels_of(entries, classes, cfg.label_source)),
        _images(cfg, name, size, rows),
        photo=lambda i: decode(root / entries[i].image),
        verified=True,
    )
    if split != "train":
        made.mask = lambda i: read_mask(root / entries[i].mask, (entries[i].height, entries[i].width), len(classes))
    return made
