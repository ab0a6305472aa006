"""What can be searched, as plain data: one module a question, found by `apc search NAME`. A module has one of

    PLAN           points, a grid, or stages (apc/search/plans.py): everything in it is run
    SPACE          knobs with ranges and conditions (apc/search/spaces.py), or a function that makes them of the
                   base setting, as where a range follows from the size of images; searched with Optuna
    space(trial)   a define-by-run Optuna space that returns the setting, where data does not say it

and beside the last two, if it likes, FIRST: settings to try before the sampler's own, the first of which halving never
gives up, or a function that makes them of the base setting. To add a space, put a module here. It is checked against
Config when it is loaded: data knob by knob, a function in 64 settings drawn from it.
"""

import ast
import contextlib
import difflib
import functools
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from apc.config import Config
from apc.search import space_checks, spaces
from apc.search.draws import in_a_line, line_in, samples
from apc.search.plans import Plan, Point


def names() -> list[str]:
    """Names of the spaces."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def abouts() -> dict[str, str]:
    """What each space says of itself in its first line, by name; none is run for it, so that a broken one is no
    matter."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(__path__):
        spec = module.module_finder.find_spec(module.name, None)
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            assert spec and spec.origin
            text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
            found[module.name] = (text.splitlines() or [""])[0].rstrip(".")
    return dict(sorted(found.items()))


def title_of(module: ModuleType) -> str:
    """First line of what a space says of itself, or its name."""
    return (str(module.__doc__ or "").strip() or module.__name__.rpartition(".")[2]).splitlines()[0].rstrip(".")


def load(name: str) -> ModuleType:
    """Module of a space; ValueError names the nearest one where there is none of that name."""
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        meant = f"did you mean {close[0]}?" if close else f"choose from {', '.join(names())}"
        raise ValueError(f"there is no search space {name!r}; {meant}")
    source = f"search_spaces/{name}.py"
    try:
        module = importlib.import_module(f"search_spaces.{name}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the code of a space does at import, sys.exit too
        raise ValueError(f"{source}{line_in(source, error)}: cannot be imported ({in_a_line(error)})") from None
    try:
        check(module, source)
        title_of(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the code of its objects does as they are looked at
        if type(error) is ValueError and str(error).startswith(source):
            raise
        raise ValueError(f"{source}{line_in(source, error)}: is no search space ({in_a_line(error)})") from None
    return module


def check(module: ModuleType, source: str) -> None:
    """ValueError naming `source` where a module is no search space or something in it does not fit Config."""
    has = vars(module)  # what is written in it, and no `__getattr__` of its own
    if not any(kind in has for kind in ("PLAN", "SPACE", "space")):
        raise ValueError(f"{source} has neither a PLAN nor a SPACE nor a function space(trial)")
    if "PLAN" in has:
        plan_of(module, Config())
        return
    space = space_of(module, Config(), source) if "SPACE" in has else None
    if space is not None:
        space_checks.check(space, source)
    elif not callable(module.space):
        raise ValueError(f"{source}: space is {type(module.space).__name__}; it must be a function, space(trial)")
    if not any(drawn.ranges for drawn in samples(draw_of(module, Config()), Config(), source)):
        raise ValueError(f"{source}: space(trial) suggests nothing, so there is nothing to search")
    first_of(module, Config(), source)


def plan_of(module: ModuleType, base: Config) -> Plan:
    """The PLAN of a module, made of the base setting where it is a function; ValueError where it is no plan that can
    be run. Points check themselves as they are written."""
    source = f"search_spaces/{module.__name__.rpartition('.')[2]}.py"
    kind, most = "", 0
    proposed: object = None
    knobs: tuple[str, ...] = ()
    try:
        plan: Plan = module.PLAN(base) if callable(module.PLAN) else module.PLAN
        kind = type(plan).__name__
        if all(hasattr(plan, each) for each in ("knobs", "max_points", "next")):
            proposed, knobs, most = plan.next([]), tuple(plan.knobs), int(plan.max_points)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the code of a plan does
        raise ValueError(f"{source}{line_in(source, error)}: PLAN fails ({in_a_line(error)})") from None
    if not isinstance(proposed, list) or not all(isinstance(point, Point) for point in proposed):
        raise ValueError(f"{source}: PLAN is {kind}; it must be points, a grid or stages")
    if not proposed:
        raise ValueError(f"{source}: PLAN has no points")
    if most > spaces.MOST_RUNS:
        raise ValueError(f"{source}: PLAN has {most:,} points, and {spaces.MOST_RUNS:,} are the most that can be run")
    if "seed" in knobs:
        raise ValueError(f"{source}: seed is no knob; --seeds says which are run")
    return plan


def space_of(module: ModuleType, base: Config, source: str) -> spaces.Space:
    """The SPACE of a module over a base setting; ValueError where a function that makes it fails."""
    try:
        return spaces.over(module.SPACE, base)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the code of a space does
        raise ValueError(f"{source}{line_in(source, error)}: SPACE fails ({in_a_line(error)})") from None


def draw_of(module: ModuleType, base: Config) -> spaces.Draw:
    """The define-by-run function of a module with a SPACE, over a base setting, or with a function."""
    if "SPACE" not in vars(module):
        drawn: spaces.Draw = module.space
        return drawn
    return functools.partial(spaces.suggest, spaces.over(module.SPACE, base))


def first_of(module: ModuleType, base: Config, source: str) -> spaces.First:
    """Settings that a module wants to be tried first over a base setting; ValueError where they are none of its space,
    or a function that makes them fails."""
    try:
        first: spaces.First = spaces.first_over(vars(module).get("FIRST", ()), base)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the code of a space does
        raise ValueError(f"{source}{line_in(source, error)}: FIRST fails ({in_a_line(error)})") from None
    if not isinstance(first, list | tuple) or not all(space_checks.is_setting(values) for values in first):
        raise ValueError(f"{source}: FIRST must be a tuple of settings, such as ({{'lambda1': 0.1}},)")
    if any(values in first[:at] for at, values in enumerate(first)):
        raise ValueError(f"{source}: FIRST has a setting twice")
    for values in first:
        space_checks.fits(values, base, source)
        if "SPACE" in vars(module):
            space_checks.check_first(values, space_of(module, base, source), source)
    return tuple(first)
