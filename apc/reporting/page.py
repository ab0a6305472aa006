"""Rows of finished runs -> the pages `ablation.md` and `.html` with their tables and figures.

The page is made from the rows below `results/` alone, so it can be rebuilt at any time, from partial results and on
another machine; equal rows give an equal page.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from apc.config import PRESETS
from apc.escaping import as_code, in_markdown
from apc.files import sweep, write_atomically
from apc.reporting import html
from apc.reporting.catalogue import described, entries, pictures
from apc.reporting.checklist import checklist
from apc.reporting.command import command
from apc.reporting.figures import qualitative
from apc.reporting.paper import comparison_as_printed
from apc.reporting.provenance import about_data
from apc.reporting.section import Section, remove_stale, section
from apc.reporting.tables import METRICS
from apc.reporting.verdicts.claims import Judged, waiting
from apc.reporting.verdicts.how import HOW_JUDGED
from apc.reporting.verdicts.tables import counted, summary_table
from apc.runs.rows import Row

ALL = "python experiments/reproduce_all.py"
HOW_TO_READ = f"""\
A cell is the mean ± the sample standard deviation over n runs that differ only in their seed, in percent of mIoU unless
its column says otherwise; – is not run or not printed, "ref." the row that the others are compared with. *paper* is the
printed value: it belongs to VOC 2012 with ViT-B/16 and comes without seeds, so on another data set compare order and
differences, not levels.

{HOW_JUDGED}

**Selection.** The paper tunes its settings on the validation masks that it reports. The rule used here stands under
every table; where a data set has a test split, `test_miou` is scored on it, and nothing is chosen by it."""


def build(reports: Path) -> Path:
    """Write `<reports>/ablation.md`, the same as .html, tables/ and figures/ from `<reports>/results/`.

    Returns the path of the Markdown page.
    """
    results = reports / "results"
    sweep(reports, reports / "tables", reports / "figures", *results.glob("*"))
    folders = sorted(path.name for path in results.iterdir() if path.is_dir()) if results.is_dir() else []
    tables, shown = entries(), pictures()
    with_rows = [name for name in folders if name not in shown]
    body: list[str] = []
    sections: dict[tuple[str, str], Section] = {}
    for name in dict.fromkeys([*tables, *with_rows]):
        entry = described(name)
        body += [f"## {in_markdown(entry.title)}", entry.about]
        recorded = sorted(path.stem for path in (results / name).glob("*.jsonl"))
        expected = _expected(entry.presets, recorded) if name in tables else []
        for dataset in dict.fromkeys([*expected, *recorded]):
            sections[name, dataset] = section(entry, dataset, reports)
            remove_stale(reports, name, dataset, "\n".join(sections[name, dataset].text))
            body += sections[name, dataset].text
    for name, picture in shown.items():
        body += [f"## {picture.title}", picture.about]
        recorded = qualitative.recorded(name, results)
        for dataset in dict.fromkeys([*_expected(picture.presets, recorded), *recorded]):
            body += qualitative.section(name, dataset, reports)
    body += [*comparison_as_printed(), *checklist(results)]
    text = "\n\n".join([*_head(sections), *body]) + "\n"
    page = reports / "ablation.md"
    write_atomically(page, text)
    write_atomically(page.with_suffix(".html"), html.page(text, reports))
    return page


def _expected(presets: tuple[str, ...], recorded: list[str]) -> list[str]:
    """Data sets that stand on the page in any case: one for each preset; any photographs do for the preset `folder`."""
    photographs = any(dataset not in PRESETS for dataset in recorded)
    return [preset for preset in presets if not (preset == "folder" and photographs)]


def _head(sections: Mapping[tuple[str, str], Section]) -> list[str]:
    """Title, how to read the page, and for each data set what it is and the verdicts."""
    legend = "\n".join(f"- `{name}`: {meaning}" for name, meaning in METRICS.items())
    text = [
        "# Ablations of Adaptive Patch Contrast",
        "Made by `apc report` from the rows below `results/`; do not edit. It leaves the same page as one file that "
        "needs no other, `ablation.html`, too large for git. One command makes the rows, tables and figures of the "
        f"paper, and goes on where it was stopped: `{ALL}`; what else stands here has its command under it.",
        "## How to read this",
        HOW_TO_READ,
        f"<details><summary>What the columns measure</summary>\n\n{legend}\n\n</details>",
        "## Verdicts",
        "Tables 3 and 4 cannot be tested here: they set APC beside methods trained on all of VOC and COCO, from "
        "encoders of ImageNet. What can be tested of them is Table 6; they stand below as printed.",
    ]
    for dataset in dict.fromkeys(["pocket", *(data for (_, data), each in sections.items() if each.rows)]):
        own = {name: each for (name, data), each in sections.items() if data == dataset and each.rows}
        rows = [row for each in own.values() for row in each.rows]
        text += [f"### Verdicts on {in_markdown(dataset)}", about_data(dataset, rows), *_behind(own)]
        text += _verdicts(dataset, own)
    return text


def _behind(own: Mapping[str, Section]) -> list[str]:
    """Schedule, training images and encoder, each with the tables that it stands behind."""
    titles: dict[str, list[str]] = {}
    for name, each in own.items():
        for schedule in each.schedules:
            titles.setdefault(schedule, []).append(in_markdown(described(name).title.split(":")[0]))
    lines = [f"- {schedule}: {', '.join(dict.fromkeys(names))}" for schedule, names in titles.items()]
    return ["\n".join(["What was trained:", "", *lines])] if lines else []


def _verdicts(dataset: str, own: Mapping[str, Section]) -> list[str]:
    """Every claim on one data set, those that no run has touched with the command that would."""
    kind = dataset if dataset in PRESETS else "folder"
    judged: list[Judged] = []
    tables = entries()
    for name, entry in tables.items():
        if name in own:
            judged += own[name].judged
        elif kind in entry.presets or kind not in ("pocket", "folder"):
            judged += waiting(entry, dataset)
    scripts = {each.title: command(each, "pocket") for each in tables.values()}
    flags = "" if dataset == "pocket" else " " + _flags(dataset, [row for each in own.values() for row in each.rows])
    pending = any(j.verdict.outcome == "pending" for j in judged)
    return [
        ("" if own else "None yet: no two rows of a claim have been run with a common seed. ") + counted(judged),
        summary_table(judged, scripts),
        *([f"<sub>To the commands of pending claims add {as_code(flags.strip())}.</sub>"] if pending and flags else []),
    ]


def _flags(dataset: str, rows: list[Row]) -> str:
    """The flags that name a data set other than the embedded one."""
    if dataset in PRESETS:
        return f"{dataset} --root FOLDER --weights WEIGHTS"
    names = sorted({str(row.stamp["weights_name"]) for row in rows if row.stamp.get("weights_name")})
    return f"folder --root {shlex.quote(dataset)} --weights {shlex.quote(names[0]) if names else 'WEIGHTS'}"
