"""What the network is shown of a photograph and what it says: forward passes over sizes and flips, and their mean at
the photograph's own size.

Shapes: B images, C classes, h,w what the network is shown, H,W a photograph's own pixels.
"""

import functools
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from apc.config import Config
from apc.data import Split
from apc.data.transforms import as_floats, resize, stack
from apc.evaluation.scoring import Scoring, Showing
from apc.methods.base import LOGITS, Method
from apc.methods.pixel_labels import at_size
from apc.models.build import autocast
from apc.models.feature_cache import VAL
from apc.runs.protocols import Protocol

Branches = dict[str, Tensor]
"""Probabilities by the name of the branch."""
Sizes = dict[int, tuple[int, ...]]
"""Own size (H,W) of photographs by their number."""
Read = Callable[[int], np.ndarray]
"""A photograph (H,W,3) uint8 by its number."""


class Passes(NamedTuple):
    """The passes that a protocol needs, and what it makes of them."""

    showings: tuple[Showing, ...]
    combine: str = "mean"
    """As in Protocol."""


def showings(protocol: Protocol, cfg: Config, patch: int, least: int = 0) -> Passes:
    """Forward passes that a protocol needs; ValueError where the network cannot read its size. `least` is the side of
    the smallest image it reads, where that is more than a patch."""
    size, keep = protocol.size or cfg.scored_size, protocol.keep_aspect
    if not max(patch, least) <= size <= 4096 or (size % patch and not keep):
        bounds = f"from {least} up to 4096" if least > patch else "up to 4096"
        raise ValueError(f"sizes has {size}; sizes are multiples of the encoder's patch, {patch}, {bounds}")
    if not protocol.scales:
        return Passes((Showing(size, keep, False),))
    sides = [_rounded(scale * size, patch, least) for scale in protocol.scales]
    return Passes(tuple(Showing(side, keep, flipped) for side in sides for flipped in (False, True)), protocol.combine)


def _rounded(side: float, patch: int, least: int) -> int:
    return max(int(side / patch + 0.5) * patch, patch, least)


def shown(photo: np.ndarray, showing: Showing, patch: int, least: int = 0) -> Tensor:
    """A photograph (H,W,3) uint8 as the network is shown it, (3,h,w) uint8."""
    height, width = photo.shape[:2]
    h, w = showing.side, showing.side
    if showing.keep_aspect:
        h, w = (_rounded(showing.side * n / max(height, width), patch, least) for n in (height, width))
    image = resize(photo, h, w)
    return image.flip(-1) if showing.flipped else image


@dataclass
class _Sums:
    """What the passes of one photograph have come to so far, at its own size."""

    method: Method
    count: int = 0
    """Passes so far."""
    sums: Branches = field(default_factory=dict)
    """Probabilities of each branch, all passes added up."""
    logits: dict[int, Tensor] = field(default_factory=dict)
    """Logits of each side, its flips added up."""

    def add(self, branches: Branches, showing: Showing, times: int, combine: str) -> None:
        """Take what the network said of a pass; two scales may round to one side, which then counts twice."""
        first, self.count = not self.count, self.count + times
        if combine == "max":
            here = self.logits.get(showing.side)
            self.logits[showing.side] = branches[LOGITS] if here is None else here + branches[LOGITS]
            return
        for b, p in branches.items():
            if b != LOGITS:
                self.sums[b] = times * p if first else self.sums[b] + times * p

    def probabilities(self, combine: str) -> Branches:
        """What they come to when all are there."""
        if combine == "mean":
            return {b: p / self.count for b, p in self.sums.items()}
        greatest = functools.reduce(torch.maximum, self.logits.values())
        return {"decoder": (greatest / 2 if self.method.averages_flips else greatest).softmax(0)}


@dataclass(frozen=True)
class Network:
    """A trained method that is shown the photographs of a split."""

    method: Method
    split: Split
    cfg: Config
    """Its size, precision and CRF."""
    scoring: Scoring = field(default_factory=Scoring)

    def combined(
        self, wanted: list[Passes], sizes: Sizes, needed: Collection[str], read: Read
    ) -> Iterator[tuple[int, Passes, Branches]]:
        """Probabilities (C,H,W) of the `needed` branches by each of `wanted`, for each photograph of `sizes`, as soon
        as they are complete. A pass that several of them need runs once."""
        under_way: dict[tuple[int, Passes], _Sums] = {}
        outputs = {*needed, *(LOGITS for passes in wanted if passes.combine == "max")}
        for showing in dict.fromkeys(showing for passes in wanted for showing in passes.showings):
            for i, branches in self.forward(showing, list(sizes), outputs, read):
                own = {b: at_size(p.flip(-1) if showing.flipped else p, sizes[i]) for b, p in branches.items()}
                for passes in wanted:
                    if not (times := passes.showings.count(showing)):
                        continue
                    sums = under_way.setdefault((i, passes), _Sums(self.method))
                    sums.add(own, showing, times, passes.combine)
                    if sums.count == len(passes.showings):
                        yield i, passes, under_way.pop((i, passes)).probabilities(passes.combine)

    def forward(
        self, showing: Showing, indices: list[int], needed: Collection[str], read: Read
    ) -> Iterator[tuple[int, Branches]]:
        """Probabilities (C,h,w) of the `needed` branches by photograph; those of one shape go through together."""
        for same, images in self._batches(showing, indices, read):
            device, cost = self.scoring.device, self.scoring.cost
            gpu = device.startswith("cuda")
            if gpu:
                torch.cuda.reset_peak_memory_stats(device)
            start = time.perf_counter()
            images, features = as_floats(images, device), None
            with autocast(self.cfg, device):
                if self.scoring.frozen_features and self._is_own(showing):
                    features = self.scoring.frozen_features(images, [(VAL, i) for i in same])
                branches = self.method.predict(images, features, needed)
            if gpu:
                torch.cuda.synchronize(device)
            peak_gib = torch.cuda.max_memory_allocated(device) / 2**30 if gpu else None
            cost.add(showing, len(same), time.perf_counter() - start, peak_gib)
            if self.scoring.plain and self._is_own(showing):
                self.scoring.plain(same, images, branches)
            for number, i in enumerate(same):
                yield i, {branch: branches[branch][number] for branch in branches if branch in needed}

    def _is_own(self, showing: Showing) -> bool:
        """Whether it is the run's own size, at which the split has its images ready."""
        return showing == Showing(self.cfg.scored_size, False, False)

    def _batches(self, showing: Showing, indices: list[int], read: Read) -> Iterator[tuple[list[int], Tensor]]:
        """Numbers of the photographs that go through the network together, and what it is shown, (B,3,h,w) uint8."""
        if self._is_own(showing):
            yield indices, self.split.images[indices]
            return
        encoder = self.method.encoder
        images = {i: shown(read(i), showing, encoder.patch, encoder.least) for i in indices}
        for shape in dict.fromkeys(image.shape for image in images.values()):
            same = [i for i, image in images.items() if image.shape == shape]
            yield same, stack([images[i] for i in same])
