"""Rows -> numbers -> the shown table, as Markdown, CSV and LaTeX.  Every number of a page is formatted here.

The CSV holds the plain numbers (one line for each label and metric), Markdown and LaTeX the table as shown.
"""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apc.escaping import in_a_line, in_csv, in_markdown, in_tex
from apc.files import write_atomically
from apc.reporting.groups import Group
from apc.reporting.verdicts.intervals import Summary, paired, summary
from apc.reporting.verdicts.over_images import Interval
from apc.runs.scores import SCORES

if TYPE_CHECKING:
    from pandas import DataFrame

PENDING = "–"
"""Stands wherever there is no number: never a blank, which could pass for one."""
REFERENCE = "ref."
"""Stands for the difference of a row to itself."""

METRICS = {name: score.meaning for name, score in SCORES.items()} | {
    "seeds": "the score of the single runs that its table compares by, in the order of their seeds",
    "over images": "the difference beside it, its interval over the choice of images",
    "points a minute": "the difference to the row that others are compared with, divided by the processor minutes that "
    "its runs train longer than that row's; runs of another commit or machine are counted in their own epochs before "
    "any round, where those are as that row's",
}
"""Columns and what they measure; scores in percent."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Rows and columns of a table as people read it."""

    labels: Sequence[str]
    """Rows, those not run yet among them."""
    metrics: Sequence[str]
    """Columns of mean ± std."""
    main: str = "miou"
    """The metric of differences and of single runs."""
    reference: str = ""
    """Row that the others are compared with; empty for no column of differences."""
    printed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Columns of the paper: name -> row -> cell."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Row -> mark; a last column for them where there is one."""
    single: bool = False
    """Whether a last column, `seeds`, lists `main` of every run."""


class Table(NamedTuple):
    """A table and what is written with it."""

    shown: "DataFrame"
    """As people read it: texts."""
    plain: "DataFrame"
    """Its numbers, one line for each label and metric."""
    caption: str
    legend: str
    """What its columns are, under the Markdown."""


def numbers(group: Group, labels: Sequence[str], metrics: Iterable[str], reference: str = "") -> "DataFrame":
    """One line for each label and metric: n, mean, std, low, high, the paired difference to `reference`, the seeds.

    `difference_low` and `_high` are the ends of the interval over seeds, `images_low` and `_high` of that over images.
    """
    from pandas import DataFrame

    lines = []
    for label in labels:
        for metric in metrics:
            scores = group.scores(label, metric)
            line = {"row": label, "metric": metric, **summary(scores.values())._asdict()}
            if reference:
                line |= _difference_numbers(group, label, reference, metric)
            line["seeds"] = " ".join(f"{seed}:{value:.6g}" for seed, value in sorted(scores.items()))
            lines.append(line)
    return DataFrame(lines)


def _difference_numbers(group: Group, label: str, reference: str, metric: str) -> dict[str, Any]:
    """Columns of a row's difference to the reference; those over images where images were counted."""
    versus = paired(group.scores(label, metric), group.scores(reference, metric), group.level).summary
    columns = {
        "reference": reference,
        "difference": versus.mean,
        "difference_low": versus.low,
        "difference_high": versus.high,
        "difference_n": versus.n,
    }
    if not group.images.counts:
        return columns
    over = group.over_images(label, reference, metric) if label != reference else None
    low, high = (over.low, over.high) if over else (math.nan, math.nan)
    return columns | {"images_low": low, "images_high": high}


def shown(group: Group, layout: Layout) -> "DataFrame":
    """The table as people read it: label, n, mean ± std, difference to the reference, the paper's columns, marks."""
    from pandas import DataFrame

    return DataFrame([_shown_line(group, layout, label) for label in layout.labels])


def _shown_line(group: Group, layout: Layout, label: str) -> dict[str, str]:
    """One row's cells by column."""
    seeds = sum(row.row == label for row in group.rows)
    line = {"row": label, "n": str(seeds) if seeds else PENDING}
    line |= {m: mean_std(summary(group.scores(label, m).values()), m, seeds) for m in layout.metrics}
    if layout.reference:
        line |= _difference_cells(group, layout, label)
    line |= {name: cells.get(label, PENDING) for name, cells in layout.printed.items()}
    if layout.marks:
        line["mark"] = layout.marks.get(label, "")
    if layout.single:
        line["seeds"] = single_values(group, label, layout.main) or PENDING
    return line


def _difference_cells(group: Group, layout: Layout, label: str) -> dict[str, str]:
    """A row's difference to the reference over seeds, and over images where any row of the table has that."""
    main, reference = layout.main, layout.reference
    versus = paired(group.scores(label, main), group.scores(reference, main), group.level).summary
    cells = {f"{main} − {reference}": REFERENCE if label == reference else difference(versus, metric=main)}
    if any(group.over_images(other, reference, main) for other in layout.labels if other != reference):
        over = group.over_images(label, reference, main)
        cells["over images"] = REFERENCE if label == reference else interval(over)
    return cells


def single_values(group: Group, label: str, metric: str = "miou") -> str:
    """ "48.7 47.3": the metric of the runs of a row, in the order of their seeds."""
    return " ".join(written(value, metric) for _, value in sorted(group.scores(label, metric).items()))


def interval(over: Interval | None) -> str:
    """ "[-0.2, +3.8]": an interval over images."""
    return f"[{signed(over.low)}, {signed(over.high)}]" if over else PENDING


def mean_std(s: Summary, metric: str = "miou", expected: int = 0) -> str:
    """ "41.2 ± 2.0", without ± for one seed; n is added where fewer seeds have the metric than the row has."""
    if s.n == 0:
        return PENDING
    text = written(s.mean, metric) + (f" ± {written(s.std, metric)}" if math.isfinite(s.std) else "")
    return text if s.n >= expected else f"{text} (n={s.n})"


def written(value: float, metric: str) -> str:
    """A number with as many digits as its score is told apart by."""
    return f"{value:.{_digits(metric)}f}"


def _digits(metric: str) -> int:
    return SCORES[metric].digits if metric in SCORES else 1


def difference(s: Summary, unit: str = "", metric: str = "miou") -> str:
    """ "+1.8 [-0.2, +3.8]": mean and t interval of paired differences."""
    if s.n == 0:
        return PENDING
    mean, low, high = (signed(value, metric) for value in (s.mean, s.low, s.high))
    return mean + unit + (f" [{low}, {high}]" if math.isfinite(s.low) else "")


def signed(value: float, metric: str = "miou") -> str:
    """A difference in points of a score with its sign, the minus as wide as the plus."""
    return f"{value:+.{_digits(metric)}f}".replace("-", "−")


def measured(group: Group, metrics: Iterable[str]) -> list[str]:
    """Those of the metrics that at least one row has, so that a table has no empty columns."""
    return [m for m in metrics if any(group.scores(label, m) for label in group.labels)]


def clock_of(group: Group, metric: str) -> str:
    """Of a time the column that stands for it in these rows: the processor's clock where they have it (on a CPU)."""
    on_cpu = f"{metric.removesuffix('_seconds')}_cpu_seconds"
    return on_cpu if metric.endswith("_seconds") and measured(group, [on_cpu]) else metric


def unit_of(metric: str) -> str:
    """What stands behind a difference: " s" for a time; points of mIoU and hundredths go without."""
    return " s" if metric.endswith("_seconds") else ""


def markdown(frame: "DataFrame", left: bool = False, marked_up: Collection[str] = ()) -> str:
    """GitHub table; every cell shows its text as it stands, numbers to the right or, with `left`, all to the left.

    Heads and cells of the columns `marked_up` are Markdown already.
    """
    align = ["left", *["left" if left else "right"] * (len(frame.columns) - 1)]
    if "mark" in frame.columns:
        align[-1] = "left"
    columns = {
        "" if name == "mark" else _table_cell(name, name in marked_up): [
            _table_cell(cell, name in marked_up) for cell in frame[name]
        ]
        for name in frame.columns
    }
    escaped = frame.__class__(columns)
    return escaped.to_markdown(index=False, disable_numparse=True, colalign=align)


def latex(frame: "DataFrame", caption: str, label: str) -> str:
    """Table environment with booktabs rules."""
    text = (
        frame.map(in_a_line)
        .rename(columns=in_a_line)
        .to_latex(
            index=False,
            escape=True,
            caption=_tex_caption(caption),
            label=f"tab:{label}",
            column_format="l" + "r" * (len(frame.columns) - 1),
        )
    )
    return text.replace("±", r"$\pm$").replace("–", "--").replace("−", "$-$")


def _table_cell(text: object, marked_up: bool) -> str:
    """A cell or head; a bar in it is no border of a cell."""
    return (str(text) if marked_up else in_markdown(text)).replace("|", "\\|")


def _tex_caption(text: str) -> str:
    """Braces that balance stay a group, which obeys nothing: published tables have those of `images {"train": 9}`."""
    depth = list(itertools.accumulate((sign == "{") - (sign == "}") for sign in text))
    nested = min(depth, default=0) == 0 == (depth or [0])[-1]
    return in_tex(text).replace(r"\{", "{").replace(r"\}", "}") if nested else in_tex(text)


def write(folder: Path, name: str, table: Table) -> list[Path]:
    """Write one table as <name>.md, .tex (as shown) and .csv (plain numbers)."""
    texts = {
        "md": f"**{in_markdown(table.caption)}**\n\n{markdown(table.shown)}\n\n{table.legend}\n",
        "tex": latex(table.shown, table.caption, name),
        "csv": table.plain.map(in_csv).to_csv(index=False, lineterminator="\n"),
    }
    paths = [folder / f"{name}.{ending}" for ending in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_atomically(path, text)
    return paths
