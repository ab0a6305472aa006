"""What a search may choose by, judged: does a score rank settings as the masks of other photographs do, and how many
masks is it worth?

Every setting has one run, chosen by scores of the first half of the validation photographs or by image labels, and
judged by `held_miou`, the score of the other half. Regret is what the chosen setting lies below the best one; it is
the mean over all draws of SETTINGS of the settings, so that one lucky winner decides nothing.

Shapes: t settings, d draws, n photographs of the first half, C classes.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from apc.reporting import tables
from apc.reporting.verdicts.over_images import PARTS, Images, miou, with_truth
from apc.runs.rows import Row
from apc.runs.scores import LABEL_SCORES, LOWER_IS_BETTER

if TYPE_CHECKING:
    from numpy import ndarray

JUDGE = "held_miou"
HALF = "tune_miou"
SETTINGS, DRAWS = 40, 500
"""Settings of a draw, as many as a joint search tries, and draws that percentiles and means over photographs are of."""
FEWEST = 10
"""Settings that can be judged, below which nothing is said."""
MASKS = (1, 2, 3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112)
"""Numbers of masked photographs whose choice a score is held against."""


class Judged(NamedTuple):
    """One score as a chooser."""

    spearman: float
    """Rank correlation with the judge over all settings."""
    low: float
    high: float
    """95 % bootstrap interval of it over settings."""
    kendall: float
    kendall_low: float
    kendall_high: float
    regret: float
    """Mean points below the best setting of a draw."""
    behind: float
    """Mean points below what half of the masks choose."""


class Choosers(NamedTuple):
    """What settings may be chosen by, judged over `settings` of them."""

    settings: int
    scores: dict[str, Judged]
    """By name, the least regret first; those that fail too."""
    masks: dict[int, float]
    """Regret of choosing by the masks of m photographs, by m."""


def choosers(rows: Sequence[Row], images: Images) -> Choosers | None:
    """Every score that opens no mask, and half of all masks, as choosers; None where fewer than ten settings can be
    judged."""
    rows = [row for row in rows if row.metrics.get(JUDGE) is not None and row.run in images.counts]
    if len(rows) < FEWEST:
        return None
    names = [name for name in (HALF, *LABEL_SCORES) if all(name in row.metrics for row in rows)]
    judged = sorted(((name, _settled(judge(rows, name))) for name in names), key=lambda pair: pair[1].regret)
    return Choosers(len(rows), dict(judged), {m: round(lost, 9) for m, lost in by_masks(rows, images).items()})


def _settled(judged: Judged) -> Judged:
    """Without the digits that change with the machine's order of sums: a figure made of them stays what it is."""
    return Judged(*(round(number, 9) for number in judged))


def choosers_table(found: Choosers | None) -> list[str]:
    """The table of choosers, best first, with what masks are worth; empty where there is nothing to judge."""
    if found is None:
        return []
    from pandas import DataFrame

    regrets = found.masks
    lines = [
        {
            "score": f"`{name}`",
            "Spearman": f"{j.spearman:.2f} [{j.low:.2f}, {j.high:.2f}]",
            "Kendall": f"{j.kendall:.2f} [{j.kendall_low:.2f}, {j.kendall_high:.2f}]",
            "regret": f"{j.regret:.2f}",
            f"behind `{HALF}`": f"{j.behind:+.2f}".replace("-", "−"),
            "worth in masks": worth(j.regret, regrets),
        }
        for name, j in found.scores.items()
    ]
    curve = ", ".join(f"{m}: {regret:.2f}" for m, regret in regrets.items())
    return [
        f"**What settings may be chosen by**, over {found.settings} settings of one seed",
        tables.markdown(DataFrame(lines), left=True, marked_up=["score", f"behind `{HALF}`"]),
        f"<sub>Judged by `{JUDGE}`, the mIoU of photographs by whose masks nothing is chosen. In brackets: 95 % over "
        f"settings. Regret: mean points below the best of {drawn_at_once(found.settings)} settings, over all draws "
        "of so many. A score is worth m masks where the choice by the masks of m photographs, drawn at random, has its "
        f"regret. Regret by masks: {curve}.</sub>",
    ]


def judge(rows: Sequence[Row], name: str) -> Judged:
    """A score of the rows as a chooser; where it is missing (NaN) a setting is never chosen by it."""
    import numpy as np
    from scipy.stats import kendalltau, spearmanr

    truth, score, half = (_signed(rows, each) for each in (JUDGE, name, HALF))
    rng = np.random.default_rng(0)
    again = rng.integers(0, len(rows), (DRAWS, len(rows)))
    known = np.isfinite(score)
    again = again[known.all() & (np.ptp(score[again], axis=1) > 0)]
    spearman, kendall = _spearman(truth[again], score[again]), _kendall(truth, score, again)
    (low, high), (kendall_low, kendall_high) = (
        map(float, np.percentile(each, [2.5, 97.5]) if len(each) else (np.nan, np.nan)) for each in (spearman, kendall)
    )
    best, chosen, by_half = (of_chosen(by, truth) for by in (truth, np.where(known, score, -np.inf), half))
    return Judged(
        float(spearmanr(truth[known], score[known]).statistic),
        low,
        high,
        float(kendalltau(truth[known], score[known]).statistic),
        kendall_low,
        kendall_high,
        best - chosen,
        by_half - chosen,
    )


def _spearman(truth: "ndarray", score: "ndarray") -> "ndarray":
    """Rank correlations of rows, (d,t) -> (d,)."""
    import numpy as np
    from scipy.stats import rankdata

    one, other = (rankdata(each, axis=1) - (truth.shape[1] + 1) / 2 for each in (truth, score))
    found: ndarray = (one * other).sum(1) / np.sqrt((one**2).sum(1) * (other**2).sum(1))
    return found


def _kendall(truth: "ndarray", score: "ndarray", again: "ndarray") -> "ndarray":
    """Kendall's tau-b of each draw (d,t) with repeats, from the signs of all pairs of settings (t,t) once: (d,)."""
    import numpy as np

    one, other = (np.sign(each[:, None] - each[None, :]) for each in (truth, score))
    times = np.stack([np.bincount(draw, minlength=len(truth)) for draw in again]) if len(again) else again
    alike, differ, differ_too = (((times @ pairs) * times).sum(1) for pairs in (one * other, one**2, other**2))
    found: ndarray = alike / np.sqrt(differ * differ_too)
    return found


def by_masks(rows: Sequence[Row], images: Images) -> dict[int, float]:
    """Mean regret of choosing by the masks of m photographs of the first half, drawn anew each time, by m; 0 masks is
    a setting at random."""
    import numpy as np

    truth = _signed(rows, JUDGE)
    masked = [with_truth(images.counts[row.run][PARTS[HALF]]) for row in rows]
    counts = np.stack(masked, axis=1).astype(np.float64)  # (n,t,3,C)
    n, best = len(counts), of_chosen(truth, truth)
    order = np.random.default_rng(1).random((DRAWS, n)).argsort(1)  # of the photographs, in each draw
    regrets = {0: best - float(truth.mean())}
    for m in (m for m in MASKS if m <= n):
        scores = miou(np.tensordot((order < m).astype(float), counts, 1))  # of the photographs that come first: (d,t)
        regrets[m] = best - float(np.mean([of_chosen(own, truth) for own in scores]))
    return regrets


def worth(regret: float, regrets: dict[int, float]) -> str:
    """How many masks choose as well: the most until which no fewer have a smaller regret, as "20" or "112 or more"."""
    least = list(itertools.takewhile(lambda m: regrets[m] >= regret, sorted(regrets)))
    if not least:
        return "less than none"
    return f"{least[-1]} or more" if least[-1] == max(regrets) else str(least[-1])


def drawn_at_once(settings: int) -> int:
    """Settings of a draw."""
    return min(SETTINGS, settings // 2)


def of_chosen(score: "ndarray", judged: "ndarray") -> float:
    """Mean of `judged` (t,) over all draws of the settings, of the one with the highest `score` (t,) in each.

    With r settings above it a setting is chosen in C(t - 1 - r, k - 1) of the C(t, k) draws of k. Of equals each is
    chosen as often as another.
    """
    import numpy as np

    _, level, many = np.unique(score, return_inverse=True, return_counts=True)
    even = (np.bincount(level, judged) / many)[level]
    return float(_shares(len(score)) @ even[np.argsort(-score, kind="stable")])


@functools.cache
def _shares(settings: int) -> "ndarray":
    """Of all draws the share that chooses the setting with 0, 1, 2 ... settings above it: (t,)."""
    import numpy as np

    t, k = settings, drawn_at_once(settings)
    return np.array([math.comb(t - 1 - above, k - 1) / math.comb(t, k) for above in range(t)])


def subsets(settings: int) -> "ndarray":
    """Draws of settings without repeats, (d, at most SETTINGS), the same for every score."""
    import numpy as np

    rng = np.random.default_rng(2)
    return np.stack([rng.choice(settings, drawn_at_once(settings), replace=False) for _ in range(DRAWS)])


def _signed(rows: Sequence[Row], name: str) -> "ndarray":
    """A score of each row, so that higher is better: (t,)."""
    import numpy as np

    sign = -1 if name in LOWER_IS_BETTER else 1
    return np.array([sign * row.metrics[name] for row in rows])
