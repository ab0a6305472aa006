"""Search spaces as plain data: a mapping from Config field to the values it may take, and when it exists at all.

    SPACE = {
        "pooling": Choice(("max", "top_k")),
        "k": Whole(2, 12, when={"pooling": ("top_k",)}),
        "lambda1": Real(1e-3, 1.0, log=True),
    }

A knob whose condition does not hold keeps the base config's value. Conditions name knobs that stand above.
"""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apc.config import Config

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
