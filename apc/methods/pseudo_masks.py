"""Pseudo masks of all training images at once, which a later stage of a run learns from: their winners, the dense CRF
in processes, and what the loss is shown of them. No mask of the data set is opened.

Shapes: C classes (background is class 0), B images, h,w the map a network gives, S side of square training images.
"""

import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from apc.data import Split
from apc.devices import processes
from apc.methods.base import Method, Workplace
from apc.methods.pixel_labels import Contested, at_size, contested, winner
from apc.models.crf import UNKNOWN, CRFParameters, CRFPool, Refined
from apc.parallel import cores

FEW = 32
"""Masks that are sooner refined by this process than another one starts."""


class Mask(NamedTuple):
    """The pseudo mask of an image."""

    number: int
    """The image's number in the split."""
    labels: np.ndarray
    """Classes of its pixels, (S,S) uint8, 255 unknown."""


class Making(NamedTuple):
    """How pseudo masks are made."""

    split: Split
    probabilities: Callable[[list[int]], Iterable[Tensor]]
    """Of each of some images, by their numbers, (C,h,w); classes that the image labels rule out have 0."""
    side: int
    crf: CRFParameters | None
    """None refines no further."""
    least: float = 0.0
    """Probability of the best class below which a pixel is unknown."""

    @torch.no_grad()
    def masks(self, groups: list[list[int]], at: Workplace) -> Generator[Mask, None, None]:
        """Masks of the images of all groups, in their order. The network is shown a group at once, while CRFs of groups
        before are under way."""
        size = (self.side, self.side)
        waiting: deque[tuple[int, Contested, Future[list[Refined]]]] = deque()

        def finished() -> Mask:
            number, crf, done = waiting.popleft()
            refined = done.result()[0]
            at.elsewhere += refined.seconds if workers else 0.0
            return Mask(number, crf.named(refined.labels))

        # as many processes as this one has threads: in a search, others train on the other cores
        helpers = min(cores() // processes()[1], torch.get_num_threads(), sum(map(len, groups)) // FEW)
        workers = helpers if self.crf and helpers > 1 else 0
        with CRFPool(workers) as pool:
            for numbers in groups:
                for number, p in zip(numbers, self.probabilities(numbers), strict=True):
                    p = at_size(p, size)
                    best = winner(p, size)
                    if self.crf is None:
                        labels = best.labels.masked_fill(best.probability < self.least, UNKNOWN)
                        yield Mask(number, labels.cpu().numpy().astype(np.uint8))
                        continue
                    crf = contested(p, best.labels, self.crf, self.least)
                    photo = self.split.images[number].permute(1, 2, 0).numpy()
                    waiting.append((number, crf, pool.submit(photo, [crf.contest], self.crf)))
                    if len(waiting) > 4 * workers:
                        yield finished()
            while waiting:
                yield finished()


@contextmanager
def evaluating(method: Method) -> Iterator[None]:
    """The method as it predicts; afterwards as it was."""
    training = method.training
    method.eval()
    try:
        yield
    finally:
        method.train(training)


def gathered(mine: dict[int, bytes]) -> list[bytes]:
    """The packed masks of all images in their order, from those that each process has made."""
    shares: list[dict[int, bytes]] = [mine]
    if (world := processes()[1]) > 1:
        shares = [{}] * world
        dist.all_gather_object(shares, mine)
    every = {number: mask for share in shares for number, mask in share.items()}
    return [every[number] for number in range(len(every))]


def packed(labels: np.ndarray) -> bytes:
    """A mask (S,S) uint8 in little memory."""
    return zlib.compress(labels.tobytes(), 1)


def shown(masks: Sequence[bytes], index: Tensor, side: int, boxes: Tensor | None = None) -> Tensor:
    """What the loss is shown of packed masks for a batch's `index` (B,3): cropped to its `boxes` (B,4) and resized to
    the whole, where it has some, and flipped, as its images are: (B,S,S) uint8."""
    turned = []
    for at, (number, leftright, upsidedown) in enumerate(index.tolist()):
        mask = np.frombuffer(zlib.decompress(masks[number]), np.uint8).reshape(side, side)
        if boxes is not None:
            top, left, height, width = boxes[at].tolist()
            rows, columns = ((2 * np.arange(side) + 1) * length // (2 * side) for length in (height, width))
            mask = mask[top + rows][:, left + columns]
        turned.append(mask[:: -1 if upsidedown else 1, :: -1 if leftright else 1])
    return torch.from_numpy(np.stack(turned))
