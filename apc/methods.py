"""What a method is to the training loop and the evaluators, and which ones there are."""

from typing import Protocol

from torch import Tensor, nn

from apc.config import Config
from apc.model.apc import APC
from apc.model.encoder import Encoder


class Method(Protocol):
    """An nn.Module that the loop can train and the evaluators can score.

    Shapes: B images, H,W pixels, C classes, background first. `closed` is what `encoder.closed(images)` gave, where the
    caller has kept it.
    """

    encoder: Encoder
    weights: dict[str, float]
    """Weight of each named term in the total loss."""

    def loss_terms(self, batch: dict[str, Tensor], progress: float, closed: list[Tensor] | None = None) -> dict[str, Tensor]:
        """Named, unweighted scalars of a batch {"image": (B,3,H,W) in [0,1], "labels": (B,C-1)}."""
        ...

    def predict(self, images: Tensor, closed: list[Tensor] | None = None) -> dict[str, Tensor]:
        """Pixel probabilities (B,C,H,W) by branch; `decoder` at least."""
        ...


METHODS: dict[str, type[nn.Module]] = {"apc": APC}


def build(cfg: Config, num_classes: int) -> APC:
    """The method a config names, untrained but for its encoder's weights."""
    return METHODS[cfg.method](cfg, num_classes)
