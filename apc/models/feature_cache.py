"""Outputs of the encoder's closed blocks, computed once per image and flip instead of once per step.

With the paper's schedule seven of twelve blocks never learn and augmentation is a flip, so what they compute is the
same in every epoch; a third of a training step's arithmetic is left out. Images go through one by one, so the numbers
do not depend on which images share a batch, and a resumed run equals an uninterrupted one.

Shapes: B images, T tokens, D features.
"""

import torch
from torch import Tensor

from apc.models.encoder import Encoder

TRAIN, VAL = 0, 1  # first part of a key; the image's number and, in training, its flips follow


class FrozenFeatures:
    """`encoder.frozen_features` with a memory, keyed by what identifies an image after augmentation."""

    def __init__(self, encoder: Encoder, capacity: dict[int, int]) -> None:
        """`capacity` is how many keys there can be of each kind, TRAIN and VAL."""
        self.encoder, self.capacity = encoder, capacity
        # A few large tensors and not thousands of small ones: those go back to the system when a run ends, whichever
        # thread of a warm actor the next run gets.
        self.stores: dict[int, list[Tensor]] = {}
        self.rows: dict[tuple[int, ...], int] = {}
        self.filled = dict.fromkeys(capacity, 0)

    @torch.no_grad()
    def __call__(self, images: Tensor, keys: list[tuple[int, ...]]) -> list[Tensor]:
        """Images (B,3,H,W) and a key each, all of one kind -> what `encoder.frozen_features(images)` gives, tensors
        (B,T,D)."""
        kind = keys[0][0]
        for image, key in zip(images, keys, strict=True):
            if key not in self.rows:
                features = self.encoder.frozen_features(image[None])
                stores = self.stores.setdefault(
                    kind, [torch.empty(self.capacity[kind], *t.shape[1:]) for t in features]
                )
                self.rows[key] = row = self.filled[kind]
                self.filled[kind] += 1
                for store, tensor in zip(stores, features, strict=True):
                    store[row] = tensor[0]
        rows = torch.tensor([self.rows[key] for key in keys])
        return [store[rows] for store in self.stores[kind]]


def gib_needed(encoder: Encoder, num_images: int, size: int) -> float:
    """Memory in GiB that the features of `num_images` square images of side `size` take."""
    maps = 1 + sum(tap < encoder.open_from for tap in encoder.taps)
    tokens = (size // encoder.patch) ** 2 + encoder.vit.num_prefix_tokens
    return float(num_images * maps * tokens * encoder.width * 4 / 2**30)
