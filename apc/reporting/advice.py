"""What the searches found, and what to use: lines of the first screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apc.config import PRESETS
from apc.escaping import as_code, in_link, in_markdown, short
from apc.flags import train_command
from apc.reporting import tables
from apc.reporting.brief import details_link
from apc.reporting.command import weights_of
from apc.reporting.names import SIGNS, row_name
from apc.reporting.searches.optimism import BEHIND, LUCK, Line, Rule, Spread, ledger
from apc.reporting.searches.trials import complete, trials
from apc.reporting.section import Section, of_a_table
from apc.reporting.verdicts.claims import Judged, of_first_groups
from apc.reporting.verdicts.intervals import Summary, paired, summary
from apc.reporting.verdicts.judging import judge

MOST = 3
"""Most lines on searches, those that judge them first, and most tables of a data set whose best row is told."""


ASKED = 2
"""Most questions to a comparison of searches whose answers are told."""


@dataclass(frozen=True)
class Series:
    """The claims judged on one data set by somebody's rows."""

    name: str
    """As heads of columns and the picture have it."""
    dataset: str
    judged: Sequence[Judged]


def measured(s: Summary, unit: str = "") -> str:
    """A difference with its interval and number of seeds: "+10.1 [3.9, 16.4] (5)"."""
    return f"{tables.difference(s, unit).replace('[+', '[').replace(', +', ', ')} ({s.n})"


def found(series: Sequence[Series], sections: Sequence[Section]) -> list[str]:
    """Each search's best setting beside the paper's; our own questions to them with their answers; what a choice
    without masks costs, and how much of a chosen score is luck."""
    searches = [each for each in sections if each.entry.search and each.shown and not each.entry.choosers]
    ledgers = {
        dataset: ledger(compared)
        for dataset in dict.fromkeys(each.dataset for each in sections)
        if (compared := [each for each in sections if each.dataset == dataset and each.compared])
    }
    judged = _judged_anew(series, sections)
    found = map(_best_of, searches[: max(MOST - len(judged), 1)])
    return [*found, *judged, *without_masks(ledgers), *luck(ledgers)]


def _best_of(section: Section) -> str:
    """A search's best setting, its score beside the paper's."""
    assert section.shown
    group, metric, paper = section.shown.group, section.entry.metric, section.entry.reference
    done = complete(trials(group, section.rows, metric))
    title = in_markdown(f"{section.entry.title.split(':')[0]}, {section.dataset}")
    if not done:
        return f"{title}: no setting has a score yet"
    own = summary(group.scores(paper, metric).values())
    beside = f"; the paper's setting {tables.written(own.mean, metric)}" if own.n else ""
    link = details_link(section.entry.name, section.dataset)
    best = in_markdown(short(done[0].label, quoted=False, most=90))
    seeds = len(group.scores(done[0].label, metric))
    told = f"{tables.written(done[0].score, metric)} by {'one seed' if seeds == 1 else f'{seeds} seeds'}"
    return f"[{title}]({link}): best of {len(done)} settings {told} ({best}){beside}"


def _judged_anew(series: Sequence[Series], sections: Sequence[Section]) -> list[str]:
    """A line for each data set whose searches were judged by runs that nothing was chosen by."""
    lines = []
    for section in sections:
        if not section.entry.compares:
            continue
        # whose rows stand here comes behind the reference of the same data set
        own = next((each for each in reversed(series) if each.dataset == section.dataset and each.judged), None)
        asked = [
            j
            for j in (own.judged if own else ())
            if j.ours and j.counts and j.title == section.entry.title and j.verdict.difference.summary.n
        ]
        told = "; ".join(
            f"{in_markdown(better)} over {in_markdown(worse)} {_told(j)}"
            for j in asked[:ASKED]
            for better, worse in [j.rows]
        )
        link = details_link(section.entry.name, section.dataset)
        where = f"{in_markdown(section.dataset)}, by new seeds{_epochs(section)}"
        lines += [f"[Judged anew]({link}) on {where}: {told}"] * bool(told)
    return lines


def _epochs(section: Section) -> str:
    """ ", 4 epochs each", which decide what a setting is worth; empty where the runs have different numbers."""
    found = {row.config.get("epochs") for row in section.shown.group.rows} if section.shown else set()
    return f", {found.pop()} epochs each" if len(found) == 1 else ""


Ledgers = Mapping[str, Sequence[Line]]
"""Data set -> the lines of its optimism ledger."""


def without_masks(ledgers: Ledgers) -> list[str]:
    """What the choice by image labels loses to that by half of the masks, in the table of most settings of each data
    set."""
    told = [
        f"{_lost(max(own, key=lambda line: line.settings).points)} on {in_markdown(dataset)}"
        for dataset, lines in ledgers.items()
        if (own := [line for line in lines if line.rule == BEHIND])
    ]
    if not told:
        return []
    lead = "a choice by image labels, where half the masks could have chosen, "
    return [f"[Without masks](details/optimism.md): {lead}{', '.join(told)}"]


def _lost(points: Spread) -> str:
    """ "loses 1.8 [−2.4, 6.0]", and gains what is below zero"""
    mean, low, high = points
    return f"loses {_points(points)}" if mean >= 0 else f"gains {_points(Spread(-mean, -high, -low))}"


def _points(points: Spread) -> str:
    """ "1.8 [−2.4, 6.0]" """
    mean, low, high = (f"{round(value, 1) + 0:.1f}".replace("-", "−") for value in points)
    return f"{mean} [{low}, {high}]"


def luck(ledgers: Ledgers) -> list[str]:
    """How much too high the score of a setting is by the masks that chose it, the widest claim of each data set: all by
    the first rule that every one can tell, else each by its own; and what the rule is."""
    found = {
        dataset: rules
        for dataset, lines in ledgers.items()
        if (rules := {rule: own for rule in LUCK if (own := [line.points for line in lines if line.rule == rule])})
    }
    shared = [rule for rule in LUCK if all(rule in rules for rules in found.values())]
    told: dict[Rule, list[str]] = {}
    for dataset, rules in found.items():
        rule = next(iter(shared or rules))
        widest = max(rules[rule], key=lambda points: points.mean)
        told.setdefault(rule, []).append(f"{_points(widest)} on {in_markdown(dataset)}")
    lead = "masks that choose a setting score it too high, at most by "
    points = [f"{', '.join(own)} ({rule.chosen_by} against {rule.against})" for rule, own in told.items()]
    return [f"[Luck](details/optimism.md): {lead}{', '.join(points)}"] if told else []


def use(series: Sequence[Series], sections: Sequence[Section]) -> list[str]:
    """For each data set what was confirmed of our own, and the row that is ahead in each table whose claims are
    explained; then how to train what a search chose."""
    told: dict[str, tuple[list[str], list[str]]] = {}
    for section in sections:
        ours, leading = told.setdefault(section.dataset, ([], []))
        if of_a_table(section) and any(claim.metrics[0] == section.entry.metric for claim in section.entry.claims):
            leading += [best] if (best := _ahead(section)) and len(leading) < MOST else []
        elif not (section.entry.printed or section.entry.search or section.entry.compares):
            ours += _confirmed(section)
    lines = []
    for dataset, (ours, leading) in told.items():
        ahead = "ahead: " * bool(ours) + "; ".join(leading)
        parts = [*ours, *([ahead] if leading else [])]
        lines += [f"On {in_markdown(dataset)} use {'; '.join(parts)}"] * bool(parts)
    return [*lines, *_command(series, sections)]


def _confirmed(section: Section) -> list[str]:
    """Of a table of ours its first question, where the answer is yes, and how the same under a condition came out:
    "APC+ (`--plus`) ✓ +4.4 [2.4, 6.4] (3) over the paper's setting, ? +1.2 [−0.3, 2.7] (3) both shown larger"."""
    asked = [j for j in of_first_groups(section.judged) if j.ours and j.counts]
    if not asked or asked[0].verdict.outcome != "reproduced":
        return []
    first, *others = asked
    better, worse = first.rows
    name = _named(better).rpartition(": ")[2]
    under = [
        f"{_told(j)} {in_markdown(j.claim.removeprefix(f'{first.claim}, '))}"
        for j in others
        if j.claim.startswith(f"{first.claim}, ") and j.verdict.difference.summary.n
    ]
    flag = " (`--plus`)" if name == "APC+" else ""
    return [", ".join([f"{name}{flag} {_told(first)} over the {_named(worse)}", *under])]


def _told(j: Judged) -> str:
    """ "✓ +4.4 [2.4, 6.4] (3)" """
    return f"{SIGNS[j.verdict.outcome]} {measured(j.verdict.difference.summary)}"


ONE_SCORE = ("miou", "miou_crf", "test_miou", "pseudo_miou")
"""Scores that are of the same kind in every row of a table: those of Table 8 are with the CRF in some and not in
others, as the paper has them."""


def _ahead(section: Section) -> str:
    """ "top-K pooling (T7: ✓ +4.5 [3.0, 5.9] (5) on adaptive-K)": the best and the next one, of the rows with several
    seeds if there are two, by the means over the seeds that they have in common."""
    first, metric = section.shown, section.entry.metric
    if not first or metric not in ONE_SCORE:
        return ""
    scores = {label: own for label in first.group.labels if (own := first.group.scores(label, metric))}
    several = {label: own for label, own in scores.items() if len(own) > 1}
    if len(several) >= 2:
        scores = several
    common = set.intersection(*map(set, scores.values())) if scores else set()
    means = {label: summary([own[s] for s in common or own]).mean for label, own in scores.items()}
    order = sorted(means, key=lambda label: -means[label])
    if len(order) < 2:
        return ""
    best, rival = (scores[label] for label in order[:2])
    sign = SIGNS[judge(best, rival, first.group.level, first.group.fewest(metric, order[:2])).outcome]
    next_one = _named(order[1]).removesuffix(" pooling")
    ahead = f"{sign} {measured(paired(best, rival, first.group.level).summary)} on {next_one}"
    return f"{_named(order[0])} ({section.entry.title.split(':')[0].replace('Table ', 'T')}: {ahead})"


def _named(label: str) -> str:
    return in_markdown(row_name(label).removeprefix("+ "))


def _command(series: Sequence[Series], sections: Sequence[Section]) -> list[str]:
    """How to train what a search chose: of several the one whose setting was confirmed against most others,
    else the last; none that was chosen for another preset than today's."""
    chosen = [
        each for each in sections if each.chosen and each.entry.search and not (each.entry.choosers or each.unlike)
    ]
    confirmed = [
        j.rows[0].lower() for each in series for j in each.judged if j.ours and j.verdict.outcome == "reproduced"
    ]
    chosen.sort(key=lambda each: sum(bool(name) and name in each.entry.title.lower() for name in confirmed))
    for section in chosen[-1:]:
        preset = section.dataset if section.dataset in PRESETS else "folder"
        files = {} if preset == "pocket" else {"root": section.dataset, "weights": weights_of(section.rows)}
        train = as_code(train_command(preset, config="FILE", **files))
        best = in_link(f"results/{section.entry.name}/{section.dataset}.best.toml")
        title = in_markdown(section.entry.title.split(":")[0])
        return [f"On {in_markdown(section.dataset)}, too: what “{title}” chose, {train} with [this file]({best})"]
    return []
