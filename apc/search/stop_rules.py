"""When a search has had enough: `--stop-when "no better in 20"`, or a score that is reached, `"miou 70"`."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from apc.runs.rows import Row, score
from apc.runs.scores import LOWER_IS_BETTER

_PATIENCE = re.compile(r"no better in ([1-9]\d{0,6})")
_REACHED = re.compile(r"(\w+) (-?\d+(?:\.\d+)?)")


class StopWhen(NamedTuple):
    """A rule; one of its two parts is empty."""

    trials: int = 0
    """Ended trials in a row of which none beat the best before them."""
    score: str = ""
    """Name of the score that is to be reached."""
    value: float = 0.0
    """By the mean over a trial's seeds; or fallen to, of a score that is lowered."""

    def met(self, ended: Sequence[Sequence[Row]], objective: str) -> bool:
        """Whether the trials that ended, in the order proposed, each with its rows, are enough."""
        if self.score:
            sign = -1 if self.score in LOWER_IS_BETTER else 1
            whole = [rows for rows in ended if not any(row.stopped for row in rows)]  # what was given up took less time
            means = [mean for rows in whole if (mean := score(rows, self.score)) is not None]
            return any(sign * mean >= sign * self.value for mean in means)
        sign, best, since = -1 if objective in LOWER_IS_BETTER else 1, -math.inf, 0
        for rows in ended:
            mean = score(rows, objective)
            better = mean is not None and sign * mean > best
            since = 0 if better else since + 1
            best = sign * mean if better and mean is not None else best
        return best > -math.inf and since >= self.trials


def stop_when(text: str) -> StopWhen:
    """The rule that a text says; ValueError for one that says none."""
    if match := _PATIENCE.fullmatch(text):
        return StopWhen(trials=int(match[1]))
    if match := _REACHED.fullmatch(text):
        return StopWhen(score=match[1], value=float(match[2]))
    raise ValueError(f'--stop-when is {text!r}; write "no better in 20", or a score and a value, such as "miou 70"')
