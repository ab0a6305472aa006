"""Verdicts as text: the table of one experiment, the summary of a data set, and what the measurements speak against."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from apc.escaping import as_code
from apc.reporting import tables
from apc.reporting.verdicts.claims import Judged, of_first_groups
from apc.reporting.verdicts.judging import remark
from apc.reporting.verdicts.looks import FIRST_LOOK
from apc.reporting.verdicts.sizes import sentence, short


def _measured(j: Judged) -> str:
    """The difference with its interval over seeds; of times, the seconds that the claim says are saved."""
    return tables.difference(j.verdict.difference.summary, tables.unit_of(j.metric))


def verdict_table(judged: list[Judged]) -> list[str]:
    """Claims, what was measured, the verdict; and plainly what the measurements speak against."""
    if not judged:
        return []
    from pandas import DataFrame

    frame = DataFrame(
        {
            "claim": j.claim,
            "metric": f"`{j.metric}`",
            "paper": j.paper,
            "here [95 % over seeds]": _measured(j),
            **({"[95 % over images]": tables.interval(j.images)} if any(other.images for other in judged) else {}),
            "verdict": outcome_text(j),
            "remark": "; ".join(filter(None, (sentence(j.size), remark(j.verdict)))),
        }
        for j in judged
    )
    against = contradicted(judged)
    of_times = any(tables.unit_of(j.metric) for j in judged)
    return [
        tables.markdown(frame, left=True, marked_up=[*frame.columns]),
        *(["<sub>Of times the differences are seconds saved: above 0 the claim's row is the sooner.</sub>"] * of_times),
        *([f"**Contradicted by the measurements here:** {against}."] if against else []),
    ]


def outcome_text(judged: Judged) -> str:
    """The outcome, bold where there is one; what the paper does not claim cannot be reproduced, only confirmed."""
    own = {"reproduced": "confirmed", "contradicted": "refuted"} if judged.ours else {}
    outcome = judged.verdict.outcome
    if outcome == "undecided" and judged.verdict.difference.summary.n == 1:
        return "one seed"
    return f"**{own.get(outcome, outcome)}**" if outcome in ("reproduced", "contradicted") else outcome


def _would_decide(j: Judged) -> str:
    """ "1 to 60 more seeds" of what is undecided, and how many it still wants before it is judged; empty elsewhere."""
    if j.verdict.outcome != "undecided":
        return ""
    if j.verdict.difference.summary.n == 1:
        return "one seed does not tell how many more"
    if wants := j.verdict.wants:
        return f"wants {wants} more seed{'s' * (wants > 1)} first"
    return str(j.verdict.more_seeds or ("" if j.verdict.why else "over 100 more seeds"))


def more_seeds(judged: Iterable[Judged], commands: Sequence[str]) -> list[str]:
    """How seeds are added to what is undecided, once for all claims of a section: whoever adds some, looks and stops
    errs far more often than an interval says. Nothing where the rows were made so."""
    undecided = [j for j in judged if j.counts and j.verdict.outcome == "undecided"]
    if not undecided or not commands or any("--decide" in line for line in commands):
        return []
    few = any(j.verdict.difference.summary.n < FIRST_LOOK for j in undecided)
    flags = as_code("--seeds 3 --decide N" if few else "--decide N")
    return [f"Undecided? {flags} behind the command adds seeds, up to N, by intervals that allow for looking so often."]


def contradicted(judged: Iterable[Judged]) -> str:
    """The claims that the measurements speak against, each with its metrics; empty where there is none."""
    metrics: dict[str, list[str]] = {}
    for j in judged:
        if j.verdict.outcome == "contradicted":
            metrics.setdefault(j.claim, []).append(f"`{j.metric}`")
    return "; ".join(f"{claim} ({', '.join(names)})" for claim, names in metrics.items())


def counted(judged: Iterable[Judged]) -> str:
    """How many claims of the paper are reproduced, contradicted, undecided and pending, and our own questions."""
    judged = [j for j in of_first_groups(judged) if j.counts]
    paper = Counter[str](j.verdict.outcome for j in judged if not j.ours)
    own = Counter[str](j.verdict.outcome for j in judged if j.ours)
    text = ", ".join(f"{paper[o]} {o}" for o in ("reproduced", "contradicted", "undecided", "pending"))
    if single := sum(outcome_text(j) == "one seed" for j in judged if not j.ours):
        text = text.replace(" undecided", f" undecided ({single} of them with one seed)")
    text = f"{text}, of {paper.total()} claims of the paper."
    if small := [j.claim for j in judged if not j.ours and j.small]:
        text += f" Refuted in size (below half of the printed difference): {len(small)} more: {'; '.join(small)}."
    if against := contradicted(j for j in judged if not j.ours):
        text += f" **Contradicted: {against}.**"
    if own:
        names = {"reproduced": "confirmed", "contradicted": "refuted", "undecided": "undecided", "pending": "pending"}
        asked = ", ".join(f"{own[outcome]} {name}" for outcome, name in names.items())
        text += f" Our own questions: {asked}."
    return text


def summary_table(judged: Sequence[Judged], scripts: Mapping[str, str]) -> str:
    """One line a claim: paper, difference with its interval, verdict; then the same runs by other scores.

    `scripts` is title -> command that would judge a pending claim.
    """
    from pandas import DataFrame

    others = "the same runs by other scores"
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for j in judged:
        n = j.verdict.difference.summary.n
        place = (j.title, j.apart, j.claim)
        cell = f"{_measured(j)} (n={n})" if n else tables.PENDING
        if place in lines:
            more = f"`{j.metric}` {cell} {outcome_text(j)}"
            lines[place][others] = "; ".join(filter(None, (lines[place][others], more)))
            continue
        fill = f": {as_code(scripts[j.title])}" if j.verdict.outcome == "pending" and scripts.get(j.title) else ""
        lines[place] = {
            "from": j.title.split(":")[0] + (f" ({j.apart})" if j.apart else ""),
            "claim": j.claim,
            "paper": j.paper.split(" (")[0],
            "by": f"`{j.metric}`",
            "here [95 % over seeds]": cell,
            "verdict": outcome_text(j) + fill + ("" if j.counts else ", counted in another table"),
            others: "",
            "size, and seeds that would decide": "; ".join(filter(None, (short(j.size), _would_decide(j)))),
        }
    marked_up = ["by", "here [95 % over seeds]", "verdict", others]
    return tables.markdown(DataFrame(list(lines.values())), left=True, marked_up=marked_up)
