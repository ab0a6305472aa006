"""What an experiment left on one data set: its rows, what a search chose, its race, and what each image scored."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apc.reporting.catalogue import chosen_by, entries
from apc.reporting.groups import read
from apc.reporting.searches import race, trials, tuning_curve
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts import over_images
from apc.reporting.verdicts.over_images import Images
from apc.runs.rows import Row


@dataclass(frozen=True)
class Recorded:
    """What an experiment left on one data set, read from results/NAME/DATASET.*."""

    entry: TableEntry
    dataset: str
    reports: Path
    rows: list[Row]
    """Failed and stopped ones among them."""
    chosen: dict[str, Any]
    """The setting that a search chose (best.toml); empty where there is none."""
    race: race.Race | None
    """The race behind the search; its runs are in no other table."""
    images: Images
    """What each image scored in each run."""
    replays: tuning_curve.Band | None
    """What replays of such a search give, where they were recorded."""
    problems: list[str]
    """A sentence for each damaged part that is left out."""


def read_recorded(entry: TableEntry, dataset: str, reports: Path) -> Recorded:
    """What an experiment left on a data set below `reports`; what is damaged is named and left out."""
    path = reports / "results" / entry.name / f"{dataset}.jsonl"
    rows, damaged_rows = read(path)
    chosen, damaged_best = _chosen(path.with_suffix(".best.toml"))
    raced, damaged_race = race.read(path.with_suffix(".race.json"))
    images, damaged_images = over_images.read(path.with_suffix(".images.npz"))
    replays, damaged_replays = tuning_curve.read(path.with_suffix(".replay.json"))
    problems = [*damaged_rows, *damaged_best, *damaged_race, *damaged_images, *damaged_replays]
    rows = race.of_search(rows)
    return Recorded(_as_compared(entry, rows), dataset, reports, rows, chosen, raced, images, replays, problems)


def _as_compared(entry: TableEntry, rows: Sequence[Row]) -> TableEntry:
    """The entry of a search with the score by which its settings were compared in the end."""
    metric = trials.goes_by(rows, entry.metric)
    if metric == entry.metric:
        return entry
    return replace(entry, metric=metric, columns=tuple(dict.fromkeys([metric, entry.metric, *entry.columns])))


def searches_of(recorded: Recorded) -> list[tuple[TableEntry, list[Row]]]:
    """The searches of the same script that have rows on the same data."""
    script, found = recorded.entry.script, []
    by = f"_by_{chooser}" if (chooser := chosen_by(recorded.entry.name)[1]) else ""
    for entry in entries().values() if script else ():
        path = recorded.reports / "results" / f"{entry.name}{by}" / f"{recorded.dataset}.jsonl"
        if entry.script == script and bool(getattr(entry, "trials", 0)) and path.is_file() and (rows := read(path)[0]):
            found.append((entry, rows))
    return found


def _chosen(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What a search chose (best.toml), empty where there is none; and a sentence where the file is damaged."""
    if not path.is_file():
        return {}, []
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [f"{path.name}: {error}"]
