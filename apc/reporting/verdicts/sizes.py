"""How large a difference is, beside its direction: against the printed one, and against nothing.

The printed number comes without a spread, so it is taken as it stands, and the interval of the ratio is that of our
difference divided by it. That a difference is nothing is a claim as well, and needs an interval that lies within
± EVEN points (two one-sided tests): a wide interval around 0 shows nothing, and stays open.
"""

import math
from typing import Literal, NamedTuple

from apc.reporting.verdicts.intervals import LEVEL, Paired, summary
from apc.runs.scores import SCORES

EVEN = 0.5
"""Points of mIoU within which two rows are called even."""
HALF = 0.5
"""Share of the printed difference that a claim must keep to be reproduced in size."""

Word = Literal["at least half of it", "smaller", "other sign", "no difference", "open", ""]


class Size(NamedTuple):
    """A difference against the printed one; NaN where nothing is printed."""

    word: Word = ""
    """Empty where nothing can be said: of too few seeds, of seconds beside hours, of a best of many."""
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @property
    def refuted(self) -> bool:
        """Whether the printed size is refuted, whatever becomes of the direction."""
        return self.word in ("smaller", "other sign") or (self.word == "no difference" and self.high < HALF)


def size(difference: Paired, printed: float | None, metric: str, level: float = LEVEL, fewest: int = 2) -> Size:
    """How large a paired difference is beside what is printed, in the unit of `metric`.

    `level` and `fewest` seeds are those of the verdict's interval; each one-sided test of evenness may err as often as
    that.
    """
    n, mean, std, low, high = difference.summary
    unit = SCORES[metric].unit if metric in SCORES else "%"
    if n < max(fewest, 2) or not std or unit == "s":
        return Size()
    ratios = (math.nan, math.nan, math.nan)
    if printed:
        least, most = sorted((low / printed, high / printed))
        ratios = (mean / printed, least, most)
    if ratios[2] < 0:
        return Size("other sign", *ratios)
    if ratios[1] >= HALF:
        return Size("at least half of it", *ratios)
    narrow = summary(difference.differences.values(), 2 * level - 1)
    if unit == "%" and -EVEN < narrow.low and narrow.high < EVEN:
        return Size("no difference", *ratios)
    if ratios[2] < HALF:
        return Size("smaller", *ratios)
    return Size("open", *ratios)


def sentence(found: Size) -> str:
    """ "0.31 [0.20, 0.42] of the printed: smaller than half of it"; empty where nothing can be said."""
    if not found.word:
        return ""
    told = {
        "at least half of it": "at least half of it",
        "smaller": "smaller than half of it",
        "other sign": "of the other sign",
        "no difference": f"no difference beyond ±{EVEN:g} points",
        "open": "its size is open",
    }[found.word]
    if math.isnan(found.ratio):
        return told if found.word == "no difference" else ""
    ratio, low, high = (f"{value:.2f}".replace("-", "−") for value in (found.ratio, found.low, found.high))
    return f"{ratio} [{low}, {high}] of the printed: {told}"


def short(found: Size) -> str:
    """The same in a narrow cell: "4.2 × the paper's", "0.2 × the paper's: < half", "other sign", "even", "open" or
    nothing."""
    of_it = f"{found.ratio:.1f} × the paper's".replace("-", "−")
    words = {"at least half of it": of_it, "smaller": f"{of_it}: < half", "no difference": "even"}
    return words.get(found.word, found.word)
