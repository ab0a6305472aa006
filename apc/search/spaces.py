"""Search spaces as plain data: a mapping from Config field to the values it may take, and when it exists at all.

    SPACE = {
        "pooling": Choice(("max", "top_k")),
        "k": Whole(2, 12, when={"pooling": ("top_k",)}),
        "lambda1": Real(1e-3, 1.0, log=True),
    }

A knob whose condition does not hold keeps the base config's value. Conditions name knobs that stand above.
"""

import difflib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from apc.config import Config, fields_of, from_dict
from apc.escaping import short
from apc.search.halving import SHARE, Rungs, rungs_of, usual_bracket
from apc.search.stop_rules import stop_when

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Draw = Callable[["BaseTrial"], dict[str, Any]]
"""Define-by-run Optuna space: suggests values and returns the whole setting."""


@dataclass(frozen=True)
class Above:
    """Condition: the other knob's value is larger than this."""

    low: float


When = Mapping[str, Sequence[Any] | Above]


@dataclass(frozen=True)
class Real:
    """A number between `low` and `high`, both possible; on a logarithmic scale, or in steps."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: When = field(default_factory=dict)


@dataclass(frozen=True)
class Whole:
    """A whole number between `low` and `high`, both possible."""

    low: int
    high: int
    log: bool = False
    when: When = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """One of the values."""

    values: tuple[Any, ...]
    when: When = field(default_factory=dict)


MOST_RUNS = 10**6
"""Points, or seeds, beyond which nobody waits for the end: refused before they take memory."""

Space = Mapping[str, Real | Whole | Choice]
SpaceOf = Space | Callable[[Config], Space]
"""A space, or a function that makes it of the base setting, as where a range follows from the size of images."""
First = tuple[dict[str, Any], ...]
"""Settings of a space that are tried before the sampler's own."""
FirstOf = First | Callable[[Config], First]
"""The same, or a function that makes them of the base setting."""

Sampler = Literal["tpe", "gp", "cmaes", "nsga2", "random", "qmc", "grid"]
Stopper = Literal["none", "asha", "halving", "median"]
SAMPLERS = get_args(Sampler)
"""Names of the ways to propose settings: those of apc/search/samplers.py, and the grid of a space that is data."""
STOPPERS = get_args(Stopper)
"""Names of the rules by which a trial is given up early."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a space is searched; the flags of a search are its fields."""

    trials: int
    """Trials in all, those of earlier, interrupted calls included."""
    sampler: Sampler = "tpe"
    """How settings are proposed; `grid` trains every setting of a grid and is a plan."""
    grid_points: int = 3
    """Values of a number in a grid."""
    objectives: tuple[str, ...] = ("miou",)
    """Scores to raise, seconds to lower; two give a Pareto front, such as miou,train_seconds."""
    stop_early: Stopper = "none"
    """Which trials are given up in the middle of their first seed: halving, which a search of a space does if nobody
    says, trains all to the epoch of a rung, where they wait for one another, and the best share goes on, with the
    setting tried first; asha and median judge each by those before it, and need --eval-every 1."""
    rungs: tuple[int, ...] = ()
    """Epochs of halving's rungs (default: two fifths of all, such as 4 10; the last is always the end)."""
    keep_share: float = SHARE
    """Share of a rung's trials that goes on, one at least (default: a fifth)."""
    bracket: int | None = None
    """Trials that halving compares with one another before it proposes further ones (default: 8, and 24 with
    `--choose vote`)."""
    search_seed: int = 0
    """Seed of the search itself."""
    hours: float = 0.0
    """Wall hours of one call after which no trial is started; 0 is no limit."""
    gpu_hours: float = 0.0
    """GPU-hours of all its trials after which none is started; 0 is no limit."""
    stop_when: str = ""
    """When no further trial is started: "no better in 20" trials, or a score that is reached, such as "miou 70"."""
    warm_start: Path | None = None
    """Folder or store of finished runs of the same base config: those of its space a new study knows from the start;
    where it halves, gp, cmaes and nsga2 know those that were scored at the epoch of its first rung."""

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS or self.stop_early not in STOPPERS:
            named = f"--sampler {self.sampler}, --stop-early {self.stop_early}"
            raise ValueError(f"{named}: choose from {', '.join(SAMPLERS)} and from {', '.join(STOPPERS)}")
        if not 1 <= len(self.objectives) == len(set(self.objectives)) <= 2:
            raise ValueError(f"--objectives {','.join(self.objectives)}: give one score, or two different ones")
        if len(self.objectives) > 1 and (self.sampler == "cmaes" or self.stop_early != "none"):
            what = f"--stop-early {self.stop_early}" if self.stop_early != "none" else "--sampler cmaes"
            raise ValueError(f"{what} takes one objective, not {','.join(self.objectives)}")
        self._check_rungs()
        if min(self.hours, self.gpu_hours, self.search_seed) < 0:
            raise ValueError("--hours, --gpu-hours and --search-seed cannot be below 0")
        if self.stop_when:
            stop_when(self.stop_when)
        if not 1 <= self.trials <= MOST_RUNS:
            least_or_most = "at least 1" if self.trials < 1 else f"at most {MOST_RUNS:,}"
            raise ValueError(f"--trials is {self.trials:,}; it must be {least_or_most}")
        if self.grid_points < 2:
            raise ValueError(f"--grid-points is {self.grid_points}; it must be at least 2")

    def _check_rungs(self) -> None:
        """ValueError where what is said of halving's rungs cannot be, or is said of another rule."""
        told = " ".join(map(str, self.rungs))
        if any(after <= before for before, after in itertools.pairwise((0, *self.rungs))):
            raise ValueError(f"--rungs {told}: give rising epochs from 1 on, such as 1 3 10")
        if not 0 < self.keep_share < 1:
            raise ValueError(f"--keep-share is {self.keep_share:g}; it must lie between 0 and 1, such as 0.33")
        if self.bracket is not None and self.bracket < 2:
            raise ValueError(f"--bracket is {self.bracket}; it must be at least 2")
        said = {f"--rungs {told}": self.rungs, f"--keep-share {self.keep_share:g}": self.keep_share != SHARE}
        said[f"--bracket {self.bracket}"] = self.bracket is not None
        if self.stop_early != "halving" and (flags := [flag for flag, named in said.items() if named]):
            raise ValueError(f"{flags[0]} is for --stop-early halving, and the rule is {self.stop_early}")

    @property
    def score_to_reach(self) -> str:
        """The score that `stop_when` waits for; empty where it waits for none."""
        return stop_when(self.stop_when).score if self.stop_when else ""

    @property
    def halving(self) -> Rungs | None:
        """The rungs of a search that halves, once they are known; None of any other."""
        known = self.stop_early == "halving" and self.rungs
        return Rungs(self.rungs, self.keep_share, self.trials_a_bracket) if known else None

    @property
    def trials_a_bracket(self) -> int:
        """Trials of a bracket of halving, said or not."""
        return self.bracket or usual_bracket(self.objectives[0])

    def rungs_over(self, base: Config) -> Rungs:
        """The rungs of halving over this base config; ValueError for what cannot be."""
        return rungs_of(self.rungs, self.keep_share, self.trials_a_bracket, base)

    @property
    def stamp(self) -> dict[str, Any]:
        """What the rows' stamp says of it."""
        stamp: dict[str, Any] = {"sampler": self.sampler, "objectives": list(self.objectives)}
        if self.sampler == "grid":
            return stamp | {"grid_points": self.grid_points}
        stamp |= {"search_seed": self.search_seed, "stop_early": self.stop_early, "trials": self.trials}
        if self.stop_early == "halving":
            stamp |= {"rungs": list(self.rungs), "keep_share": self.keep_share, "bracket": self.trials_a_bracket}
        return stamp | ({"warm_start": self.warm_start.name} if self.warm_start else {})


def check(space: Space, source: str) -> None:
    """ValueError naming `source`, the knob and what is wrong with it, before anything is searched."""
    if not isinstance(space, Mapping) or not space:
        raise ValueError(
            f"{source}: SPACE is {short(space)}; it must be a mapping from fields to Real, Whole or Choice"
        )
    if strange := [name for name in space if not isinstance(name, str)]:
        raise ValueError(f"{source}: SPACE has the key {short(strange[0])}; a key is the name of a field")
    fields_of(space, source)
    if "seed" in space:
        raise ValueError(f"{source}: seed is no knob; --seeds says which are run")
    for name, knob in space.items():
        _check_knob(knob, f"{source}: {name}")
    for at, (name, knob) in enumerate(space.items()):
        for value in _ends(knob, f"{source}: {name}"):
            fits({name: value}, Config(), source)
        _check_condition(knob.when, {above: space[above] for above in list(space)[:at]}, f"{source}: {name}")


def ends(space: Space) -> dict[str, list[Any]]:
    """What the rows' stamp says of a space: of each number its ends, and whether its scale is logarithmic."""
    return {n: [knob.low, knob.high, knob.log] for n, knob in space.items() if not isinstance(knob, Choice)}


def over(space: SpaceOf, base: Config) -> Space:
    """The space as it is over a base setting."""
    return space(base) if callable(space) else space


def first_over(first: FirstOf, base: Config) -> First:
    """The settings to try first as they are over a base setting."""
    return first(base) if callable(first) else first


def own_setting(space: Space, base: Config) -> dict[str, Any]:
    """The setting of a space that changes nothing of the base."""
    values: dict[str, Any] = {}
    for name, knob in space.items():
        if holds(knob.when, values):
            values[name] = getattr(base, name)
    return values


def is_setting(values: Any) -> bool:
    """Whether it is a dict by name, as a setting is."""
    return isinstance(values, dict) and all(isinstance(name, str) for name in values)


def _check_knob(knob: Any, place: str) -> None:
    """ValueError where a knob, its values or its condition are of wrong types."""
    if not isinstance(knob, Real | Whole | Choice):
        raise ValueError(f"{place} is {short(knob)}; it must be a Real, a Whole or a Choice")
    if isinstance(knob, Choice):
        if not isinstance(knob.values, list | tuple):
            raise ValueError(f"{place} has the values {short(knob.values)}; Choice takes a tuple")
        for value in knob.values:
            if not isinstance(value, str | int | float | None):
                instead = "a study keeps texts, numbers, true and false: write a function space(trial) or a PLAN"
                raise ValueError(f"{place} has the value {short(value)}; {instead}")
        if len(set(knob.values)) < len(knob.values):
            raise ValueError(f"{place} has a value twice: {short(knob.values)}")
    else:
        numbers = {"low": knob.low, "high": knob.high} | ({"step": knob.step} if isinstance(knob, Real) else {})
        for end, value in numbers.items():
            if value is not None and not _is_number(value, int if isinstance(knob, Whole) else float):
                kind = "a whole number" if isinstance(knob, Whole) else "a finite number"
                raise ValueError(f"{place} has {end} {short(value)}; it must be {kind}")
        if not isinstance(knob.log, bool):
            raise ValueError(f"{place} has log {short(knob.log)}; it must be True or False")
        if knob.low is None or knob.high is None:
            raise ValueError(f"{place} runs from {knob.low} to {knob.high}; both ends must be numbers")
    if not isinstance(knob.when, Mapping):
        raise ValueError(f"{place} has when {short(knob.when)}; it must be a mapping from knobs above to values")
    for other, wanted in knob.when.items():
        if not isinstance(other, str):
            raise ValueError(f"{place} depends on {short(other)}; give the name of a knob above")
        if not isinstance(wanted, list | tuple) and not (isinstance(wanted, Above) and _is_number(wanted.low, float)):
            raise ValueError(f"{place} depends on {other} = {short(wanted)}; give a tuple of values, or Above(number)")


def _is_number(value: Any, kind: type) -> bool:
    """Whether it is a finite number; a whole one where the kind is int."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and abs(value) < 10**15 or (kind is float and isinstance(value, float) and math.isfinite(value))


def _ends(knob: Real | Whole | Choice, place: str) -> Sequence[Any]:
    """A choice's values or the ends of a range; ValueError where there are none or the range cannot be."""
    if isinstance(knob, Choice):
        if not knob.values:
            raise ValueError(f"{place} has no values to choose from")
        return knob.values
    if not knob.low <= knob.high:
        raise ValueError(f"{place} runs from {knob.low:g} to {knob.high:g}; the range is upside down")
    if knob.log and knob.low <= 0:
        raise ValueError(f"{place} starts at {knob.low:g}; a logarithmic scale must start above 0")
    if isinstance(knob, Real) and knob.step is not None and (knob.step <= 0 or knob.log):
        raise ValueError(f"{place} has step {knob.step:g}; a step is above 0 and without log")
    if isinstance(knob, Real) and knob.step is not None:
        width, step = Decimal(str(knob.high)) - Decimal(str(knob.low)), Decimal(str(knob.step))
        if width / step > MOST_RUNS or width % step:
            between = f"{knob.low:g} to {knob.high:g}"
            raise ValueError(f"{place} has step {knob.step:g}, which does not divide {between} into whole steps")
    return (knob.low, knob.high)


def _check_condition(when: When, above: Space, place: str) -> None:
    """ValueError where a condition names no knob of those above, or a value that the knob named cannot have."""
    for other, wanted in when.items():
        if other not in above:
            close = difflib.get_close_matches(other, list(above), n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"{place} depends on {other}, which is no knob above it{meant}")
        knob = above[other]
        if isinstance(wanted, Above) or not isinstance(knob, Choice):
            continue
        for value in wanted:
            if value not in knob.values:
                choices = ", ".join(map(str, knob.values))
                raise ValueError(f"{place} depends on {other} = {value}, which is none of its values: {choices}")


def fits(values: Mapping[str, Any], base: Config, source: str) -> None:
    """ValueError naming `source` where values do not make a Config."""
    fields_of(values, source)
    try:
        from_dict(values, base)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def check_first(values: Mapping[str, Any], space: Space, source: str) -> None:
    """ValueError where a setting of FIRST is none of the space."""
    for name, value in values.items():
        if name not in space:
            raise ValueError(f"{source}: FIRST has {name}, which is no knob of SPACE; it has {', '.join(space)}")
        knob = space[name]  # a number may lie outside its range, as the paper's setting does where a range is narrowed
        if isinstance(knob, Choice) and value not in knob.values:
            raise ValueError(f"{source}: FIRST has {name} {short(value)}, which is none of its values")


def holds(when: When, values: Mapping[str, Any]) -> bool:
    """Whether a condition holds among the values chosen so far; one on a knob that is absent itself does not."""
    return all(
        name in values and (values[name] > wanted.low if isinstance(wanted, Above) else values[name] in wanted)
        for name, wanted in when.items()
    )


def suggest(space: Space, trial: "BaseTrial") -> dict[str, Any]:
    """One setting of the space, as the trial's sampler has it."""
    values: dict[str, Any] = {}
    for name, knob in space.items():
        if not holds(knob.when, values):
            continue
        if isinstance(knob, Choice):
            values[name] = trial.suggest_categorical(name, knob.values)
        elif isinstance(knob, Whole):
            values[name] = trial.suggest_int(name, knob.low, knob.high, log=knob.log)
        else:
            value = trial.suggest_float(name, knob.low, knob.high, log=knob.log, step=knob.step)
            values[name] = value if knob.step is None else float(f"{value:.10g}")  # 0.035, not 0.035000000000000003
    return values


def grid(space: Space, points: int) -> list[dict[str, Any]]:
    """Every combination of at most `points` values a numeric knob, evenly spaced on its scale; each setting once."""
    assert points >= 2
    count = math.prod(len(k.values) if isinstance(k, Choice) else _count(k, points) for k in space.values())
    if count > MOST_RUNS:
        instead = "lower --grid-points, or choose another --sampler"
        raise ValueError(f"the grid has {count:,} settings, and {MOST_RUNS:,} are the most that can be run; {instead}")
    settings: dict[str, dict[str, Any]] = {}
    for values in itertools.product(*(_levels(knob, points) for knob in space.values())):
        setting: dict[str, Any] = {}
        for (name, knob), value in zip(space.items(), values, strict=True):
            if holds(knob.when, setting):
                setting[name] = value
        settings[json.dumps(setting, sort_keys=True)] = setting
    return list(settings.values())


def _count(knob: Real | Whole, points: int) -> int:
    """How many values a number has in a grid, at most."""
    return min(points, knob.high - knob.low + 1) if isinstance(knob, Whole) else points


def _levels(knob: Real | Whole | Choice, points: int) -> list[Any]:
    if isinstance(knob, Choice):
        return list(knob.values)
    if isinstance(knob, Whole):
        points = min(points, knob.high - knob.low + 1)
    shares = [i / (points - 1) for i in range(points)] if points > 1 else [0.0]
    if knob.log:
        low, high = math.log(knob.low), math.log(knob.high)
        levels = [math.exp(low + share * (high - low)) for share in shares]
    else:
        levels = [knob.low + share * (knob.high - knob.low) for share in shares]
    if isinstance(knob, Whole):
        return sorted({round(level) for level in levels})
    if knob.step is not None:
        levels = [knob.low + round((level - knob.low) / knob.step) * knob.step for level in levels]
    return sorted({float(f"{level:.4g}") for level in levels})
