"""From photographs to label maps, under several protocols in one pass: a photograph is shown to the network once for
each size and flip that any of them needs, and a CRF that two of them share runs once.

Shapes: C classes, H,W a photograph's own pixels.
"""

import functools
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from apc.evaluation.forward import Branches, Network, Passes, Read, Sizes, showings
from apc.evaluation.scoring import LabelMap
from apc.methods.pixel_labels import AT_ONCE, Contested, among, contested, uses_merge, winner
from apc.models.build import images_at_once
from apc.models.crf import CRF, Contest, CRFParameters, CRFPool, Refined
from apc.runs.protocols import RUNS_OWN, Protocol


class CRFTask(NamedTuple):
    """A CRF that a protocol wants of a photograph."""

    protocol: Protocol
    contested: Contested
    key: tuple[Passes, str, bool, bytes, int]
    """Equal for protocols that share a CRF."""


class _Waiting(NamedTuple):
    """CRFs of photograph `i` under way, all with the same parameters."""

    i: int
    done: "Future[list[Refined]]"
    tasks: list[tuple[CRFTask, int]]
    """Who wants them, and which of the results is theirs."""


@torch.no_grad()
def label_maps(
    network: Network,
    protocols: Sequence[Protocol],
    photographs: Iterable[tuple[int, tuple[int, ...]]],
    of: Callable[[int], Collection[Protocol]] | None = None,
) -> Generator[LabelMap]:
    """Label maps of `photographs`, numbers in the network's split with the sizes (H,W) that their maps shall have;
    `of` tells by number which of the protocols one is wanted under, where that is not all.

    With `crf_workers` processes the network goes on while they work, up to four CRFs ahead for each; so the maps come
    in no fixed order, but they are the same. Close the iterator, or use it up: it holds processes.
    """
    split, workers = network.split, network.scoring.crf_workers
    encoder = network.method.encoder
    passes = {p: showings(p, network.cfg, encoder.patch, encoder.least) for p in protocols}
    wanted = list(dict.fromkeys(passes.values()))
    shown = [showing for each in wanted for showing in each.showings]
    group = images_at_once(max(shown).side)
    # Of what is shown more than once, sums at the photographs' own sizes are kept, which are large.
    pixels = AT_ONCE // len(split.classes) if len(shown) > 1 else None
    read = functools.lru_cache(maxsize=group)(split.photo)
    branches = {p.branch for p in protocols if p.combine == "mean"}
    with CRFPool(workers) as pool:
        waiting: deque[_Waiting] = deque()
        for sizes in grouped(photographs, group, pixels):
            tasks: dict[int, list[CRFTask]] = {i: [] for i in sizes}
            asked = {i: [p for p in protocols if not of or p in of(i)] for i in sizes}
            missing = {i: {passes[p] for p in own} for i, own in asked.items()}
            together = [each for each in wanted if any(each in own for own in missing.values())]
            for i, passed, combined in network.combined(together, sizes, branches, read):
                if passed not in missing[i]:
                    continue
                mine = [p for p in asked[i] if passes[p] == passed]
                for p, labels in labelled(network, combined, i, passed, mine):
                    if isinstance(labels, CRFTask):
                        tasks[i].append(labels)
                    else:
                        yield LabelMap(i, p, labels)
                missing[i].remove(passed)
                if not missing[i]:  # all CRFs of a photograph together, since they share the most of their work
                    waiting += _submitted(i, tasks.pop(i), network, read, pool)
                while waiting and (len(waiting) > 4 * workers or waiting[0].done.done()):
                    yield from _finished(waiting.popleft(), network)
        while waiting:
            yield from _finished(waiting.popleft(), network)


def grouped(photographs: Iterable[tuple[int, tuple[int, ...]]], most: int, pixels: int | None) -> Iterator[Sizes]:
    """Photographs that go through the network together, with their sizes: at most `most`, with at most `pixels` pixels
    together where that is given."""
    sizes: Sizes = {}
    for i, size in photographs:
        if sizes and (len(sizes) == most or (pixels and sum(h * w for h, w in (size, *sizes.values())) > pixels)):
            yield sizes
            sizes = {}
        sizes[i] = size
    if sizes:
        yield sizes


def labelled(
    network: Network, branches: Branches, i: int, passes: Passes, protocols: Sequence[Protocol]
) -> Iterator[tuple[Protocol, "np.ndarray | CRFTask"]]:
    """By protocol, the labels (H,W) uint8 of photograph `i`, or the CRF that will make them, from probabilities
    (C,H,W) of its branches."""

    @functools.cache
    def won(branch: str, image_labels: bool) -> tuple[Tensor, Tensor]:
        p = branches[branch]
        if image_labels:
            p = among(p, network.split.labels[i], uses_merge(network.method, branch))
        return p, winner(p, p.shape[-2:]).labels

    for p in protocols:
        probabilities, labels = won(p.branch, p.image_labels)
        if not p.crf:
            yield p, labels.cpu().numpy().astype(np.uint8)
            continue
        crf = contested(probabilities, labels, _parameters(p.crf, network))
        # Image labels that rule out no class of a CRF leave it as it was; merging them changes probabilities too.
        merged = p.image_labels and uses_merge(network.method, p.branch)
        yield p, CRFTask(p, crf, (passes, p.branch, merged, crf.classes.tobytes(), crf.contest.others))


def _parameters(crf: str, network: Network) -> CRFParameters:
    return CRF[network.cfg.crf if crf == RUNS_OWN else crf]


def _submitted(i: int, tasks: list[CRFTask], network: Network, read: Read, pool: CRFPool) -> Iterator[_Waiting]:
    """Each CRF once, those with the same parameters together."""
    for name in dict.fromkeys(task.protocol.crf for task in tasks):
        mine = [task for task in tasks if task.protocol.crf == name]
        once: dict[tuple[Passes, str, bool, bytes, int], Contest] = {}
        for task in mine:
            once.setdefault(task.key, task.contested.contest)
        done = pool.submit(read(i), list(once.values()), _parameters(name, network))
        yield _Waiting(i, done, [(task, list(once).index(task.key)) for task in mine])


def _finished(waiting: _Waiting, network: Network) -> Iterator[LabelMap]:
    refined = waiting.done.result()
    for task, number in waiting.tasks:
        network.scoring.cost.crf_seconds.setdefault(task.protocol, []).append(refined[number].seconds)
        yield LabelMap(waiting.i, task.protocol, task.contested.classes[refined[number].labels])
