"""The shell command that makes, continues or completes the rows of an experiment, read back from those rows."""

import shlex
from collections.abc import Collection, Mapping
from typing import Any

from apc.config import PRESETS, to_dict
from apc.flags import spelt
from apc.reporting.catalogue import entries
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts.looks import looks_of
from apc.runs.rows import Row


def command(entry: TableEntry, dataset: str, rows: Collection[Row] = ()) -> str:
    """Command for one data set with the settings and seeds of `rows`; empty where no script is known.

    Folder and weights stand by their names alone: where they lie is of one machine.
    """
    if entry.script:  # its seeds are its own
        stops = _searched(rows, {"stop_early": entry.stop_early}, {"stop_early": "none"}) if rows else []
        decide = ["--decide", str(most)] if (most := looks_of(rows)) else []
        return shlex.join(["python", f"experiments/{entry.script}.py", *stops, *decide])
    if entry.name.startswith("space_"):
        words = ["apc", "search", entry.name.removeprefix("space_")]
    elif entry.name in entries():
        words = ["python", f"experiments/{entry.name}.py"]
    else:
        return ""
    if not rows:
        return shlex.join(words + (_photographs("folder", "PHOTOGRAPHS", "WEIGHTS") if dataset == "folder" else []))
    shared = _shared(rows)
    preset = shared.get("dataset", "pocket")
    if preset != "pocket":
        names = {str(row.stamp.get("weights_name", "WEIGHTS")) for row in rows}
        words += _photographs(preset, dataset, names.pop() if len(names) == 1 else "WEIGHTS")
    if entry.name.startswith("space_"):
        words += _searched(rows, USUAL)
    elif trials := getattr(entry, "trials", 0):  # an Experiment's
        words += _searched(rows, {"trials": trials})
    usual = to_dict(PRESETS[preset]()) if preset in PRESETS else {}
    unusual = {name: value for name, value in shared.items() if name in usual and value != usual[name]}
    for name in ("train_list", "epochs"):
        if name in unusual:
            words += spelt(name, unusual.pop(name))
    for name, value in unusual.items():
        # What a label names is a knob of the experiment, whose flag is refused, even if all rows here share it.
        named = any(f"{name}=" in row.row or str(value) == row.row for row in rows)
        if not named and name not in ("dataset", "root", "weights", "seed", *entry.sets):
            words += spelt(name, value)
    if most := looks_of(rows):  # the table began with the seeds that all its rows have
        each = [{row.config.get("seed", 0) for row in rows if row.row == label} for label in {row.row for row in rows}]
        return shlex.join([*words, "--seeds", _seeds(set.intersection(*each)), "--decide", str(most)])
    return shlex.join([*words, "--seeds", _seeds({row.config.get("seed", 0) for row in rows})])


USUAL = {
    "trials": 20,
    "sampler": "tpe",
    "grid_points": "",
    "search_seed": 0,
    "objectives": "miou",
    "stop_early": "halving",
    "rungs": "",
    "keep_share": 1 / 5,
    "bracket": 8,
    "warm_start": "",
}
"""Flags of `apc search` that the stamp of its rows tells, and what they are if nobody says."""


def _searched(rows: Collection[Row], usual: Mapping[str, Any], unstamped: Mapping[str, Any] = {}) -> list[str]:
    """Flags of the search that proposed the first of the rows, which is the latest one; usual values left out.
    `unstamped` is how rows came whose stamp does not tell."""
    told = next((search for row in rows if isinstance(search := row.stamp.get("search"), dict)), {})
    told = {**unstamped, **told}
    words = []
    for name, usually in usual.items():
        value = told.get(name, usually)
        if name == "rungs" and value:
            words += spelt(name, value)
        elif (written := ",".join(value) if isinstance(value, list) else str(value)) != str(usually):
            words += spelt(name, written)
    return words


def _photographs(preset: str, root: str, weights: str) -> list[str]:
    return [preset, "--root", root, *(["--weights", weights] if weights else [])]


def _shared(rows: Collection[Row]) -> dict[str, Any]:
    """Fields that have one value in all rows."""
    first, *others = [row.config for row in rows]
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _seeds(numbers: Collection[int]) -> str:
    """How many seeds, or their list; a single seed other than 0 has no list, so all up to it."""
    seeds = sorted(numbers or {0})
    listed = len(seeds) > 1 and seeds != list(range(len(seeds)))
    return ",".join(map(str, seeds)) if listed else str(seeds[-1] + 1)
