"""Outputs of the encoder's closed blocks, computed once per image and flip instead of once per step.

With the paper's schedule seven of twelve blocks never learn and augmentation is a flip, so what they compute is the
same in every epoch; a third of a training step's arithmetic is left out. Images go through one by one, so the numbers
do not depend on which images share a batch, and a resumed run equals an uninterrupted one.

Shapes: B images, T tokens, D features.
"""

import torch
from torch import Tensor

from apc.model.encoder import Encoder

TRAIN, VAL = 0, 1  # first part of a key; the image's number and, in training, its flips follow


class ClosedFeatures:
    """`encoder.closed` with a memory, keyed by what identifies an image after augmentation."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.kept: dict[tuple[int, ...], list[Tensor]] = {}

    @torch.no_grad()
    def __call__(self, images: Tensor, keys: list[tuple[int, ...]]) -> list[Tensor]:
        """Images (B,3,H,W) and a key each -> what `encoder.closed(images)` gives, tensors (B,T,D)."""
        for image, key in zip(images, keys, strict=True):
            if key not in self.kept:
                self.kept[key] = self.encoder.closed(image[None])
        return [torch.cat(maps) for maps in zip(*(self.kept[key] for key in keys), strict=True)]


def gib_needed(encoder: Encoder, num_images: int, size: int) -> float:
    """Memory in GiB that the features of `num_images` square images of side `size` take."""
    maps = 1 + sum(tap < encoder.open_from for tap in encoder.taps)
    tokens = (size // encoder.patch) ** 2 + encoder.vit.num_prefix_tokens
    return num_images * maps * tokens * encoder.width * 4 / 2**30
