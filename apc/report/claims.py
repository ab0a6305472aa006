"""The paper's claims judged on one group of rows, and the verdicts as tables."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apc.report import tables
from apc.report.catalogue import Experiment
from apc.report.groups import Group
from apc.report.lambdas import PAPER, Stages
from apc.report.verdicts import Verdict, judge, judge_best, remark

HEADLINE = "miou"
"""The metric whose verdicts are counted; the others score the same runs otherwise."""


@dataclass(frozen=True)
class Judged:
    """One claim on one group and metric."""

    place: str
    """Data set, and what sets the group apart."""
    title: str
    """Of the experiment."""
    claim: str
    metric: str
    paper: str
    """What the paper prints, with its place."""
    verdict: Verdict


def judge_group(experiment: Experiment, group: Group, place: str, stages: Stages | None) -> Iterator[Judged]:
    """Every claim of the experiment on every metric of it that was measured."""
    for claim in experiment.claims:
        for metric in tables.measured(group, claim.metrics) or claim.metrics[:1]:
            verdict = judge(group.scores(claim.better, metric), group.scores(claim.worse, metric))
            if verdict.outcome == "pending" and metric != claim.metrics[0]:
                continue  # one line says that the rows are missing
            yield Judged(
                place, experiment.title, claim.text, metric, f"{tables.signed(claim.printed)} ({claim.source})", verdict
            )
    if stages is None:
        return
    best1 = tables.PENDING if stages.best1 is None else f"{stages.best1:g}"
    for name, points, held in (
        ("lambda1", stages.first, "with lambda2 = 0"),
        ("lambda2", stages.second, f"at our best lambda1 = {best1}"),
    ):
        verdict = judge_best(f"{PAPER[name]:g}", {f"{v:g}": group.scores(label, "miou") for v, label in points.items()})
        text = f"{name} = {PAPER[name]:g} is the best of the searched values, {held}"
        yield Judged(place, experiment.title, text, "miou", "no number (Figure 5)", verdict)


def verdict_table(judged: list[Judged]) -> list[str]:
    """Claims, what was measured, the verdict; and plainly what the measurements speak against."""
    if not judged:
        return []
    from pandas import DataFrame

    frame = DataFrame(
        {
            "the paper's claim": j.claim,
            "metric": f"`{j.metric}`",
            "paper": j.paper,
            "here [95 % interval]": tables.difference(j.verdict.difference.summary),
            "verdict": said(j.verdict),
            "remark": remark(j.verdict),
        }
        for j in judged
    )
    against = contradicted(judged)
    return [
        tables.markdown(frame, left=True),
        *([f"**Contradicted by the measurements here:** {against}."] if against else []),
    ]


def said(verdict: Verdict) -> str:
    """The outcome, bold where there is one."""
    return f"**{verdict.outcome}**" if verdict.outcome in ("reproduced", "contradicted") else verdict.outcome


def contradicted(judged: Iterable[Judged]) -> str:
    """The claims that the measurements speak against, each with its metrics; empty where there is none."""
    metrics: dict[str, list[str]] = {}
    for j in judged:
        if j.verdict.outcome == "contradicted":
            metrics.setdefault(j.claim, []).append(f"`{j.metric}`")
    return "; ".join(f"{claim} ({', '.join(found)})" for claim, found in metrics.items())


def summary_table(judged: list[Judged]) -> str:
    """One line a claim: the paper's difference and, for each metric, the verdict and our difference."""
    from pandas import DataFrame

    metrics = list(dict.fromkeys(j.metric for j in judged))
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for j in judged:
        empty = {
            "from": j.title.split(":")[0],
            "the paper's claim": j.claim,
            "paper": j.paper.split(" (")[0],
            **dict.fromkeys(metrics, tables.PENDING),
        }
        s = j.verdict.difference.summary
        lines.setdefault((j.title, j.claim), empty)[j.metric] = said(j.verdict) + (
            f" {tables.signed(s.mean)} (n={s.n})" if s.n else ""
        )
    return tables.markdown(DataFrame(list(lines.values())), left=True)
