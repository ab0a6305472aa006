"""The first screen: which claims hold, how surely and on what; what the search found; what to use."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from apc.escaping import counted, in_markdown, short
from apc.reporting import tables
from apc.reporting.advice import Series, found, measured, use
from apc.reporting.brief import paragraph
from apc.reporting.figures.forest import POINTS, SECONDS, Line, Told, forest
from apc.reporting.names import FAR_APART, SIGNS, SMALL, anchor_of
from apc.reporting.provenance import IN_SHORT, in_brief
from apc.reporting.section import Section, of_a_table
from apc.reporting.verdicts.claims import Judged
from apc.reporting.verdicts.tables import outcome_text
from apc.runs.rows import Row

CLAIM = 35
"""Most characters of a claim in the table."""
CLAIMS = 11
"""Most claims in it; the picture has all."""
LINKS = 4
"""Most links to sections, the first of the page."""


def front(series: Sequence[Series], sections: Sequence[Section], reports: Path) -> list[str]:
    """Paragraphs of the first screen, its picture written; `sections` are those with rows."""
    path = forest(_lines(series), [each.name for each in series], reports / "figures" / "claims")
    tested = [each for each in series if tests_the_paper(each)]
    text = [*([_counts(tested)] if tested else []), *_in_words(series), *_made_of(sections)]
    if path:
        text.append("![Every claim: our difference with its interval over seeds, and the paper's](figures/claims.png)")
    text += [_claims(series, sections)] if any(_decided(j) for each in series for j in each.judged) else []
    told = {"What the search found": found(series, sections), "What to use": use(series, sections)}
    if lines := [line for own in told.values() for line in own]:  # one list, since a screen has 45 lines
        heads = [head for head, own in told.items() if own]
        heads = [heads[0], *(head[0].lower() + head[1:] for head in heads[1:])]
        text.append("\n".join([f"**{', and '.join(heads)}**", *(f"- {line}" for line in lines)]))
    return text


def tests_the_paper(series: Series) -> bool:
    """Whether any claim of the paper was put to a test, which a search of one's own photographs does not."""
    return any(_of_the_paper(j) and j.verdict.outcome != "pending" for j in series.judged)


def _of_the_paper(j: Judged) -> bool:
    """Whether it is counted among the paper's claims."""
    return j.counts and not j.ours


def _decided(j: Judged) -> bool:
    return _of_the_paper(j) and j.verdict.outcome in ("reproduced", "contradicted")


def _counts(series: Sequence[Series]) -> str:
    """How many claims of the paper hold, a line a series."""
    rows = []
    for each in series:
        claims = [j for j in each.judged if _of_the_paper(j)]
        outcomes = [outcome_text(j).strip("*") for j in claims]
        held, against, waiting = (outcomes.count(o) for o in ("reproduced", "contradicted", "pending"))
        single = outcomes.count("one seed")
        small = [sum(j.small for j in claims if j.verdict.outcome == o) for o in ("reproduced", "undecided")]
        reproduced = _with(held, {SMALL: small[0]})
        undecided = _with(len(claims) - held - against - waiting, {"with one seed": single, SMALL: small[1]})
        data = f"{_head(each.name)}: {IN_SHORT.get(each.dataset, 'own photographs')}"
        rows.append([data, reproduced, str(against), undecided, str(waiting), str(len(claims))])
    return _table(["claims on", "✓ reproduced", "✗ contradicted", "? undecided", "– not run", "of"], rows)


def _with(number: int, among: Mapping[str, int]) -> str:
    """ "22 (17 with one seed, 1 ≪)" """
    told = ", ".join(f"{n} {what}" for what, n in among.items() if n)
    return f"{number} ({told})" if told else f"{number}"


def _in_words(series: Sequence[Series]) -> list[str]:
    """Which claims hold wherever they were asked, and which are contradicted where."""
    outcomes: dict[str, dict[str, str]] = {}
    for each in series:
        for j in filter(_of_the_paper, each.judged):
            outcomes.setdefault(claim_name(j, 60), {})[each.name] = j.verdict.outcome
    everywhere = [
        claim
        for claim, told in outcomes.items()
        if len(told) == len(series) > 1 and set(told.values()) == {"reproduced"}
    ]
    against = {
        each.name: [claim for claim, told in outcomes.items() if told.get(each.name) == "contradicted"]
        for each in series
    }
    names = " and ".join(in_markdown(_head(each.name)) for each in series)
    text = [f"**Reproduced** on {names}: {in_markdown('; '.join(everywhere))}."] * bool(everywhere)
    text += [
        f"**Contradicted** on {in_markdown(_head(name))}: {in_markdown('; '.join(claims))}."
        for name, claims in against.items()
        if claims
    ]
    text += [told for each in series if not against[each.name] and (told := _open(each))]
    return [paragraph(" ".join(text))] if text else []


def _open(series: Series) -> str:
    """That most claims are undecided where none is contradicted; empty where most are decided."""
    claims = [j for j in series.judged if _of_the_paper(j)]
    undecided = sum(j.verdict.outcome == "undecided" for j in claims)
    if 2 * undecided <= len(claims):
        return ""
    name = in_markdown(_head(series.name))
    return f"On {name} none is contradicted and {undecided} of {len(claims)} are undecided."


def _made_of(sections: Sequence[Section]) -> list[str]:
    """What was trained and scored on each data set, and the way to the tables that come first."""
    tables_first = sorted(sections, key=of_a_table, reverse=True)
    rows: dict[str, list[Row]] = {}
    for each in tables_first:
        if of_a_table(each) or each.dataset not in rows:
            rows.setdefault(each.dataset, []).extend(row for row in each.rows if not row.error)
    told = []
    for dataset, own in rows.items():
        if own:
            others = _otherwise(own, [each for each in sections if each.dataset == dataset])
            told.append(f"{in_markdown(dataset)}: {in_brief(own)}{_where(own)}{others}")
    titles = list(dict.fromkeys(each.entry.title for each in sections if of_a_table(each)))
    links = [" · ".join(map(_to_section, titles[:LINKS]))] if titles else []
    mostly = f"Mostly on {'; on '.join(told)}.{_unlike(sections)}"
    return ["\n".join([paragraph(mostly), *links])] if told else []


def _otherwise(rows: Sequence[Row], sections: Sequence[Section]) -> str:
    """Tables with claims of the paper whose rows have other epochs, or another device, than most: " (T8, T9: 15 epochs,
    H200; T6: in part H200)"; those that are unlike a preset are told of elsewhere."""
    usual, found = _made(rows), dict[str, list[str]]()
    for each in sections:
        own = [row for row in each.rows if not row.error]
        if own and not each.unlike and _asks_of_the_paper(each):
            place, devices = in_markdown(_place(each.entry.title)), {_device(row) for row in own}
            partly = "in part " if len(devices) > 1 else ""
            other = [_made(own)[0]] * (_made(own)[0] != usual[0])
            other += [f"{partly}{' and '.join(sorted(devices - {usual[1]}))}"] * (devices != {usual[1]})
            found.setdefault(", ".join(map(in_markdown, other)), []).append(place)
    told = [f"{', '.join(dict.fromkeys(places))}: {how}" for how, places in found.items() if how]
    return f" ({'; '.join(told)})" if told else ""


def _asks_of_the_paper(section: Section) -> bool:
    """Whether it is there for a claim of the paper."""
    entry = section.entry
    return not (all(claim.ours for claim in entry.claims) and all(best.ours for best in entry.bests))


def _where(rows: Sequence[Row]) -> str:
    """The device of most rows, where it is no plain processor."""
    _, device = _made(rows)
    return "" if device in ("cpu", "?") else f", on {in_markdown(device)}"


def _made(rows: Sequence[Row]) -> tuple[str, str]:
    """Epochs and device of most rows."""
    made = [(counted(row.config.get("epochs", "?"), "epoch"), _device(row)) for row in rows]
    epochs, device = (Counter(values).most_common(1)[0][0] for values in zip(*made, strict=True))
    return epochs, device


def _device(row: Row) -> str:
    return str(row.stamp.get("device", "?")).removeprefix("NVIDIA ")


def _unlike(sections: Sequence[Section]) -> str:
    """What was trained otherwise than today's presets, in a sentence; empty where nothing was. The sections say how."""
    found: dict[str, list[str]] = {}
    for each in sections:
        if each.unlike and not each.entry.choosers:
            of_search = each.entry.search or each.entry.compares
            title = "searches" if of_search else in_markdown(_place(each.entry.title))
            found.setdefault(in_markdown(each.dataset), []).append(title)
    told = [f"{' and '.join(dict.fromkeys(titles))} on {data}" for data, titles in found.items()]
    return f" Not as today's presets have it: {'; '.join(told)}." if told else ""


def _to_section(title: str) -> str:
    """A link to the section of a title."""
    return f"[{in_markdown(title.split(':')[0])}](#{anchor_of(title)})"


def _head(name: str) -> str:
    """The name of a series as the head of a column, which a folder's name must not make wide."""
    return short(name, quoted=False, most=24)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain texts without padding, so that its lines are short in the file too."""
    lines = [
        "| " + " | ".join(in_markdown(cell).replace("|", "\\|") for cell in line) + " |" for line in (heads, *rows)
    ]
    return "\n".join([lines[0], "| :-- |" + " --: |" * (len(heads) - 1), *lines[1:]])


def _claims(series: Sequence[Series], sections: Sequence[Section]) -> str:
    """The claims about scores in the tables that are explained, decided or not, then others that are decided."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    columns = series[:2] if len(series) > 2 else series
    main = {each.entry.title for each in sections if of_a_table(each)}
    first, then = [], []
    for each in columns:
        for j in filter(_of_the_paper, each.judged):
            place = (j.title, j.claim)
            line = lines.setdefault(place, {"claim": claim_name(j, CLAIM), "paper": _paper(j)})
            line[each.name] = _cell(j)
            first += [place] * (j.title in main and not tables.unit_of(j.metric))
            then += [place] * _decided(j)
    chosen = list(dict.fromkeys([*first, *then]))[:CLAIMS]
    names = ["claim", "paper", *(each.name for each in columns)]
    rows = [[line.get(name, SIGNS["pending"]) for name in names] for place, line in lines.items() if place in chosen]
    said = (
        "[Every claim](details/claims.md). Points of mIoU, or s, processor seconds saved; (n) seeds, in brackets 95 % "
        f"over them for each claim alone; {SMALL} surely below half of the paper's; {FAR_APART} few seeds, far apart. "
        "Compare differences, not levels."
    )
    return "\n".join([_table(list(map(_head, names)), rows), "", f"<sub>{said}</sub>"])


def claim_name(j: Judged, most: int) -> str:
    """A claim in so many characters, the table it is from in front."""
    place = _place(j.title)
    claim = j.claim.replace(" of the searched values", "")
    shorter = claim.replace(" pooling beats ", " beats "), claim.split(", ")[0]
    own = next((name for name in (claim, *shorter) if len(name) + len(place) + 1 <= most), "")
    return f"{place} {own or short(claim.split(', ')[0], quoted=False, most=most - len(place) - 4)}"


def _place(title: str) -> str:
    """A table or figure in short: T5, F4, K."""
    return title.split(":")[0].replace("Table ", "T").replace("Figure ", "F").replace("Sensitivity to K", "K")


def _paper(j: Judged) -> str:
    paper = j.paper.split(" (")[0]
    return tables.PENDING if paper == "no number" else paper


def _cell(j: Judged) -> str:
    """ "✓≪ +10.1 [3.9, 16.4] (5)", and ! behind the sign where seeds lie far apart"""
    s = j.verdict.difference.summary
    sign = SIGNS[j.verdict.outcome] + SMALL * j.small + FAR_APART * j.far_apart
    return f"{sign} {measured(s, tables.unit_of(j.metric))}" if s.n else sign


def _lines(series: Sequence[Series]) -> list[Line]:
    """The lines of the picture: the paper's claims that were measured, in the order of the page."""
    lines: dict[tuple[str, str], Line] = {}
    for each in series:
        for j in each.judged:
            if not _of_the_paper(j):
                continue
            axis = SECONDS if tables.unit_of(j.metric) else POINTS
            printed = None if axis == SECONDS else _number(_paper(j))
            line = lines.setdefault((j.title, j.claim), Line(claim_name(j, 60), printed, axis, {}))
            s = j.verdict.difference.summary
            if s.n:
                told = {each.name: Told(s.mean, s.low, s.high, j.verdict.outcome, j.small)}
                lines[j.title, j.claim] = replace(line, measured={**line.measured, **told})
    return [line for line in lines.values() if line.measured]


def _number(text: str) -> float | None:
    try:
        return float(text.replace("−", "-"))
    except ValueError:
        return None
