"""What rows are worth: points by the minutes that they train longer, and what other methods have in another table."""

from collections.abc import Sequence

from apc.escaping import in_markdown
from apc.reporting import tables
from apc.reporting.catalogue import entries
from apc.reporting.groups import Group, separate
from apc.reporting.names import file_name, row_name, score_name
from apc.reporting.recorded import Recorded, read_recorded
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts.intervals import paired, summary

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
    longer = paired(*group.beside(label, reference, CLOCK), group.level).summary
    if label == reference:
        return tables.REFERENCE
    if not gain.n or not longer.n:
        return tables.PENDING
    minutes = longer.mean / 60
    return "no longer" if minutes <= 0 else f"{gain.mean / minutes:+.2f}".replace("-", "−")


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
