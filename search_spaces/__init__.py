"""What can be searched, as plain data: one module a question, with a PLAN (points, a grid, stages) or a `space`.

`space(trial)` is a define-by-run Optuna space; FIRST, beside it, lists settings to try before the sampler's own. To add
a space, put a module here: `apc search NAME` finds it. When it is loaded, its keys and values are checked against
Config; of a `space` these are FIRST and one setting drawn from it, so a further branch is checked when it is tried.
"""

import difflib
import importlib
import pkgutil
from types import ModuleType

from apc.config import from_dict
from apc.plans import draw


def names() -> list[str]:
    """Names of the spaces."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> ModuleType:
    """Module of a space; ValueError names the nearest one where there is none of that name."""
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        meant = f"did you mean {close[0]}?" if close else f"choose from {', '.join(names())}"
        raise ValueError(f"there is no search space {name!r}; {meant}")
    module = importlib.import_module(f"search_spaces.{name}")
    if not (hasattr(module, "PLAN") or hasattr(module, "space")):
        raise ValueError(f"search_spaces/{name}.py has neither a PLAN nor a function space(trial)")
    if not hasattr(module, "PLAN"):  # a plan checks itself as it is written
        for values in (draw(module.space), *getattr(module, "FIRST", ())):
            from_dict(values, source=f"search_spaces/{name}.py")
    return module
