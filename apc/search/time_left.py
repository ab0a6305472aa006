"""How long a search will still take, as an interval, from the runs that ended. Pure Python.

Runs slow down with whatever else a machine does, so the interval is drawn around what the latest runs took, on a
logarithmic scale, and wider upwards. Its constants are those with which the finished searches of this repository,
replayed moment by moment, lay inside four times in five (tests/search/test_time_left.py): 0.83 of the moments of one
place and 0.87 of two, averaged over twelve searches. The least was grid_lambda on the embedded data, 0.45, whose runs
of 50 to 571 seconds belong to several calls.
"""

import heapq
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

HALF = 4  # runs: one that ended so many runs earlier counts half
DOWN, UP = 1.28, 1.6  # standard deviations; the tenth percentile below, and above more, for machines stall
UNKNOWN = 0.4  # spread of the whole that no earlier run tells of, on the logarithmic scale
USUAL_SPREAD, USUAL_DRIFT = 0.35, 0.1  # of runs, and from one to the next, where few have ended
MOST_DRIFT = 30  # runs over which a drift adds up
LEAST = 0.03  # of a run, that is still to do of one that takes longer than expected
TRAINING = 0.8  # share of a run that its epochs take; the scoring behind them takes the rest


class Runs(NamedTuple):
    """What is left to do."""

    running: Sequence[float]
    """Of each run in progress the share that is still to do."""
    sure: int
    """Runs that will certainly start."""
    perhaps: int
    """How many more may."""


class Pace(NamedTuple):
    """What a run takes."""

    mean: float
    """Seconds of a run, the latest first."""
    spread: float
    """Variance of one run, on the logarithmic scale."""
    drift: float
    """Variance from one run to the next."""
    runs: float
    """How many runs the mean counts for."""


def pace_of(seconds: Sequence[float]) -> Pace:
    """Pace of runs, from the seconds that each took, in the order in which they ended."""
    weights = [0.5 ** (age / HALF) for age in range(len(seconds) - 1, -1, -1)]
    total, logs = sum(weights), [math.log(max(each, 1e-3)) for each in seconds]
    middle = _dot(weights, logs) / total
    spread = (USUAL_SPREAD**2 + _dot(weights, [(log - middle) ** 2 for log in logs])) / (1 + total)
    steps = [(after - before) ** 2 / 2 for before, after in zip(logs, logs[1:], strict=False)]
    drift = (2 * USUAL_DRIFT**2 + sum(steps)) / (2 + len(steps))
    return Pace(_dot(weights, seconds) / total, spread, drift, total**2 / _dot(weights, weights))


def first_pace(paces: Iterable[float]) -> Pace | None:
    """Pace before any run has ended, from the seconds of training that those in progress will take by their epochs."""
    seconds = list(paces)
    if not seconds:
        return None
    return Pace(statistics.fmean(seconds) / TRAINING, USUAL_SPREAD**2, USUAL_DRIFT**2, 1.0)


def still_to_do(share: float, silent: float, pace: Pace) -> float:
    """Share of a run still to do, that trained `share` of its epochs and is `silent` seconds in the next."""
    return max(1 - share * TRAINING - silent / pace.mean, LEAST)


def interval(pace: Pace, runs: Runs, slots: int) -> tuple[float, float]:
    """Seconds until all is done, `slots` runs side by side: what lies in it comes true four times in five."""
    low, high = (_makespan(runs.running, waiting, slots) for waiting in (runs.sure, runs.sure + runs.perhaps))
    return (
        pace.mean * low * math.exp(-DOWN * _deviation(pace, low * slots)),
        pace.mean * high * math.exp(UP * _deviation(pace, high * slots)),
    )


def _makespan(running: Sequence[float], waiting: int, slots: int) -> float:
    """When the last of all runs ends, in runs one after another."""
    ends = [*running, *[0.0] * (slots - len(running))]
    rounds, waiting = divmod(waiting, len(ends))
    ends = [end + rounds for end in ends]
    heapq.heapify(ends)
    for _ in range(waiting):
        heapq.heapreplace(ends, ends[0] + 1)
    return max(ends)


def _deviation(pace: Pace, runs: float) -> float:
    """Standard deviation of the logarithm of what `runs` further runs take."""
    runs = max(runs, 0.3)
    own = pace.spread / runs + pace.spread / pace.runs
    return math.sqrt(own + UNKNOWN**2 + pace.drift * min(runs, MOST_DRIFT) / 3)


def _dot(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True))
