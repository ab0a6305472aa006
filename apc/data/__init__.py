"""Data sets: class names and samples by split. Training splits carry image labels only; masks are for scoring.

A data set is one module with the functions of `DataSet`; a new one is such a module, a line in DATA_SETS and a choice
of Config's `dataset`.
"""

from collections.abc import Collection
from typing import Any, Protocol

from apc.config import Config
from apc.data import coco, folder, pocket, voc
from apc.data.cache import Files
from apc.data.split import Split

__all__ = ["DATA_SETS", "DataSet", "Files", "Split", "files", "fingerprint", "has_test", "load", "provenance"]


class DataSet(Protocol):
    """What a module of a data set gives."""

    @property
    def SPLITS(self) -> Collection[str]:
        """Names of its splits, `train` and `val` at least; `test` is used neither for training nor for choosing."""

    def load(self, cfg: Config, split: str, *, lazily: bool = False) -> Split:
        """One of its splits; see `load` below."""

    def files(self, root: str, name: str) -> Files:
        """The images of one list; ValueError where it has none."""

    def fingerprint(self, cfg: Config) -> str:
        """What the data is; see `fingerprint` below."""

    def provenance(self, cfg: Config) -> dict[str, Any]:
        """What a row's stamp says of the data beside its fingerprint; empty where that says all."""


DATA_SETS: dict[str, DataSet] = {"pocket": pocket, "folder": folder, "voc": voc, "coco": coco}
"""The data sets by the names of Config's `dataset`."""


def load(cfg: Config, split: str, *, lazily: bool = False) -> Split:
    """Split `train`, `val` or `test` as the config names it; training splits never open a mask. Images of files are
    decoded now where they fit into memory; `lazily` each when it is first asked for.

    ValueError names the file, line or field where the data set is not there or not as it must be.
    """
    data_set = DATA_SETS[cfg.dataset]
    if split not in data_set.SPLITS:
        has = " and ".join(data_set.SPLITS)
        raise ValueError(f"dataset {cfg.dataset} has no {split} split; its splits are {has}")
    return data_set.load(cfg, split, lazily=lazily)


def has_test(cfg: Config) -> bool:
    """Whether the data set has a split that is used neither for training nor for choosing."""
    return "test" in DATA_SETS[cfg.dataset].SPLITS


def files(dataset: str, root: str, name: str) -> Files:
    """All images of one list, for their cache."""
    return DATA_SETS[dataset].files(root, name)


def fingerprint(cfg: Config) -> str:
    """What the data is: drawn data by version and seed, your files by a hash of their contents, VOC and COCO by a hash
    of their prepared lists, which hold the hashes of the contents. It is of the files as they are now."""
    return DATA_SETS[cfg.dataset].fingerprint(cfg)


def provenance(cfg: Config) -> dict[str, Any]:
    """What a row's stamp must say of the data beside its fingerprint: which part of it, and whether it was whole."""
    return DATA_SETS[cfg.dataset].provenance(cfg)
