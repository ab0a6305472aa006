"""What the page shows of an experiment on one data set, a screen at most: one table, one figure, what both say."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from textwrap import wrap
from typing import NamedTuple

from apc.escaping import as_code_block, in_link, in_markdown, short
from apc.reporting import tables
from apc.reporting.groups import Group, separate
from apc.reporting.names import SHORT, for_people, row_name, score_name
from apc.reporting.paper import beside
from apc.reporting.section import Section, file_name
from apc.reporting.verdicts.claims import Judged, of_first_groups
from apc.reporting.verdicts.intervals import paired, summary
from apc.reporting.verdicts.sentences import seeds_far_apart
from apc.reporting.verdicts.sizes import short as short_size
from apc.reporting.verdicts.tables import more_seeds, outcome_text
from apc.reporting.worth import points_a_minute

COLUMNS = 7
"""Most columns of a table on the page."""
ROWS = 10
"""Most rows of one; the others stand in the section's own page."""
HEAD = 24
"""Most characters of a row's name in the head of a column."""
CHOSEN = {
    "val": "chosen by the validation masks, as in the paper",
    "half": "chosen on half of the validation images",
    "labels": "chosen by image labels alone",
    "vote": "chosen by their vote, by image labels alone",
    "not stamped": "chosen by a rule that is not stamped",
}
"""Selection rule, as rows are stamped -> in words."""
_MARK = re.compile(r"(?:[-+*]|\d+[.)])(?:\s|$)|[#>|=~]|```")
"""What at the beginning of a line makes it another thing than a sentence."""
WIDTH = 120
"""Columns at which the page's paragraphs are broken."""


def details_link(name: str, dataset: str) -> str:
    """Where everything of a section stands, as a link from the page."""
    return in_link(f"details/{file_name(name, dataset)}.md")


def brief(section: Section, reference: Section | None = None) -> list[str]:
    """Paragraphs of one section; `reference` is what the project ships for the same experiment and data."""
    everything = details_link(section.entry.name, section.dataset)
    first = section.shown
    if not first:
        return [f"### {in_markdown(section.dataset)}", "No run has a score yet.", _more(section, everything)]
    ours = reference.shown.group if reference and reference.shown else None
    text = [
        f"### {in_markdown(section.dataset)}",
        paragraph(f"{section.schedules[0]}{_chosen(first.group)}. {_not_all(section)}"),
    ]
    text += [paragraph(line) for line in _differs(section, ours)]
    text.append(_table(section, everything, ours))
    said = [
        *verdict_lines(of_first_groups(section.judged)),
        *map(for_people, first.said[: 2 if section.entry.search or section.entry.beside else 1]),
        *([] if section.entry.search else seeds_far_apart(section.entry, first.group)),
    ]
    text += [_items(said)] if said else []
    return [*text, *map(for_people, first.figures[:1]), _more(section, everything)]


def _more(section: Section, everything: str) -> str:
    """The command, and where everything else is."""
    told = f"[Everything else]({everything}): more columns, figures and verdicts, every run with its commit"
    left_out = f"; **{section.left_out} left out**" if section.left_out else ""
    command = f"{as_code_block(section.commands[0])}\n\n" if section.commands else ""
    further = more_seeds(of_first_groups(section.judged), section.commands)
    return command + "\n".join([*further, f"{told}{left_out}."])


def _chosen(group: Group) -> str:
    """By what settings were chosen, behind their schedule; empty where nothing says it."""
    rules = " or ".join(CHOSEN.get(rule, in_markdown(rule)) for rule in group.selection)
    return f"; settings {rules}" if rules else ""


def _not_all(section: Section) -> str:
    """What a reader of the table must know of what is not in it."""
    first = section.shown
    assert first
    notes = [note.split(". ")[0].rstrip(".") for note in first.group.notes]
    told = f"**Mind:** {'; '.join(notes)}." if notes else ""
    if section.groups > 1:
        told += f" {section.groups - 1} more of its groups cannot be compared with this one and stand apart."
    return told.strip()


def _differs(section: Section, ours: Group | None) -> list[str]:
    """Where the reference was not made alike, in what it differs."""
    first = section.shown
    if not ours or not first:
        return []
    groups = separate([*first.group.rows, *ours.rows], section.entry.knobs)
    if len(groups) < 2:
        return []
    fields = ", ".join(f"`{name}`" for name in groups[0].what)
    return [f"**The reference was not made alike: it differs in {fields}.** Compare order, not levels."]


def _table(section: Section, everything: str, ours: Group | None) -> str:
    """Row, runs, score, difference, the paper's numbers and the reference's: at most COLUMNS."""
    from pandas import DataFrame

    first = section.shown
    assert first
    labels = list(first.part.labels)
    columns = _columns(section, everything, ours)
    lines = [{name: cell(label) for name, cell in columns.items()} for label in labels[:ROWS]]
    text = tables.markdown(DataFrame(lines), marked_up=[list(columns)[2]])
    hidden = len(labels) - ROWS
    return text + (f"\n\n<sub>{hidden} more rows in its own page.</sub>" if hidden > 0 else "")


class _Column(NamedTuple):
    """A column and how soon it is given up where there are too many."""

    rank: int
    name: str
    cell: Callable[[str], str]


def _columns(section: Section, everything: str, ours: Group | None) -> Mapping[str, Callable[[str], str]]:
    """Name -> cell of a label, in the order shown; those that matter least are left out above COLUMNS."""
    first, entry = section.shown, section.entry
    assert first
    group, part = first.group, first.part
    metrics = _metrics(section)
    main = metrics[0] if metrics else entry.metric
    printed = beside(entry, group, part.labels, part.reference)
    printed |= points_a_minute(entry, group, part.labels, part.reference)
    columns = [_Column(0, "row", row_name), _Column(0, "n", partial(_runs, group))]
    columns.append(_Column(0, score_name(main), partial(_linked, group, main, everything)))
    compared = _compared(section, main)
    if part.reference and compared:
        name = f"− {_reference(part.reference)}"
        columns.append(_Column(1, name, partial(_difference, group, main, part.reference)))
    if ours:
        columns.append(_Column(1, "reference", partial(_with_n, ours, main)))
    for name, cells in printed.items():
        if "−" in name and not compared:
            continue
        name = name.replace(f"− {part.reference}", f"− {_reference(part.reference)}") if part.reference else name
        name = ": ".join(SHORT.get(word, word) for word in name.split(": "))
        columns.append(_Column({"paper": 2}.get(name, 5 if "−" in name else 3), name, partial(_printed, cells)))
    columns += [
        _Column(4 + 2 * i, score_name(metric), partial(_score, group, metric)) for i, metric in enumerate(metrics[1:])
    ]
    if part.marks:
        columns.append(_Column(1, "mark", partial(_marked, part.marks)))
    kept = sorted(range(len(columns)), key=lambda i: (columns[i].rank, i))[:COLUMNS]
    return {columns[i].name: columns[i].cell for i in sorted(kept)}


def _compared(section: Section, metric: str) -> bool:
    """Whether differences in a score are asked for: not of a table whose claims are of times alone."""
    first = [claim.metrics[0] for claim in section.entry.claims]
    return not first or metric in first or not all(map(tables.unit_of, first))


def _reference(label: str) -> str:
    """The row that others are compared with, as the head of a column; never a part of a value."""
    name = short(row_name(label).removeprefix("+ "), quoted=False)
    return name if len(name) <= HEAD else f"{name[: HEAD - 3].rsplit(' ', 1)[0]} ..."


def _metrics(section: Section) -> list[str]:
    """The score that settings are compared by, then others by which claims are judged, then columns."""
    first, entry = section.shown, section.entry
    assert first
    judged = [metric for claim in entry.claims for metric in claim.metrics]
    wanted = dict.fromkeys([entry.metric, *judged, *entry.columns])
    own = dict.fromkeys(tables.clock_of(first.group, metric) for metric in wanted)
    return tables.measured(first.group, own)[:3]


def _runs(group: Group, label: str) -> str:
    return str(sum(row.row == label for row in group.rows) or tables.PENDING)


def _score(group: Group, metric: str, label: str) -> str:
    return tables.mean_std(summary(group.scores(label, metric).values()), metric)


def _with_n(group: Group, metric: str, label: str) -> str:
    """The reference's score, with its number of runs."""
    scores = group.scores(label, metric)
    cell = _score(group, metric, label)
    return f"{cell} (n={len(scores)})" if scores else cell


def _linked(group: Group, metric: str, everything: str, label: str) -> str:
    """A score that leads to its runs, commits and command."""
    cell = _score(group, metric, label)
    return cell if cell == tables.PENDING else f"[{cell}]({everything}#runs)"


def _difference(group: Group, metric: str, reference: str, label: str) -> str:
    if label == reference:
        return tables.REFERENCE
    return tables.difference(paired(group.scores(label, metric), group.scores(reference, metric), group.level).summary)


def _printed(cells: Mapping[str, str], label: str) -> str:
    return cells.get(label, tables.PENDING)


def _marked(marks: Mapping[str, str], label: str) -> str:
    return marks.get(label, "")


def verdict_lines(judged: Sequence[Judged]) -> list[str]:
    """The claims by what became of their direction and size, with what was measured; nothing without claims."""
    counted = [j for j in judged if j.counts]
    words: dict[str, list[str]] = {}
    for j in counted:
        outcome = outcome_text(j).strip("*") + " in direction, refuted in size" * j.small
        words.setdefault(outcome, []).append(f"{in_markdown(j.claim)}{_measured(j)}")
    return [f"**{outcome[0].upper()}{outcome[1:]}**: {'; '.join(claims)}." for outcome, claims in words.items()]


def _items(lines: Sequence[str]) -> str:
    """Lines as a list whose items fit a screen."""
    return "\n".join("- " + paragraph(line).replace("\n", "\n  ") for line in lines)


def _measured(j: Judged) -> str:
    """ " (+6.3 [+0.3, +12.8], paper +1.8: 3.5 × the paper's)": behind a claim; empty where nothing was run."""
    measured = tables.difference(j.verdict.difference.summary, tables.unit_of(j.metric))
    paper = j.paper.split(" (")[0]
    if measured == tables.PENDING:
        return ""
    beside = "" if paper == "no number" else f", paper {paper}"
    size = short_size(j.size)
    if size == "open":
        size = "size open" if beside and j.verdict.outcome != "undecided" else ""
    return f" ({measured}{beside}{f': {size}' if size else ''})"


def paragraph(text: str) -> str:
    """A paragraph in lines that fit a screen; none begins with what would make it an item of a list or a heading."""
    lines: list[str] = []
    for line in wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False):
        if lines and _MARK.match(line):
            word, _, line = line.partition(" ")
            lines[-1] += f" {word}"
        lines += [line] if line else []
    return "\n".join(lines)
