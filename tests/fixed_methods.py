"""Methods whose probabilities a test writes down."""

from collections.abc import Collection
from types import SimpleNamespace

import torch
from torch import Tensor, nn


class Fixed(nn.Module):
    """A method that always predicts the same probabilities, another set for each branch."""

    def __init__(self, decoder: Tensor, patch: Tensor) -> None:
        super().__init__()
        self.made = {"decoder": decoder, "patch": patch}
        self.encoder, self.merges = SimpleNamespace(patch=8), False

    def predict(self, images: Tensor, frozen_features: None = None, wanted: Collection[str] = ()) -> dict[str, Tensor]:
        return {b: p.expand(len(images), -1, -1, -1) for b, p in self.made.items()}


def halves(left: int, right: int, classes: int = 3) -> Tensor:
    """Probabilities (1,C,8,8): mostly class `left` on the left half, `right` on the right."""
    p = torch.full((1, classes, 8, 8), 0.1)
    p[:, left, :, :4] = 0.8
    p[:, right, :, 4:] = 0.8
    return p
