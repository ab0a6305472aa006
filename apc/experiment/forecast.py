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
"""Factor either way of a time that one run, a few steps or the script's own expectation tells."""


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
        share = passes(cfg) * images / 3600
        low, high = each[round(0.1 * last)], each[round(0.9 * last)]
        if not last:  # one number tells no spread
            low, high = low / _SPREAD, high * _SPREAD
        return Hours(share * sum(each) / len(each), share * low, share * high)


class Told(NamedTuple):
    """What tells how long runs take."""

    pace: Pace
    images: int
    """How many a run trains on that takes all there are."""

    @classmethod
    def by(cls, seconds: float, configs: Sequence[Config], images: int) -> "Told":
        """By the seconds that runs take, one after another."""
        return cls(Pace((seconds / sum(passes(cfg) * (cfg.num_train or images) for cfg in configs),)), images)


def pace(done: Iterable[Row], cfg: Config) -> Told | None:
    """Pace of the finished runs that are like `cfg`; None where none is. Those of a version with other fields do not
    count."""
    seconds, images = [], 0
    for row in done:
        trained = (row.stamp.get("images") or {}).get("train", 0)
        if trained and row.curve and all(row.config.get(name) == getattr(cfg, name) for name in _ALIKE):
            spent = row.seconds.get("train", 0.0) + row.seconds.get("eval", 0.0)
            begun = max(int(epoch.get("round", 0)) for epoch in row.curve)
            with suppress(ValueError):
                seconds.append(spent / (_passes(from_dict(row.config), len(row.curve), begun) * trained))
                images = trained
    return Told(Pace(tuple(seconds)), images) if seconds else None


def passes(cfg: Config) -> float:
    """Epochs that take as long as a run: its own, and the masks of its rounds."""
    return _passes(cfg, cfg.epochs, cfg.rounds)


def _passes(cfg: Config, epochs: int, rounds: int) -> float:
    return epochs + rounds * epochs_of_masks(cfg) if rounds else epochs


def hours(todo: Sequence[Config], done: Sequence[Row], otherwise: Told | None) -> Hours | None:
    """Hours of one process for `todo`: by finished runs like each, or as is told `otherwise`; None where neither
    tells."""
    total, known = Hours(0.0, 0.0, 0.0), dict[Kind, Hours | None]()
    for cfg in todo:
        alike = (*kind_of(cfg), passes(cfg), cfg.num_train)
        if alike not in known:
            told = pace(done, cfg) or otherwise
            known[alike] = told.pace.of(cfg, cfg.num_train or told.images) if told else None
        if (one := known[alike]) is None:
            return None
        total = total.plus(one)
    return total
