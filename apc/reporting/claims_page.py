"""Every claim on every data set, by every score: what the first screen and its picture are the short form of."""

import shlex
from collections.abc import Mapping

from apc.config import PRESETS
from apc.escaping import in_markdown
from apc.reporting.catalogue import described, entries
from apc.reporting.command import command, weights_of
from apc.reporting.names import for_people
from apc.reporting.provenance import about_data
from apc.reporting.section import Section
from apc.reporting.verdicts.claims import Judged, waiting
from apc.reporting.verdicts.tables import counted, summary_table
from apc.runs.rows import Row

Sections = Mapping[tuple[str, str], Section]


def of_dataset(sections: Sections) -> dict[str, list[Judged]]:
    """Data set -> every claim judged on it, those that no run has touched among them; of data sets with rows."""
    datasets = dict.fromkeys(["pocket", *(data for (_, data), each in sections.items() if each.rows)])
    found: dict[str, list[Judged]] = {}
    for dataset in datasets:
        own = {name: each for (name, data), each in sections.items() if data == dataset and each.rows}
        if own:
            found[dataset] = _judged(dataset, own)
    return found


def _judged(dataset: str, own: Mapping[str, Section]) -> list[Judged]:
    kind = dataset if dataset in PRESETS else "folder"
    judged: list[Judged] = []
    for name, entry in entries().items():
        if name in own:
            judged += own[name].judged
        elif kind in entry.presets or kind not in ("pocket", "folder"):
            judged += waiting(entry, dataset)
    return judged


def claims_page(sections: Sections) -> list[str]:
    """Paragraphs: for each data set what it is, what was trained, and every claim."""
    text = [
        "# Every claim",
        "Tables 3 and 4 cannot be tested here: they set APC beside methods trained on all of VOC and COCO, from "
        "encoders of ImageNet. What can be tested of them is Table 6.",
    ]
    judged = of_dataset(sections)
    for dataset, claims in judged.items():
        own = {name: each for (name, data), each in sections.items() if data == dataset and each.rows}
        rows = [row for each in own.values() for row in each.rows]
        text += [f"## Verdicts on {in_markdown(dataset)}", about_data(dataset, rows), *_behind(own)]
        text += _verdicts(claims, _scripts(dataset, own, rows))
    return text if judged else [*text, "None yet: no two rows of a claim have been run with a common seed."]


def _behind(own: Mapping[str, Section]) -> list[str]:
    """Schedule, training images and encoder, each with the tables that it stands behind."""
    titles: dict[str, list[str]] = {}
    for name, each in own.items():
        for schedule in each.schedules:
            titles.setdefault(schedule, []).append(in_markdown(described(name).title.split(":")[0]))
    lines = [f"- {schedule}: {', '.join(dict.fromkeys(names))}" for schedule, names in titles.items()]
    return ["\n".join(["What was trained:", "", *lines])] if lines else []


def _verdicts(judged: list[Judged], scripts: Mapping[str, str]) -> list[str]:
    """The claims on one data set, those that no run has touched with the command that would."""
    return [for_people(counted(judged)), for_people(summary_table(judged, scripts))]


def _scripts(dataset: str, own: Mapping[str, Section], rows: list[Row]) -> dict[str, str]:
    """Title -> the command that completes its rows on a data set or, where there are none, begins them."""
    flags = "" if dataset == "pocket" else " " + _flags(dataset, rows)
    begun = {each.entry.title: each.commands[0] for each in own.values() if each.commands}
    return {each.title: begun.get(each.title, command(each, "pocket") + flags) for each in entries().values()}


def _flags(dataset: str, rows: list[Row]) -> str:
    """The flags that name a data set other than the embedded one."""
    if dataset in PRESETS:
        return f"{dataset} --root FOLDER --weights WEIGHTS"
    weights = weights_of(rows)
    return f"folder --root {shlex.quote(dataset)}{f' --weights {shlex.quote(weights)}' if weights else ''}"
