"""One experiment on one data set as Markdown: tables, figures, verdicts and where the numbers come from."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apc.report import figures, lambdas, tables
from apc.report.catalogue import Experiment
from apc.report.claims import Judged, judge_group, verdict_table
from apc.report.groups import Group, read, separate
from apc.report.provenance import damages, failures, provenance
from apc.report.statistics import summary
from apc.report.sweeps import sweeps


@dataclass
class Part:
    """One table of a group."""

    suffix: str
    """Of its files."""
    heading: str
    labels: list[str]
    reference: str
    marks: dict[str, str] = field(default_factory=dict)


def section(experiment: Experiment, dataset: str, reports: Path) -> tuple[list[str], list[Judged]]:
    """Markdown paragraphs of one experiment on one data set, its files written, and its verdicts."""
    path = reports / "results" / experiment.name / f"{dataset}.jsonl"
    todo = f"```\n{experiment.command(dataset)}\n```"
    if not path.is_file():
        return [f"### {dataset}: pending", "No run is recorded. This command fills it:", todo], []
    rows, problems = read(path)
    chosen, more = _chosen(path.with_suffix(".best.toml"))
    groups = separate(rows, experiment.knobs)
    failed = [row for row in rows if row.error]
    text = [f"### {dataset}"]
    if len(groups) > 1:
        differ = ", ".join(f"`{name}`" for name in groups[0].what)
        apart = f"These runs fall into {len(groups)} groups that are neither averaged nor compared"
        text.append(f"**{apart}: they differ in {differ}.**")
    if not groups:
        text.append("No run has a score yet.")
    judged: list[Judged] = []
    for number, group in enumerate(groups, start=1):
        name = _file_name(experiment.name, dataset) + (f".{number}" if number > 1 else "")
        place = " · ".join([dataset, *(f"{k} {v}" for k, v in group.what.items())])
        if len(groups) > 1:
            text.append(f"#### Group {number}: {', '.join(f'{k} = {v}' for k, v in group.what.items())}")
        paragraphs, verdicts = _group(experiment, group, name, place, chosen, {row.row for row in failed}, reports)
        text += paragraphs
        judged += verdicts
    text += failures(failed) + damages([*problems, *more])
    return [*text, "Made, continued or completed by:", todo], judged


def remove_stale(reports: Path, experiment: str, dataset: str) -> None:
    """Remove the files of an earlier page: of a group that is gone none may stay behind as a result."""
    for folder in ("tables", "figures"):
        for path in (reports / folder).glob(f"{_file_name(experiment, dataset)}.*"):
            path.unlink()


def _file_name(experiment: str, dataset: str) -> str:
    """First part of the names of tables and figures, fit for a link: photographs may lie in any folder."""
    return re.sub(r"[^\w.-]+", "-", f"{experiment}.{dataset}")


def _group(
    experiment: Experiment, group: Group, name: str, place: str, chosen: dict[str, Any], failed: set[str], reports: Path
) -> tuple[list[str], list[Judged]]:
    stages = lambdas.stages(group, chosen, failed) if experiment.staged else None
    judged = list(judge_group(experiment, group, place, stages))
    text = [f"> **Mind:** {note}" for note in group.notes]
    for part in _staged_parts(stages) if stages else [_whole(experiment, group, chosen)]:
        text += _tables(experiment, group, part, f"{name}{part.suffix}", place, reports)
    text += ["\n".join(f"- {line}" for line in lambdas.sentences(stages))] if stages else []
    text += _plain_words(experiment, group)
    text += _figures(experiment, group, stages, name, place, reports)
    text += verdict_table(judged)
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


def _staged_parts(stages: lambdas.Stages) -> list[Part]:
    marks = {stages.best: "best here", stages.default: "paper's choice"}
    if stages.best == stages.default:
        marks = {stages.best: "best here and paper's choice"}
    first, second = list(stages.first.values()), list(stages.second.values())
    best1 = stages.labels.get((stages.best1 or 0.0, 0.0), "") if stages.best1 is not None else ""
    paper1 = stages.labels.get((lambdas.PAPER["lambda1"], 0.0), "")
    stage1 = {best1: "best", paper1: "paper's lambda1"} if best1 != paper1 else {best1: "best and paper's lambda1"}
    parts = [Part("", "**Stage 1: lambda1, with lambda2 = 0**", first, paper1, stage1)]
    if stages.best1 is not None and len(second) > 1:
        parts.append(Part(".lambda2", f"**Stage 2: lambda2, at lambda1 = {stages.best1:g}**", second, best1, marks))
    if stages.best and stages.default and stages.best != stages.default:
        parts.append(
            Part(
                ".best", "**The best setting beside the paper's**", [stages.best, stages.default], stages.default, marks
            )
        )
    return [part for part in parts if part.labels]


def _tables(experiment: Experiment, group: Group, part: Part, name: str, place: str, reports: Path) -> list[str]:
    """The main table, and the second one folded away; both written to tables/."""
    caption = f"{experiment.title} ({place}){'; ' + part.heading.strip('*') if part.heading else ''}"
    legend = (
        "Percent, mean ± sample standard deviation over n seeds; differences are paired by seed, with 95 % t "
        f"intervals; {tables.PENDING} is pending."
    )
    text = [part.heading] if part.heading else []
    for suffix, wanted in (("", experiment.columns), (".details", experiment.details)):
        metrics = tables.measured(group, wanted)
        if not metrics:
            continue
        main = suffix == ""
        reference = part.reference if main else ""
        frame = tables.shown(
            group, part.labels, metrics, reference, experiment.printed if main else None, part.marks if main else None
        )
        plain = tables.numbers(group, part.labels, metrics, part.reference)
        tables.write(reports / "tables", name + suffix, frame, plain, caption, legend)
        table = tables.markdown(frame)
        text.append(table if main else f"<details><summary>More columns</summary>\n\n{table}\n\n</details>")
    links = " · ".join(f"[{ending}](tables/{name}.{ending})" for ending in ("csv", "tex", "md"))
    return [*text, f"<sub>This table as {links}</sub>"]


def _plain_words(experiment: Experiment, group: Group) -> list[str]:
    """The measured order beside the paper's, and how many patches adaptive-K really took."""
    text = []
    printed = experiment.printed
    if printed:
        means = {
            label: summary(group.scores(label, "miou").values()).mean
            for label in experiment.rows
            if group.scores(label, "miou")
        }
        ours = " < ".join(sorted(means, key=lambda label: means[label]))
        theirs = " < ".join(sorted(means, key=lambda label: printed[label]))
        same = "The paper has the same order" if ours == theirs else "The paper has another order"
        text.append(f"Order of the means of `miou`: {ours}. {same}: {theirs}.")
    for label in experiment.rows:
        configs = [row.config for row in group.rows if row.row == label and row.config.get("pooling") == "adaptive_k"]
        taken = summary(group.scores(label, "mean_k").values()).mean
        if not configs or taken != taken:
            continue
        most = float(configs[0].get("k", 1))
        line = f"`{label}` pooled {taken:.2f} patches on average of at most {most:g}, on classes present in the image."
        if taken > 0.9 * most:
            line += (
                " That is nearly k of k: it worked almost as top-K pooling and could hardly score differently from it."
            )
        elif taken < 1 + 0.1 * (most - 1):
            line += " That is nearly one: it worked almost as max pooling and could hardly score differently from it."
        text.append(line)
    return text


def _figures(
    experiment: Experiment, group: Group, stages: lambdas.Stages | None, name: str, place: str, reports: Path
) -> list[str]:
    """The experiment's figures, written and shown inline."""
    labels = [label for label in _whole(experiment, group).labels if group.scores(label, "miou")]
    if stages:
        labels = list(
            dict.fromkeys(
                label for label in (stages.best, stages.default, stages.labels.get((stages.best1 or 0.0, 0.0))) if label
            )
        )
    names = {
        "miou": "decoder (miou)",
        "miou_crf": "decoder + CRF (miou_crf)",
        "patch_miou": "patch branch (patch_miou)",
    }
    text = []
    for kind in experiment.figures if labels else ():
        path: Path | None = reports / "figures" / f"{name}.{kind}"
        assert path is not None
        if kind == "sweeps" and stages:
            title = "Score over the two weights: mean, one standard deviation, single seeds"
            path = sweeps(lambdas.panels(group, stages, place), names, path)
        elif kind == "rows":
            title = "Rows of the table beside the paper's values: mean, one standard deviation, single seeds"
            every = _whole(experiment, group).labels
            scores = {
                m: {label: group.scores(label, m) for label in every}
                for m in tables.measured(group, ("miou", "miou_crf"))
            }
            path = figures.rows_beside_paper(
                scores, names, experiment.printed or {}, f"here ({place})", "paper (VOC 2012 val)", path
            )
        elif kind == "classes":
            title = "IoU of each class: mean and one standard deviation over seeds"
            scores_of = {label: _by_class(group, label) for label in labels}
            path = figures.by_class(scores_of, names["miou"], path) if any(scores_of.values()) else None
        else:
            title = "Training curves: thick the mean over seeds, thin each seed"
            path = figures.curves(
                {label: [row.curve for row in group.rows if row.row == label] for label in labels}, path
            )
        if path:
            text.append(f"![{title}](figures/{path.name})\n\n<sub>{title}. [PDF](figures/{path.stem}.pdf)</sub>")
    return text


def _by_class(group: Group, label: str) -> dict[str, list[float]]:
    """Class name -> IoU of each seed, classes absent from the ground truth left out."""
    found: dict[str, list[float]] = {}
    for row in group.rows:
        if row.row == label:
            for name, value in zip(row.classes, row.per_class.get("miou", []), strict=False):
                if value is not None:
                    found.setdefault(name, []).append(value)
    return found


def _chosen(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What a search chose (best.toml), empty where there is none; and a sentence where the file is damaged."""
    if not path.is_file():
        return {}, []
    try:
        return tomllib.loads(path.read_text()), []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [f"{path.name}: {error}"]
