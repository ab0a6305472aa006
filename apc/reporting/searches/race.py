"""The race behind a search, as results/NAME/DATASET.race.json keeps it: a table of who raced and who is not worse."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from apc.escaping import as_code, in_markdown
from apc.reporting import tables
from apc.reporting.verdicts.intervals import Summary
from apc.runs.rows import Row


class Racer(NamedTuple):
    """One line of the table."""

    label: str
    scores: dict[str, float]
    """By seed."""
    gap: Summary
    """Difference to the leader; NaN of the leader itself."""
    left: int
    """After how many seeds it left; 0 while it is in."""
    why: str
    seconds: float
    """Of training, a run."""


class Race(NamedTuple):
    """A race that is over."""

    metric: str
    seeds: list[int]
    asked: int
    """--race."""
    prefer: str
    winner: str
    """Label; empty where every racer failed."""
    level: float
    """Of the intervals."""
    racers: list[Racer]
    """The leader first."""

    @property
    def flags(self) -> list[str]:
        """Flags of the race, those that are not the usual ones."""
        words = ["--race", str(self.asked)]
        words += ["--race-seeds", str(len(self.seeds))] if len(self.seeds) != 5 else []
        return words + (["--prefer", self.prefer] if self.prefer != "best" else [])


def of_search(rows: Sequence[Row]) -> list[Row]:
    """The rows of a search without those of its race, which stand in a table of their own and in no mean beside."""
    return [row for row in rows if "race" not in row.stamp]


def read(path: Path) -> tuple[Race | None, list[str]]:
    """The race of a file, None where there is none; and a sentence where the file is damaged."""
    if not path.is_file():
        return None, []
    try:
        return _race(json.loads(path.read_text(encoding="utf-8"))), []
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return None, [f"{path.name}: {type(error).__name__}: {error}"]


def _race(stored: dict[str, Any]) -> Race:
    racers = [_racer(each) for each in stored["racers"]]
    prefer, winner, metric = stored["prefer"], stored["winner"] or "", stored["metric"]
    if not racers or not all(isinstance(text, str) for text in (prefer, winner, metric)):
        raise ValueError("it is no race")
    seeds = [int(seed) for seed in stored["seeds"]]
    return Race(metric, seeds, int(stored["asked"]), prefer, winner, float(stored["level"]), racers)


def _racer(stored: dict[str, Any]) -> Racer:
    scores = {str(seed): float(value) for seed, value in stored["scores"].items()}
    mean, low, high = (_number(stored[name]) for name in ("difference", "low", "high"))
    gap = Summary(len(scores) if math.isfinite(mean) else 0, mean, math.nan, low, high)
    left, why = int(stored["left"] or 0), str(stored["why"])
    return Racer(str(stored["label"]), scores, gap, left, why, _number(stored["train_seconds"]))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def paragraphs(race: Race | None) -> list[str]:
    """The race on the page."""
    if race is None:
        return []
    from pandas import DataFrame

    inside = [racer for racer in race.racers if not racer.left]
    seeds = ", ".join(map(str, race.seeds))
    said = f"{len(inside)} of {len(race.racers)} settings are not worse than the leader, as far as these seeds tell"
    chosen = (
        f"; {as_code(f'--prefer {race.prefer}')} takes {in_markdown(race.winner)}"
        if race.winner
        else "; every racer failed"
    )
    return [
        f"**The race of the best {len(race.racers)}**, over seeds {seeds}, none of them the search's: {said}{chosen}.",
        tables.markdown(DataFrame(_line(race, racer) for racer in race.racers), left=True),
        f"<sub>Mean {as_code(race.metric)} over the race's seeds alone, and the difference to the leader, paired by "
        f"seed, with its {100 * race.level:.1f} % t interval: over all looks and rivals the truly best racer stays "
        "with a chance of 95 % or more. Settings leave when the interval's upper end is on the wrong side of 0.</sub>",
    ]


def _line(race: Race, racer: Racer) -> dict[str, str]:
    scores = list(racer.scores.values())
    mean = f"{tables.written(math.fsum(scores) / len(scores), race.metric)} ({len(scores)})" if scores else "–"
    gap = "leader" if racer is race.racers[0] else tables.difference(racer.gap, metric=race.metric)
    fate = f"out after {racer.left} seeds: {racer.why}" if racer.left else "in"
    return {
        "setting": racer.label,
        f"{race.metric} (seeds)": mean,
        "difference to the leader": gap,
        "seconds of training": f"{racer.seconds:.0f}" if math.isfinite(racer.seconds) else tables.PENDING,
        "in the set": fate + (", chosen (best.toml)" if racer.label == race.winner else ""),
    }
