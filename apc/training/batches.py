"""The batches of an epoch: order, augmentation and each process's share, all drawn from (seed, epoch, image).

Shapes: B images of a part, S side of training images, C classes (background is class 0).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from apc.config import Config
from apc.data import Split
from apc.data.transforms import Augmented, Box, as_floats, augment, drawn_flips, flipped, recolours, stack
from apc.models.feature_cache import TRAIN, UNREAD, Key
from apc.parallel import cores, prefetch


class Place(NamedTuple):
    """Where a process trains."""

    rank: int
    """Its number among the processes that train together."""
    world: int
    """How many these are."""
    device: str


class Part(NamedTuple):
    """The images of a step that a process holds in memory at once."""

    batch: dict[str, Tensor]
    """See Method.loss_terms: "image" (B,3,S,S), "labels" (B,C-1), "index" (B,3); of cropped images
    "box" (B,4), and for a teacher "plain" (B,3,S,S)."""
    keys: list[Key]
    """What identifies each image after augmentation: TRAIN, its number, its flips."""


Known = Callable[[Key], bool]
"""Whether an image needs no pixels."""


def batches(split: Split, cfg: Config, epoch: int, place: Place, known: Known | None = None) -> Iterator[list[Part]]:
    """A process's share of every batch of an epoch, in the parts it holds in memory at once. Images that are `known`,
    of a config that only flips, are not decoded: their pixels are UNREAD."""
    order = np.random.default_rng([cfg.seed, 3, epoch]).permutation(len(split))
    starts = range(0, max(len(split) - cfg.batch_size, 0) + 1, cfg.batch_size)
    shares = [order[start : start + cfg.batch_size][place.rank :: place.world] for start in starts]
    size = cfg.micro_batch or cfg.batch_size

    def seen(i: int) -> Augmented:
        chance = [cfg.seed, 4, epoch, i]
        if known and known((TRAIN, i, *(flips := drawn_flips(cfg, np.random.default_rng(chance))))):
            side = cfg.image_size
            none = torch.tensor(UNREAD).expand(3, side, side)
            return Augmented(none, none, flips, Box(0, 0, side, side))
        return augment(split.images[i], cfg, np.random.default_rng(chance))

    def load(share: np.ndarray) -> list[Part]:
        augmented = [seen(int(i)) for i in share]
        parts = []
        for at in range(0, len(share), size):
            views, numbers = augmented[at : at + size], share[at : at + size]
            keys: list[Key] = [(TRAIN, int(i), *view.flips) for i, view in zip(numbers, views, strict=True)]
            batch = {"image": _stacked([view.image for view in views]), "labels": split.labels[numbers]}
            if cfg.crop_scale < 1:
                batch["box"] = torch.tensor([view.box for view in views])
            if cfg.teacher and recolours(cfg):
                batch["plain"] = stack([view.plain for view in views])
            parts.append(Part(batch, keys))
        return parts

    # Images in memory are ready sooner than a thread; files are decoded while the network computes.
    threads = 0 if place.device == "cpu" and isinstance(split.images, Tensor) else min(cores(), 8)
    for parts in prefetch(shares, load, threads):
        yield [_on_device(part, place.device) for part in parts]


def decoded(split: Split, key: Key) -> Tensor:
    """The pixels (3,S,S) in [0,1] of an image of a config that only flips."""
    return as_floats(flipped(split.images[key[1]], (key[2], key[3])), "cpu")


def _stacked(images: list[Tensor]) -> Tensor:
    """Images (3,S,S) -> (B,3,S,S): bytes, but floats in [0,1] where one of them is UNREAD, and one number for all
    where none was decoded."""
    unread = [image.is_floating_point() and image.stride() == (0, 0, 0) for image in images]
    if all(unread):
        return images[0].expand(len(images), -1, -1, -1)
    return stack([as_floats(image, "cpu") for image in images] if any(unread) else images)


def _on_device(part: Part, device: str) -> Part:
    moved = {"labels": part.batch["labels"].to(device), "index": torch.tensor([key[1:] for key in part.keys])}
    images = {name: _floats(part.batch[name], device) for name in part.batch.keys() & {"image", "plain"}}
    return Part(part.batch | moved | images, part.keys)


def _floats(images: Tensor, device: str) -> Tensor:
    """As `as_floats`; one number for all pixels stays one."""
    if images.is_floating_point() and not any(images.stride()):
        return torch.full((1, 1, 1, 1), UNREAD, device=device).expand(images.shape)
    return as_floats(images, device)
