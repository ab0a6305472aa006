"""Means, intervals and paired differences over seeds: arrays in, plain numbers out.

Intervals are Student's t: with the three to five seeds of a table a bootstrap interval that claims 95 % covers
about 75 to 80 %, the t interval about 94 % (simulated; it assumes that scores scatter about normally over seeds).
"""

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import NamedTuple

LEVEL = 0.95
"""Share of intervals that cover the true mean."""
APART = 2.5
"""Standard deviations, estimated by the median absolute deviation, beyond which a seed stands apart."""
LEAST = 3.0
"""Points of mIoU that it must be away from the median as well: equal seeds have no deviation."""
WIDE = 5.0
"""Points of standard deviation over seeds above which the single seeds are listed."""
ENOUGH = 10
"""Seeds from which an interval holds of a row of which single seeds collapse."""
SURE = 0.8
"""Share of ranges of seeds to come that hold the number which the true effect needs."""
ROUNDING = 1e-9
"""Numbers nearer to each other than this, or than this share of them, are one number: what parts them is how floats are
rounded, as 54.52 - 52.1 and 60.87 - 58.45 are."""


class Summary(NamedTuple):
    """What n numbers say; NaN where n is too small to say it."""

    n: int
    """How many finite numbers."""
    mean: float
    """Their mean."""
    std: float
    """Sample standard deviation (divides by n - 1); NaN below two numbers."""
    low: float
    """Lower end of the t interval of the mean."""
    high: float
    """Upper end of the t interval of the mean."""


class Paired(NamedTuple):
    """Differences a - b over the seeds that both have."""

    summary: Summary
    """Of the differences."""
    agree: int
    """How many differences have the sign of their mean."""
    differences: dict[int, float]
    """By seed."""


class Median(NamedTuple):
    """What n numbers say of the median of what they are drawn from, however that scatters."""

    n: int
    value: float
    low: float
    """Of the numbers the one that ends the interval below."""
    high: float
    level: float
    """Share of such intervals that hold the true median, exactly; below LEVEL where so few numbers cannot say more."""


class More(NamedTuple):
    """How many further seeds would decide."""

    least: int
    most: int | None
    """None where the seeds so far cannot bound it."""

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least} more seed{'s' * (self.least > 1)}"
        span = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        return f"{span} more seed{'s' * (self.most > 1)}"


def summary(values: Iterable[float], level: float = LEVEL) -> Summary:
    """Mean, sample standard deviation and t interval of the finite ones among `values`."""
    finite = [v for v in values if math.isfinite(v)]
    n = len(finite)
    if n == 0:
        return Summary(0, math.nan, math.nan, math.nan, math.nan)
    mean = math.fsum(finite) / n
    if n == 1:
        return Summary(1, mean, math.nan, math.nan, math.nan)
    if max(finite) - min(finite) <= ROUNDING * max(1.0, abs(mean)):
        return Summary(n, mean, 0.0, mean, mean)
    std = math.sqrt(math.fsum((v - mean) ** 2 for v in finite) / (n - 1))
    half = t_quantile(n - 1, level) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half, mean + half)


def paired(a: Mapping[int, float], b: Mapping[int, float], level: float = LEVEL) -> Paired:
    """Differences a - b of the seeds that occur in both: what the seed does to both rows cancels."""
    common = [seed for seed in sorted(a) if seed in b and math.isfinite(a[seed]) and math.isfinite(b[seed])]
    by_seed = {seed: a[seed] - b[seed] for seed in common}
    result = summary(by_seed.values(), level)
    return Paired(result, sum(d * result.mean > 0 for d in by_seed.values()), by_seed)


def median(values: Iterable[float], level: float = LEVEL) -> Median:
    """Median of the finite ones among `values`, between two of them that hold the true one at `level`.

    The true median lies below the k-th smallest of n numbers as often as n tosses of a coin give fewer than k heads.
    Below six numbers even the smallest and the greatest hold it in fewer than 95 %: 75 % of three, 94 % of five.
    """
    ordered = sorted(v for v in values if math.isfinite(v))
    n = len(ordered)
    if n == 0:
        return Median(0, math.nan, math.nan, math.nan, math.nan)
    rank, outside = 0, 2 * 0.5**n
    tail = outside
    while rank + 2 < n - rank and tail + 2 * math.comb(n, rank + 1) * 0.5**n <= 1 - level:
        rank += 1
        tail += 2 * math.comb(n, rank) * 0.5**n
    return Median(n, statistics.median(ordered), ordered[rank], ordered[n - 1 - rank], max(1 - tail, 0.0))


def apart(values: Mapping[int, float]) -> list[int]:
    """Seeds far from the median of at least four: of fewer none can be told."""
    if len(values) < 4:
        return []
    middle = statistics.median(values.values())
    spread = 1.4826 * statistics.median(abs(value - middle) for value in values.values())  # of a normal scatter
    return [seed for seed, value in sorted(values.items()) if abs(value - middle) > max(APART * spread, LEAST)]


def uneven(values: Mapping[int, float]) -> bool:
    """Whether a row looks as if single seeds collapsed: one stands apart or, since of three none can, all scatter."""
    return bool(apart(values)) or summary(values.values()).std > WIDE


def t_quantile(freedom: int, level: float = LEVEL) -> float:
    """Half width, in standard errors, of the two-sided t interval with `freedom` degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def power(effect: float, n: int, level: float = LEVEL) -> float:
    """Chance that the t interval of n numbers excludes 0 on the right side, if mean / std is truly `effect`."""
    from scipy.special import nctdtr

    return float(1 - nctdtr(n - 1, effect * math.sqrt(n), t_quantile(n - 1, level)))


def seeds_for(effect: float, chance: float = 0.8, level: float = LEVEL, most: int = 1000) -> int | None:
    """Fewest seeds that exclude 0 with the given chance, if mean / std is truly `effect`; None above `most`."""
    effect = abs(effect)
    if not 0 < effect < math.inf or power(effect, most, level) < chance:
        return None
    low, high = 2, most  # the power rises with n: halve the range
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle, level) >= chance else (middle + 1, high)
    return low


def more_seeds(found: Summary, level: float = LEVEL, most: int = 100) -> More | None:
    """Range of further seeds after which the t interval excludes 0 with a chance of 80 %; None if even the greatest
    effect that the seeds so far allow needs more than `most`.

    mean / std of few seeds is known badly, so a single number would be a guess: from three seeds it comes out anywhere
    between 2 and 119 where 10 is right. The range is exact (SURE, from the noncentral t) where scores scatter normally.
    """
    from scipy.special import nctdtrinc

    effect = abs(found.mean / found.std)
    seen = effect * math.sqrt(found.n)
    tail = (1 - SURE) / 2
    ends = [float(nctdtrinc(found.n - 1, p, seen)) / math.sqrt(found.n) for p in (tail, 1 - tail)]
    fewest = seeds_for(max(ends), level=level, most=found.n + most)
    if fewest is None:
        return None
    greatest = seeds_for(min(ends), level=level, most=found.n + most) if min(ends) > 0 else None
    # An open interval with enough seeds on paper: the 80 % were not lucky this time, one more seed is the least answer.
    least = max(fewest - found.n, 1)
    return More(least, None if greatest is None else max(greatest - found.n, least))
