"""Settings drawn of a define-by-run space to look at it: whether it fits Config, and what it is."""

import inspect
import traceback
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apc.config import Config, from_dict
from apc.search.space_checks import fits, is_setting
from apc.search.spaces import Draw

if TYPE_CHECKING:
    import optuna

DRAWS = 64
"""Settings drawn of a space to look at it."""


class Sample(NamedTuple):
    """One setting drawn of a space."""

    values: dict[str, Any]
    """Config field -> value."""
    ranges: dict[str, str]
    """Knob that exists in this setting -> what it may be, as text."""


def draws(draw: Draw, base: Config, source: str) -> list[dict[str, Any]]:
    """Settings of a define-by-run space drawn at random, always the same ones, checked against Config.

    ValueError names `source` and what is wrong: a field that is not there, a value that does not fit, a range upside
    down, a name that the function does not know, more patches for a class than an image has.
    """
    found = [drawn.values for drawn in samples(draw, base, source)]
    for values in found:
        cfg = from_dict(values, base)
        if "k" in values and cfg.k > cfg.patches:
            raise ValueError(
                f"{source}: k comes to {cfg.k}, and an image of {cfg.image_size} pixels has {cfg.patches} patches"
            )
    return found


def samples(draw: Draw, base: Config, source: str) -> list[Sample]:
    """Settings as `draws` gives them, each with what its knobs may be."""
    import optuna

    class Each(optuna.samplers.BaseSampler):
        """At random, the ends of a range often, where a condition may change; and no knob's values depend on which
        others there are, so that a change shows where it was made."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            seed = zlib.crc32(f"{trial.number} {param_name}".encode())
            if seed % 8 < 2 and hasattr(param_distribution, "low"):
                return param_distribution.high if seed % 8 else param_distribution.low
            own = optuna.samplers.RandomSampler(seed=seed)
            return own.sample_independent(study, trial, param_name, param_distribution)

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # before any trial: what it warns of would lie over the view
    study = optuna.create_study(sampler=Each())
    return [sample(draw, study.ask(), base, source) for _ in range(DRAWS)]


class Outside(NamedTuple):
    """A knob of a setting that a space does not have like this."""

    name: str
    value: Any
    ends: str
    """What it may be there: `2 to 4`."""


def outside(draw: Draw, values: Mapping[str, Any], base: Config, source: str) -> list[Outside]:
    """Knobs of a setting to try first that lie outside their ranges; ValueError as `draws`."""
    import optuna
    from optuna.distributions import FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(dict(values))
    trial = study.ask()
    sample(draw, trial, base, source)
    return [
        Outside(name, values[name], f"{kind.low:g} to {kind.high:g}")
        for name, kind in trial.distributions.items()
        if name in values
        and isinstance(kind, FloatDistribution | IntDistribution)
        and not kind._contains(kind.to_internal_repr(values[name]))
    ]


def sample(draw: Draw, trial: "optuna.Trial", base: Config, source: str) -> Sample:
    """One setting as the trial's sampler has it; ValueError as `draws`."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Fixed parameter")  # tried_first.py says which, in our words
            for slip in ("Inconsistent parameter values", "Choices for a categorical"):
                warnings.filterwarnings("error", slip)  # a setting proposed twice; a choice that no study can keep
            values = draw(trial)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the function of a space does, sys.exit too
        raise ValueError(f"{source}{line_in(source, error)}: space(trial) fails ({in_a_line(error)})") from None
    if inspect.iscoroutine(values):
        values.close()  # which is never awaited, and Python would warn of that
    if not is_setting(values):
        raise ValueError(f"{source}: space(trial) returns {type(values).__name__}; it must return a dict of fields")
    if "seed" in values:
        raise ValueError(f"{source}: seed is no knob; --seeds says which are run")
    fits(values, base, source)
    return Sample(values, {name: repr(kind) for name, kind in trial.distributions.items()})


def line_in(source: str, error: BaseException) -> str:
    """`, line 12`: where in the file `source` an error arose; empty where it did not arise there."""
    if isinstance(error, SyntaxError) and Path(error.filename or "").name == Path(source).name:
        return f", line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).name == Path(source).name]
    return f", line {lines[-1]}" if lines else ""


def in_a_line(error: BaseException) -> str:
    """`NameError: name 'x' is not defined`: an error as a part of a sentence."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error whose own text fails
        text = "without a text"
    return f"{type(error).__name__}: {text[:MOST]}{'...' if len(text) > MOST else ''}"


MOST = 300
"""Characters shown of an error of other people's code."""
