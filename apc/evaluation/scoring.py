"""How photographs are scored whatever the protocol, what is handed on while that goes on, and what it costs.

Shapes: H,W a photograph's own pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from torch import Tensor

from apc.models.feature_cache import FrozenFeatures
from apc.runs.protocols import Protocol


class Showing(NamedTuple):
    """One forward pass over a photograph."""

    side: int
    """Pixels of the square it is squashed to, or of its long side."""
    keep_aspect: bool
    flipped: bool


class LabelMap(NamedTuple):
    """Labels (H,W) uint8 of photograph `i` under a protocol."""

    i: int
    protocol: Protocol
    labels: np.ndarray


class Keep(NamedTuple):
    """Somebody who wants label maps and not only scores."""

    take: Callable[[LabelMap], None]
    """Is given every label map of `protocols`, those of photographs without a mask too."""
    protocols: Sequence[Protocol]


Plain = Callable[[list[int], Tensor, dict[str, Tensor]], None]
"""Hears what a method says of photographs at the run's own size: their numbers, what was shown, (B,3,S,S) in [0,1], and
the probabilities (B,C,S,S) of its branches."""


@dataclass
class Cost:
    """What the passes cost: to be handed in empty, filled on the way."""

    images: dict[Showing, int] = field(default_factory=dict)
    seconds: dict[Showing, float] = field(default_factory=dict)
    """Wall seconds of the network, all images together."""
    peak_gib: dict[Showing, float] = field(default_factory=dict)
    """Most memory torch held on the GPU; empty on a CPU."""
    crf_seconds: dict[Protocol, list[float]] = field(default_factory=dict)
    """Seconds of one core, one number a photograph."""

    def add(self, showing: Showing, images: int, seconds: float, peak_gib: float | None) -> None:
        """Count a pass over `images`; `peak_gib` is None on a CPU."""
        self.images[showing] = self.images.get(showing, 0) + images
        self.seconds[showing] = self.seconds.get(showing, 0.0) + seconds
        if peak_gib is not None:
            self.peak_gib[showing] = max(self.peak_gib.get(showing, 0.0), peak_gib)


def _silent(photographs: int) -> None: ...


@dataclass(frozen=True)
class Scoring:
    """How photographs are scored, whatever the protocol."""

    device: str = "cpu"
    crf_workers: int = 0
    """Processes that run the CRF while the network goes on; 0 runs it here, in between."""
    frozen_features: FrozenFeatures | None = None
    """Outputs of closed blocks, where training has kept them."""
    cost: Cost = field(default_factory=Cost)
    progress: Callable[[int], None] = _silent
    """Hears how many photographs the network is done with."""
    keep: Keep | None = None
    plain: Plain | None = None
    """Hears of every pass at the run's own size, which needs not be made again for it."""
