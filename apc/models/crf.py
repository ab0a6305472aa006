"""Dense CRF after the network (pydensecrf), on the classes that win a pixel only, and on as many cores as there are.

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


def dense_crf(image: np.ndarray, probabilities: np.ndarray, p: CRFParameters) -> np.ndarray:
    """Refined probabilities: image (H,W,3) uint8, probabilities (C,H,W) -> (C,H,W) float32."""
    return _inferred(_kernels(image, len(probabilities), p), probabilities, p)


def crf_labels(image: np.ndarray, probabilities: np.ndarray, p: CRFParameters) -> np.ndarray:
    """Labels after the CRF: image (H,W,3) uint8, probabilities (C,H,W) -> (H,W) class numbers.

    Classes that win no pixel before the CRF hardly ever win one after it, and time grows with their number; they are
    left out (benchmarks/crf.py says how many labels stay equal and how much time that saves).
    """
    return crf_labels_of_all(image, [probabilities], p)[0]


def crf_labels_of_all(image: np.ndarray, many: Sequence[np.ndarray], p: CRFParameters) -> list[np.ndarray]:
    """`crf_labels` of several predictions (C,H,W) of one image: its kernels, half of a CRF's time, are built once.

    pydensecrf works on four classes at a time, so kernels for four serve two, three and four winners alike: the slots
    that are left over get an energy at which their probability is exactly 0.
    """
    kernels: dict[int, Any] = {}
    labels_of_all = []
    for probabilities in many:
        best = probabilities.max(0)
        winners = np.array([c for c, of_class in enumerate(probabilities) if (of_class == best).any()])
        labels = np.full(image.shape[:2], winners[0], dtype=np.int64)
        if len(winners) > 1:
            winning, slots = probabilities[winners], -(-len(winners) // 4) * 4
            if slots not in kernels:
                kernels[slots] = _kernels(image, slots, p)
            labels = winners[_inferred(kernels[slots], winning / winning.sum(0).clip(1e-8), p, slots).argmax(0)]
        labels_of_all.append(labels)
    return labels_of_all


def _kernels(image: np.ndarray, slots: int, p: CRFParameters) -> Any:
    """A CRF of `slots` classes over an image, without its unary energy."""
    import pydensecrf.densecrf as dcrf

    model = dcrf.DenseCRF2D(image.shape[1], image.shape[0], slots)
    model.addPairwiseGaussian(sxy=p.pos_xy, compat=p.pos_w)
    model.addPairwiseBilateral(sxy=p.bi_xy, srgb=p.bi_rgb, rgbim=np.array(image, order="C"), compat=p.bi_w)
    return model


def _inferred(model: Any, probabilities: np.ndarray, p: CRFParameters, slots: int = 0) -> np.ndarray:
    c, h, w = probabilities.shape
    if p.label_probability:
        won = probabilities.argmax(0) == np.arange(c)[:, None, None]
        probabilities = np.where(won, p.label_probability, (1 - p.label_probability) / max(c - 1, 1))
    unary = np.full((slots or c, h * w), 1000, np.float32)
    unary[:c] = -np.log(np.clip(probabilities, 1e-5, 1.0), dtype=np.float32).reshape(c, -1)
    model.setUnaryEnergy(unary)
    return np.asarray(model.inference(p.steps), dtype=np.float32).reshape(-1, h, w)[:c]


class Refined(NamedTuple):
    """Labels of one CRF, and the seconds of one core it took."""

    labels: np.ndarray
    """(H,W) uint8."""
    seconds: float


def refine(image: np.ndarray, many: Sequence[np.ndarray], p: CRFParameters) -> list[Refined]:
    """`crf_labels_of_all` with the time of each, what they share divided evenly."""
    start = time.thread_time()
    labels_of_all = crf_labels_of_all(image, many, p)
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

    def submit(self, image: np.ndarray, many: Sequence[np.ndarray], p: CRFParameters) -> "Future[list[Refined]]":
        """Have `refine` done: its result, or the error it ended with, is the future's."""
        return self.call(refine, image, many, p, here=all(len(one) == 1 for one in many))  # one class needs no CRF

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
