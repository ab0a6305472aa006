"""The race behind a search: who races, and what the terminal, best.toml, the rows and the page are told of it."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apc.config import PRESETS, Config
from apc.escaping import in_a_line
from apc.experiment.settings import ExperimentSettings
from apc.files import write_atomically
from apc.runs.compared import VOTE, compared_by
from apc.search.judging import OfRace
from apc.search.plans import Result, rows_of
from apc.search.race import Prefer, Race, Standing, is_the_papers, racers_of, ranked, seeds_of_race, winner

CHOSEN = {
    "best": "the highest mean",
    "cheapest": "the fewest seconds of training",
    "paper": "the paper's own where it is in the set, else the highest mean",
}
"""What each --prefer means."""


@dataclass(frozen=True)
class Raced:
    """A race and what its runs scored."""

    race: Race
    result: Result
    """Its points, one a racer and seed, with their rows, which are stamped as of a race."""
    prefer: Prefer
    asked: int
    """How many settings were to race."""
    papers: Config
    """The preset, which is the paper's own setting."""

    @property
    def standings(self) -> list[Standing]:
        return self.race.standings(self.result)

    @property
    def winner(self) -> Standing | None:
        """The setting that is preferred of the set; None where every racer failed."""
        return winner(self.standings, self.prefer, self.papers)


def race_of(result: Result, settings: ExperimentSettings) -> tuple[Race | None, str]:
    """The race of a search's best settings, None where not two have a score, and a sentence about it."""
    racing, metric = settings.racing, compared_by(rows_of(result), settings.metrics[0])
    assert racing.race and racing.race_seeds and racing.prefer
    racers = racers_of(result, metric, racing.race, racing.prefer, PRESETS[settings.preset]())
    tried = len(ranked(result, metric))
    if len(racers) < 2:
        return None, f"no race: {tried} of the settings tried have a {metric}, and a race needs two"
    votes = OfRace(settings.runs, result) if metric == VOTE else None
    race = Race(racers, seeds_of_race(racing.race_seeds, settings.seeds), metric, votes)
    best = min(racing.race, tried)
    papers = " and the paper's own" * (len(racers) > best)
    which = f"the best {best} of {tried} settings{papers}"
    if tried < racing.race:
        which = f"all {tried} settings that have a {metric}, which are fewer than --race {racing.race},{papers}"
    least, most = race.looks[0], len(race.seeds)
    each = f"{most}" if least == most else f"{least} to {most}"
    listed = ", ".join(map(str, race.seeds))
    return race, f"race: {which} get {each} further seeds each ({listed}), at most {race.max_points} runs"


def raced(race: Race, result: Result, settings: ExperimentSettings) -> Raced:
    """A race with its rows stamped, those that failed too."""
    racing = settings.racing
    assert racing.race and racing.prefer
    stamp = {"race": {"racers": len(race.racers), "seeds": list(race.seeds)}}
    rows = [(p, [replace(row, stamp=row.stamp | stamp) for row in rows]) for p, rows in race.with_scores(result)]
    return Raced(race, rows, racing.prefer, racing.race, PRESETS[settings.preset]())


def lines(found: Raced) -> list[str]:
    """The race for a terminal: mean, seeds, and the difference to the leader of every racer."""
    metric, chosen = found.race.metric, found.winner
    wide = max(len(racer.label) for racer in found.race.racers)
    head = f"{'':<{wide}}  the race: mean {metric} (seeds), difference to the leader"
    return [head, *(f"{s.racer.label:<{wide}}  {_told(s, found.standings[0], chosen)}" for s in found.standings)]


def comments(found: Raced, name: str, dataset: str, searched: Sequence[int]) -> list[str]:
    """What stands above the winner's fields in best.toml: of what it is the winner, and what is not worse."""
    race, standings = found.race, found.standings
    inside = [standing for standing in standings if not standing.left]
    told = [
        f"Best of {name} on {dataset}, by a race over {race.metric} with up to {len(race.seeds)} seeds that the search "
        f"({', '.join(map(str, searched))}) has not.",
        f"Not worse than the leader, as far as these seeds tell ({len(inside)} of {len(standings)}):",
        *(f"  {s.racer.label}  {_told(s, standings[0], found.winner)}" for s in inside),
    ]
    if out := [standing for standing in standings if standing.left]:
        told += ["Out of the race:", *(f"  {s.racer.label}  {_told(s, standings[0], None)}" for s in out)]
    return [*told, f"Chosen of those that are not worse: {CHOSEN[found.prefer]} (--prefer {found.prefer})."]


def failed(found: Raced) -> list[str]:
    """A sentence for each racer that left because a run failed."""
    out = [standing for standing in found.standings if standing.left and standing.why != "worse"]
    return [f"{s.racer.label} left the race after {_seeds(s.left)}: {in_a_line(s.why)}" for s in out]


def write(path: Path, found: Raced, searched: Sequence[int]) -> None:
    """Write the race as JSON: what apc/reporting/searches/race.py shows, and what another program may read."""
    chosen = found.winner
    standings = found.standings
    stored = {
        "metric": found.race.metric,
        "seeds": list(found.race.seeds),
        "searched_seeds": list(searched),
        "asked": found.asked,
        "level": found.race.level,
        "prefer": found.prefer,
        "winner": chosen.racer.label if chosen else None,
        "set": [standing.racer.label for standing in standings if not standing.left],
        "racers": [_stored(s, found.papers, leads=n == 0 and not s.left) for n, s in enumerate(standings)],
    }
    write_atomically(path, json.dumps(stored, indent=1, allow_nan=False) + "\n")


def _stored(standing: Standing, papers: Config, leads: bool) -> dict[str, Any]:
    gap = standing.gap
    numbers = {"mean": standing.mean, "difference": gap.mean, "low": gap.low, "high": gap.high}
    if leads:
        numbers |= dict.fromkeys(("difference", "low", "high"), math.nan)
    numbers["train_seconds"] = standing.seconds
    return {
        "label": standing.racer.label,
        "setting": standing.racer.values,
        "scores": {str(seed): value for seed, value in standing.scores.items()},
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "left": standing.left or None,
        "why": standing.why,
        "paper": is_the_papers(standing.racer, papers),
    }


def _told(standing: Standing, leader: Standing, chosen: Standing | None) -> str:
    """How a racer stands, in a line."""
    if not standing.scores:
        return f"–  left after {_seeds(standing.left)}: {in_a_line(standing.why)}"
    parts = [f"{standing.mean:.2f} ({len(standing.scores)})"]
    if standing.racer is not leader.racer and math.isfinite(standing.gap.low):
        parts.append(f"{standing.gap.mean:+.2f} ({standing.gap.low:+.2f} to {standing.gap.high:+.2f})")
    if standing.left:
        parts.append(f"left after {_seeds(standing.left)}: {in_a_line(standing.why)}")
    elif standing.racer is leader.racer:
        parts.append("leads")
    else:
        parts.append("not worse")
    return "  ".join([*parts, *(["chosen"] if chosen and chosen.racer is standing.racer else [])])


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count > 1)}"
