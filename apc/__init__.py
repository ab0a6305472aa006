"""Adaptive Patch Contrast: weakly supervised semantic segmentation, trained, scored and searched. The Python way in.

    import dataclasses, apc

    run = apc.train(dataclasses.replace(apc.pocket(), epochs=2))     # a folder below runs/, and its scores
    apc.evaluate(run, ["miou", "miou_crf"])                          # scored again, a line a protocol
    apc.predict(run, "photos", out="predictions")                    # masks and pictures of photographs
    found = apc.search("simple", base=apc.pocket(), trials=4)        # Ray Tune and Optuna
    apc.load_rows("runs")                                            # finished runs as a pandas DataFrame

Names are loaded when they are first used, so that `import apc` needs neither torch nor Ray; `apc.search` alone is
also a package, and is called as it is. `apc.api` says what each function takes, returns and refuses.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0.dev0"

__all__ = [
    "PRESETS",
    "Config",
    "Model",
    "Run",
    "SearchResult",
    "coco",
    "evaluate",
    "folder",
    "load_model",
    "load_rows",
    "plus",
    "pocket",
    "predict",
    "search",
    "train",
    "voc",
]

if TYPE_CHECKING:
    from apc.api import Model, Run, SearchResult, evaluate, load_model, load_rows, predict, search, train
    from apc.config import PRESETS, Config, coco, folder, plus, pocket, voc

_IN_CONFIG = ("PRESETS", "Config", "coco", "folder", "plus", "pocket", "voc")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'apc' has no attribute {name!r}")
    value = getattr(import_module("apc.config" if name in _IN_CONFIG else "apc.api"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


class _SearchPackage(ModuleType):
    """The package `apc.search` as a function too: `import apc.search.driver` would put the package in the place of a
    function of its name, so the package itself answers a call, whatever is imported first."""

    def __call__(self, *args: Any, **keywords: Any) -> "SearchResult":
        """Search a space with Ray Tune and Optuna; see `help(apc.api.search)`."""
        result: SearchResult = import_module("apc.api").search(*args, **keywords)
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        return import_module, (self.__name__,)  # as any other module is pickled by cloudpickle, and so by Ray


import_module("apc.search").__class__ = _SearchPackage
