"""The trials of a search, read back from its rows, and the best so far."""

import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from apc.reporting.groups import Group
from apc.runs.compared import compared_by
from apc.runs.rows import Row
from apc.runs.scores import LOWER_IS_BETTER, SCORES


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
    """"complete", "pruned" (stopped early) or "failed" (in any seed), as Optuna has them."""
    last: float
    """Of a pruned trial, the last score on its learning curve; NaN without one."""
    search: Mapping[str, Any] = field(default_factory=dict)
    """How it was searched, as its rows are stamped: sampler, search_seed, objectives..."""
    objectives: tuple[float, ...] = ()
    """Means of the two objectives of a search that has two; empty of others."""

    @property
    def lowers(self) -> bool:
        """Whether its search lowers its score; one that its rows do not tell of raises it."""
        return (_first_objective(self.search) or "") in LOWER_IS_BETTER

    @property
    def gain(self) -> float:
        """The score so that higher is better."""
        return -self.score if self.lowers else self.score


class BestSoFar(NamedTuple):
    """The best after a complete trial."""

    number: int
    """Of the trial."""
    epochs: int
    """Trained until it ended, by pruned and failed trials too."""
    score: float
    """The best until then."""


def goes_by(rows: Sequence[Row], metric: str) -> str:
    """The score by which a search compared its settings: the first of the objectives that its rows are stamped with, or
    else `metric`; and the vote where there was one."""
    return compared_by(rows, _first_objective(_search_of(rows)) or metric)


def trials(group: Group, rows: Sequence[Row], metric: str) -> list[Trial]:
    """Trials of one group in the order of the file; `rows` are those stopped early and failed, which no group has."""
    scored = {row.run for row in group.rows}
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        if row.run in scored or row.stopped or row.error:
            by_label.setdefault(row.row, []).append(row)
    return [
        _trial(number, members, [row for row in members if row.run in scored], metric)
        for number, members in enumerate(by_label.values(), start=1)
    ]


def _trial(number: int, members: Sequence[Row], scored: Sequence[Row], metric: str) -> Trial:
    """One setting from the rows of its seeds; `scored` are those of them that its score is the mean of."""
    scores = [value for row in scored if math.isfinite(value := row.value(metric))]
    whole = len(scores) == len(members)  # a setting of which a seed failed cannot be recommended
    pruned = [row for row in members if row.stopped]
    curve = [epoch[metric] for row in pruned for epoch in row.curve if isinstance(epoch.get(metric), int | float)]
    search = _search_of(members)
    return Trial(
        number=number,
        label=members[0].row,
        values=knobs(members[0].row, members[0].config),
        score=statistics.fmean(scores) if scores else math.nan,
        epochs=sum(len(row.curve) for row in members),
        hours=sum(s for row in members if math.isfinite(s := row.value("train_seconds"))) / 3600,
        state="pruned" if pruned else "complete" if whole else "failed",
        last=curve[-1] if curve else math.nan,
        search=search,
        objectives=_objectives(search, members),
    )


def knobs(label: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs that a label names ("k=6 theta=0.9"), with their exact values from the config."""
    names = [word.split("=")[0] for word in label.split() if "=" in word]
    return {name: config[name] for name in names if name in config}


def are_numbers(values: Collection[Any]) -> bool:
    """Whether values of a knob lie on a line, and are no choice."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def values_of(trials: Sequence[Trial], knob: str) -> list[Any]:
    """Values of a knob in the trials that have it."""
    return [trial.values[knob] for trial in trials if knob in trial.values]


def complete(tried: Sequence[Trial]) -> list[Trial]:
    """Those with a final score in every seed, the best first."""
    return sorted((t for t in tried if t.state == "complete"), key=lambda t: -t.gain)


def best_so_far(tried: Sequence[Trial]) -> list[BestSoFar]:
    """An entry after each complete trial, in the order in which they ended."""
    line, done = [], list[Trial]()
    for trial, epochs in in_turn(tried):
        if trial.state == "complete":
            done = complete([*done[:1], trial])
            line.append(BestSoFar(trial.number, epochs, done[0].score))
    return line


def in_turn(tried: Sequence[Trial]) -> Iterator[tuple[Trial, int]]:
    """Trials in the order in which one process ends them, each with the epochs that all had trained by then: one after
    the other or, of a search that halves, bracket by bracket and rung by rung."""
    rungs, bracket = _rungs_of(tried[0].search) if tried else ([], 1)
    spent = 0
    for start in range(0, len(tried), bracket):
        before = 0.0
        for rung in (*rungs, math.inf):
            for trial in tried[start : start + bracket]:
                spent += max(int(min(trial.epochs, rung) - before), 0)
                if before < trial.epochs <= rung or (trial.epochs <= 0 and not before):
                    yield trial, spent
            before = rung


def _rungs_of(search: Mapping[str, Any]) -> tuple[list[int], int]:
    """Epochs of the rungs, and trials of a bracket, of a search that halves and whose rows tell it."""
    rungs, bracket = search.get("rungs"), search.get("bracket")
    if search.get("stop_early") != "halving" or not isinstance(bracket, int) or bracket < 1:
        return [], 1
    if not isinstance(rungs, list) or not all(isinstance(rung, int) for rung in rungs):
        return [], 1
    return rungs, bracket


def _search_of(members: Sequence[Row]) -> dict[str, Any]:
    """How a trial was searched, as its rows are stamped; empty where they do not say it."""
    return next((search for row in members if isinstance(search := row.stamp.get("search"), dict)), {})


def _first_objective(search: Mapping[str, Any]) -> str | None:
    """The score that settings are compared by; None where a stamp names none that there is."""
    objectives = search.get("objectives")
    first = objectives[0] if isinstance(objectives, list) and objectives else None
    return first if isinstance(first, str) and first in SCORES else None


def _objectives(search: Mapping[str, Any], members: Sequence[Row]) -> tuple[float, ...]:
    """Means of a trial's two objectives; empty of a search that has not two."""
    objectives = search.get("objectives")
    if not isinstance(objectives, list) or len(objectives) != 2:
        return ()
    return tuple(statistics.fmean(row.value(str(name)) for row in members) for name in objectives)
