"""Outputs of the encoder's closed blocks, computed once per image and flip instead of once per step.

With the paper's schedule seven of twelve blocks never learn and augmentation is a flip, so what they compute is the
same in every epoch; a third of a training step's arithmetic is left out. Images go through one by one, so the numbers
do not depend on which images share a batch, and a resumed run equals an uninterrupted one.

`FrozenFeatures` keeps them in the memory of a process for one run. `SharedFeatures` keeps them on the machine's disk,
where all runs find them whose closed blocks, pixels and arithmetic are the same: a sweep pays for them once.

Shapes: B images, M maps of an image, T tokens, D features.
"""

import functools
import hashlib
import json
from contextlib import nullcontext
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from apc.config import Config
from apc.models.build import autocast
from apc.models.encoder import Encoder
from apc.models.feature_store import FeatureStore, Shape
from apc.runs.stamp import processor

TRAIN, VAL = 0, 1  # first part of a key; the image's number and, in training, its flips follow
Key = tuple[int, ...]

RECIPE = 1
"""Raise it when what closed blocks compute changes by our own code."""


class FrozenFeatures:
    """`encoder.frozen_features` with a memory, keyed by what identifies an image after augmentation."""

    def __init__(self, encoder: Encoder, capacity: dict[int, int]) -> None:
        """`capacity` is how many keys there can be of each kind, TRAIN and VAL."""
        self.encoder, self.capacity = encoder, capacity
        # A few large tensors and not thousands of small ones: those go back to the system when a run ends, whichever
        # thread of a warm actor the next run gets.
        self.stores: dict[int, list[Tensor]] = {}
        self.rows: dict[Key, int] = {}
        self.filled = dict.fromkeys(capacity, 0)

    @torch.no_grad()
    def __call__(self, images: Tensor, keys: list[Key]) -> list[Tensor]:
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


class SharedFeatures(FrozenFeatures):
    """`FrozenFeatures` that are kept in a store and not in memory: by closed blocks, pixels and arithmetic, so that
    another run, process or data set that has the same finds them. What there is no room for is computed each time.

    On a CPU the numbers are those of `FrozenFeatures`, to the bit. On a GPU they are those of images that go through
    alone; without a store they go through together there, and last digits differ.
    """

    def __init__(self, encoder: Encoder, store: FeatureStore, cfg: Config, device: str) -> None:
        super().__init__(encoder, {})
        self.store, self.cfg, self.device, self.gpu = store, cfg, device, device != "cpu"
        self.made_by = made_by(encoder, cfg, device)
        self.names: dict[Key, str] = {}

    @torch.no_grad()
    def __call__(self, images: Tensor, keys: list[Key]) -> list[Tensor]:
        """As FrozenFeatures."""
        batch = _Batch(len(keys), self.encoder.features_dtype, pinned=self.gpu)
        for number, (image, key) in enumerate(zip(images, keys, strict=True)):
            name = self.names.get(key) or self.names.setdefault(key, self.name_of(image))
            if not self.store.read(name, functools.partial(batch.row, number)):
                self.store.write(name, *batch.fill(number, self._computed(image)))
        return [t.to(self.device, non_blocking=True).float() for t in batch.maps]

    def _computed(self, image: Tensor) -> list[Tensor]:
        # On a CPU the caller says with how many digits, as without a store.
        with autocast(self.cfg, self.device) if self.gpu else nullcontext():
            return self.encoder.frozen_features(image[None])

    def name_of(self, image: Tensor) -> str:
        """Name of an image's row: what the closed blocks are, and a hash of the pixels (3,H,W) as they see them."""
        digits = f"{torch.is_autocast_enabled('cpu')} {tuple(image.shape)}"
        digest = hashlib.sha256(digits.encode())
        digest.update(image.cpu().contiguous().numpy().data)
        name = digest.hexdigest()[:32]
        return f"{self.made_by}/{name[:2]}/{name[2:]}"


class _Batch:
    """Features of `count` images in the machine's memory, M tensors (B,T,D), once the shape of one is known."""

    def __init__(self, count: int, dtype: torch.dtype, *, pinned: bool) -> None:
        self.count, self.dtype, self.pinned = count, dtype, pinned
        self.maps: list[Tensor] = []

    def row(self, number: int, shape: Shape) -> list[memoryview]:
        """The bytes of one image's maps."""
        if not self.maps:
            maps, tokens, width, _ = shape
            how: dict[str, Any] = {"dtype": self.dtype, "pin_memory": self.pinned}
            self.maps = [torch.empty(self.count, tokens, width, **how) for _ in range(maps)]
        return [memoryview(t[number].view(torch.uint8).numpy().data).cast("B") for t in self.maps]

    def fill(self, number: int, features: list[Tensor]) -> tuple[Shape, list[memoryview]]:
        """Put one image's maps (1,T,D) in their place: their shape, and their bytes."""
        shape = (len(features), *features[0].shape[1:], self.dtype.itemsize)
        pieces = self.row(number, shape)
        for t, computed in zip(self.maps, features, strict=True):
            t[number] = computed[0]
        return shape, pieces


def made_by(encoder: Encoder, cfg: Config, device: str) -> str:
    """Hash, 16 hex digits, of all that outputs of closed blocks depend on beside the pixels: weights and architecture
    of the blocks, and what decides their last digits."""
    cpu = [processor(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()]
    where = cpu if device == "cpu" else [torch.cuda.get_device_name(device)]
    how = [cfg.amp, cfg.features_dtype, cfg.compile, cfg.channels_last, cfg.deterministic]
    versions = [version("torch"), version("timm")]
    what = [cfg.encoder, encoder.taps, encoder.open_from, encoder.kernel, encoder.patch]
    digest = hashlib.sha256(json.dumps([RECIPE, where, how, versions, what]).encode())
    learn = (*(f"vit.blocks.{block}." for block in range(encoder.open_from - 1, encoder.depth)), "vit.norm.")
    closed = {name: tensor for name, tensor in encoder.state_dict().items() if not name.startswith(learn)}
    for name, tensor in (closed | {"mean": encoder.mean, "std": encoder.std}).items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]


def gib_needed(encoder: Encoder, num_images: int, size: int) -> float:
    """Memory in GiB that the features of `num_images` square images of side `size` take."""
    maps = 1 + sum(tap < encoder.open_from for tap in encoder.taps)
    tokens = (size // encoder.patch) ** 2 + encoder.vit.num_prefix_tokens
    return float(num_images * maps * tokens * encoder.width * 4 / 2**30)
