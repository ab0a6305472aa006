"""Rows of finished runs -> the pages `ablation.md` and `.html` with their tables and figures.

The page is made from the rows below `results/` alone, so it can be rebuilt at any time, from partial results and on
another machine; equal rows give an equal page.
"""

from collections import Counter
from pathlib import Path

from apc.config import PRESETS
from apc.report import html, pictures
from apc.report.catalogue import EXPERIMENTS, described
from apc.report.checklist import checklist
from apc.report.claims import HEADLINE, Judged, contradicted, summary_table
from apc.report.pictures import PICTURES
from apc.report.printed import comparison_as_printed
from apc.report.section import remove_stale, section
from apc.report.tables import METRICS
from apc.results import write_atomically

HOW_TO_READ = """\
A cell is the mean ± the sample standard deviation over n runs that differ only in their seed, in percent of mIoU unless
its column says otherwise; – is not run or not printed, "ref." the row that the others are compared with. *paper* is the
printed value: it belongs to VOC 2012 with ViT-B/16 and comes without seeds, so on another data set compare order and
differences, not levels.

Differences between rows are paired by seed and come with two intervals of 95 %. The one **over seeds** (Student t) says
what further trainings would give; verdicts rest on it. The one **over images** (bootstrap of the scored images, the
trained networks held) says what other photographs of the same kind would give. A difference that is sure over images
and not over seeds is one of these few networks, not yet of the method.

A claim is **reproduced** when that interval lies above 0, **contradicted** when it lies below, *undecided* otherwise.
It counts once, by `miou`; a verdict in another column is of the same runs scored otherwise and no further evidence.
If two rows were truly equal, one claim in twenty would be judged wrongly; claims are not corrected for their number,
and adding seeds until a verdict pleases breaks the rate. "About m more seeds" would decide with a chance of 80 % if
mean and spread stay as they are, which from few seeds is a rough guess.

**Selection.** The paper tunes its settings on the validation masks that it reports. The rule used here stands under
every table; where a data set has a test split, `test_miou` is scored on it, and nothing is chosen by it."""


def build(reports: Path) -> Path:
    """Write `<reports>/ablation.md`, the same as .html, tables/ and figures/ from `<reports>/results/`.

    Returns the path of the Markdown page.
    """
    results = reports / "results"
    folders = sorted(path.name for path in results.iterdir() if path.is_dir()) if results.is_dir() else []
    found = [name for name in folders if name not in PICTURES]
    body: list[str] = []
    judged: list[Judged] = []
    for name in dict.fromkeys([*EXPERIMENTS, *found]):
        experiment = described(name)
        body += [f"## {experiment.title}", experiment.about]
        recorded = sorted(path.stem for path in (results / name).glob("*.jsonl"))
        expected = _expected(experiment.presets, recorded) if name in EXPERIMENTS else []
        for dataset in dict.fromkeys([*expected, *recorded]):
            paragraphs, verdicts = section(experiment, dataset, reports)
            remove_stale(reports, name, dataset, "\n".join(paragraphs))
            body += paragraphs
            judged += verdicts
    for name, picture in PICTURES.items():
        body += [f"## {picture.title}", picture.about]
        recorded = pictures.recorded(name, results)
        for dataset in dict.fromkeys([*_expected(picture.presets, recorded), *recorded]):
            body += pictures.section(name, dataset, reports)
    body += [*comparison_as_printed(), *checklist(results)]
    text = "\n\n".join([*_head(judged), *body]) + "\n"
    page = reports / "ablation.md"
    write_atomically(page, text)
    write_atomically(page.with_suffix(".html"), html.page(text, reports))
    return page


def _expected(presets: tuple[str, ...], recorded: list[str]) -> list[str]:
    """Data sets that stand on the page in any case: one for each preset; any photographs do for the preset `folder`."""
    photographs = any(dataset not in PRESETS for dataset in recorded)
    return [preset for preset in presets if not (preset == "folder" and photographs)]


def _head(judged: list[Judged]) -> list[str]:
    """Title, how to read the page, and the verdicts of every data set."""
    legend = "\n".join(f"- `{name}`: {meaning}" for name, meaning in METRICS.items())
    text = [
        "# Ablations of Adaptive Patch Contrast",
        "Made by `apc report` from the rows below `results/`; do not edit. The same page as one file that needs no "
        "other: `ablation.html`.",
        "## How to read this",
        HOW_TO_READ,
        f"<details><summary>What the columns measure</summary>\n\n{legend}\n\n</details>",
        "## Verdicts",
    ]
    ran = [j for j in judged if j.verdict.outcome != "pending"]
    if not ran:
        return [*text, "None yet: no two rows of a claim have been run with a common seed."]
    for place in dict.fromkeys(j.place for j in ran):
        own = Counter(j.verdict.outcome for j in ran if j.place == place and j.counts and j.ours)
        here = [j for j in ran if j.place == place and j.counts and not j.ours]
        count = Counter(j.verdict.outcome for j in here)
        counted = ", ".join(f"{count[o]} {o}" for o in ("reproduced", "contradicted", "undecided"))
        against = contradicted(here)
        by = " or ".join(f"`{metric}`" for metric in dict.fromkeys([HEADLINE, *(j.metric for j in here)]))
        asked = f"{own['reproduced']} confirmed, {own['contradicted']} refuted, {own['undecided']} undecided"
        text.append(
            f"**{place}**: {counted}, of {len(here)} claims by {by}."
            + (f" **Contradicted: {against}.**" if against else "")
            + (f" Our own questions: {asked}." if own else "")
            + " The other columns are the same runs scored otherwise."
        )
        text.append(summary_table([j for j in judged if j.place == place]))
    return text
