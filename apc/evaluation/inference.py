"""From photographs to label maps, under several protocols in one pass: a photograph is shown to the network once for
each size and flip that any of them needs, and a CRF that two of them share runs once.

Shapes: B images, C classes, h,w what the network is shown, H,W a photograph's own pixels.
"""

import functools
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from apc.config import Config
from apc.data import Split
from apc.data.transforms import as_floats, resize, stack
from apc.methods.base import Method
from apc.methods.pseudo_labels import merge, with_background
from apc.models.build import BATCH_PIXELS
from apc.models.crf import CRF, CRFPool, Refined
from apc.models.feature_cache import VAL, FrozenFeatures
from apc.runs.scores import RUNS_OWN, Protocol

KEPT = 2**26
"""Probabilities kept at once between several passes, a quarter of a GiB: six photographs of 500 pixels for VOC."""


class Showing(NamedTuple):
    """One forward pass over a photograph."""

    side: int
    keep_aspect: bool
    flipped: bool


Passes = tuple[Showing, ...]
Branches = dict[str, Tensor]  # probabilities by the name of the branch


class LabelMap(NamedTuple):
    """Labels (H,W) uint8 of photograph `i` under a protocol."""

    i: int
    protocol: Protocol
    labels: np.ndarray


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


def showings(protocol: Protocol, cfg: Config, patch: int) -> list[Showing]:
    """Forward passes over which a protocol averages; ValueError where the network cannot read its size."""
    size, keep = protocol.size or cfg.scored_size, protocol.keep_aspect
    if not patch <= size <= 4096 or (size % patch and not keep):
        raise ValueError(f"sizes has {size}; sizes are multiples of the encoder's patch, {patch}, up to 4096")
    if not protocol.scales:
        return [Showing(size, keep, False)]
    sides = [_rounded(scale * size, patch) for scale in protocol.scales]
    return [Showing(side, keep, flipped) for side in sides for flipped in (False, True)]


def _rounded(side: float, patch: int) -> int:
    return max(int(side / patch + 0.5), 1) * patch


@torch.no_grad()
def label_maps(
    method: Method,
    split: Split,
    cfg: Config,
    protocols: Sequence[Protocol],
    *,
    device: str = "cpu",
    wanted: Callable[[int], tuple[int, ...] | None],
    indices: Sequence[int],
    frozen_features: FrozenFeatures | None = None,
    crf_workers: int = 0,
    cost: Cost | None = None,
) -> Generator[LabelMap]:
    """Label maps of the photographs `indices` at the size (H,W) that `wanted(i)` gives; None leaves one out.

    With `crf_workers` processes the network goes on while they work, up to four CRFs ahead for each; so the maps come
    in no fixed order, but they are the same. Close the iterator, or use it up: it holds processes.
    """
    cost = cost or Cost()
    plan = {p: tuple(showings(p, cfg, method.encoder.patch)) for p in protocols}
    means = dict.fromkeys(plan.values())
    showing = [showing for passes in means for showing in passes]
    group = min(max(BATCH_PIXELS // max(showing).side ** 2, 1), 16)
    # Of what is shown more than once, sums at the photographs' own sizes are kept, which are large.
    most = KEPT // len(split.classes) if len(showing) > 1 else None
    read = functools.lru_cache(maxsize=group)(split.photo)
    needed = {p.branch for p in protocols}
    with CRFPool(crf_workers) as pool:
        waiting: deque[_Waiting] = deque()
        for sizes in _together(indices, wanted, group, most):
            shown = functools.partial(
                _forward, method, split, cfg, list(sizes), read, device, frozen_features, cost, needed
            )
            crfs: dict[int, list[_CRF]] = {i: [] for i in sizes}
            left = dict.fromkeys(sizes, len(means))
            for i, passes, mean in _averaged(list(means), shown, sizes, needed):
                mine = [p for p in plan if plan[p] == passes]
                for p, found in _labelled(mean, split.labels[i], passes, mine, method.merges):
                    if isinstance(found, _CRF):
                        crfs[i].append(found)
                    else:
                        yield LabelMap(i, p, found)
                left[i] -= 1
                if not left[i]:  # all CRFs of a photograph together, since they share the most of their work
                    waiting += _submitted(i, crfs.pop(i), cfg, read, pool)
                while waiting and (len(waiting) > 4 * crf_workers or waiting[0].done.done()):
                    yield from _finished(waiting.popleft(), cost)
        while waiting:
            yield from _finished(waiting.popleft(), cost)


def _together(
    indices: Sequence[int], wanted: Callable[[int], tuple[int, ...] | None], group: int, most: int | None
) -> Iterator[dict[int, tuple[int, ...]]]:
    """Photographs that go through the network together, with their sizes: at most `group`, and `most` pixels if any."""
    sizes: dict[int, tuple[int, ...]] = {}
    for i in indices:
        if size := wanted(i):
            pixels = sum(h * w for h, w in (size, *sizes.values()))
            if sizes and (len(sizes) == group or (most and pixels > most)):
                yield sizes
                sizes = {}
            sizes[i] = size
    if sizes:
        yield sizes


def _averaged(
    means: list[Passes],
    shown: Callable[[Showing], Iterator[tuple[int, Branches]]],
    sizes: dict[int, tuple[int, ...]],
    needed: set[str],
) -> Iterator[tuple[int, Passes, Branches]]:
    """Mean probabilities (C,H,W) of each photograph over each of `means`, as soon as it is complete."""
    sums: dict[tuple[int, Passes], tuple[int, Branches]] = {}
    for showing in dict.fromkeys(showing for passes in means for showing in passes):
        for i, branches in shown(showing):
            own = {b: _resize(p, sizes[i], showing.flipped) for b, p in branches.items() if b in needed}
            for passes in means:
                if times := passes.count(showing):  # two scales may round to one side, which then counts twice
                    count, before = sums.pop((i, passes), (0, {}))
                    total = {b: before[b] + times * p if count else times * p for b, p in own.items()}
                    if count + times == len(passes):
                        yield i, passes, {b: p / len(passes) for b, p in total.items()}
                    else:
                        sums[i, passes] = count + times, total


def _forward(
    method: Method,
    split: Split,
    cfg: Config,
    indices: list[int],
    read: Callable[[int], np.ndarray],
    device: str,
    frozen_features: FrozenFeatures | None,
    cost: Cost,
    wanted: Collection[str],
    showing: Showing,
) -> Iterator[tuple[int, Branches]]:
    """Probabilities (C,h,w) of each photograph by branch; those of one shape go through the network together."""
    batches: list[tuple[list[int], Tensor]] = []
    runs_own = showing == Showing(cfg.scored_size, False, False)
    if runs_own and indices:
        batches = [(indices, split.images[indices])]
    elif indices:
        made = {i: _shown(read(i), showing, method.encoder.patch) for i in indices}
        for shape in dict.fromkeys(image.shape for image in made.values()):
            same = [i for i, image in made.items() if image.shape == shape]
            batches.append((same, stack([made[i] for i in same])))
    gpu = device.startswith("cuda")
    for same, images in batches:
        if gpu:
            torch.cuda.reset_peak_memory_stats(device)
        start = time.perf_counter()
        images = as_floats(images, device)
        kept = frozen_features(images, [(VAL, i) for i in same]) if frozen_features and runs_own else None
        with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=cfg.amp == "bf16"):
            branches = method.predict(images, kept, wanted)
        if gpu:
            torch.cuda.synchronize(device)
            peak = torch.cuda.max_memory_allocated(device) / 2**30
            cost.peak_gib[showing] = max(cost.peak_gib.get(showing, 0.0), peak)
        cost.seconds[showing] = cost.seconds.get(showing, 0.0) + time.perf_counter() - start
        cost.images[showing] = cost.images.get(showing, 0) + len(same)
        for n, i in enumerate(same):
            yield i, {branch: probabilities[n] for branch, probabilities in branches.items()}


def _shown(photo: np.ndarray, showing: Showing, patch: int) -> Tensor:
    """A photograph (H,W,3) uint8 as the network is shown it, (3,h,w) uint8."""
    height, width = photo.shape[:2]
    h, w = showing.side, showing.side
    if showing.keep_aspect:
        h, w = (_rounded(showing.side * n / max(height, width), patch) for n in (height, width))
    image = resize(photo, h, w)
    return image.flip(-1) if showing.flipped else image


def _resize(probabilities: Tensor, size: tuple[int, ...], flipped: bool) -> Tensor:
    """Probabilities (C,h,w) -> (C,H,W) float32, flipped back."""
    p = probabilities.flip(-1) if flipped else probabilities
    return F.interpolate(p[None].float(), size=size, mode="bilinear", align_corners=False)[0]


class _CRF(NamedTuple):
    """A CRF that a protocol wants of a photograph."""

    protocol: Protocol
    winners: np.ndarray
    """Numbers of the classes that win a pixel, k of them, uint8."""
    probabilities: np.ndarray
    """Theirs, (k,H,W) float32."""
    key: tuple[Passes, str, bool, bytes]
    """Equal for protocols that share a CRF."""


class _Waiting(NamedTuple):
    """CRFs under way."""

    i: int
    done: "Future[list[Refined]]"
    numbers: list[tuple[_CRF, int]]
    """The CRFs' users, and which of the results is theirs."""


def _labelled(
    branches: Branches, image_labels: Tensor, passes: Passes, protocols: Sequence[Protocol], merges: bool
) -> Iterator[tuple[Protocol, "np.ndarray | _CRF"]]:
    """By protocol, the labels (H,W) uint8 of a photograph, or the CRF that will make them."""

    @functools.cache
    def won(branch: str, labelled: bool) -> tuple[Tensor, Tensor]:
        p = branches[branch]
        if labelled:
            present = with_background(image_labels[None]).to(p)
            p = merge(p[None], present)[0] if merges and branch == "patch" else p * present[0, :, None, None]
            p = p / p.sum(0).clip(1e-8)
        return p, p.max(0).indices  # the first of equals, and four times faster than argmax

    for p in protocols:
        probabilities, labels = won(p.branch, p.image_labels)
        if not p.crf:
            yield p, labels.cpu().numpy().astype(np.uint8)
            continue
        winners = labels.unique()
        numbers = winners.cpu().numpy().astype(np.uint8)
        # Image labels that rule out no winning class leave the CRF, which sees the winners alone, as it was; merging
        # them changes the winners' probabilities too.
        merged = merges and p.branch == "patch" and p.image_labels
        key = (passes, p.branch, merged, numbers.tobytes())
        yield p, _CRF(p, numbers, probabilities[winners].cpu().numpy(), key)


def _submitted(
    i: int, crfs: list[_CRF], cfg: Config, read: Callable[[int], np.ndarray], pool: CRFPool
) -> Iterator[_Waiting]:
    """Each CRF once, those with the same parameters together."""
    for name in dict.fromkeys(crf.protocol.crf for crf in crfs):
        mine = [crf for crf in crfs if crf.protocol.crf == name]
        once: dict[tuple[Passes, str, bool, bytes], np.ndarray] = {}
        for crf in mine:
            once.setdefault(crf.key, crf.probabilities)
        done = pool.submit(read(i), list(once.values()), CRF[cfg.crf if name == RUNS_OWN else name])
        yield _Waiting(i, done, [(crf, list(once).index(crf.key)) for crf in mine])


def _finished(waiting: _Waiting, cost: Cost) -> Iterator[LabelMap]:
    made = waiting.done.result()
    for crf, number in waiting.numbers:
        cost.crf_seconds.setdefault(crf.protocol, []).append(made[number].seconds)
        yield LabelMap(waiting.i, crf.protocol, crf.winners[made[number].labels])
