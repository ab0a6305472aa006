"""One experiment on one data set as Markdown: tables, figures, verdicts and where the numbers come from."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apc.reporting import tables
from apc.reporting.command import command
from apc.reporting.figures import one_knob, staged
from apc.reporting.figures.choose import pictures
from apc.reporting.groups import Group, read, separate
from apc.reporting.paper import beside
from apc.reporting.provenance import damages, failures, provenance, schedule
from apc.reporting.searches import comparison, importance, trials
from apc.reporting.table_entry import Experiment
from apc.reporting.verdicts import bootstrap
from apc.reporting.verdicts.claims import Judged, judge_group, waiting
from apc.reporting.verdicts.explanations import whys
from apc.reporting.verdicts.sentences import plain_words
from apc.reporting.verdicts.tables import verdict_table
from apc.runs.rows import Row


@dataclass
class Part:
    """One table of a group."""

    suffix: str
    """Of its files."""
    heading: str
    labels: list[str]
    reference: str
    marks: dict[str, str] = field(default_factory=dict)


@dataclass
class Section:
    """One experiment on one data set."""

    text: list[str]
    """Markdown paragraphs."""
    judged: list[Judged] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    """Of its file, failed ones among them."""
    schedules: list[str] = field(default_factory=list)
    """Schedule, number of training images and encoder of each group, in words."""


def section(experiment: Experiment, dataset: str, reports: Path) -> Section:
    """One experiment on one data set, its tables and figures written."""
    path = reports / "results" / experiment.name / f"{dataset}.jsonl"
    if not path.is_file():
        todo = _code([command(experiment, dataset)])
        text = [f"### {dataset}: pending", "No run is recorded. This command fills it:", todo]
        return Section(text, waiting(experiment, dataset))
    rows, problems = read(path)
    chosen, more = _chosen(path.with_suffix(".best.toml"))
    counts, torn = bootstrap.read(path.with_suffix(".images.npz"))
    groups = separate(rows, experiment.knobs)
    failed = [row for row in rows if row.error]
    text = [f"### {dataset}", *(f"*{dataset}*: {schedule(group.rows)}." for group in groups if len(groups) == 1)]
    if len(groups) > 1:
        differ = ", ".join(f"`{name}`" for name in groups[0].what)
        apart = f"These runs fall into {len(groups)} groups that are neither averaged nor compared"
        text.append(f"**{apart}: they differ in {differ}.**")
    if not groups:
        text.append("No run has a score yet.")
    judged: list[Judged] = [] if groups else waiting(experiment, dataset)
    for number, group in enumerate(groups, start=1):
        name = _file_name(experiment.name, dataset) + (f".{number}" if number > 1 else "")
        place = " · ".join([dataset, *(f"{k} {v}" for k, v in group.what.items())])
        if len(groups) > 1:
            text.append(f"#### Group {number}: {', '.join(f'{k} = {v}' for k, v in group.what.items())}")
            text.append(f"*{dataset}*: {schedule(group.rows)}.")
        group.images = counts
        # runs that failed or were stopped early have no group of their own: they stand with the first
        ended = [row for row in rows if number == 1 or not (row.error or row.stopped)]
        paragraphs, verdicts = _group(experiment, group, name, place, chosen, ended, dataset, reports)
        text += paragraphs
        judged += verdicts
    if path.with_suffix(".trials.csv").is_file():
        stem = f"results/{experiment.name}/{dataset}.trials".replace(" ", "%20")
        text.append(f"<sub>All trials as [csv]({stem}.csv) · [parquet]({stem}.parquet)</sub>")
    text += failures(failed) + damages([*problems, *more, *torn])
    # The command of an only group takes in the failed seeds, which it tries again.
    sources = [rows] if len(groups) < 2 else [group.rows for group in groups]
    commands = [line for part in sources if (line := command(experiment, dataset, part))]
    made = (
        ["Made, continued or completed by:", _code(commands)]
        if commands
        else [f"Made by the experiment `{experiment.name}`."]
    )
    return Section([*text, *made], judged, rows, [schedule(group.rows) for group in groups])


def _code(lines: Iterable[str]) -> str:
    return "```\n" + "\n".join(dict.fromkeys(lines)) + "\n```"


def remove_stale(reports: Path, experiment: str, dataset: str, page: str) -> None:
    """Remove tables and figures that `page` does not name: of a group that is gone none may stay behind as a result."""
    for folder in ("tables", "figures"):
        for path in (reports / folder).glob(f"{_file_name(experiment, dataset)}.*"):
            if f"{folder}/{path.name.replace('.details.', '.')}" not in page:
                path.unlink()


def _file_name(experiment: str, dataset: str) -> str:
    """First part of the names of tables and figures, fit for a link: photographs may lie in any folder."""
    return re.sub(r"[^\w.-]+", "-", f"{experiment}.{dataset}")


def _group(
    experiment: Experiment,
    group: Group,
    name: str,
    place: str,
    chosen: dict[str, Any],
    rows: list[Row],
    dataset: str,
    reports: Path,
) -> tuple[list[str], list[Judged]]:
    """Paragraphs and verdicts of one group; `rows` are those of the file, failed and stopped ones among them."""
    failed = {row.row for row in rows if row.error}
    stages = staged.stages(group, chosen, failed, experiment.metric) if experiment.staged else None
    judged = list(judge_group(experiment, group, dataset, stages))
    found = trials.trials(group, rows, experiment.metric) if experiment.search else []
    races = comparison.races(experiment, dataset, reports)
    whole = _whole(experiment, group, chosen)
    text = [f"> **Mind:** {note}" for note in group.notes]
    if experiment.search:
        paper = stages.default if stages else experiment.reference
        said = importance.sentences(found, experiment.metric, paper)
        said += [] if stages else importance.at_an_end(experiment.name, found)  # stages say it themselves
        text.append("\n".join(f"- {line}" for line in said))
    for part in _parts(stages, whole, found):
        text += _tables(experiment, group, part, f"{name}{part.suffix}", place, reports)
    text += ["\n".join(f"- {line}" for line in staged.sentences(stages))] if stages else []
    text += [*importance.importance_table(found), *importance.pruned_table(found, rows)]
    text += [] if experiment.search else plain_words(experiment, group)
    text += ["\n".join(f"- {line}" for line in lines)] if (lines := one_knob.sentences(experiment, group)) else []
    text += comparison.compared(races, group.rows)
    text += pictures(experiment, group, stages, found, races, whole.labels, name, place, reports)
    text += [*verdict_table(judged), *whys(experiment.name, group, judged)]
    return [*text, *provenance(group, experiment.knobs or ())], judged


def _whole(experiment: Experiment, group: Group, chosen: Mapping[str, Any] | None = None) -> Part:
    """All rows as one table, those not run yet among them; the setting that a search chose is marked."""
    labels = [*experiment.rows, *(label for label in group.labels if label not in experiment.rows)]
    best = {
        row.row: "chosen (best.toml)"
        for row in group.rows
        if chosen and all(row.config.get(name, value) == value for name, value in chosen.items() if name != "weights")
    }
    return Part("", "", labels, experiment.reference if experiment.reference in labels else "", best)


def _parts(stages: staged.Stages | None, whole: Part, found: list[trials.Trial]) -> list[Part]:
    """The tables of a group: the two stages, the best of a search, or all rows."""
    if stages:
        return _staged_parts(stages)
    return [_ten_best(whole, found)] if found else [whole]


def _ten_best(whole: Part, found: list[trials.Trial]) -> Part:
    """The best settings of a search, best first; the others stand in its figures and in trials.csv."""
    done = trials.complete(found)
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
    paper1 = stages.labels.get((staged.PAPER["lambda1"], 0.0), "")
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
    found: dict[str, list[str]] = {}
    for label, mark in named:
        found.setdefault(label, []).append(mark)
    return {label: " and ".join(marks) for label, marks in found.items() if label}


def _tables(experiment: Experiment, group: Group, part: Part, name: str, place: str, reports: Path) -> list[str]:
    """The main table, and the second one folded away; both written to tables/."""
    caption = f"{experiment.title} ({place}){'; ' + part.heading.strip('*') if part.heading else ''}"
    legend = (
        "Percent, mean ± sample standard deviation over n seeds; differences are paired by seed, with 95 % t "
        f"intervals; over images: bootstrap interval of the same difference; {tables.PENDING} is not run or not "
        f"printed; seeds: `{experiment.metric}` of the single runs, by seed."
    )
    text = [part.heading] if part.heading else []
    for suffix, wanted in (("", experiment.columns), (".details", experiment.details)):
        metrics = tables.measured(group, wanted)
        if not metrics:
            continue
        main = suffix == ""
        reference = part.reference if main else ""
        layout = tables.Layout(
            labels=part.labels,
            metrics=metrics,
            main=experiment.metric,
            reference=reference,
            printed=beside(experiment, group, part.labels, reference) if main else {},
            marks=part.marks if main else {},
            single=not main,
        )
        frame = tables.shown(group, layout)
        plain = tables.numbers(group, part.labels, metrics, part.reference)
        tables.write(reports / "tables", name + suffix, tables.Table(frame, plain, caption, legend))
        table = tables.markdown(frame)
        text.append(table if main else f"<details><summary>More columns</summary>\n\n{table}\n\n</details>")
    links = " · ".join(f"[{ending}](tables/{name}.{ending})" for ending in ("csv", "tex", "md"))
    return [*text, f"<sub>This table as {links}</sub>"]


def _chosen(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What a search chose (best.toml), empty where there is none; and a sentence where the file is damaged."""
    if not path.is_file():
        return {}, []
    try:
        return tomllib.loads(path.read_text()), []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [f"{path.name}: {error}"]
