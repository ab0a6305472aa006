"""What to try next: points, grids and staged grids, in pure Python.

A plan is asked stage by stage. Given every point that is finished, with its rows, it names the points of the next
stage, and none when it is through. It keeps no state of its own, so a search that was killed goes on from its rows
alone and proposes what it would have proposed.
"""

import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from apc.config import fields_of, from_dict, types
from apc.escaping import short
from apc.runs.rows import Row, score
from apc.search.spaces import MOST_RUNS


@dataclass(frozen=True)
class Point:
    """One setting of the searched knobs, under the label that stands in the table."""

    label: str
    values: dict[str, Any]
    seeds: tuple[int, ...] = ()
    """Seeds to train it with; empty: those of the search."""

    def __post_init__(self) -> None:
        # a typo fails here and not in a worker; whether values go together depends on the base that they are laid over
        fields_of(self.values, f"point {self.label!r}")

    @property
    def key(self) -> tuple[tuple[str, Any], ...]:
        """What makes two points the same: the values, not the label."""
        return tuple(sorted(self.values.items()))


Result = list[tuple[Point, list[Row]]]
Done = Sequence[tuple[Point, list[Row]]]


def rows_of(result: Done) -> list[Row]:
    """All rows of a result."""
    return [row for _, rows in result for row in rows]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM in the middle of a search; `result` is what was finished."""

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


class Lost(Interrupted):
    """Ray died for good, or the cluster is gone, in the middle of a search; `why` says so in a sentence."""

    def __init__(self, result: Result, why: str) -> None:
        super().__init__(result)
        self.why = why


class Plan(Protocol):
    """Something that proposes points."""

    @property
    def knobs(self) -> tuple[str, ...]:
        """Config fields that it varies."""

    @property
    def max_points(self) -> int:
        """How many points it can come to."""

    def next(self, done: Done) -> list[Point]:
        """Points of the next stage, given all finished ones in the order proposed; empty when the plan is through."""


class ToCome(NamedTuple):
    """How many points a plan will add after those it has proposed."""

    least: int
    most: int


PLAYOUTS = 20


def to_come(plan: Plan, done: Done, proposed: Sequence[Point]) -> ToCome:
    """Points that follow when those proposed are done; of a staged plan found by playing it through with made-up
    scores, for what it adds depends on them."""
    if not isinstance(plan, Staged):
        rest = max(plan.max_points - len(done) - len(proposed), 0) if proposed else 0
        return ToCome(0, rest)
    counts = [_playout(plan, done, proposed, random.Random(seed)) for seed in range(PLAYOUTS)]
    return ToCome(min(counts), max(counts))


def _playout(plan: "Staged", done: Done, proposed: Sequence[Point], rng: random.Random) -> int:
    """How many points a staged plan adds where scores come out at random, about as high as those there are."""
    played, count, stage = list(done), 0, proposed
    known = [mean for _, rows in done if (mean := score(rows, plan.metric)) is not None] or [0.0]
    margin = (max(known) - min(known)) / 2 or 1.0
    while stage:
        made_up = ({plan.metric: rng.uniform(min(known) - margin, max(known) + margin)} for _ in stage)
        rows = [[Row(run="", config={}, metrics=metrics, seconds={})] for metrics in made_up]
        played += zip(stage, rows, strict=True)
        stage = plan.next(played)
        count += len(stage)
    return count


def label_of(values: Mapping[str, Any]) -> str:
    """`lambda1=0.02 lambda2=0.01`"""
    return " ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())


def best(done: Done, metric: str) -> Point | None:
    """Point with the highest mean of `metric`; the one proposed first where two are level."""
    scored = [(point, mean) for point, rows in done if (mean := score(rows, metric)) is not None]
    return max(scored, key=lambda pair: pair[1])[0] if scored else None


@dataclass(frozen=True)
class Points:
    """One stage: these points and no others."""

    points: tuple[Point, ...]

    @property
    def knobs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(knob for point in self.points for knob in point.values))

    @property
    def max_points(self) -> int:
        return len({point.key for point in self.points})

    def next(self, done: Done) -> list[Point]:
        return _new(self.points, done)


def points(settings: Mapping[str, Mapping[str, Any]] | Iterable[Mapping[str, Any]]) -> Points:
    """Plan of listed settings: {label: values}, or values alone, which then are their own label."""
    named = settings if isinstance(settings, Mapping) else {label_of(v): v for v in settings}
    return Points(tuple(Point(label, dict(values)) for label, values in named.items()))


def grid(knobs: Mapping[str, Sequence[Any]]) -> Points:
    """Plan of every combination of the knobs' values, the last knob running fastest; ValueError for a million."""
    if (count := math.prod(len(values) for values in knobs.values())) > MOST_RUNS:
        most = f"{MOST_RUNS:,} are the most that can be run"
        raise ValueError(f"grid of {', '.join(knobs)}: it has {count:,} points, and {most}; give fewer values")
    return points([dict(zip(knobs, values, strict=True)) for values in itertools.product(*knobs.values())])


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One knob from coarse to fine: `coarse` first, then `refine` times the middles of the gaps beside the best."""

    knob: str
    coarse: tuple[float, ...]
    refine: int = 1
    held: dict[str, Any] = field(default_factory=dict)
    """Values of other knobs while this one is swept; a knob swept earlier keeps the best value found."""

    def __post_init__(self) -> None:
        for value in self.coarse:
            from_dict({**self.held, self.knob: value}, source=f"sweep of {self.knob}")
        if not self.coarse or list(self.coarse) != sorted(set(self.coarse)):
            raise ValueError(f"sweep of {self.knob}: coarse is {self.coarse}; it must rise")
        if not isinstance(self.refine, int) or not 0 <= self.refine <= 100:
            raise ValueError(f"sweep of {self.knob}: refine is {short(self.refine)}; it must lie between 0 and 100")


@dataclass(frozen=True)
class Staged:
    """One knob after another, each from coarse to fine, as the paper's section 4.1 does.

    Every stage waits for the whole stage before it. A knob's best value is the one with the highest mean of `metric`
    over the seeds, the other knobs held. `always` are settings run with the first stage whatever comes out, so that
    they can be compared.
    """

    sweeps: tuple[Sweep, ...]
    always: tuple[dict[str, Any], ...] = ()
    metric: str = "miou"

    def __post_init__(self) -> None:
        if not isinstance(self.sweeps, tuple) or not all(isinstance(sweep, Sweep) for sweep in self.sweeps):
            raise ValueError(f"stages of {short(self.sweeps)}: give a tuple of Sweep")

    @property
    def knobs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(knob for sweep in self.sweeps for knob in (sweep.knob, *sweep.held)))

    @property
    def max_points(self) -> int:
        # A later knob's held value is among its coarse ones as a rule, but need not be.
        return sum(len(sweep.coarse) + 2 * sweep.refine for sweep in self.sweeps) + len(self.always)

    def next(self, done: Done) -> list[Point]:
        others: dict[str, Any] = {}
        for sweep in self.sweeps:
            others |= sweep.held
            values = set(sweep.coarse)
            for _ in range(sweep.refine + 1):
                stage = [self._point({**others, sweep.knob: value}) for value in sorted(values)]
                if new := _new([*stage, *map(self._point, self.always)], done):
                    return new
                keys = {point.key for point in stage}
                winner = best([(point, rows) for point, rows in done if point.key in keys], self.metric)
                if winner is None:
                    return []  # every value of this knob failed: there is nothing to go on from
                others[sweep.knob] = winner.values[sweep.knob]
                values |= _middles(sweep.knob, others[sweep.knob], values)
        return []

    def _point(self, values: dict[str, Any]) -> Point:
        ordered = {sweep.knob: values[sweep.knob] for sweep in self.sweeps if sweep.knob in values}
        return Point(label_of(ordered | values), ordered | values)


def _middles(knob: str, value: float, tried: set[float]) -> set[float]:
    """Middles of the gaps below and above `value`, of which an end has one: whole numbers of a knob that takes no
    others, else to two significant digits so that a table can print them."""
    below, above = [v for v in tried if v < value], [v for v in tried if v > value]
    middles = [(value + other) / 2 for other in (*sorted(below)[-1:], *sorted(above)[:1])]
    return {round(each) if types()[knob] is int else float(f"{each:.2g}") for each in middles}


def _new(proposed: Iterable[Point], done: Done) -> list[Point]:
    """The proposed points that are not done yet, each once."""
    known = {point.key for point, _ in done}
    return list({point.key: point for point in proposed if point.key not in known}.values())
