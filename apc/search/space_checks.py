"""What may be wrong with a search space, said before anything is searched: one sentence with its file and the knob."""

import difflib
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from apc.config import Config, fields_of, from_dict
from apc.escaping import short
from apc.search.spaces import MOST_RUNS, Above, Choice, Real, Space, When, Whole


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
    check_method(values, base, source)


OF_APC = ("pooling", "k", "k_share", "theta", "lambda1", "lambda2", "epsilon")
"""Fields that no other method reads."""


def check_method(values: Mapping[str, Any], base: Config, source: str) -> None:
    """ValueError where values vary, over another method, what apc alone has: its runs would all be one run."""
    idle = [name for name in OF_APC if name in values]
    if idle and "method" not in values and base.method != "apc":
        raise ValueError(f"{source}: {', '.join(idle)}: only method apc has that, and the method is {base.method}")


def check_first(values: Mapping[str, Any], space: Space, source: str) -> None:
    """ValueError where a setting of FIRST is none of the space."""
    for name, value in values.items():
        if name not in space:
            raise ValueError(f"{source}: FIRST has {name}, which is no knob of SPACE; it has {', '.join(space)}")
        knob = space[name]  # a number may lie outside its range, as the paper's setting does where a range is narrowed
        if isinstance(knob, Choice) and value not in knob.values:
            raise ValueError(f"{source}: FIRST has {name} {short(value)}, which is none of its values")
