"""The page of the optimism ledger: what each way to choose settings and epochs is worth in points."""

from collections.abc import Iterable, Sequence

from apc.escaping import in_markdown
from apc.reporting import tables
from apc.reporting.brief import paragraph
from apc.reporting.searches.choosers import FEWEST, SETTINGS
from apc.reporting.searches.optimism import RULES, Line, ledger
from apc.reporting.section import Section

NAME = "optimism"
"""Of the document."""
_WORDS = (
    "The best of many noisy scores is also the luckiest. For each way to choose, here are the points of mIoU that the "
    "choice adds to the score reported of it, or costs, against what is named beside it. Nothing was trained for this: "
    "all of it is read off rows that stand in other tables.",
    "*Adds*: the chosen setting's score, less the same setting's score on what it is held against, less the mean of "
    "that difference over all settings, since images and seeds differ in difficulty. *Costs* and *gains* are plain "
    f"differences. The points are means over draws of half of the settings, at most {SETTINGS}; in brackets are the "
    "middle 95 % of the draws, which is what one search of so many settings may meet. Settings that a search proposed "
    "by scores are left out, but for the second stage of a staged grid, and so are tables of fewer than "
    f"{FEWEST} settings.",
    'Image labels choose by `branch_rule`, which was picked on the settings that this project ships of "What settings '
    'may be chosen by": those do not judge it.',
)


def optimism_page(sections: Iterable[Section]) -> list[str]:
    """Paragraphs, a table for each data set; empty where no table can judge a rule."""
    by_dataset: dict[str, list[Section]] = {}
    for each in sections:
        if each.compared:
            by_dataset.setdefault(each.dataset, []).append(each)
    found = {dataset: ledger(own) for dataset, own in by_dataset.items()}
    if not any(found.values()):
        return []
    text = ["# What each way to choose is worth: the optimism ledger", *map(paragraph, _WORDS)]
    for dataset, lines in found.items():
        text += [f"## {in_markdown(dataset)}", _table(lines)]
    return text


def _table(lines: Sequence[Line]) -> str:
    """A line a rule and table; a rule that nothing judges says what would."""
    from pandas import DataFrame

    cells = []
    for rule in RULES:
        own = [line for line in lines if line.rule == rule]
        common = {"chosen by": rule.chosen_by, "held against": rule.against}
        cells += [common | _measured(line) for line in own]
        if not own:
            missing = {"in": tables.PENDING, "settings × seeds": tables.PENDING, "points": "not measured"}
            cells.append(common | missing | {"that is": f"{rule.would} would tell"})
    return tables.markdown(DataFrame(cells), left=True, marked_up=["points", "that is"])


def _measured(line: Line) -> dict[str, str]:
    mean, low, high = line.points
    return {
        "in": line.table,
        "settings × seeds": f"{line.settings} × {line.seeds or 'several'}",
        "points": f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−"),
        "that is": _in_words(line),
    }


def _in_words(line: Line) -> str:
    """What the points mean."""
    mean, low, high = line.points
    size = f"{abs(mean):.1f} points"
    if low <= 0 <= high and abs(mean) < 0.05:
        return "nothing"
    open_ = ", not in every draw" if low <= 0 <= high else ""
    if line.rule.adds:
        return f"the score reported is {size} too {'high' if mean > 0 else 'low'}{open_}"
    if line.rule.chosen_by.startswith("best epoch"):
        return f"the chosen epoch is {size} {'better' if mean > 0 else 'worse'}{open_}"
    return f"the choice costs {size}{open_}" if mean > 0 else f"the choice gains {size}{open_}"
