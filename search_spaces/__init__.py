"""What can be searched, as plain data: one module a question, with a PLAN (points, a grid, stages) or a `space`.

`space(trial)` is a define-by-run Optuna space; FIRST, beside it, lists settings to try before the sampler's own. To add
a space, put a module here: `apc search NAME` finds it, and its keys are checked against Config when it is loaded.
"""

import difflib
import importlib
import pkgutil
from types import ModuleType


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
    return module
