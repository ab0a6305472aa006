"""The page of specification curves: each main claim under every specification that the rows allow."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apc.config import Config, to_dict
from apc.escaping import in_csv, in_markdown
from apc.files import write_atomically
from apc.reporting import tables
from apc.reporting.brief import paragraph
from apc.reporting.figures.specification_curve import Point, specification_curve
from apc.reporting.provenance import METHOD
from apc.reporting.section import Section
from apc.reporting.specifications import FEWEST, QUESTIONS, Question, Specification, marks, specifications
from apc.reporting.verdicts.intervals import median

if TYPE_CHECKING:
    from pandas import DataFrame

NAME = "specification-curves"
"""Of the document, and the first part of the names of its files."""
_WORDS = (
    "What is reported of a claim is one way to take its difference, out of many that would have passed as well: by the "
    "masks of the decoder or of the patch branch, before or after the CRF, with the image labels given or not, on the "
    "validation or the test images, on one data set or another, with this weight or that. Here is the difference under "
    "every specification for which both rows were run with a common seed, whatever it says.",
    "**These are not independent tests.** Most of them are the same networks scored in another way, so their number "
    "proves nothing, and no level holds over all of them together; the curve shows how much of a claim hangs on the "
    "choice.",
)


class Told(NamedTuple):
    """What some specifications say together."""

    n: int
    median: float
    low: float
    high: float
    with_claim: int
    """How many differences lie above 0."""
    surely_with: int
    """How many of them with their whole interval."""
    surely_against: int


def specifications_page(sections: Iterable[Section], reports: Path) -> list[str]:
    """Paragraphs, with figures and tables written; empty where no claim has FEWEST specifications."""
    recorded = [each for each in sections if each.compared]
    text: list[str] = []
    for question in QUESTIONS:
        figure, table = (reports / folder / f"{NAME}.{question.name}" for folder in ("figures", "tables"))
        specs = specifications(question, recorded)
        if len(specs) >= FEWEST:
            text += _told(question, specs, figure, table)
        else:
            for path in (*figure.parent.glob(f"{figure.name}.*"), *table.parent.glob(f"{table.name}.*")):
                path.unlink()  # of rows that are gone none may stay behind as a result
    return ["# The main claims under every specification", *map(paragraph, _WORDS), *text] if text else []


def _told(question: Question, specs: Sequence[Specification], figure: Path, table: Path) -> list[str]:
    """One claim: its curve, what it says, and what it hangs on."""
    choices = marks(specs)
    points = [Point(s.mean, s.low, s.high, bool(each.counted)) for each in specs for s in [each.difference.summary]]
    specification_curve(points, choices, question.printed, figure)
    write_atomically(table.with_name(f"{table.name}.csv"), _csv(specs))
    what = f"The difference under every specification, sorted: {question.text}"
    caption = (
        f"{what}. Bars are 95 % intervals over seeds, hollow points have one seed, dotted is what the paper prints, "
        "stars are those whose verdicts the page counts; below, the choices that each one made"
    )
    return [
        f"## {question.text[0].upper()}{question.text[1:]}",
        f"![{what}](figures/{figure.name}.png)",
        f"<sub>{caption}. [PDF](figures/{figure.name}.pdf) · [all as csv](tables/{table.name}.csv)</sub>",
        paragraph(_sentence(question, specs, choices)),
        tables.markdown(_by_choice(specs, choices)),
    ]


def _sentence(question: Question, specs: Sequence[Specification], choices: dict[str, list[bool]]) -> str:
    """What the curve says, in figures."""
    whole = told(specs)
    networks = len(frozenset[str]().union(*(each.runs for each in specs)))
    single = sum(each.difference.summary.n == 1 for each in specs)
    counted = [
        f"{tables.signed(each.difference.summary.mean)} ({in_markdown(each.counted)} on {in_markdown(each.dataset)}, "
        f"place {place})"
        for place, each in enumerate(specs, start=1)
        if each.counted
    ]
    own = told([each for each in specs if _is_papers(each)])
    at_paper = f"With all knobs at the paper's values {_share(own.with_claim, own.n)} have it. " if own.n else ""
    alone = f", and {single} rest on one seed and have none" if single else ""
    return (
        f"Over {whole.n} specifications, of {networks} networks, the median is {tables.signed(whole.median)} points "
        f"(paper {tables.signed(question.printed)}), from {tables.signed(whole.low)} to {tables.signed(whole.high)}. "
        f"**{_share(whole.with_claim, whole.n)} have the claim's sign**; {whole.surely_with} have their whole interval "
        f"above 0, {whole.surely_against} below{alone}. {at_paper}"
        f"{_hangs_on(specs, choices)}"
        + (f"The page counts {', '.join(counted)}." if counted else "The page counts none of them.")
    )


def _is_papers(each: Specification) -> bool:
    """Whether every knob of the method has the paper's value."""
    paper = to_dict(Config())
    return all(each.held.get(name) == paper[name] for name in METHOD)


def _hangs_on(specs: Sequence[Specification], choices: dict[str, list[bool]]) -> str:
    """The choice whose alternatives lie farthest apart."""
    medians: dict[str, dict[float, str]] = {}
    for choice, made in choices.items():
        own = told([each for each, mine in zip(specs, made, strict=True) if mine])
        medians.setdefault(choice.split(": ")[0], {})[own.median] = choice
    if not medians:
        return ""
    most = max(medians.values(), key=lambda own: max(own) - min(own))
    ends = " to ".join(f"{tables.signed(end)} ({in_markdown(most[end])})" for end in (min(most), max(most)))
    return f"It hangs most on one choice, whose medians go from {ends}. "


def told(specs: Sequence[Specification]) -> Told:
    """Median, range and signs of some specifications."""
    summaries = [each.difference.summary for each in specs]
    means = [s.mean for s in summaries]
    return Told(
        len(specs),
        median(means).value,
        min(means, default=math.nan),
        max(means, default=math.nan),
        sum(mean > 0 for mean in means),
        sum(s.low > 0 for s in summaries),
        sum(s.high < 0 for s in summaries),
    )


def _share(part: int, of: int) -> str:
    return f"{part} of {of} ({100 * part / of:.0f} %)"


def _by_choice(specs: Sequence[Specification], choices: dict[str, list[bool]]) -> "DataFrame":
    """A line for all and for each choice: what the difference is among those who made it."""
    from pandas import DataFrame

    lines = {"all": told(specs)}
    for choice, made in choices.items():
        lines[choice] = told([each for each, own in zip(specs, made, strict=True) if own])
    return DataFrame({"choice": choice, **_cells(own)} for choice, own in lines.items())


def _cells(own: Told) -> dict[str, str]:
    return {
        "specifications": str(own.n),
        "median": tables.signed(own.median),
        "from … to": f"{tables.signed(own.low)} … {tables.signed(own.high)}",
        "claim's sign": f"{100 * own.with_claim / own.n:.0f} %",
        "surely above 0": str(own.surely_with),
        "surely below 0": str(own.surely_against),
    }


def _csv(specs: Sequence[Specification]) -> str:
    """One line a specification, with all that tells it."""
    from pandas import DataFrame

    lines = [
        {
            "dataset": each.dataset,
            "tables": ", ".join(each.tables),
            "better": each.rows[0],
            "worse": each.rows[1],
            "metric": each.metric,
            **{
                name: each.held.get(name)
                for name in ("pooling", "k", "theta", "lambda1", "lambda2", "epsilon", "epochs")
            },
            "n": each.difference.summary.n,
            "difference": each.difference.summary.mean,
            "low": each.difference.summary.low,
            "high": each.difference.summary.high,
            "counted in": each.counted,
            "differences": " ".join(f"{seed}:{value:.6g}" for seed, value in each.difference.differences.items()),
        }
        for each in specs
    ]
    return str(DataFrame(lines).map(in_csv).to_csv(index=False, lineterminator="\n"))
