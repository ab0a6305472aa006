"""Rows of finished runs -> the page `ablation.md`, its `details/`, all of it as one `.html`, and tables and figures.

The page is made from the rows below `results/` alone, so it can be rebuilt at any time, from partial results and on
another machine; equal rows give an equal page. Whose rows: those of the folder, and beside them, read only, those that
the project ships in `reference/` within it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from apc.config import PRESETS
from apc.escaping import in_link, in_markdown
from apc.files import sweep, write_atomically
from apc.reporting import html
from apc.reporting.advice import Series
from apc.reporting.brief import brief, paragraph
from apc.reporting.catalogue import described, entries, pictures
from apc.reporting.checklist import checklist
from apc.reporting.claims_page import claims_page, of_dataset
from apc.reporting.figures import qualitative
from apc.reporting.front import front, tests_the_paper
from apc.reporting.how_to_read import how_to_read
from apc.reporting.names import file_name, for_people
from apc.reporting.optimism_page import NAME as OPTIMISM
from apc.reporting.optimism_page import optimism_page
from apc.reporting.paper import comparison_as_printed
from apc.reporting.section import Section, glance, remove_stale, section
from apc.reporting.specifications_page import NAME as CURVES
from apc.reporting.specifications_page import specifications_page
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts.claims import of_first_groups

CLAIMS = "Which claims of Adaptive Patch Contrast hold"
OWN = "What your searches and trainings found"
ALL = "python experiments/reproduce_all.py"
OPEN = 12
"""Tables and figures not run yet above which they are folded away."""
REFERENCE = "reference"
"""Folder, beside a user's results, of what the project ships."""
Sections = Mapping[tuple[str, str], Section]
"""(experiment, data set) -> what stands of it, in the order of the page."""
Documents = dict[str, list[str]]
"""Name of a file in details/ -> paragraphs; links are as from the page."""


def build(reports: Path) -> Path:
    """Write `<reports>/ablation.md`, the same as .html, details/, tables/ and figures/ from `<reports>/results/`.

    Returns the path of the Markdown page.
    """
    results = reports / "results"
    sweep(reports, reports / "tables", reports / "figures", reports / "details", *results.glob("*"))
    sections = _sections(reports)
    reference = _reference(sections, reports)
    documents = _documents(sections, reports)
    first = _first_screen(sections, reference, reports, documents)
    text = "\n\n".join([*first, *_body(sections, reference, reports, documents)])
    page = reports / "ablation.md"
    write_atomically(page, text + "\n")
    _write(documents, reports / "details")
    write_atomically(page.with_suffix(".html"), html.page(text, reports, documents))
    return page


def _sections(reports: Path) -> dict[tuple[str, str], Section]:
    """Every experiment that there is or that has rows, on every data set that it has or should have."""
    results = reports / "results"
    folders = sorted(path.name for path in results.iterdir() if path.is_dir()) if results.is_dir() else []
    tables, shown = entries(), pictures()
    sections = {}
    for name in dict.fromkeys([*tables, *(name for name in folders if name not in shown)]):
        entry = described(name)
        recorded = sorted(path.stem for path in (results / name).glob("*.jsonl"))
        expected = _expected(entry.presets, recorded) if name in tables else []
        for dataset in dict.fromkeys([*expected, *recorded]):
            own = section(entry, dataset, reports)
            remove_stale(reports, name, dataset, "\n".join(own.text))
            sections[name, dataset] = own
    return sections


def _reference(sections: Sections, reports: Path) -> dict[tuple[str, str], Section]:
    """What the project ships for the data sets that have rows here; empty where it ships nothing beside them."""
    datasets = {dataset for (_, dataset), own in sections.items() if own.rows}
    results = reports / REFERENCE / "results"
    places = [
        (entry, dataset)
        for entry in entries().values()
        for dataset in sorted(datasets)
        if (results / entry.name / f"{dataset}.jsonl").is_file()
    ]
    return {(entry.name, dataset): glance(entry, dataset, reports / REFERENCE) for entry, dataset in places}


def _documents(sections: Sections, reports: Path) -> Documents:
    """Everything that is not on the page itself."""
    claims = claims_page(sections)
    documents: Documents = {"claims": claims, "how-to-read": how_to_read()}
    if curves := specifications_page(sections.values(), reports):
        documents[CURVES] = curves
        claims.insert(1, f"The main ones stand [under every protocol and setting](details/{CURVES}.md) as well.")
    if told := optimism_page(sections.values()):
        documents[OPTIMISM] = told
    for (name, dataset), own in sections.items():
        if own.recorded:
            title = f"# {in_markdown(own.entry.title)}"
            documents[file_name(name, dataset)] = [title, *([own.entry.about] if own.entry.about else []), *own.text]
    documents["other-methods"] = comparison_as_printed()
    if asked := checklist(reports / "results"):
        documents["checklist"] = asked
    return documents


def _write(documents: Documents, folder: Path) -> None:
    """The documents as files of `folder`, whose links lead up; what is left of earlier ones is removed."""
    for name, paragraphs in documents.items():
        text = "\n\n".join(["[The page](../ablation.md)", *paragraphs])
        for there in ("figures", "tables", "results", "details"):
            text = text.replace(f"]({there}/", f"](../{there}/")
        write_atomically(folder / f"{name}.md", text + "\n")
    for path in folder.glob("*.md"):
        if path.stem not in documents:
            path.unlink()


def _first_screen(sections: Sections, reference: Sections, reports: Path, documents: Documents) -> list[str]:
    """Title, where the rows are from, and what they say in a screen."""
    own, shipped = (
        {dataset: of_first_groups(judged) for dataset, judged in of_dataset(some).items()}
        for some in (sections, reference)
    )
    series: list[Series] = []
    for dataset, judged in own.items():
        name = f"yours, {dataset}" if dataset in shipped else dataset
        series += [Series(f"reference, {dataset}", dataset, shipped[dataset])] if dataset in shipped else []
        series.append(Series(name, dataset, judged))
    links = {
        "how-to-read": "how to read it",
        "claims": "every claim",
        CURVES: "2 claims, all protocols",
        OPTIMISM: "luck",
    }
    to = " · ".join(f"[{told}](details/{name}.md)" for name, told in links.items() if name in documents)
    told = [
        f"# {CLAIMS if not series or any(map(tests_the_paper, series)) else OWN}\n"
        f"Made by `apc report` from the rows below `results/`, also as `ablation.html`. {to}",
        *_whose(reports, reference),
    ]
    if not series:
        return [*told, f"No run is recorded yet. One command makes all tables and figures of the paper: `{ALL}`."]
    return [*told, *front(series, [each for each in sections.values() if each.rows], reports)]


def _shipped(reports: Path) -> bool:
    """Whether these are the rows that the project ships, and no user's."""
    return reports.resolve().name == REFERENCE


def _whose(reports: Path, reference: Sections) -> list[str]:
    """Of a user's page one line on the project's own rows."""
    if _shipped(reports):
        return []
    if (reports / REFERENCE / "results").is_dir():
        return [
            f"These are your runs; *reference* is what the project ships ([its page]({REFERENCE}/ablation.md))."
            if reference
            else f"These are your runs. What the project ships stands on [its own page]({REFERENCE}/ablation.md)."
        ]
    return ["These are your runs alone: a page in `reports/` of the project's repository has its own beside them."]


def _body(sections: Sections, reference: Sections, reports: Path, documents: Documents) -> list[str]:
    """A section an experiment, the pictures, what was not run, and what else there is."""
    body: list[str] = []
    pending: list[Section] = []
    for name in dict.fromkeys(name for name, _ in sections):
        own = [each for (other, _), each in sections.items() if other == name]
        missing = [each for each in own if not each.recorded]
        if len(missing) < len(own):
            body += [f"## {in_markdown(own[0].entry.title)}", *_about(own[0].entry)]
            for each in own:
                body += brief(each, reference.get((name, each.dataset))) if each.recorded else []
        pending += missing
    lines = [(each.entry.title, each.dataset, each.commands[0]) for each in pending]
    drawn, not_drawn = _pictures(reports)
    return [*body, *drawn, *_not_run([*lines, *not_drawn]), *_everything_else(documents)]


def _about(entry: TableEntry) -> list[str]:
    """The first sentence of what an experiment is about."""
    first = entry.about.split(". ")[0].rstrip(".")
    return [paragraph(for_people(f"{first}."))] if first else []


Missing = tuple[str, str, str]
"""Title, data set and command of what was not run or drawn."""


def _pictures(reports: Path) -> tuple[list[str], list[Missing]]:
    """The pictures that are drawn, and the others."""
    body: list[str] = []
    missing: list[Missing] = []
    shipped = _shipped(reports)
    for name, picture in pictures().items():
        recorded = qualitative.recorded(name, reports / "results")
        told = {dataset: qualitative.section(name, dataset, reports, shipped=shipped) for dataset in recorded}
        if told:
            about = paragraph(picture.about.split(". ")[0].rstrip(".") + ".")
            body += [f"## {in_markdown(picture.title)}", *([about] if picture.about else [])]
            for paragraphs in told.values():
                body += [*map(_broken, paragraphs[:3]), *_folded(paragraphs[3:])]
        expected = [dataset for dataset in _expected(picture.presets, recorded) if dataset not in told]
        missing += [(picture.title, dataset, qualitative.drawn_by(name, dataset)) for dataset in expected]
    return body, missing


def _broken(text: str) -> str:
    """A paragraph in lines that fit a screen; headings, pictures and notes as they are."""
    return text if text.startswith(("#", "!", ">")) or "```" in text else paragraph(text)


def _folded(paragraphs: Sequence[str]) -> list[str]:
    if not paragraphs:
        return []
    return ["<details><summary>Where it comes from</summary>", *paragraphs, "</details>"]


def _not_run(missing: Sequence[Missing]) -> list[str]:
    """Experiments without rows and pictures that are not drawn, each with its command."""
    if not missing:
        return []
    lines = [
        f"- {in_markdown(title.split(':')[0])} on {in_markdown(dataset)}: `{make}`" for title, dataset, make in missing
    ]
    head = (
        f"`{ALL}` makes the tables and figures of the paper, on photographs with the flags of theirs, and goes on "
        "where it was stopped; all else has its own command alone."
    )
    if len(lines) > OPEN:
        each = [f"<details><summary>All {len(lines)}, each with its command</summary>", "\n".join(lines), "</details>"]
        return ["## Not run yet", paragraph(head), *each]
    return ["## Not run yet", paragraph(head), "\n".join(lines)]


def _everything_else(documents: Documents) -> list[str]:
    """Links to what no section names."""
    known = {
        "claims": "every claim, by every score",
        CURVES: "the main claims under every protocol and setting, as specification curves",
        OPTIMISM: "what each way to choose settings and epochs is worth: the optimism ledger",
        "how-to-read": "how cells, intervals and verdicts are read",
        "checklist": "what a reviewer asks: runs, ranges, selection, compute",
        "other-methods": "other methods, as the paper prints them",
    }
    lines = [f"- [{told}]({in_link(f'details/{name}.md')})" for name, told in known.items() if name in documents]
    return ["## Everything else", "\n".join(lines)]


def _expected(presets: tuple[str, ...], recorded: list[str]) -> list[str]:
    """Data sets that stand on the page in any case: one for each preset; any photographs do for the preset `folder`."""
    photographs = any(dataset not in PRESETS for dataset in recorded)
    return [preset for preset in presets if not (preset == "folder" and photographs)]
