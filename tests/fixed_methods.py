"""Methods whose probabilities a test writes down."""

from collections.abc import Callable, Collection
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Fixed(nn.Module):
    """A method that always predicts the same probabilities, another set for each branch."""

    def __init__(self, decoder: Tensor, patch: Tensor) -> None:
        super().__init__()
        self.made = {"decoder": decoder, "patch": patch}
        self.encoder, self.merges = SimpleNamespace(patch=8, least=8), False

    def predict(self, images: Tensor, frozen_features: None = None, wanted: Collection[str] = ()) -> dict[str, Tensor]:
        return {b: p.expand(len(images), -1, -1, -1) for b, p in self.made.items()}


class ByColour(nn.Module):
    """A method that knows each class by its colour, (C,3) in [0,1]; the masks of its decoder are then spoiled."""

    def __init__(self, colours: Tensor, spoil: Callable[[Tensor], Tensor] = lambda labels: labels) -> None:
        super().__init__()
        self.colours, self.spoil = colours, spoil
        self.encoder, self.merges = SimpleNamespace(patch=8, least=8), False

    def predict(self, images: Tensor, frozen_features: None = None, wanted: Collection[str] = ()) -> dict[str, Tensor]:
        labels = (images[:, None] - self.colours[None, :, :, None, None]).square().sum(2).argmin(1)
        classes = len(self.colours)
        found = {"decoder": self.spoil(labels), "patch": labels}
        return {b: 0.1 + 0.7 * F.one_hot(m, classes).movedim(-1, 1).float() for b, m in found.items()}


def grown(labels: Tensor, by: int = 8) -> Tensor:
    """Masks (B,S,S) grown by some pixels on all sides; where two meet the later class wins."""
    return F.max_pool2d(labels[:, None].float(), 2 * by + 1, 1, by)[:, 0].long()


def shrunken(labels: Tensor, by: int = 8) -> Tensor:
    return torch.where(F.max_pool2d((labels == 0)[:, None].float(), 2 * by + 1, 1, by)[:, 0] > 0, 0, labels)


def filled(labels: Tensor) -> Tensor:
    """Photographs filled with their largest class of an object."""
    counts = F.one_hot(labels.flatten(1)).sum(1)
    counts[:, 0] = 0
    return counts.argmax(1)[:, None, None].expand_as(labels)


SPOILED: dict[str, Callable[[Tensor], Tensor]] = {
    "all background": torch.zeros_like,
    "everything one class": torch.ones_like,
    "filled with the largest class": filled,
    "grown by 8 pixels": grown,
    "shrunken by 8 pixels": shrunken,
}
"""What would fool a score that opens no mask."""


def halves(left: int, right: int, classes: int = 3) -> Tensor:
    """Probabilities (1,C,8,8): mostly class `left` on the left half, `right` on the right."""
    p = torch.full((1, classes, 8, 8), 0.1)
    p[:, left, :, :4] = 0.8
    p[:, right, :, 4:] = 0.8
    return p
