"""What the searches found, and what to use: lines of the first screen."""

from collections.abc import Sequence
from dataclasses import dataclass

from apc.config import PRESETS
from apc.escaping import in_link, in_markdown, short
from apc.reporting import tables
from apc.reporting.brief import details_link
from apc.reporting.names import SIGNS, row_name
from apc.reporting.searches.optimism import LUCK, ledger
from apc.reporting.searches.trials import complete, trials
from apc.reporting.section import Section, of_a_table
from apc.reporting.verdicts.claims import Judged
from apc.reporting.verdicts.intervals import Summary, paired, summary
from apc.reporting.verdicts.judging import judge

MOST = 3
"""Most searches told, and most tables of a data set whose best row is."""


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
    """Each search's best setting beside the paper's; our own questions to them with their answers; how much is luck."""
    searches = [each for each in sections if each.entry.search and each.shown and not each.entry.choosers]
    return [*map(_best_of, searches[:MOST]), *_judged_anew(series, sections), *_luck(sections)]


def _best_of(section: Section) -> str:
    """A search's best setting, its score beside the paper's."""
    assert section.shown
    group, metric, paper = section.shown.group, section.entry.metric, section.entry.reference
    done = complete(trials(group, group.rows, metric))
    title = in_markdown(f"{section.entry.title.split(':')[0]}, {section.dataset}")
    if not done:
        return f"{title}: no setting has a score yet"
    own = summary(group.scores(paper, metric).values())
    beside = f"; the paper's setting {own.mean:.1f}" if own.n else ""
    link = details_link(section.entry.name, section.dataset)
    best = in_markdown(short(done[0].label, quoted=False, most=90))
    return f"[{title}]({link}): best of {len(done)} settings {done[0].score:.1f} ({best}){beside}"


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
            f"{in_markdown(better)} over {in_markdown(worse)} "
            f"{SIGNS[j.verdict.outcome]} {measured(j.verdict.difference.summary)}"
            for j in asked
            for better, worse in [j.rows]
        )
        link = details_link(section.entry.name, section.dataset)
        lines += [f"[Judged anew]({link}) on {in_markdown(section.dataset)}, by new seeds: {told}"] * bool(told)
    return lines


def _luck(sections: Sequence[Section]) -> list[str]:
    """How much too high the score of a setting is that was chosen by masks, over all tables that can tell."""
    points = []
    for dataset in dict.fromkeys(each.dataset for each in sections):
        compared = [each for each in sections if each.dataset == dataset and each.compared]
        points += [line.points.mean for line in ledger(compared) if line.rule in LUCK] if compared else []
    if not points:
        return []
    ends = dict.fromkeys(f"{round(value, 1) + 0:+.1f}".replace("-", "−") for value in (min(points), max(points)))
    told = f"what is best by validation masks is reported {' to '.join(ends)} points too high"
    return [f"[Luck](details/optimism.md): {told}"]


def use(series: Sequence[Series], sections: Sequence[Section]) -> list[str]:
    """For each data set the row that is ahead in the tables whose claims are explained, and by how much; then how to
    train what a search chose."""
    told: dict[str, list[str]] = {}
    for section in sections:
        if of_a_table(section) and any(claim.metrics[0] == section.entry.metric for claim in section.entry.claims):
            own = told.setdefault(section.dataset, [])
            own += [ahead] if (ahead := _ahead(section)) and len(own) < MOST else []
    return [
        *(f"{in_markdown(dataset)}: {'; '.join(lines)}" for dataset, lines in told.items() if lines),
        *_command(series, sections),
    ]


def _ahead(section: Section) -> str:
    """ "top-K pooling (T7, 55.2: ✓ +4.5 [3.0, 5.9] (5) on adaptive-K pooling)": the best mean and the next one, of the
    rows with several seeds if there are two."""
    first, metric = section.shown, section.entry.metric
    if not first:
        return ""
    scores = {label: own for label in first.group.labels if (own := first.group.scores(label, metric))}
    several = {label: own for label, own in scores.items() if len(own) > 1}
    if len(several) >= 2:
        scores = several
    means = {label: summary(own.values()).mean for label, own in scores.items()}
    order = sorted(means, key=lambda label: -means[label])
    if len(order) < 2:
        return ""
    best, rival = (scores[label] for label in order[:2])
    sign = SIGNS[judge(best, rival, first.group.level, first.group.fewest).outcome]
    ahead = f"{sign} {measured(paired(best, rival, first.group.level).summary)} on {_named(order[1])}"
    place = section.entry.title.split(":")[0].replace("Table ", "T")
    return f"{_named(order[0])} ({place}, {means[order[0]]:.1f}: {ahead})"


def _named(label: str) -> str:
    return in_markdown(row_name(label).removeprefix("+ "))


def _command(series: Sequence[Series], sections: Sequence[Section]) -> list[str]:
    """How to train what a search chose: of several the one whose setting was confirmed, else the last."""
    chosen = [each for each in sections if each.chosen and each.entry.search and not each.entry.choosers]
    confirmed = [
        j.rows[0].lower() for each in series for j in each.judged if j.ours and j.verdict.outcome == "reproduced"
    ]
    chosen.sort(key=lambda each: any(name and name in each.entry.title.lower() for name in confirmed))
    for section in chosen[-1:]:
        preset = section.dataset if section.dataset in PRESETS else "folder"
        best = in_link(f"results/{section.entry.name}/{section.dataset}.best.toml")
        title = in_markdown(section.entry.title.split(":")[0])
        return [f"What “{title}” chose: `apc train {preset} --config FILE` with [this file]({best})"]
    return []
