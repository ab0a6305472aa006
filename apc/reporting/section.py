"""One experiment on one data set: all that its rows say as Markdown, and the parts that the page shows of it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apc.escaping import as_code, as_code_block, in_link, in_markdown
from apc.reporting import tables
from apc.reporting.command import command, unusual
from apc.reporting.figures import one_knob, staged
from apc.reporting.figures.choose import Shown, figures
from apc.reporting.groups import Group, separate
from apc.reporting.names import file_name as file_name
from apc.reporting.paper import beside
from apc.reporting.parts import Part, parts, whole_table
from apc.reporting.provenance import damages, failures, provenance, schedule
from apc.reporting.recorded import Recorded, read_recorded, searches_of
from apc.reporting.searches import comparison, importance, race, trials
from apc.reporting.searches.choosers import choosers, choosers_table
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts.claims import Judged, judge_group, waiting
from apc.reporting.verdicts.explanations import explanations
from apc.reporting.verdicts.sentences import plain_words
from apc.reporting.verdicts.tables import more_seeds, verdict_table
from apc.reporting.worth import Columns, best_beside, points_a_minute
from apc.runs.rows import Row
from apc.runs.scores import LABEL_SCORES

WIDEST = 12
"""Most columns of a table that stands open; of a wider one the page shows the first."""


@dataclass
class First:
    """What the page shows of the first group of a section; all else stands in the section's own page."""

    group: Group
    part: Part
    """Its last table: of stages, the one that says what they lead to."""
    said: list[str]
    """What the rows say, in sentences of Markdown."""
    figures: list[str]
    """Each as Markdown."""


@dataclass
class Section:
    """One experiment on one data set."""

    entry: TableEntry
    dataset: str
    text: list[str]
    """Markdown paragraphs: everything."""
    recorded: bool = False
    """Whether there is a file of rows, be it empty or damaged."""
    shown: First | None = None
    """None where no run has a score."""
    groups: int = 0
    """How many there are that are neither averaged nor compared."""
    commands: list[str] = field(default_factory=list)
    """That make, continue or complete the rows, one a group."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """The setting that a search chose (best.toml); empty where there is none."""
    left_out: str = ""
    """How many runs failed and how much is damaged, in words; empty where all is well."""
    judged: list[Judged] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    """Of its file, failed ones among them."""
    schedules: list[str] = field(default_factory=list)
    """Schedule, number of training images and encoder of each group, in words."""
    compared: list[Group] = field(default_factory=list)
    """The groups themselves, the largest first."""
    unlike: list[str] = field(default_factory=list)
    """Fields that the first group has otherwise than its preset of today, each as Markdown."""


def of_a_table(section: Section) -> bool:
    """Whether it is of a table whose claims are explained."""
    return section.entry.explained and bool(section.entry.printed)


def section(entry: TableEntry, dataset: str, reports: Path) -> Section:
    """One experiment on one data set, its tables and figures written."""
    path = reports / "results" / entry.name / f"{dataset}.jsonl"
    if not path.is_file():
        return Section(entry, dataset, [], judged=waiting(entry, dataset), commands=[command(entry, dataset)])
    recorded = read_recorded(entry, dataset, reports)
    entry, groups = recorded.entry, separate(recorded.rows, entry.knobs)
    text = [f"### {in_markdown(dataset)}", *_divided(entry, dataset, groups)]
    judged: list[Judged] = [] if groups else waiting(entry, dataset)
    shown: list[First] = []
    for number, group in enumerate(groups, start=1):
        group.images = recorded.images
        if len(groups) > 1:
            text.append(f"#### Group {number}: {in_markdown(', '.join(f'{k} = {v}' for k, v in group.what.items()))}")
            text.append(f"*{in_markdown(dataset)}*: {_trained(entry, group)}.")
        paragraphs, verdicts, own = _group(recorded, group, number)
        text += paragraphs
        judged += verdicts
        shown.append(own)
    if path.with_suffix(".trials.csv").is_file():
        stem = in_link(f"results/{entry.name}/{dataset}.trials")
        text.append(f"<sub>All trials as [csv]({stem}.csv) · [parquet]({stem}.parquet)</sub>")
    failed = [row for row in recorded.rows if row.error]
    text += failures(failed) + damages(recorded.problems)
    commands = _commands(recorded, groups)
    text += more_seeds(judged, commands)
    text += _made_by(entry, commands, recorded.rows)
    return Section(
        entry,
        dataset,
        text,
        True,
        shown[0] if shown else None,
        len(groups),
        commands,
        recorded.chosen,
        _left_out(len(failed), len(recorded.problems)),
        judged,
        recorded.rows,
        [_trained(entry, group) for group in groups],
        groups,
        _unlike(entry, groups[0]) if groups else [],
    )


def _left_out(failed: int, damaged: int) -> str:
    parts = [f"{failed} failed run{'s' * (failed > 1)}"] if failed else []
    parts += [f"{damaged} damaged part{'s' * (damaged > 1)}"] if damaged else []
    return " and ".join(parts)


def glance(entry: TableEntry, dataset: str, reports: Path) -> Section:
    """What rows that are not the page's own say, nothing written: their first group and all verdicts."""
    recorded = read_recorded(entry, dataset, reports)
    entry, groups = recorded.entry, separate(recorded.rows, entry.knobs)
    judged: list[Judged] = []
    for group in groups:
        stages = staged.stages(group, recorded.chosen, metric=entry.metric) if entry.staged else None
        judged += judge_group(entry, group, dataset, stages, [row for row in recorded.rows if row.error])
    first = First(groups[0], whole_table(entry, groups[0]), [], []) if groups else None
    return Section(entry, dataset, [], True, first, len(groups), judged=judged, rows=recorded.rows)


def _trained(entry: TableEntry, group: Group) -> str:
    """Schedule, images and encoder of a group, and what else it has otherwise than its preset of today."""
    told, devices = _unlike(entry, group), sorted({str(row.stamp.get("device", "cpu")) for row in group.rows})
    named = ["a processor" if device == "cpu" else in_markdown(device) for device in devices]
    where = "" if devices == ["cpu"] else f", on {' and '.join(named)}"
    return schedule(group.rows) + where + (f"; unlike the preset: {', '.join(told)}" if told else "")


def _unlike(entry: TableEntry, group: Group) -> list[str]:
    """Fields that a group has otherwise than its preset of today, but for those that its schedule shows."""
    return [f"{as_code(n)} {in_markdown(v)}" for n, v in unusual(entry, group.rows).items() if n not in _TOLD]


_TOLD = ("train_list", "epochs", "eval_every")
"""Fields that a schedule shows, or that change no model."""


def _divided(entry: TableEntry, dataset: str, groups: Sequence[Group]) -> list[str]:
    """What was trained, or why the rows stand in several tables."""
    if not groups:
        return ["No run has a score yet."]
    if len(groups) == 1:
        return [f"*{in_markdown(dataset)}*: {_trained(entry, groups[0])}."]
    differ = ", ".join(as_code(name) for name in groups[0].what)
    apart = f"These runs fall into {len(groups)} groups that are neither averaged nor compared"
    return [f"**{apart}: they differ in {differ}.**"]


def _commands(recorded: Recorded, groups: Sequence[Group]) -> list[str]:
    """The commands that make, continue or complete the rows, one a group; none of an experiment without a script."""
    # The command of an only group takes in the failed seeds, which it tries again.
    sources = [recorded.rows] if len(groups) < 2 else [group.rows for group in groups]
    steps = searches_of(recorded)
    commands = [line for rows in sources if (line := command(recorded.entry, recorded.dataset, rows, steps))]
    if recorded.race:
        commands = [shlex.join([*shlex.split(line), *recorded.race.flags]) for line in commands]
    return list(dict.fromkeys(commands))


def _made_by(entry: TableEntry, commands: Sequence[str], rows: Sequence[Row]) -> list[str]:
    if not commands:
        return [f"Made by the experiment {as_code(entry.name)}."]
    with_ray = any("ray" in row.stamp for row in rows) or not any(row.stamp for row in rows)
    how = "Made, continued or completed by:" if with_ray else "Trained where there was no Ray; such runs are made by:"
    return [how, as_code_block("\n".join(commands))]


def remove_stale(reports: Path, experiment: str, dataset: str, page: str) -> None:
    """Remove tables and figures that `page` does not name: of a group that is gone none may stay behind as a result."""
    for folder in ("tables", "figures"):
        for path in (reports / folder).glob(f"{file_name(experiment, dataset)}.*"):
            name = path.name.replace(".details.", ".").removesuffix(".svg")
            if f"{folder}/{name}{'.png' * path.name.endswith('.svg')}" not in page:
                path.unlink()


def _group(recorded: Recorded, group: Group, number: int) -> tuple[list[str], list[Judged], First]:
    """Paragraphs and verdicts of one group, the `number`-th of its data set, and what the page shows of it."""
    entry, dataset, reports = recorded.entry, recorded.dataset, recorded.reports
    name = file_name(entry.name, dataset) + (f".{number}" if number > 1 else "")
    place = " · ".join([dataset, *(f"{k} {v}" for k, v in group.what.items())])
    # runs that failed or were stopped early have no group of their own: they stand with the first
    rows = [row for row in recorded.rows if number == 1 or not (row.error or row.stopped)]
    failed = [row for row in rows if row.error]
    stages = staged.stages(group, recorded.chosen, {row.row for row in failed}, entry.metric) if entry.staged else None
    judged = list(judge_group(entry, group, dataset, stages, failed))
    if number > 1:  # what an aside has not run is missing in the first group alone
        judged = [each for each in judged if each.verdict.outcome != "pending"]
    tried = trials.trials(group, rows, entry.metric) if entry.search else []
    races = comparison.races(entry, dataset, reports)
    whole = whole_table(entry, group, recorded.chosen)
    text = [f"> **Mind:** {note}" for note in group.notes]
    if entry.search:
        paper = stages.default if stages else entry.reference
        said = importance.sentences(tried, entry.metric, paper)
        said += [] if stages else importance.at_an_end(tried)  # stages say it themselves
        text.append("\n".join(f"- {line}" for line in said))
    else:
        said = plain_words(entry, group)
    said = (staged.sentences(stages) if stages else []) or one_knob.sentences(entry, group) or said
    others = best_beside(recorded)
    said = [*others, *said]
    tables_shown = parts(stages, whole, tried)
    for part in tables_shown:
        text += _tables(recorded, group, part, f"{name}{part.suffix}", place)
    text += ["\n".join(f"- {line}" for line in staged.sentences(stages))] if stages else []
    text += race.paragraphs(recorded.race) if number == 1 else []
    judged_scores = choosers(group.rows, group.images) if entry.choosers else None
    text += choosers_table(judged_scores)
    text += [*importance.importance_table(tried), *importance.pruned_table(tried, rows)]
    text += others
    text += [] if entry.search else plain_words(entry, group)
    text += ["\n".join(f"- {line}" for line in lines)] if (lines := one_knob.sentences(entry, group)) else []
    text += comparison.cost_table(races, group.rows)
    replays = recorded.replays if number == 1 else None
    shown = Shown(
        entry, group, place, whole.labels, stages, tried, comparison.on_one_axis(races), judged_scores, replays
    )
    drawn = figures(shown, reports / "figures" / name)
    text += drawn
    text += [*verdict_table(judged), *explanations(entry, group, judged)]
    first = First(group, tables_shown[-1] if tables_shown else whole, said, drawn)
    return [*text, *provenance(group, entry.knobs or ())], judged, first


def _columns_beside(entry: TableEntry, group: Group, labels: Sequence[str], reference: str) -> Columns:
    """Columns that are no scores of ours: the paper's, and what a minute of training gains."""
    return beside(entry, group, labels, reference) | points_a_minute(entry, group, labels, reference)


def _tables(recorded: Recorded, group: Group, part: Part, name: str, place: str) -> list[str]:
    """The main table, folded where it is wide, and the second one folded away; both written to tables/."""
    entry = recorded.entry
    caption = f"{entry.title} ({place}){'; ' + part.heading.strip('*') if part.heading else ''}"
    legend = (
        "Percent, mean ± sample standard deviation over n seeds; differences are paired by seed, with "
        f"{100 * group.level:.3g} % t intervals; over images: jackknife interval of the same difference; "
        f"{tables.PENDING} is not run or not printed; seeds: `{entry.metric}` of the single runs, by seed."
    )
    text = [part.heading] if part.heading else []
    chosen_by = (entry.metric,) if entry.metric in LABEL_SCORES else ()
    for suffix, wanted in (("", (*chosen_by, *entry.columns)), (".details", entry.details)):
        main = suffix == ""
        metrics = tables.measured(group, wanted) or tables.measured(group, LABEL_SCORES if main else ())
        if not metrics:
            continue
        reference = part.reference if main else ""
        layout = tables.Layout(
            labels=part.labels,
            metrics=metrics,
            main=entry.metric,
            reference=reference,
            printed=_columns_beside(entry, group, part.labels, reference) if main else {},
            marks=part.marks if main else {},
            single=not main,
        )
        frame = tables.shown(group, layout)
        plain = tables.numbers(group, part.labels, metrics, part.reference)
        tables.write(recorded.reports / "tables", name + suffix, tables.Table(frame, plain, caption, legend))
        table = tables.markdown(frame)
        folded = "More columns" if not main else f"All {len(frame.columns)} columns" * (len(frame.columns) > WIDEST)
        text.append(f"<details><summary>{folded}</summary>\n\n{table}\n\n</details>" if folded else table)
    links = " · ".join(f"[{ending}](tables/{name}.{ending})" for ending in ("csv", "tex", "md"))
    return [*text, f"<sub>This table as {links}</sub>"]
