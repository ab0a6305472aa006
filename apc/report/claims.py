"""The paper's claims judged on one group of rows, and the verdicts as tables."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apc.report import tables
from apc.report.catalogue import Experiment
from apc.report.groups import Group
from apc.report.images import Interval
from apc.report.lambdas import PAPER, Stages
from apc.report.verdicts import Verdict, judge, judge_best, remark

HEADLINE = "miou"
"""The metric whose verdicts are counted, where a claim names no other; the rest score the same runs otherwise."""


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
    ours: bool = False
    """Whether it is a question of ours and no claim of the paper."""
    counts: bool = True
    """Whether `metric` is the claim's own, whose verdict is counted."""
    images: Interval | None = None
    """The difference over the choice of images, where counts by image were kept."""


def judge_group(experiment: Experiment, group: Group, place: str, stages: Stages | None) -> Iterator[Judged]:
    """Every claim of the experiment on every metric of it that was measured."""
    for claim in experiment.claims:
        better, worse = (named(group, label) for label in (claim.better, claim.worse))
        if better == worse:
            continue  # two names of one setting
        for metric in tables.measured(group, claim.metrics) or claim.metrics[:1]:
            verdict = judge(group.scores(better, metric), group.scores(worse, metric))
            if verdict.outcome == "pending" and metric != claim.metrics[0]:
                continue  # one line says that the rows are missing
            printed = "no number" if claim.printed is None else tables.signed(claim.printed)
            yield Judged(
                place, experiment.title, claim.text, metric, f"{printed} ({claim.source})", verdict,
                claim.printed is None, metric == claim.metrics[0], group.over_images(better, worse, metric),
            )  # fmt: skip
    if stages is None or experiment.search:  # a search chooses among its rows and judges none of them
        return
    best1 = tables.PENDING if stages.best1 is None else f"{stages.best1:g}"
    for name, points, held in (
        ("lambda1", stages.first, "with lambda2 = 0"),
        ("lambda2", stages.second, f"at our best lambda1 = {best1}"),
    ):
        scores = {f"{v:g}": group.scores(label, experiment.metric) for v, label in points.items()}
        text = f"{name} = {PAPER[name]:g} is the best of the searched values, {held}"
        verdict = judge_best(f"{PAPER[name]:g}", scores)
        yield Judged(place, experiment.title, text, experiment.metric, "no number (Figure 5)", verdict)


def named(group: Group, label: str) -> str:
    """The group's label that stands for `label`: one setting may bear several names, joined by "and"."""
    return next((own for own in group.labels if label in (own, *own.split(" and "))), label)


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
            "here [95 % over seeds]": tables.difference(j.verdict.difference.summary),
            **({"[95 % over images]": tables.interval(j.images)} if any(other.images for other in judged) else {}),
            "verdict": said(j),
            "remark": remark(j.verdict),
        }
        for j in judged
    )
    against = contradicted(judged)
    return [
        tables.markdown(frame, left=True),
        *([f"**Contradicted by the measurements here:** {against}."] if against else []),
    ]


def said(judged: Judged) -> str:
    """The outcome, bold where there is one; what the paper does not claim cannot be reproduced, only confirmed."""
    own = {"reproduced": "confirmed", "contradicted": "refuted"} if judged.ours else {}
    outcome = judged.verdict.outcome
    return f"**{own.get(outcome, outcome)}**" if outcome in ("reproduced", "contradicted") else outcome


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

    metrics = sorted(dict.fromkeys(j.metric for j in judged), key=lambda m: [*tables.METRICS, m].index(m))
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for j in judged:
        empty = {
            "from": j.title.split(":")[0],
            "claim": j.claim,
            "paper": j.paper.split(" (")[0],
            **dict.fromkeys(metrics, tables.PENDING),
        }
        s = j.verdict.difference.summary
        lines.setdefault((j.title, j.claim), empty)[j.metric] = said(j) + (
            f" {tables.signed(s.mean)} (n={s.n})" if s.n else ""
        )
    return tables.markdown(DataFrame(list(lines.values())), left=True)
