"""What can be searched, as plain data: one module a question, found by `apc search NAME`. A module has one of

    PLAN           points, a grid, or stages (apc/search/plans.py): everything in it is run
    SPACE          knobs with ranges and conditions (apc/search/spaces.py), searched with Optuna
    space(trial)   a define-by-run Optuna space that returns the setting, where data does not say it

and beside the last two, if it likes, FIRST: settings to try before the sampler's own. To add a space, put a module
here. It is checked against Config when it is loaded: data knob by knob, a function in 64 settings drawn from it.
"""

import difflib
import functools
import importlib
import pkgutil
from types import ModuleType

from apc.config import Config
from apc.search import spaces
from apc.search.draws import draws, in_a_line, line_in


def names() -> list[str]:
    """Names of the spaces."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> ModuleType:
    """Module of a space; ValueError names the nearest one where there is none of that name."""
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        meant = f"did you mean {close[0]}?" if close else f"choose from {', '.join(names())}"
        raise ValueError(f"there is no search space {name!r}; {meant}")
    source = f"search_spaces/{name}.py"
    try:
        module = importlib.import_module(f"search_spaces.{name}")
    except (Exception, SystemExit) as error:  # whatever the code of a space does at import
        raise ValueError(f"{source}{line_in(source, error)}: cannot be imported ({in_a_line(error)})") from None
    check(module, source)
    return module


def check(module: ModuleType, source: str) -> None:
    """ValueError naming `source` where a module is no search space or something in it does not fit Config."""
    if not any(hasattr(module, kind) for kind in ("PLAN", "SPACE", "space")):
        raise ValueError(f"{source} has neither a PLAN nor a SPACE nor a function space(trial)")
    if hasattr(module, "PLAN"):  # which checks its points as it is written
        if not callable(module.PLAN) and not all(
            hasattr(module.PLAN, each) for each in ("knobs", "max_points", "next")
        ):
            raise ValueError(f"{source}: PLAN is {type(module.PLAN).__name__}; it must be points, a grid or stages")
        return
    if hasattr(module, "SPACE"):
        spaces.check(module.SPACE, source)
    elif not callable(module.space):
        raise ValueError(f"{source}: space is {type(module.space).__name__}; it must be a function, space(trial)")
    draws(draw_of(module), Config(), source)
    first = getattr(module, "FIRST", ())
    if not isinstance(first, list | tuple) or not all(spaces.is_setting(values) for values in first):
        raise ValueError(f"{source}: FIRST must be a tuple of settings, such as ({{'lambda1': 0.1}},)")
    for values in first:
        spaces.fits(values, Config(), source)


def draw_of(module: ModuleType) -> spaces.Draw:
    """The define-by-run function of a module with a SPACE or a function."""
    return functools.partial(spaces.suggest, module.SPACE) if hasattr(module, "SPACE") else module.space
