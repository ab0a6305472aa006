"""The trials of a search, read back from its rows, and the best so far."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apc.reporting.groups import Group
from apc.runs.rows import Row


@dataclass(frozen=True)
class Trial:
    """One setting of a search with all its seeds."""

    number: int
    """In the order proposed, from 1."""
    label: str
    values: dict[str, Any]
    """Knob -> value, of the knobs that exist in this setting."""
    score: float
    """Mean over its seeds; NaN where no seed was finished."""
    epochs: int
    """Trained in all seeds together."""
    hours: float
    """Spent on training by all seeds together."""
    state: str
    """"complete", "pruned" (stopped early) or "failed", as Optuna has them."""
    last: float
    """Of a pruned trial, the last score on its learning curve; NaN without one."""
    search: Mapping[str, Any] = field(default_factory=dict)
    """How it was searched, as its rows are stamped: sampler, search_seed, objectives..."""
    both: tuple[float, ...] = ()
    """Means of the two objectives of a search that has two."""


def trials(group: Group, rows: Sequence[Row], metric: str) -> list[Trial]:
    """Trials of one group in the order of the file; `rows` are those stopped early and failed, which no group has."""
    mine = {row.run for row in group.rows}
    kept = [row for row in rows if row.run in mine or row.stopped or row.error]
    by_label: dict[str, list[Row]] = {}
    for row in kept:
        by_label.setdefault(row.row, []).append(row)
    found = []
    for number, (label, members) in enumerate(by_label.items(), start=1):
        scores = [value for row in members if row.run in mine and math.isfinite(value := row.value(metric))]
        pruned = [row for row in members if row.stopped]
        curve = [e[metric] for row in pruned for e in row.curve if isinstance(e.get(metric), int | float)]
        found.append(
            Trial(
                number,
                label,
                knobs(label, members[0].config),
                statistics.fmean(scores) if scores else math.nan,
                sum(len(row.curve) for row in members),
                sum(s for row in members if math.isfinite(s := row.value("train_seconds"))) / 3600,
                "pruned" if pruned else "complete" if scores else "failed",
                curve[-1] if curve else math.nan,
                *searched(members),
            )
        )
    return found


def knobs(label: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs that a label names ("k=6 theta=0.9"), with their exact values from the config."""
    names = [word.split("=")[0] for word in label.split() if "=" in word]
    return {name: config[name] for name in names if name in config}


def complete(found: Sequence[Trial]) -> list[Trial]:
    """Those with a final score, the best first."""
    return sorted((t for t in found if t.state == "complete"), key=lambda t: -t.score)


def best_so_far(found: Sequence[Trial]) -> list[tuple[int, int, float]]:
    """(trials, epochs trained, best score) after each complete trial; pruned and failed ones cost epochs too."""
    line, epochs, best = [], 0, -math.inf
    for trial in found:
        epochs += trial.epochs
        if trial.state == "complete":
            best = max(best, trial.score)
            line.append((trial.number, epochs, best))
    return line


def searched(members: Sequence[Row]) -> tuple[dict[str, Any], tuple[float, ...]]:
    """How a trial was searched and the means of its two objectives; empty where its rows do not say it."""
    search = next((told for row in members if isinstance(told := row.stamp.get("search"), dict)), {})
    objectives = search.get("objectives")
    if not isinstance(objectives, list) or len(objectives) != 2:
        return search, ()
    return search, tuple(statistics.fmean(row.value(str(name)) for row in members) for name in objectives)
