"""Dense CRF after the network (pydensecrf), on the classes that matter only, and on as many cores as there are.

Imports neither torch nor, before the first CRF, pydensecrf, so that its worker processes start in a blink.

Shapes: H,W pixels, C classes.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

Made = TypeVar("Made")


class CRFParameters(NamedTuple):
    """Mean-field steps; weight and spread (pixels) of the Gaussian kernel; weight, spread in pixels and in grey levels
    of the bilateral kernel; and how sure a winning class is, where labels and not probabilities go in."""

    steps: int
    pos_w: float
    pos_xy: float
    bi_w: float
    bi_xy: float
    bi_rgb: float
    label_probability: float = 0.0
    """0 takes the probabilities; IRN's 0.7 gives a pixel's winner 0.7 and shares the rest out."""


CRF = {  # method-spec 0.8; `pocket` is for 96-pixel images (pocket-recipe, section 3)
    "vit_pcm": CRFParameters(10, 3, 1, 4, 67, 3),
    "afa": CRFParameters(10, 3, 3, 4, 64, 5),
    "toco": CRFParameters(10, 1, 1, 4, 121, 5),
    "toco_cam": CRFParameters(10, 3, 3, 4, 36, 3),
    "irn": CRFParameters(10, 3, 3, 10, 50, 5, 0.7),
    "deeplab": CRFParameters(10, 3, 3, 10, 80, 13),
    "pocket": CRFParameters(5, 3, 1.5, 5, 20, 8),
}


UNSURE = 0.05
"""Share of all probability from which on classes that win no pixel take part in a CRF too."""


UNKNOWN = 255
"""Label of a pixel that is too unsure to have one."""


class Contest(NamedTuple):
    """What a CRF decides on."""

    probabilities: np.ndarray
    """Of the classes that take part, (k,H,W) float32; they need not sum to 1."""
    others: int = 0
    """How many further classes share, alike, what a winner leaves under a rule of labels (IRN's)."""
    least: float = 0.0
    """Refined probability of the best class below which a pixel is UNKNOWN."""


class Contenders(NamedTuple):
    """Which classes take part in a CRF."""

    classes: np.ndarray
    """Their numbers, (k,) int64."""
    others: int
    """As in Contest."""


def contenders(shares: np.ndarray, winners: np.ndarray, p: CRFParameters) -> Contenders:
    """Who takes part where classes have these `shares` (C,) of all probability and `winners` (k,) win a pixel.

    Classes that win no pixel before the CRF hardly ever win one after it, and time grows with their number. They are
    left out where they hold at most UNSURE of all probability together, which moves no label in 2,000 (measured in
    docs/reference/methods.md); where they hold more, they weaken what neighbours say to each other, and all take part.
    Under a rule of labels they are all alike, and one slot stands for them, exactly.
    """
    losers = np.setdiff1d(np.flatnonzero(shares > 0), winners)
    if p.label_probability:
        return Contenders(winners, len(losers))
    unsure = shares[losers].sum() > UNSURE * shares.sum()
    return Contenders(np.sort(np.concatenate([winners, losers])) if unsure else winners, 0)


def dense_crf(image: np.ndarray, probabilities: np.ndarray, p: CRFParameters, others: int = 0) -> np.ndarray:
    """Refined probabilities: image (H,W,3) uint8, probabilities (C,H,W) -> (C,H,W) float32. For `others`, see
    Contest."""
    return _inferred(_kernels(image, len(probabilities), p, others), probabilities, p, others=others)


def crf_labels(image: np.ndarray, probabilities: np.ndarray, p: CRFParameters) -> np.ndarray:
    """Labels after the CRF among its `contenders`: image (H,W,3) uint8, probabilities (C,H,W) -> (H,W) numbers."""
    return crf_labels_of_all(image, [probabilities], p)[0]


def crf_labels_of_all(image: np.ndarray, many: Sequence[np.ndarray], p: CRFParameters) -> list[np.ndarray]:
    """`crf_labels` of several predictions (C,H,W) of one image."""
    chosen = []
    for probabilities in many:
        best = probabilities.max(0)
        winners = np.array([c for c, of_class in enumerate(probabilities) if (of_class == best).any()])
        chosen.append(contenders(probabilities.mean((1, 2)), winners, p))
    contests = [Contest(each[c.classes], c.others) for each, c in zip(many, chosen, strict=True)]
    return [c.classes[labels] for c, labels in zip(chosen, decided(image, contests, p), strict=True)]


def decided(image: np.ndarray, contests: Sequence[Contest], p: CRFParameters) -> list[np.ndarray]:
    """The winner (H,W) of each pixel after the CRF, numbered as the contest's own classes are, or UNKNOWN. The kernels
    of an image, half of a CRF's time, are built once.

    pydensecrf works on four classes at a time, so kernels for four serve two, three and four classes alike: the slots
    that are left over get an energy at which their probability is exactly 0.
    """
    kernels: dict[tuple[int, int, int], Any] = {}
    labels_of_all = []
    for probabilities, others, least in contests:
        count = len(probabilities)
        labels, refined = np.zeros(image.shape[:2], dtype=np.int64), probabilities  # one class alone stays as it is
        if count > 1:
            slots = -(-(count + bool(others)) // 4) * 4
            key = (slots, count, others) if others else (slots, 0, 0)
            if key not in kernels:
                kernels[key] = _kernels(image, slots, p, others, count)
            shares = probabilities / probabilities.sum(0).clip(1e-8)
            refined = _inferred(kernels[key], shares, p, slots, others)
            labels = refined.argmax(0)
        if least:
            labels[refined.max(0) < least] = UNKNOWN
        labels_of_all.append(labels)
    return labels_of_all


def _kernels(image: np.ndarray, slots: int, p: CRFParameters, others: int = 0, count: int = 0) -> Any:
    """A CRF of `slots` classes over an image, without its unary energy. The slot behind `count` stands for `others`.

    Of m classes that are alike everywhere each has 1/m of their sum, and neighbours tell each of its own probability
    alone. So one slot with m times the probability, which hears a message of 1/m times the weight, is all of them.
    """
    import pydensecrf.densecrf as dcrf

    count = count or slots
    slots = max(slots, count + bool(others))
    model = dcrf.DenseCRF2D(image.shape[1], image.shape[0], slots)
    heard = np.ones(slots, np.float32)
    heard[count : count + 1] = 1 / max(others, 1)
    pos_w, bi_w = (-w * heard if others > 1 else w for w in (p.pos_w, p.bi_w))  # pydensecrf turns a number's sign
    model.addPairwiseGaussian(sxy=p.pos_xy, compat=pos_w)
    model.addPairwiseBilateral(sxy=p.bi_xy, srgb=p.bi_rgb, rgbim=np.array(image, order="C"), compat=bi_w)
    return model


def _inferred(model: Any, probabilities: np.ndarray, p: CRFParameters, slots: int = 0, others: int = 0) -> np.ndarray:
    c, h, w = probabilities.shape
    if p.label_probability:
        won = probabilities.argmax(0) == np.arange(c)[:, None, None]
        left = (1 - p.label_probability) / max(c + others - 1, 1)
        probabilities = np.where(won, p.label_probability, left)
        if others:
            probabilities = np.concatenate([probabilities, np.full((1, h, w), left * others)])
    unary = np.full((max(slots, len(probabilities)), h * w), 1000, np.float32)
    clipped = np.clip(probabilities, 1e-5, 1.0)
    unary[: len(probabilities)] = -np.log(clipped, dtype=np.float32).reshape(len(probabilities), -1)
    model.setUnaryEnergy(unary)
    return np.asarray(model.inference(p.steps), dtype=np.float32).reshape(-1, h, w)[:c]


class Refined(NamedTuple):
    """Labels of one CRF, and the seconds of one core it took."""

    labels: np.ndarray
    """(H,W) uint8."""
    seconds: float


def refine(image: np.ndarray, contests: Sequence[Contest], p: CRFParameters) -> list[Refined]:
    """`decided` with the time of each, what they share divided evenly."""
    start = time.thread_time()
    labels_of_all = decided(image, contests, p)
    seconds = (time.thread_time() - start) / len(labels_of_all)
    return [Refined(labels.astype(np.uint8), seconds) for labels in labels_of_all]


class CRFPool:
    """CRFs in `workers` processes, or at once and in this process where that is 0.

    Processes and not threads: pydensecrf holds Python's lock while it works. They start at the first CRF, without a
    copy of this process (torch and CUDA do not survive a fork); a script that uses them therefore needs
    `if __name__ == "__main__":`. They leave Ctrl-C to this process and end with it, however it ends.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._executor:
            if kind:  # CRFs under way are not waited for
                while self._leash.poll():
                    with suppress(ProcessLookupError):
                        os.kill(self._leash.recv(), signal.SIGTERM)
                self._leash.close()
            self._executor.shutdown(cancel_futures=True)
            self._leash.close()
            self._held.close()

    def submit(self, image: np.ndarray, contests: Sequence[Contest], p: CRFParameters) -> "Future[list[Refined]]":
        """Have `refine` done: its result, or the error it ended with, is the future's."""
        alone = all(len(contest.probabilities) == 1 for contest in contests)
        return self.call(refine, image, contests, p, here=alone)  # one class needs no CRF

    def call(self, function: Callable[..., Made], *given: object, here: bool = False) -> "Future[Made]":
        """Have a function of this module done in a process, or at once where there is none or `here` is asked for."""
        if here or not self.workers:
            done: Future[Made] = Future()
            done.set_result(function(*given))
            return done
        if not self._executor:
            context = get_context("spawn")
            self._held, self._leash = context.Pipe()
            self._executor = ProcessPoolExecutor(self.workers, context, _tether, (self._held,))
        return self._executor.submit(function, *given)


def _tether(held: Connection) -> None:
    """Tell the parent who works here, and end when it lets go of the other end of the leash or is dead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    held.send(os.getpid())
    threading.Thread(target=_end_with, args=(held,), daemon=True).start()


def _end_with(held: Connection) -> None:
    try:
        held.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
