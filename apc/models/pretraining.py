"""The tiny ViT's pre-training, which stands in for ImageNet: once, a minute or so of one core, kept on disk.

What it has seen, so that nobody over-reads the numbers: 1600 pictures of random blobs on the same family of
backgrounds as the embedded data, with the same shapes, patterns, periods and hues, but combined at random: it is told
of no class and sees no body with its head. Unlike ImageNet's labels its targets are dense: for every patch, which share
of it shows which pattern, period, hue and shape. It stands for generic features of edges, colours and textures.

Single patches come first, whole pictures after, because the patch embedding learns textures sooner alone: it takes 9
CPU seconds and then 27, and names 36 % of six patterns right on new pictures; 65 seconds of pictures alone gave 31 %
(one run each, on version 0 of the pictures, whose patterns were fainter by a quarter).
"""

import fcntl
import hashlib
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from apc.data import painting, pocket
from apc.escaping import say
from apc.files import cache_folder, sweep, write_encoded
from apc.models import pocket_vit as vit_module
from apc.models.pocket_vit import PATCH, pocket_vit
from apc.runs.status import duration

VERSION = 1
"""Raise it when the pre-training changes in a way the constants below do not show."""
IMAGES, SEED = 1600, 0
STAGES = {
    "patches": {"epochs": 15, "batch": 512, "lr": 4e-3, "weight_decay": 0.02},
    "pictures": {"epochs": 3, "batch": 32, "lr": 3e-3, "weight_decay": 0.02},
}
"""The two stages of the training; all of it is part of the weights' identity."""
ATTRIBUTES = {
    "pattern": len(painting.PATTERNS),
    "period": len(painting.PERIODS),
    "hue": painting.NUM_HUES,
    "shape": len(painting.SHAPES),
}
"""Values of each attribute; one more stands for the background."""


T = TypeVar("T")
PARTS = {"drawing": 0.1, "patches": 0.2, "pictures": 0.7}
"""Parts of the pre-training, as shares of its time (2, 5 and 15 seconds of a quiet core)."""
SOON, TELL = 3.0, 10.0  # seconds until it first says how far it is, and between two such lines


def fingerprint() -> str:
    """Identity of the pre-trained weights, known without training: what pictures, what network, what recipe."""
    key = [VERSION, IMAGES, SEED, STAGES, ATTRIBUTES, pocket.VERSION, vit_module.VERSION]
    return "pocket-" + hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]


def path() -> Path:
    """File that keeps the weights, below APC_CACHE or ~/.cache/apc."""
    return cache_folder() / f"{fingerprint()}.safetensors"


def pretrained_state() -> dict[str, Tensor]:
    """Weights for pocket_vit(): read from the cache folder (APC_CACHE, or ~/.cache/apc), trained first where missing.

    Processes that ask at the same time wait for the first one instead of training the same weights again.
    """
    file = path()
    try:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file.with_suffix(".lock"), "w", encoding="utf-8") as lock:
                with suppress(OSError):  # a file system without locks: two may make the same weights
                    fcntl.flock(lock, fcntl.LOCK_EX)  # the system lets go of it when its holder dies
                if not file.is_file():
                    sweep(file.parent)
                    write_encoded(file, save(pretrain()))
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{file}: cannot be written or read ({error}); set APC_CACHE to another folder") from None


def pretrain() -> dict[str, Tensor]:
    """Train the tiny ViT to name each patch's attributes; the same weights every time on one machine.

    The caller's random state and thread count are as before afterwards.
    """
    started, threads = time.perf_counter(), torch.get_num_threads()
    torch.set_num_threads(1)  # faster than several on so small a network, and free of their order of summation
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            state, loss = _train()
    finally:
        torch.set_num_threads(threads)
    say(f"pre-training took {duration(time.perf_counter() - started)}, last loss {loss:.3f}", error=True)
    return state


class _Course:
    """How far the pre-training is, said now and then; how long it takes is measured while it goes on."""

    def __init__(self) -> None:
        self.began = self.told = time.perf_counter()
        self.before = 0.0  # share of the whole that earlier parts were
        say("pre-training the tiny ViT on random blobs: once, kept for later runs", error=True)

    def over(self, steps: Iterable[T], count: int, part: str) -> Iterator[T]:
        """The `count` steps of one part."""
        for number, step in enumerate(steps):
            yield step
            self._at(self.before + PARTS[part] * (number + 1) / count)
        self.before += PARTS[part]

    def _at(self, share: float) -> None:
        now = time.perf_counter()
        if now - self.told > (TELL if self.told > self.began else SOON):
            self.told = now
            left = (now - self.began) * (1 - share) / share
            say(f"pre-training: {100 * share:.0f} %, about {duration(left)} left", error=True)


def _train() -> tuple[dict[str, Tensor], float]:
    """First the patch embedding alone on single patches, which is cheap and finds textures; then the whole ViT."""
    course = _Course()
    drawn = [draw_blobs(index) for index in course.over(range(IMAGES), IMAGES, "drawing")]
    images = torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2)
    shares = torch.from_numpy(np.stack([share for _, share in drawn]))
    vit = pocket_vit()
    patches = images.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH)).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
    covered = shares[..., 0].flatten() < 0.9
    _fit(vit.patch_embed, patches[covered], shares.flatten(0, 2)[covered][:, None, None], "patches", course)
    loss = _fit(vit, images, shares, "pictures", course)
    return {name: value.detach().contiguous() for name, value in vit.state_dict().items()}, loss


def _fit(encoder: nn.Module, images: Tensor, shares: Tensor, stage: str, course: "_Course") -> float:
    """Teach an encoder, in place, the attributes of each patch; returns the last loss."""
    recipe = STAGES[stage]
    epochs, batch = int(recipe["epochs"]), int(recipe["batch"])
    heads = nn.Linear(64, shares.shape[-1])
    optimizer = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], weight_decay=recipe["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe["lr"], total_steps=epochs * (len(images) // batch), pct_start=0.1, cycle_momentum=False
    )
    loss = torch.zeros(())
    drawn = (torch.randperm(len(images)).split(batch)[: len(images) // batch] for _ in range(epochs))
    for chosen in course.over(itertools.chain.from_iterable(drawn), epochs * (len(images) // batch), stage):
        x, y = images[chosen].float() / 127.5 - 1, shares[chosen]
        for axis in (2, 3):  # the whole batch is mirrored: attributes stay what they are
            if torch.rand(()) < 0.5:
                x, y = x.flip(axis), y.flip(axis - 1)
        loss = attribute_loss(heads(encoder(x)).view_as(y), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return loss.item()


def attribute_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy between predicted and true shares of a patch, summed over the attributes: (B,h,w,A) -> ()."""
    sizes = [count + 1 for count in ATTRIBUTES.values()]
    pairs = zip(logits.split(sizes, dim=-1), shares.split(sizes, dim=-1), strict=True)
    return torch.stack([-(y * z.log_softmax(-1)).sum(-1).mean() for z, y in pairs]).sum()


def draw_blobs(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of 4 to 7 random blobs (96,96,3) and each patch's shares of every attribute value (12,12,A)."""
    rng = np.random.default_rng([2**32 - 1, index])  # no data_seed is this large: the data's own streams are others
    image = painting.background(rng)
    maps = {name: np.zeros(image.shape[:2], np.uint8) for name in ATTRIBUTES}  # 0 is the background
    for _ in range(rng.integers(4, 8)):
        value = {name: int(rng.integers(count)) for name, count in ATTRIBUTES.items()}
        hue, pattern = value["hue"] / painting.NUM_HUES, painting.PATTERNS[value["pattern"]]
        other = int(rng.integers(painting.NUM_HUES))
        two_tone = rng.random() < 0.4
        tones = painting.striking(rng, hue, other / painting.NUM_HUES) if two_tone else painting.dull(rng, hue)
        size = float(rng.uniform(5, 9) if two_tone else rng.uniform(7, 20))
        figure = painting.Figure(
            rng.uniform(4, painting.SIDE - 4, size=2),
            size,
            rng.normal(0, 0.4) + np.pi * rng.integers(2),
            painting.SHAPES[value["shape"]],
            pattern,
            painting.PERIODS[value["period"]],
            tones,
        )
        window, alpha = painting.paint(image, figure)
        for name, chosen in value.items():
            maps[name][window][alpha > 0.5] = chosen + 1
        if two_tone:  # every second pixel of its square counts for the other hue
            share = maps["hue"][window]
            share[::2][alpha[::2] > 0.5] = other + 1
    shares = [_shares(maps[name], count + 1) for name, count in ATTRIBUTES.items()]
    return painting.develop(rng, image), np.concatenate(shares, axis=-1)


def _shares(values: np.ndarray, count: int) -> np.ndarray:
    """Share of each patch's pixels that hold each value: (96,96) -> (12,12,count)."""
    side = values.shape[0] // PATCH
    patches = values.reshape(side, PATCH, side, PATCH).transpose(0, 2, 1, 3).reshape(side, side, -1)
    return np.stack([(patches == value).mean(-1) for value in range(count)], axis=-1).astype(np.float32)
