"""A race: the best settings of a search get further seeds, the same for all, until it is known which are worse.

Seeds of the search are not among them: a setting is in the race because it was lucky with those. All racers train the
first seeds together, then one seed a round. After each look the setting with the highest mean leads, and every other
whose difference to it, paired by seed, is below zero for sure leaves. So does a racer of which a run fails. The race
ends when the leader is alone or the seeds are spent; the settings that are still in it are the set that nothing shows
to be worse than the leader.

For sure is Student's t, one-sided. Whoever looks often and at many finds something by chance: so the 5 % that may cost
the truly best setting its place are divided before the race, in equal parts, between all looks and all rivals
(Bonferroni). The first look is at three seeds: at two, an interval of such a level is wider than any difference. Where
all scores scatter normally about their settings' means, the truly best racer is then in the set at 95 races of 100 or
more, whichever leads and however many leave (tests/search/test_race.py simulates it).
"""

import math
import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from apc.config import Config, from_dict
from apc.reporting.verdicts.intervals import Summary, paired
from apc.runs.rows import Row, score
from apc.runs.scores import LOWER_IS_BETTER
from apc.search.halving import Rungs
from apc.search.plans import Done, Point, Result

Prefer = Literal["best", "cheapest", "paper"]

CONFIDENCE = 0.95
"""Share of races, at least, whose set has the truly best racer."""
FIRST_LOOK = 3
"""Seeds before a setting can leave for being worse."""
SEEDS = 5
"""Most seeds of a racer where nothing else is asked for."""
FROM = 100
"""The first seed of a race: the tables and comparisons of this house have seeds far below, and stay fresh."""


class Standing(NamedTuple):
    """How a racer stands."""

    racer: Point
    scores: dict[int, float]
    """By seed, of the rounds in which it was."""
    gap: Summary
    """Its score less the leader's over those seeds, with the race's interval; of the leader itself 0."""
    left: int
    """After how many seeds it left; 0 while it is in."""
    why: str
    """Why it left: `worse`, or what failed."""
    seconds: float
    """Of training, the mean over its seeds; NaN where none was finished."""

    @property
    def mean(self) -> float:
        """Over its seeds; NaN without one."""
        return statistics.fmean(self.scores.values()) if self.scores else math.nan


@dataclass(frozen=True)
class Race:
    """The plan of a race."""

    racers: tuple[Point, ...]
    """The best first."""
    seeds: tuple[int, ...]
    """In the order of the rounds."""
    metric: str = "miou"
    """Score by which it goes."""
    judged: Callable[[Point, Sequence[Row]], list[Row]] | None = None
    """What gives rows of a racer that score, where their runs have not got it."""

    def __post_init__(self) -> None:
        assert len(self.racers) > 1 and len(self.seeds) > 1, "Racing and `race_of` have looked"

    @property
    def knobs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(knob for racer in self.racers for knob in racer.values))

    @property
    def max_points(self) -> int:
        return len(self.racers) * len(self.seeds)

    @property
    def looks(self) -> range:
        """Numbers of seeds after which racers may leave for being worse."""
        return range(min(FIRST_LOOK, len(self.seeds)), len(self.seeds) + 1)

    @property
    def level(self) -> float:
        """Of the two-sided interval whose upper end is the race's one-sided bound."""
        return 1 - 2 * (1 - CONFIDENCE) / (len(self.looks) * (len(self.racers) - 1))

    def next(self, done: Done) -> list[Point]:
        """Of each racer that is in, a point a seed: all seeds up to the first look, then those of one round."""
        still = [standing.racer for standing in self.standings(done) if not standing.left]
        inside = [racer for racer in self.racers if racer in still]
        trained = {seed for point, _ in done for seed in point.seeds}
        rounds = self.looks[0] if not trained else len(trained) + 1
        left = [seed for seed in self.seeds[:rounds] if seed not in trained]
        if len(inside) < 2:
            return []
        return [Point(racer.label, racer.values, seeds=(seed,)) for seed in left for racer in inside]

    def standings(self, done: Done) -> list[Standing]:
        """How the racers stand after the last round that all of them ended, the leader first, then by their means."""
        done = self.with_scores(done)
        rows = {(point.key, seed): rows for point, rows in done for seed in point.seeds}
        left: dict[int, tuple[int, str]] = {}
        gaps: dict[int, Summary] = {}
        scores: list[dict[int, float]] = [{} for _ in self.racers]
        inside, leader = list(range(len(self.racers))), 0
        for count, seed in enumerate(self.seeds, start=1):
            ended = {n: rows.get((self.racers[n].key, seed), []) for n in inside}
            if len(inside) < 2 or not all(ended.values()):
                break
            for n, own in ended.items():
                value = score(own, self.metric)
                if value is None:
                    left[n] = (count, next((row.error for row in own if row.error), f"it has no {self.metric}"))
                else:
                    scores[n][seed] = value
            inside = [n for n in inside if n not in left]
            if not inside:
                break
            leader = max(inside, key=lambda n: self._sign * statistics.fmean(scores[n].values()))
            for n in inside:
                gaps[n] = paired(scores[n], scores[leader], self.level).summary
                gain = gaps[n].high if self._sign > 0 else -gaps[n].low
                if n != leader and count in self.looks and gain < 0:
                    left[n] = (count, "worse")
            inside = [n for n in inside if n not in left]
        nothing = Summary(0, *[math.nan] * 4)
        found = [
            Standing(racer, scores[n], gaps.get(n, nothing), *left.get(n, (0, "")), self._seconds(racer, rows))
            for n, racer in enumerate(self.racers)
        ]
        return sorted(found, key=self._rank)

    def with_scores(self, done: Done) -> Result:
        """Points with rows that have the race's score."""
        return [(point, self.judged(point, rows) if self.judged else rows) for point, rows in done]

    @property
    def _sign(self) -> int:
        return -1 if self.metric in LOWER_IS_BETTER else 1

    def _rank(self, standing: Standing) -> tuple[bool, int, float]:
        """Those that are in, by their means; then the others, who stayed longest first."""
        mean = -self._sign * standing.mean
        return bool(standing.left), -standing.left, mean if math.isfinite(mean) else math.inf

    def _seconds(self, racer: Point, rows: dict[tuple[tuple[tuple[str, object], ...], int], list[Row]]) -> float:
        own = [row.value("train_seconds") for seed in self.seeds for row in rows.get((racer.key, seed), [])]
        finite = [value for value in own if math.isfinite(value)]
        return statistics.fmean(finite) if finite else math.nan


def ranked(result: Result, metric: str) -> list[Point]:
    """Settings of a search that have a score, each once, the best first; of level ones the one proposed first."""
    means: dict[object, tuple[Point, float]] = {}
    for point, rows in result:
        if (mean := score(rows, metric)) is not None:
            means.setdefault(point.key, (point, mean))
    sign = 1 if metric in LOWER_IS_BETTER else -1
    return [point for point, _ in sorted(means.values(), key=lambda pair: sign * pair[1])]


def is_the_papers(point: Point, papers: Config) -> bool:
    """Whether a setting is the paper's own, whose schedule and size a preset has: it changes nothing of it."""
    try:
        return from_dict(point.values, papers) == papers
    except ValueError:  # it goes with what the search has beside it, and not with what the preset has
        return False


def racers_of(result: Result, metric: str, most: int, prefer: Prefer, papers: Config) -> tuple[Point, ...]:
    """The best settings of a search; where the paper's own, the preset `papers`, is preferred it races in any case,
    given up early or not, unless it failed."""
    best = ranked(result, metric)[:most]
    if prefer != "paper":
        return tuple(best)
    others = [point for point, rows in result if rows and not any(row.error for row in rows)]
    own = {point.key: point for point in others if is_the_papers(point, papers)}
    return (*best, *(point for key, point in own.items() if key not in {racer.key for racer in best}))


def check_enough(race: int | None, trials: int, rungs: Rungs | None) -> None:
    """ValueError where a search that halves trains fewer of its trials to the end than are to race."""
    if race and rungs and race > (reach := rungs.plan(trials)[-1][1]):
        told = f"--race {race}: of {trials} trial{'s' * (trials > 1)} halving trains {reach} to the end"
        raise ValueError(f"{told}, and no other has a score to race by; raise --trials, or add --stop-early none")


def seeds_of_race(count: int, searched: Collection[int]) -> tuple[int, ...]:
    """So many seeds that the search has not."""
    seeds = (seed for seed in range(FROM, FROM + count + len(searched)) if seed not in searched)
    return tuple(seed for _, seed in zip(range(count), seeds, strict=False))


def winner(standings: Sequence[Standing], prefer: Prefer, papers: Config) -> Standing | None:
    """Of the set the setting that is preferred: the leader, the one of fewest training seconds, or the paper's own, the
    preset `papers`, and the leader where that is not in the set. None where every racer failed."""
    inside = [standing for standing in standings if not standing.left]
    if not inside:
        return None
    if prefer == "cheapest":
        return min(inside, key=lambda s: s.seconds if math.isfinite(s.seconds) else math.inf)
    own = [s for s in inside if is_the_papers(s.racer, papers)] if prefer == "paper" else []
    return (own or inside)[0]
