"""The experiments there are, found by looking: a new one is a module of `experiments`, and this file stays as it is.

A module there has an EXPERIMENT, or STEPS that are several, or a PICTURE; a search space may have an ENTRY, which is
what the page says of `apc search`. All are imported by name when the page is made, so they must be light to import: no
torch, no Ray, no pandas.
"""

import functools
import importlib
import pkgutil
import warnings
from dataclasses import replace
from types import ModuleType

from apc.escaping import in_markdown
from apc.reporting.table_entry import PictureEntry, TableEntry
from apc.runs.scores import CHOOSERS, Chooser


def entries() -> dict[str, TableEntry]:
    """What the page shows of each experiment and described space, by name in the order of the page."""
    modules = [*modules_of("experiments").values(), *modules_of("search_spaces").values()]
    shown = [entry for module in modules for entry in tables_of(module)]
    return {entry.name: entry for entry in sorted(shown, key=lambda entry: (entry.place, entry.name))}


def pictures() -> dict[str, PictureEntry]:
    """The pictures, by name in the order of the page."""
    shown = [picture for module in modules_of("experiments").values() for picture in pictures_of(module)]
    return {picture.name: picture for picture in sorted(shown, key=lambda picture: (picture.place, picture.name))}


def described(name: str) -> TableEntry:
    """The entry of an experiment, or a plain one for a name without an entry."""
    if entry := entries().get(name):
        return entry
    own, chooser = chosen_by(name)
    if chooser:
        entry = described(own)
        metric = CHOOSERS[chooser] if entry.metric in CHOOSERS.values() else entry.metric
        compares = tuple(f"{other}_by_{chooser}" for other in entry.compares)
        return replace(entry, name=name, title=f"{entry.title}, chosen by {chooser}", metric=metric, compares=compares)
    if name.startswith("space_"):
        space = name.removeprefix("space_")
        return TableEntry(
            name=name,
            title=f"Search of the space {space}",
            about=f"The settings of search_spaces/{in_markdown(space)}.py that were tried.",
            search=True,
            figures=("history", "knobs"),
        )
    if name == "runs":
        return TableEntry(name=name, title="Runs by themselves", about="Finished runs that stand in no other table.")
    about = "No script of this name lies below experiments/, so this is a plain table."
    return TableEntry(name=name, title=name, about=about)


def chosen_by(name: str) -> tuple[str, Chooser | None]:
    """`grid_lambda_by_labels` -> `grid_lambda`, `labels`: an experiment whose settings were chosen by something else
    than its own; None where they were not."""
    own, by, chooser = name.rpartition("_by_")
    known = next((each for each in CHOOSERS if each == chooser), None)
    return (own, known) if by and known and name not in entries() else (name, None)


def tables_of(module: ModuleType) -> tuple[TableEntry, ...]:
    """The experiments of a script, one after the other, or the entry of a search space; none of another module."""
    has = vars(module)  # what is written in it: a `__getattr__` of a search space may do anything
    if steps := has.get("STEPS", ()):
        return tuple(steps)
    return tuple(has[name] for name in ("EXPERIMENT", "ENTRY") if name in has)


def pictures_of(module: ModuleType) -> tuple[PictureEntry, ...]:
    """The picture that a script draws; none of another module."""
    return (module.PICTURE,) if "PICTURE" in vars(module) else ()


def modules_of(package: str) -> dict[str, ModuleType]:
    """Modules of `experiments` or `search_spaces` by name; what cannot be imported is warned of and left out."""
    names = [info.name for info in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    modules = {name: _imported(f"{package}.{name}") for name in names}
    return {name: module for name, module in modules.items() if module}


@functools.cache
def _imported(name: str) -> ModuleType | None:
    """A half-written script must not cost the page of the others, which may have trained for hours."""
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a script may raise, sys.exit too
        path = f"{name.replace('.', '/')}.py"
        warnings.warn(f"{path} is left out: {type(error).__name__}: {error}", stacklevel=2)
        return None
