"""How long runs that are still to do will take, from those that are done. Imports no torch."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from apc.config import Config, from_dict
from apc.runs.rows import Row
from apc.training.effort import epochs_of_masks

Kind = tuple[Any, ...]
_ALIKE = ("dataset", "method", "encoder", "image_size")
"""Fields in which a finished run must equal one to do, to tell its time."""
_SPREAD = 2.0
"""Factor either way of a time that only the script's own expectation tells."""


def kind_of(cfg: Config) -> Kind:
    """What runs have in common whose times tell of each other."""
    return tuple(getattr(cfg, name) for name in _ALIKE)


class Hours(NamedTuple):
    """Hours of one process, and the interval they lie in unless the machine's load changes."""

    mean: float
    low: float
    high: float

    def plus(self, other: "Hours") -> "Hours":
        """Of both, one after the other."""
        return Hours(*(a + b for a, b in zip(self, other, strict=True)))

    def __str__(self) -> str:
        return f"{self.mean:.1f} hours ({self.low:.1f} to {self.high:.1f})"


@dataclass(frozen=True)
class Pace:
    """Seconds an epoch and a training image of finished runs, scoring included; masks of a round count as epochs."""

    seconds: tuple[float, ...]

    def of(self, cfg: Config, images: int) -> Hours:
        """Of one run: the mean, and the 10th and 90th percentile, for the load of a machine is common to its runs."""
        each = sorted(self.seconds)
        last = len(each) - 1
        share = _passes(cfg, cfg.epochs, cfg.rounds) * images / 3600
        low, high = each[round(0.1 * last)], each[round(0.9 * last)]
        if not last:  # one run tells no spread
            low, high = low / _SPREAD, high * _SPREAD
        return Hours(share * sum(each) / len(each), share * low, share * high)


def pace(done: Iterable[Row], cfg: Config) -> tuple[Pace, int] | None:
    """Pace of the finished runs that are like `cfg`, and how many images they trained on; None where none is. Those of
    a version with other fields do not count."""
    seconds, images = [], 0
    for row in done:
        trained = (row.stamp.get("images") or {}).get("train", 0)
        if trained and row.curve and all(row.config.get(name) == getattr(cfg, name) for name in _ALIKE):
            spent = row.seconds.get("train", 0.0) + row.seconds.get("eval", 0.0)
            begun = max(int(epoch.get("round", 0)) for epoch in row.curve)
            with suppress(ValueError):
                seconds.append(spent / (_passes(from_dict(row.config), len(row.curve), begun) * trained))
                images = trained
    return (Pace(tuple(seconds)), images) if seconds else None


def _passes(cfg: Config, epochs: int, rounds: int) -> float:
    """Epochs that take as long as so many and the masks of so many rounds."""
    return epochs + rounds * epochs_of_masks(cfg) if rounds else epochs


def hours(todo: Sequence[Config], done: Sequence[Row], minutes: float | None) -> Hours | None:
    """Hours of one process for `todo`: by finished runs like each, or `minutes` a run; None where neither tells."""
    total, known = Hours(0.0, 0.0, 0.0), dict[Kind, Hours | None]()
    for cfg in todo:
        alike = (*kind_of(cfg), _passes(cfg, cfg.epochs, cfg.rounds), cfg.num_train)
        if alike not in known:
            known[alike] = _one(cfg, done, minutes)
        if (one := known[alike]) is None:
            return None
        total = total.plus(one)
    return total


def _one(cfg: Config, done: Sequence[Row], minutes: float | None) -> Hours | None:
    """Hours of one run."""
    if told := pace(done, cfg):
        return told[0].of(cfg, cfg.num_train or told[1])
    return None if minutes is None else Hours(minutes / 60, minutes / 60 / _SPREAD, minutes / 60 * _SPREAD)
