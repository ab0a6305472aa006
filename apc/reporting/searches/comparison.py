"""Searches side by side: what each cost, what it found, and after how much training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from apc.reporting import tables
from apc.reporting.catalogue import described
from apc.reporting.groups import read, separate
from apc.reporting.searches.race import of_search
from apc.reporting.searches.trials import Trial, best_so_far, complete, goes_by, trials
from apc.reporting.table_entry import TableEntry
from apc.runs.rows import Row


class Race(NamedTuple):
    """A search of several that are compared."""

    metric: str
    """The score by which it chose."""
    trials: list[Trial]


def races(entry: TableEntry, dataset: str, reports: Path) -> dict[str, Race]:
    """Each search that the experiment compares, by its title; searches that have not been run are left out."""
    compared = {}
    for name in entry.compares:
        search = described(name)
        path = reports / "results" / name / f"{dataset}.jsonl"
        rows = of_search(read(path)[0]) if path.is_file() else []
        groups = separate(rows, search.knobs)
        if groups:
            metric = goes_by(rows, search.metric)
            compared[search.title] = Race(metric, trials(groups[0], rows, metric))
    return compared


def on_one_axis(searches: Mapping[str, Race]) -> Mapping[str, Race]:
    """The searches; none where they chose by scores that have no axis in common."""
    return searches if len({search.metric for search in searches.values()}) < 2 else {}


def cost_table(searches: Mapping[str, Race], rows: Sequence[Row]) -> list[str]:
    """The searches as a table, and the sentence that says which setting is better; `rows` are those that judge."""
    from pandas import DataFrame

    budget = min((sum(t.epochs for t in search.trials) for search in searches.values()), default=0)
    metrics = {search.metric for search in searches.values()}
    best = f"best `{min(metrics)}`" if len(metrics) == 1 else "best score"
    lines = [line for title, search in searches.items() if (line := _cost_and_best(title, search, budget, best))]
    if not lines:
        return []
    return [
        "**What the two searches cost and found**",
        tables.markdown(DataFrame(lines), left=True, marked_up=[best]),
        f"<sub>The {best} is the score by which the search chose: the largest of many, each the mean of as many seeds "
        "as the search trained, so the two are not comparable with each other. The table before it judges them by "
        f"{len({row.config.get('seed') for row in rows})} further seeds on images that neither has seen.</sub>",
    ]


def _cost_and_best(title: str, race: Race, budget: int, head: str) -> dict[str, Any]:
    """One search's line of the table, its best score below `head`; empty where none of its trials is complete."""
    search = race.trials
    line = best_so_far(search)
    if not line:
        return {}
    best = complete(search)[0]
    within = [entry.score for entry in line if entry.epochs <= budget]
    return {
        "search": title,
        "settings": len(search),
        "epochs trained": sum(t.epochs for t in search),
        "hours of training": f"{sum(t.hours for t in search):.2f}",
        head: tables.written(best.score, race.metric) + ("" if race.metric in head else f" (`{race.metric}`)"),
        "found by trial": best.number,
        "after epochs": next(entry.epochs for entry in line if entry.number == best.number),
        f"best within {budget} epochs": tables.written(within[-1], race.metric) if within else tables.PENDING,
        "setting": best.label,
    }
