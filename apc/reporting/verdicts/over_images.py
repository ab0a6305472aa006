"""Differences between rows over the choice of images, from what each image scored in each run.

An interval over seeds asks what another training would give, one over images what other photographs would. Both rows
are scored on the same images, so what makes an image hard for every row cancels. The networks are held: the interval
over images says nothing about another seed.

It is the jackknife's: the difference is taken again without each image in turn, and the spread of these gives the
standard error of Student's t. A bootstrap covers less than it says, for a class that few images show is worth more than
a resample lets it vary; docs/explanation/statistics.md has the shares, simulated on real counts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apc.files import UNREADABLE
from apc.reporting.verdicts.intervals import t_quantile

if TYPE_CHECKING:
    from numpy import ndarray

LEAST_IMAGES = 40
"""Images with a mask below which there is no interval: some class is then in so few of them that it may be in none."""
PARTS = {"miou": slice(None), "miou_crf": slice(None), "tune_miou": slice(0, None, 2), "held_miou": slice(1, None, 2)}
"""Metrics that follow from the counts of the images, and the images of each; see apc/evaluation/miou.py."""


class Interval(NamedTuple):
    """Ends of a 95 % interval over images, in percent of mIoU."""

    low: float
    high: float
    images: int
    """How many there are, of those that have a mask."""


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
        self._without: dict[Scored, ndarray] = {}

    def difference(self, a: Sequence[Scored], b: Sequence[Scored]) -> Interval | None:
        """95 % interval of mean score of runs `a` minus that of `b`, a[i] paired with b[i]; None without the counts.

        None as well with fewer than LEAST_IMAGES, and for a metric that does not follow from the counts, such as one of
        the patch branch.
        """
        import numpy as np

        if not a or not all(metric in PARTS and counts_key(run, metric) in self.counts for run, metric in (*a, *b)):
            return None
        sizes = {self._of(run, metric).shape for run, metric in (*a, *b)}
        if len(sizes) > 1 or next(iter(sizes))[0] < LEAST_IMAGES:
            return None
        n = next(iter(sizes))[0]
        found = np.mean([self._score(*x) - self._score(*y) for x, y in zip(a, b, strict=True)])
        without = np.mean([self._left_out(*x) - self._left_out(*y) for x, y in zip(a, b, strict=True)], axis=0)
        half = t_quantile(n - 1) * float(np.sqrt((n - 1) * np.var(without)))
        return Interval(float(found) - half, float(found) + half, n)

    def _of(self, run: str, metric: str) -> "ndarray":
        """Counts of the images that a metric is taken on."""
        return with_truth(self.counts[counts_key(run, metric)][PARTS[metric]]).astype(float)

    def _score(self, run: str, metric: str) -> "ndarray":
        return miou(self._of(run, metric).sum(0))

    def _left_out(self, run: str, metric: str) -> "ndarray":
        """mIoU of a run without each image in turn: (n,)."""
        if (run, metric) not in self._without:
            counts = self._of(run, metric)
            self._without[run, metric] = miou(counts.sum(0) - counts)
        return self._without[run, metric]


def with_truth(counts: "ndarray") -> "ndarray":
    """Counts by image (n,3,C) of those whose mask has a pixel: one without a mask counts nothing, and is no image that
    a score was taken on."""
    return counts[counts[:, 1].any(1)]


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
                except UNREADABLE as error:
                    problems.append(f"{path.name}, run {run}: {error}; its interval over images is left out")
    except UNREADABLE as error:
        problems.append(f"{path.name} cannot be read ({error}); intervals over images are left out")
    return Images(counts), problems
