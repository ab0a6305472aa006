"""What the network is shown of a photograph and what it says: forward passes over sizes and flips, and their mean at
the photograph's own size.

Shapes: B images, C classes, h,w what the network is shown, H,W a photograph's own pixels.
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from apc.config import Config
from apc.data import Split
from apc.data.transforms import as_floats, resize, stack
from apc.evaluation.scoring import Scoring, Showing
from apc.methods.base import Method
from apc.methods.pixel_labels import at_size
from apc.models.build import autocast
from apc.models.feature_cache import VAL
from apc.runs.scores import Protocol

Passes = tuple[Showing, ...]
"""The passes over which a protocol averages."""
Branches = dict[str, Tensor]
"""Probabilities by the name of the branch."""
Sizes = dict[int, tuple[int, ...]]
"""Own size (H,W) of photographs by their number."""
Read = Callable[[int], np.ndarray]
"""A photograph (H,W,3) uint8 by its number."""


def showings(protocol: Protocol, cfg: Config, patch: int) -> Passes:
    """Forward passes over which a protocol averages; ValueError where the network cannot read its size."""
    size, keep = protocol.size or cfg.scored_size, protocol.keep_aspect
    if not patch <= size <= 4096 or (size % patch and not keep):
        raise ValueError(f"sizes has {size}; sizes are multiples of the encoder's patch, {patch}, up to 4096")
    if not protocol.scales:
        return (Showing(size, keep, False),)
    sides = [_rounded(scale * size, patch) for scale in protocol.scales]
    return tuple(Showing(side, keep, flipped) for side in sides for flipped in (False, True))


def _rounded(side: float, patch: int) -> int:
    return max(int(side / patch + 0.5), 1) * patch


def shown(photo: np.ndarray, showing: Showing, patch: int) -> Tensor:
    """A photograph (H,W,3) uint8 as the network is shown it, (3,h,w) uint8."""
    height, width = photo.shape[:2]
    h, w = showing.side, showing.side
    if showing.keep_aspect:
        h, w = (_rounded(showing.side * n / max(height, width), patch) for n in (height, width))
    image = resize(photo, h, w)
    return image.flip(-1) if showing.flipped else image


@dataclass(frozen=True)
class Network:
    """A trained method that is shown the photographs of a split."""

    method: Method
    split: Split
    cfg: Config
    """Its size, precision and CRF."""
    scoring: Scoring = field(default_factory=Scoring)

    def mean(
        self, averages: list[Passes], sizes: Sizes, needed: Collection[str], read: Read
    ) -> Iterator[tuple[int, Passes, Branches]]:
        """Mean probabilities (C,H,W) of the `needed` branches over each of `averages`, for each photograph of `sizes`,
        as soon as they are complete. A pass that several of them need runs once."""
        sums: dict[tuple[int, Passes], tuple[int, Branches]] = {}
        for showing in dict.fromkeys(showing for passes in averages for showing in passes):
            for i, branches in self.forward(showing, list(sizes), needed, read):
                own = {b: at_size(p.flip(-1) if showing.flipped else p, sizes[i]) for b, p in branches.items()}
                for passes in averages:
                    if times := passes.count(showing):  # two scales may round to one side, which then counts twice
                        count, before = sums.pop((i, passes), (0, {}))
                        total = {b: before[b] + times * p if count else times * p for b, p in own.items()}
                        if count + times == len(passes):
                            yield i, passes, {b: p / len(passes) for b, p in total.items()}
                        else:
                            sums[i, passes] = count + times, total

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
            if self.scoring.frozen_features and self._is_own(showing):
                features = self.scoring.frozen_features(images, [(VAL, i) for i in same])
            with autocast(self.cfg, device):
                branches = self.method.predict(images, features, needed)
            if gpu:
                torch.cuda.synchronize(device)
            peak_gib = torch.cuda.max_memory_allocated(device) / 2**30 if gpu else None
            cost.add(showing, len(same), time.perf_counter() - start, peak_gib)
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
        images = {i: shown(read(i), showing, self.method.encoder.patch) for i in indices}
        for shape in dict.fromkeys(image.shape for image in images.values()):
            same = [i for i, image in images.items() if image.shape == shape]
            yield same, stack([images[i] for i in same])
