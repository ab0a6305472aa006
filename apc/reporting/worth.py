"""What rows are worth: points by the minutes that they train longer, and what other methods have in another table."""

import math
from collections.abc import Sequence
from typing import Any

from apc.escaping import in_markdown
from apc.reporting import tables
from apc.reporting.catalogue import entries
from apc.reporting.groups import Group, separate
from apc.reporting.names import file_name, row_name, score_name
from apc.reporting.recorded import Recorded, read_recorded
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts.intervals import paired, summary
from apc.runs.rows import Row

POINTS_A_MINUTE = "points a minute"
CLOCK = "train_cpu_seconds"


Columns = dict[str, dict[str, str]]
"""Name -> label -> cell."""


def points_a_minute(entry: TableEntry, group: Group, labels: Sequence[str], reference: str) -> Columns:
    """The column of points above the reference by processor minutes beyond it, if the table has one; of a row that
    trains no longer, that."""
    if not entry.worth or not reference or not group.scores(reference, CLOCK):
        return {}
    return {POINTS_A_MINUTE: {label: _cell(entry.metric, group, label, reference) for label in labels}}


def _cell(metric: str, group: Group, label: str, reference: str) -> str:
    gain = paired(group.scores(label, metric), group.scores(reference, metric), group.level).summary
    longer = paired(*_seconds(group, label, reference), group.level).summary
    if label == reference:
        return tables.REFERENCE
    if not gain.n or not longer.n:
        return tables.PENDING
    minutes = longer.mean / 60
    return "no longer" if minutes <= 0 else f"{gain.mean / minutes:+.2f}".replace("-", "−")


def _seconds(group: Group, label: str, reference: str) -> tuple[dict[int, float], dict[int, float]]:
    """Processor seconds of two rows by seed. Of another commit or machine, which may be twice as fast, they are brought
    to the reference's pace by what an epoch before any round takes in both; where that epoch is another one, as with
    crops, there is nothing to go by and the seed is left out."""
    own, others = group.beside(label, reference, CLOCK)
    rows = {(row.row, row.config.get("seed", 0)): row for row in group.rows}
    for seed in own.keys() & others.keys():
        row, other = rows[label, seed], rows[reference, seed]
        if any(row.stamp.get(name) != other.stamp.get(name) for name in ("commit", "machine")):
            own[seed] *= _epoch(other) / _epoch(row) if _before_rounds(row) == _before_rounds(other) else math.nan
    return {seed: seconds for seed, seconds in own.items() if math.isfinite(seconds)}, others


def _before_rounds(row: Row) -> dict[str, Any]:
    """What decides how long an epoch before any round takes."""
    later = ("epochs", "rounds", "eval_size", "eval_every")
    return {name: v for name, v in row.config.items() if name not in later and not name.startswith("round_")}


def _epoch(row: Row) -> float:
    """Processor seconds of an epoch before any round; 1 where its curve does not tell them."""
    before = [epoch["cpu_seconds"] for epoch in row.curve if "cpu_seconds" in epoch and not epoch.get("round")]
    return before[-1] / len(before) if before and before[-1] > 0 else 1.0


def best_beside(recorded: Recorded) -> list[str]:
    """The best row of each other method in the table that the entry names, on the same data, in a sentence with a link;
    nothing where it has no rows."""
    other = entries().get(recorded.entry.beside)
    if not other or not (recorded.reports / "results" / other.name / f"{recorded.dataset}.jsonl").is_file():
        return []
    groups = separate(read_recorded(other, recorded.dataset, recorded.reports).rows, other.knobs)
    told = _best_of_methods(groups[0], other.metric) if groups else []
    if not told:
        return []
    title = in_markdown(other.title.split(":")[0])
    link = f"[{title}](details/{file_name(other.name, recorded.dataset)}.md)"
    return [f"Beside it {link} has, by {score_name(other.metric)}: {', '.join(told)}."]


def _best_of_methods(group: Group, metric: str) -> list[str]:
    """ "ViT-PCM 61.6 ± 0.5 (2 seeds)": of each method but APC the row of the best mean."""
    best: dict[str, tuple[float, str]] = {}
    for row in group.rows:
        own = summary(group.scores(row.row, metric).values())
        method = row.config["method"]
        if method != "apc" and own.n:
            seeds = f"{own.n} seed{'s' * (own.n > 1)}"
            told = f"{in_markdown(row_name(row.row))} {tables.mean_std(own, metric)} ({seeds})"
            best[method] = max(best.get(method, (own.mean, told)), (own.mean, told))
    return [told for _, told in best.values()]
