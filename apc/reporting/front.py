"""The first screen: which claims hold, how surely and on what; what the search found; what to use."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from apc.config import PRESETS
from apc.escaping import in_link, in_markdown, short
from apc.reporting import tables
from apc.reporting.brief import details_link, paragraph
from apc.reporting.figures.forest import POINTS, SECONDS, Line, Told, forest
from apc.reporting.names import SIGNS, SMALL, anchor_of, row_name, score_name
from apc.reporting.provenance import IN_SHORT
from apc.reporting.searches.trials import complete, trials
from apc.reporting.section import Section
from apc.reporting.verdicts.claims import Judged
from apc.reporting.verdicts.intervals import summary
from apc.reporting.verdicts.judging import judge
from apc.reporting.verdicts.tables import outcome_text

CLAIM = 42
"""Most characters of a claim in the table."""
CLAIMS = 9
"""Most claims in it; the picture has all."""
MOST = 3
"""Most lines of what searches found, and of what to use."""
LINKS = 4
"""Most links to sections, the first of the page."""


@dataclass(frozen=True)
class Series:
    """The claims judged on one data set by somebody's rows."""

    name: str
    """As heads of columns and the picture have it."""
    dataset: str
    judged: Sequence[Judged]


def front(series: Sequence[Series], sections: Sequence[Section], reports: Path) -> list[str]:
    """Paragraphs of the first screen, its picture written; `sections` are those with rows."""
    path = forest(_lines(series), [each.name for each in series], reports / "figures" / "claims")
    text = [_counts(series), *_made_of(sections)]
    if path:
        text.append("![Every claim: our difference with its interval over seeds, and the paper's](figures/claims.png)")
    text += [_claims(series)] if any(_decided(j) for each in series for j in each.judged) else []
    for head, lines in (("What the search found", _found(series, sections)), ("What to use", _use(series, sections))):
        if lines:
            text.append("\n".join([f"**{head}**", "", *(f"- {line}" for line in lines)]))
    return text


def _decided(j: Judged) -> bool:
    return j.counts and not j.ours and j.verdict.outcome in ("reproduced", "contradicted")


def _counts(series: Sequence[Series]) -> str:
    """How many claims of the paper hold, a line a series."""
    known = {"reproduced": "✓ reproduced", "contradicted": "✗ contradicted", "pending": "– not run"}
    rows = []
    for each in series:
        outcomes = [outcome_text(j).strip("*") for j in each.judged if j.counts and not j.ours]
        single = outcomes.count("one seed")
        counts = [outcomes.count(outcome) for outcome in known]
        undecided = f"{len(outcomes) - sum(counts)}" + (f" ({single} with one seed)" if single else "")
        data = f"{_head(each.name)}: {IN_SHORT.get(each.dataset, 'own photographs')}"
        small = sum(_small(j) for j in each.judged if j.counts and not j.ours)
        rows.append([data, *map(str, counts), undecided, str(small), str(len(outcomes))])
    return _table(["claims on", *known.values(), "? undecided", f"{SMALL} too small", "of"], rows)


def _made_of(sections: Sequence[Section]) -> list[str]:
    """What was trained on each data set in most tables, and the way to the tables that the page begins with."""
    schedules: dict[str, Counter[str]] = {}
    for each in sections:
        schedules.setdefault(each.dataset, Counter()).update(each.schedules)
    told = [
        f"{in_markdown(dataset)}: mostly {counts.most_common(1)[0][0].split(' with the weights')[0]}"
        for dataset, counts in schedules.items()
        if counts
    ]
    titles = list(dict.fromkeys(each.entry.title for each in sections if _of_a_table(each)))
    links = " · ".join(map(_to_section, titles[:LINKS]))
    return [paragraph(f"Trained on {'; on '.join(told)}. {links}")] if told else []


def _of_a_table(section: Section) -> bool:
    """Whether it is of a table whose claims are explained."""
    return section.entry.explained and bool(section.entry.printed)


def _to_section(title: str) -> str:
    """A link to the section of a title."""
    return f"[{in_markdown(title.split(':')[0])}](#{anchor_of(title)})"


def _small(j: Judged) -> bool:
    """Whether a claim that is not contradicted is surely below half of what is printed."""
    return j.size.refuted and j.verdict.outcome != "contradicted"


def _head(name: str) -> str:
    """The name of a series as the head of a column, which a folder's name must not make wide."""
    return short(name, quoted=False, most=24)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain texts without padding, so that its lines are short in the file too."""
    lines = [
        "| " + " | ".join(in_markdown(cell).replace("|", "\\|") for cell in line) + " |" for line in (heads, *rows)
    ]
    return "\n".join([lines[0], "| :-- |" + " --: |" * (len(heads) - 1), *lines[1:]])


def _claims(series: Sequence[Series]) -> str:
    """The claims that are decided anywhere, with what was measured."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    columns = series[:2] if len(series) > 2 else series
    for each in columns:
        for j in each.judged:
            if j.counts and not j.ours:
                line = lines.setdefault((j.title, j.claim), {"claim": claim_name(j, CLAIM), "paper": _paper(j)})
                line[each.name] = _cell(j)
    decided = {(j.title, j.claim) for each in columns for j in each.judged if _decided(j)}
    shown = [line for place, line in lines.items() if place in decided]
    names = ["claim", "paper", *(each.name for each in columns)]
    rows = [[line.get(name, SIGNS["pending"]) for name in names] for line in shown[:CLAIMS]]
    more = f"{len(shown) - CLAIMS} more are decided; " if len(shown) > CLAIMS else ""
    links = f"{more}[every claim](details/claims.md); 95 % intervals over seeds"
    seconds = "; s: seconds saved" if any(tables.unit_of(j.metric) for each in columns for j in each.judged) else ""
    said = f"<sub>{links}{seconds}; {SMALL}, counted besides, is surely below half of what the paper prints.</sub>"
    return "\n".join([_table(list(map(_head, names)), rows), "", said])


def claim_name(j: Judged, most: int) -> str:
    """A claim in so many characters, the table it is from in front."""
    place = j.title.split(":")[0].replace("Table ", "T").replace("Figure ", "F").replace("Sensitivity to K", "K")
    claim = j.claim.replace(" of the searched values", "")
    own = next((name for name in (claim, claim.split(", ")[0]) if len(name) + len(place) + 1 <= most), "")
    return f"{place} {own or short(claim.split(', ')[0], quoted=False, most=most - len(place) - 4)}"


def _paper(j: Judged) -> str:
    paper = j.paper.split(" (")[0]
    return tables.PENDING if paper == "no number" else paper


def _cell(j: Judged) -> str:
    """ "✓ +10.1 [3.9, 16.4]" """
    s = j.verdict.difference.summary
    if not s.n:
        return SIGNS["pending"]
    told = tables.difference(s, tables.unit_of(j.metric)).replace("[+", "[").replace(", +", ", ")
    sign = SIGNS[j.verdict.outcome] + SMALL * _small(j)
    return f"{sign} {told}" + (" 1 seed" if s.n == 1 else "")


def _lines(series: Sequence[Series]) -> list[Line]:
    """The lines of the picture: the paper's claims that were measured, in the order of the page."""
    lines: dict[tuple[str, str], Line] = {}
    for each in series:
        for j in each.judged:
            if not j.counts or j.ours:
                continue
            axis = SECONDS if tables.unit_of(j.metric) else POINTS
            printed = None if axis == SECONDS else _number(_paper(j))
            line = lines.setdefault((j.title, j.claim), Line(claim_name(j, 60), printed, axis, {}))
            s = j.verdict.difference.summary
            if s.n:
                told = {each.name: Told(s.mean, s.low, s.high, j.verdict.outcome, _small(j))}
                lines[j.title, j.claim] = replace(line, measured={**line.measured, **told})
    return [line for line in lines.values() if line.measured]


def _number(text: str) -> float | None:
    try:
        return float(text.replace("−", "-"))
    except ValueError:
        return None


def _found(series: Sequence[Series], sections: Sequence[Section]) -> list[str]:
    """Our own questions to the searches with their answers; then each search's best setting beside the paper's."""
    judging = {each.entry.title for each in sections if each.entry.compares}
    lines = [
        f"{in_markdown(each.name)}: {in_markdown(j.claim)}: {_cell(j)}, {outcome_text(j)}"
        for each in series
        for j in each.judged
        if j.ours and j.counts and j.title in judging and j.verdict.difference.summary.n
    ]
    searches = [each for each in sections if each.entry.search and each.shown and not each.entry.choosers]
    return [*lines[:MOST], *map(_best_of, searches[:MOST])][: MOST + 1]


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


def _use(series: Sequence[Series], sections: Sequence[Section]) -> list[str]:
    """Of the tables whose claims are explained the row that is ahead on each data set, and what is level with it; then
    how to train what a search chose."""
    told: dict[str, list[str]] = {}
    for section in sections:
        entry = section.entry
        by_score = any(claim.metrics[0] == entry.metric for claim in entry.claims)
        if _of_a_table(section) and by_score and (ahead := _ahead(section)):
            name = f"{in_markdown(entry.title.split(':')[0])}, by {score_name(entry.metric)}"
            told.setdefault(name, []).append(ahead)
    return [
        *(f"{title}: {'; '.join(lines)}" for title, lines in list(told.items())[:MOST]),
        *_command(series, sections),
    ]


def _ahead(section: Section) -> str:
    """ "on pocket top-K pooling (50.2), not told apart from APC (one seed: ToCo)"; empty where no two rows have two."""
    first, metric = section.shown, section.entry.metric
    if not first:
        return ""
    scores = {label: first.group.scores(label, metric) for label in first.group.labels}
    means = {label: s.mean for label, own in scores.items() if (s := summary(own.values())).n > 1}
    if len(means) < 2:
        return ""
    single = [label for label, own in scores.items() if len(own) == 1]
    best = max(means, key=lambda label: means[label])
    others = [label for label in means if label != best]
    level, fewest = first.group.level, first.group.fewest
    open_ones = [label for label in others if judge(scores[best], scores[label], level, fewest).outcome != "reproduced"]
    apart = f", not told apart from {_named(open_ones)}" if open_ones else ", the others surely behind"
    alone = f" (one seed: {_named(single)})" if single else ""
    return f"on {in_markdown(section.dataset)} {_named([best])} ({means[best]:.1f}){apart}{alone}"


def _named(labels: Sequence[str]) -> str:
    return in_markdown(", ".join(row_name(label).removeprefix("+ ") for label in labels))


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
