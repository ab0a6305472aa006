"""Differences between rows over the choice of images: a paired bootstrap from what each image scored in each run.

An interval over seeds asks what another training would give, one over images what other photographs would. Both rows
are scored on the same resampled images, so what makes an image hard for every row cancels. The networks are held: the
interval over images says nothing about another seed.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zipfile import BadZipFile

if TYPE_CHECKING:
    from numpy import ndarray

RESAMPLES = 1000
"""Draws of as many images as there are, with replacement; 95 % intervals are their 2.5 and 97.5 percentiles."""
PARTS = {"miou": slice(None), "miou_crf": slice(None), "tune_miou": slice(0, None, 2), "held_miou": slice(1, None, 2)}
"""Metrics that follow from the counts of the images, and the images of each; see apc/evaluation/miou.py."""
LEVEL = 0.95


class Interval(NamedTuple):
    """Ends of a bootstrap interval, in percent of mIoU."""

    low: float
    high: float
    images: int
    """How many were drawn from."""


Scored = tuple[str, str]
"""Run and the metric of it that is compared."""


def counts_key(run: str, metric: str) -> str:
    """Where the counts of a run stand: those after the CRF have a place of their own."""
    return f"{run}.{metric}" if metric == "miou_crf" else run


class Images:
    """Counts by image of every run: pixels of a class that are right, that the truth has, that were called so."""

    def __init__(self, counts: "dict[str, ndarray] | None" = None) -> None:
        """`counts` is run, or run.miou_crf -> (n,3,C), as apc.experiment.outputs.write_images writes it."""
        self.counts = counts or {}
        self._resampled: dict[tuple[str, str], ndarray] = {}

    def difference(self, a: Sequence[Scored], b: Sequence[Scored]) -> Interval | None:
        """95 % interval of mean score of runs `a` minus that of `b`, a[i] paired with b[i]; None without the counts.

        None as well for a metric that does not follow from the counts, such as one of the patch branch.
        """
        import numpy as np

        if not a or not all(metric in PARTS and counts_key(run, metric) in self.counts for run, metric in (*a, *b)):
            return None
        sizes = {self.counts[counts_key(run, metric)][PARTS[metric]].shape for run, metric in (*a, *b)}
        if len(sizes) > 1 or next(iter(sizes))[0] < 2:
            return None
        differences = np.mean([self._scores(*x) - self._scores(*y) for x, y in zip(a, b, strict=True)], axis=0)
        tail = 50 * (1 - LEVEL)
        low, high = np.nanpercentile(differences, [tail, 100 - tail])
        return Interval(float(low), float(high), next(iter(sizes))[0])

    def _scores(self, run: str, metric: str) -> "ndarray":
        """mIoU of a run on every draw of the images: (RESAMPLES,)."""
        import numpy as np

        if (run, metric) not in self._resampled:
            counts = self.counts[counts_key(run, metric)][PARTS[metric]].astype(np.float64)
            sums = (draws(len(counts)) @ counts.reshape(len(counts), -1)).reshape(RESAMPLES, *counts.shape[1:])
            self._resampled[run, metric] = miou(sums)
        return self._resampled[run, metric]


@functools.lru_cache(maxsize=8)
def draws(images: int) -> "ndarray":
    """How often each image is in each draw: (RESAMPLES, images), the same for every row, metric and report."""
    import numpy as np

    return np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), size=RESAMPLES).astype(np.float64)


def miou(sums: "ndarray") -> "ndarray":
    """mIoU in percent from summed counts (...,3,C), over the classes that occur in the truth: (...)."""
    import numpy as np

    right, truth, called = np.moveaxis(sums, -2, 0)
    present = truth > 0
    iou = np.where(present, 100 * right / np.maximum(truth + called - right, 1), 0.0)
    mean: ndarray = iou.sum(-1) / np.maximum(present.sum(-1), 1)
    return mean


def read(path: Path) -> tuple[Images, list[str]]:
    """Counts by image of one data set, empty where there are none; and a sentence for each damaged part left out."""
    import numpy as np

    if not path.is_file():
        return Images(), []
    counts, problems = {}, []
    try:
        with np.load(path) as stored:
            for run in stored.files:
                try:
                    of_run = stored[run]
                    if of_run.ndim != 3 or of_run.shape[1] != 3:
                        raise ValueError(f"shape {of_run.shape}")
                    counts[run] = of_run
                except (ValueError, BadZipFile, OSError) as error:
                    problems.append(f"{path.name}, run {run}: {error}; its interval over images is left out")
    except (ValueError, BadZipFile, OSError, EOFError) as error:
        problems.append(f"{path.name} cannot be read ({error}); intervals over images are left out")
    return Images(counts), problems
