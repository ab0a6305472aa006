"""The tables of one group: all rows as one, the best of a search, or the two stages of the search for the weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apc.reporting.figures import one_knob, staged
from apc.reporting.groups import Group
from apc.reporting.searches import importance, trials
from apc.reporting.table_entry import TableEntry


@dataclass
class Part:
    """One table of a group."""

    suffix: str
    """Of its files."""
    heading: str
    labels: list[str]
    reference: str
    marks: dict[str, str] = field(default_factory=dict)


def whole_table(entry: TableEntry, group: Group, chosen: Mapping[str, Any] | None = None) -> Part:
    """All rows as one table, those not run yet among them; the setting that a search chose is marked."""
    labels = [*entry.rows, *(label for label in group.labels if label not in entry.rows)]
    best = {
        row.row: "chosen (best.toml)"
        for row in group.rows
        if chosen and all(row.config.get(name, value) == value for name, value in chosen.items() if name != "weights")
    }
    return Part("", "", labels, entry.reference if entry.reference in labels else "", best)


def parts(stages: staged.Stages | None, whole: Part, tried: list[trials.Trial]) -> list[Part]:
    """The tables of a group: the two stages, the best of a search, or all rows."""
    if stages:
        return _staged_parts(stages)
    return [_ten_best(whole, tried)] if tried else [whole]


def _ten_best(whole: Part, tried: list[trials.Trial]) -> Part:
    """The best settings of a search, best first; the others stand in its figures and in trials.csv."""
    done = trials.complete(tried)
    labels = [trial.label for trial in done[: importance.BEST]]
    if whole.reference in [trial.label for trial in done] and whole.reference not in labels:
        labels.append(whole.reference)
    marks = {label: mark for label, mark in whole.marks.items() if label in labels}
    if whole.reference:
        marks[whole.reference] = " and ".join(filter(None, (marks.get(whole.reference, ""), "paper's setting")))
    heading = f"**The {min(importance.BEST, len(done))} best of {len(done)} settings**" if len(done) > 1 else ""
    return Part("", heading, labels, "", marks)


def _staged_parts(stages: staged.Stages) -> list[Part]:
    marks = _marks(
        (stages.best, "best here"),
        (stages.last if stages.last != stages.best else "", "best of stage 2"),
        (stages.default, "paper's choice"),
    )
    first, second = list(stages.first.values()), list(stages.second.values())
    best1 = stages.labels.get((stages.best1 or 0.0, 0.0), "") if stages.best1 is not None else ""
    paper1 = stages.labels.get((one_knob.PAPER["lambda1"], 0.0), "")
    stage1 = _marks((best1, "best of stage 1"), (paper1, "paper's lambda1"))
    parts = [Part("", "**Stage 1: lambda1, with lambda2 = 0**", first, paper1, stage1)]
    if stages.best1 is not None and len(second) > 1:
        parts.append(Part(".lambda2", f"**Stage 2: lambda2, at lambda1 = {stages.best1:g}**", second, best1, marks))
    finals = list(dict.fromkeys(label for label in (stages.best, stages.last, stages.default) if label))
    if stages.default and len(finals) > 1:
        heading = "**The best setting beside the paper's**"
        if stages.best != stages.last:
            heading = "**The best setting, where the stages lead, and the paper's**"
        parts.append(Part(".best", heading, finals, stages.default, marks))
    return [part for part in parts if part.labels]


def _marks(*named: tuple[str, str]) -> dict[str, str]:
    """Label -> its marks in one cell; a label may have several, and an empty one stands for none."""
    marks: dict[str, list[str]] = {}
    for label, mark in named:
        marks.setdefault(label, []).append(mark)
    return {label: " and ".join(several) for label, several in marks.items() if label}
