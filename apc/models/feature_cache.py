"""Outputs of the encoder's closed blocks, computed once per image and flip instead of once per step.

With the paper's schedule seven of twelve blocks never learn and augmentation is a flip, so what they compute is the
same in every epoch; a third of a training step's arithmetic is left out. Images go through one by one, so the numbers
do not depend on which images share a batch, and a resumed run equals an uninterrupted one.

`FrozenFeatures` keeps them in the memory of a process for one run. `SharedFeatures` keeps them on the machine's disk,
where all runs find them whose closed blocks, data and arithmetic are the same: a sweep pays for them once.

Shapes: B images, M maps of an image, T tokens, D features.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from typing import Any, NamedTuple

import torch
from torch import Tensor

from apc.config import Config
from apc.models.build import autocast
from apc.models.encoder import Encoder
from apc.models.feature_rows import Kind, Shape
from apc.models.feature_store import FeatureStore
from apc.runs.stamp import processor

TRAIN, VAL = 0, 1  # first part of a key; the image's number and, in training, its flips follow
Key = tuple[int, ...]

RECIPE = 2
"""Raise it when what closed blocks compute, or the pixels that they are shown of a file, changes by our own code."""


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
    """`FrozenFeatures` that are kept in a store and not in memory: by closed blocks, data and arithmetic, so that
    another run or process that has the same finds them. What there is no room for is computed each time. An image
    whose features are there needs no pixels: of an image that is `unread` they are asked for only where its row turns
    out to be spoilt.

    On a CPU the numbers are those of `FrozenFeatures`, to the bit. On a GPU they are those of images that go through
    alone; without a store they go through together there, and last digits differ.
    """

    def __init__(self, encoder: Encoder, store: FeatureStore, cfg: Config, device: str, shown: "Shown") -> None:
        super().__init__(encoder, {})
        self.store, self.cfg, self.device, self.gpu, self.shown = store, cfg, device, device != "cpu", shown
        self.made_by = made_by(encoder, cfg, device)
        self.kinds: dict[tuple[int, bool], Kind] = {}

    @torch.no_grad()
    def __call__(self, images: Tensor, keys: list[Key]) -> list[Tensor]:
        """As FrozenFeatures."""
        kind = self.kind_of(keys[0][0], rounded=torch.is_autocast_enabled("cpu"))
        batch = _Batch(len(keys), kind.shape, self.encoder.features_dtype, pinned=self.gpu)
        places = [self.shown.place(key) for key in keys]
        missing = [n for n, place in enumerate(places) if not self.store.read(kind, place, batch.row(n))]
        for wait in (False, True):  # for another process, once all is made that nobody makes
            missing = [n for n in missing if not self._made(kind, batch, n, places[n], (images[n], keys[n]), wait=wait)]
        return [t.to(self.device, non_blocking=True).float() for t in batch.maps]

    def _made(
        self, kind: Kind, batch: "_Batch", number: int, place: int, of: tuple[Tensor, Key], *, wait: bool
    ) -> bool:
        def fill() -> None:
            image, key = of
            image = self.shown.image(key).to(image.device) if is_unread(image) else image
            # On a CPU the caller says with how many digits, as without a store.
            with autocast(self.cfg, self.device) if self.gpu else nullcontext():
                batch.fill(number, self.encoder.frozen_features(image[None]))

        return self.store.make(kind, place, batch.row(number), fill, wait)

    def has(self, key: Key) -> bool:
        """Whether an image's features are there, as a step asks for them; any thread may ask."""
        kind = self.kind_of(key[0], rounded=not self.gpu and self.cfg.amp == "bf16")
        return self.store.has(kind, self.shown.place(key))

    def kind_of(self, kind: int, *, rounded: bool) -> Kind:
        """The rows of the images of a kind, TRAIN or VAL; `rounded` is whether a CPU computes with bfloat16."""
        if (kind, rounded) not in self.kinds:
            shown, side = self.shown, self.cfg.image_size if kind == TRAIN else self.cfg.scored_size
            what = [self.made_by, shown.data, kind, side, shown.listed[kind], rounded]
            name = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
            places = shown.listed[kind] * (4 if kind == TRAIN else 1)
            self.kinds[kind, rounded] = Kind(name, places, row_shape(self.encoder, side))
        return self.kinds[kind, rounded]


class Shown(NamedTuple):
    """The images whose features are kept, in the lists that they are from."""

    data: str
    """What identifies the contents of all lists."""
    listed: dict[int, int]
    """How many images each list has, of TRAIN and of VAL."""
    rows: Mapping[int, Sequence[int]]
    """The number of each image in its list."""
    image: Callable[[Key], Tensor]
    """The pixels (3,S,S) in [0,1] of a training image, flipped as its key says."""

    def place(self, key: Key) -> int:
        """Where an image stands among all that its list can have."""
        row = self.rows[key[0]][key[1]]
        return 4 * row + 2 * key[3] + key[2] if key[0] == TRAIN else row


UNREAD = float("nan")
"""Every pixel of an image that was not decoded, so that whoever reads one by mistake gets a loss that is not finite."""


def is_unread(image: Tensor) -> bool:
    """Whether an image (3,S,S) was not decoded."""
    return bool(image[0, 0, 0].isnan())


class _Batch:
    """Features of `count` images in the machine's memory, M tensors (B,T,D)."""

    def __init__(self, count: int, shape: Shape, dtype: torch.dtype, *, pinned: bool) -> None:
        maps, tokens, width, _ = shape
        how: dict[str, Any] = {"dtype": dtype, "pin_memory": pinned}
        self.maps = [torch.empty(count, tokens, width, **how) for _ in range(maps)]

    def row(self, number: int) -> list[memoryview]:
        """The bytes of one image's maps."""
        return [memoryview(t[number].view(torch.uint8).numpy().data).cast("B") for t in self.maps]

    def fill(self, number: int, features: list[Tensor]) -> None:
        """Put one image's maps (1,T,D) in their place."""
        for t, computed in zip(self.maps, features, strict=True):
            t[number] = computed[0]


def row_shape(encoder: Encoder, side: int) -> Shape:
    """What closed blocks give of an image of `side` pixels."""
    tokens = (side // encoder.patch) ** 2 + encoder.vit.num_prefix_tokens
    return (
        1 + sum(tap < encoder.open_from for tap in encoder.taps),
        tokens,
        encoder.width,
        encoder.features_dtype.itemsize,
    )


def made_by(encoder: Encoder, cfg: Config, device: str) -> str:
    """Hash, 16 hex digits, of all that outputs of closed blocks depend on beside the data: weights and architecture of
    the blocks, and what decides their last digits and the pixels of a file."""
    cpu = [processor(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()]
    where = cpu if device == "cpu" else [torch.cuda.get_device_name(device)]
    how = [cfg.amp, cfg.features_dtype, cfg.compile, cfg.channels_last, cfg.deterministic]
    versions = [version(name) for name in ("torch", "torchvision", "timm", "pillow", "numpy")]
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
    maps, tokens, width, _ = row_shape(encoder, size)
    return float(num_images * maps * tokens * width * 4 / 2**30)
