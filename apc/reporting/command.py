"""The shell command that makes, continues or completes the rows of an experiment, read back from those rows."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from apc.config import PRESETS, to_dict
from apc.flags import spelt
from apc.reporting.catalogue import chosen_by, entries
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts.looks import looks_of
from apc.runs.compared import RULE, VOTERS
from apc.runs.rows import Row
from apc.runs.scores import CHOOSERS, Chooser


def command(
    entry: TableEntry,
    dataset: str,
    rows: Collection[Row] = (),
    steps: Sequence[tuple[TableEntry, Collection[Row]]] = (),
) -> str:
    """Command for one data set with the settings and seeds of `rows`; empty where no script is known. `steps` are those
    of the same script that search, with their rows: its flags are of all.

    Folder and weights stand by their names alone: where they lie is of one machine.
    """
    name, chooser = chosen_by(entry.name)
    if name.startswith("space_"):
        words = ["apc", "search", name.removeprefix("space_")]
    elif entry.script or name in entries():
        words = ["python", f"experiments/{entry.script or name}.py"]
    else:
        return ""
    if chooser and _told_search(rows).get("objectives") == [RULE]:  # of a version whose labels chose by the vote
        chooser = "vote"
    how = ["--choose", chooser] if chooser else []
    how += ["--max-concurrent", "1"] if getattr(entry, "timed", False) else []  # an Experiment's
    if not rows:
        words += _photographs("folder", "PHOTOGRAPHS", "WEIGHTS") if dataset == "folder" else []
        return shlex.join(words + how)
    preset = str(_shared(rows).get("dataset", "pocket"))
    if preset != "pocket":
        words += _photographs(preset, dataset, weights_of(rows))
    words += how
    if any(row.stamp.get("smoke") for row in rows):
        return shlex.join([*words, "--smoke"])
    if name.startswith("space_"):
        words += _searched(rows, _usual(chooser))
    for step, own in [*steps, (entry, rows)][:1]:
        if trials := getattr(step, "trials", 0):  # an Experiment's
            usually = {"stop_early": step.stop_early, "bracket": USUAL["bracket"]} if entry.script and own else {}
            words += _searched(own, {"trials": trials, **usually}, {"stop_early": "none"})
    for field, value in unusual(entry, rows).items():
        words += spelt(field, value)
    if most := looks_of(rows):  # the table began with the seeds that all its rows have
        each = [{row.config.get("seed", 0) for row in rows if row.row == label} for label in {row.row for row in rows}]
        seeds = [] if entry.script else ["--seeds", _seeds(set.intersection(*each))]
        return shlex.join([*words, *seeds, "--decide", str(most)])
    if entry.script:  # its seeds are its own
        return shlex.join(words)
    return shlex.join([*words, "--seeds", _seeds({row.config.get("seed", 0) for row in rows})])


def weights_of(rows: Collection[Row]) -> str:
    """Name of the file of weights that all rows have, but for trials that were given up, which have no stamp; WEIGHTS
    where there is no single one."""
    names = {str(row.stamp["weights_name"]) for row in rows if "weights_name" in row.stamp}
    return names.pop() if len(names) == 1 else "WEIGHTS"


def unusual(entry: TableEntry, rows: Collection[Row]) -> dict[str, Any]:
    """What the rows have otherwise than their preset of today, training list and epochs first, but for what the
    experiment varies or sets itself."""
    shared = _shared(rows)
    preset = shared.get("dataset", "pocket")
    usual = to_dict(PRESETS[preset]()) if preset in PRESETS else {}
    # What a label names is a knob of the experiment, whose flag is refused, even if all rows here share it.
    varied = {*(entry.knobs or ()), *entry.sets, *(n for n in usual if any(f"{n}=" in row.row for row in rows))}
    varied |= {name for name, value in shared.items() if isinstance(value, str) and any(value == r.row for r in rows)}
    found = {name: value for name, value in shared.items() if name in usual and value != usual[name]}
    if "epochs" not in shared and "epochs" not in varied and "epochs" in usual:
        first = {row.config.get("epochs", 0) - row.config.get("stage2_epochs", 0) for row in rows}
        found |= {"epochs": first.pop()} if len(first) == 1 and first != {usual["epochs"]} else {}
    order = dict.fromkeys(["train_list", "epochs", *found])
    hidden = {"dataset", "root", "weights", "seed"} | varied
    return {name: found[name] for name in order if name in found and name not in hidden}


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


def _usual(chooser: Chooser | None) -> dict[str, Any]:
    """What the flags of `apc search` are if nobody says, with and without --choose."""
    if chooser is None:
        return USUAL
    objective = CHOOSERS[chooser]
    return USUAL | {"objectives": objective, "bracket": VOTERS if objective == RULE else USUAL["bracket"]}


def _searched(rows: Collection[Row], usual: Mapping[str, Any], unstamped: Mapping[str, Any] = {}) -> list[str]:
    """Flags of the search that proposed the first of the rows, which is the latest one; usual values left out.
    `unstamped` is how rows came whose stamp does not tell."""
    told = {**unstamped, **_told_search(rows)}
    words = []
    for name, usually in usual.items():
        value = told.get(name, usually)
        if name == "rungs" and value:
            words += spelt(name, value)
        elif (written := ",".join(value) if isinstance(value, list) else str(value)) != str(usually):
            words += spelt(name, written)
    return words


def _told_search(rows: Collection[Row]) -> dict[str, Any]:
    """The search that proposed the first of the rows that tell it."""
    return next((search for row in rows if isinstance(search := row.stamp.get("search"), dict)), {})


def _photographs(preset: str, root: str, weights: str) -> list[str]:
    return [preset, "--root", root, *(["--weights", weights] if weights else [])]


def _shared(rows: Collection[Row]) -> dict[str, Any]:
    """Fields that have one value in all rows."""
    first, *others = [row.config for row in rows]
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _seeds(numbers: Collection[int]) -> str:
    """How many seeds, or their list; that of one ends with a comma."""
    seeds = sorted(numbers or {0})
    if seeds == list(range(len(seeds))):
        return str(len(seeds))
    return ",".join(map(str, seeds)) + "," * (len(seeds) == 1)
