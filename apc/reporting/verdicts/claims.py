"""The claims of an experiment judged on one group of rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from apc.reporting import tables
from apc.reporting.figures.one_knob import paper_value, tried, values_of
from apc.reporting.figures.staged import Stages
from apc.reporting.groups import Group
from apc.reporting.table_entry import Claim, TableEntry
from apc.reporting.verdicts.intervals import ENOUGH, paired, uneven
from apc.reporting.verdicts.judging import Verdict, judge, judge_best
from apc.reporting.verdicts.over_images import Interval
from apc.reporting.verdicts.sizes import Size, size
from apc.runs.rows import Row


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One claim on one group and metric."""

    dataset: str = ""
    apart: str = ""
    """What sets the group apart from others of its data set, as "epochs 4"; empty for an only group."""
    title: str
    """Of the experiment."""
    claim: str
    metric: str
    paper: str
    """What the paper prints, with its place."""
    verdict: Verdict
    rows: tuple[str, str] = ("", "")
    """Labels of the rows compared: the better by the claim, the worse; of a best of many, it and its rival."""
    open: tuple[str, ...] = ()
    """Of a best of many, the labels of all rivals that further seeds might settle."""
    ours: bool = False
    """Whether it is a question of ours and no claim of the paper."""
    counts: bool = True
    """Whether it is counted: by the claim's own metric, and in one table alone."""
    images: Interval | None = None
    """The difference over the choice of images, where counts by image were kept."""
    size: Size = Size()
    """How large the difference is beside the printed one."""

    far_apart: bool = False
    """Whether it rests on few seeds of a row of which single ones look collapsed."""

    @property
    def small(self) -> bool:
        """Whether a claim that is not contradicted is refuted in size: surely below half of what is printed."""
        return self.size.refuted and self.verdict.outcome != "contradicted"


def of_first_groups(judged: Iterable[Judged]) -> list[Judged]:
    """Those of the first group of each table, the largest, which is the one that the page shows: a table in two groups
    has its claims twice, and each is counted once."""
    first: dict[tuple[str, str], str] = {}
    return [j for j in judged if first.setdefault((j.dataset, j.title), j.apart) == j.apart]


def judge_group(
    entry: TableEntry, group: Group, dataset: str, stages: Stages | None = None, failed: Sequence[Row] = ()
) -> Iterator[Judged]:
    """Every claim of the experiment on every metric of it that was measured; `failed` runs are in no group."""
    apart = ", ".join(f"{k} {v}" for k, v in group.what.items())
    for judged in (*_claims(entry, group, failed), *_bests(entry, group, stages, failed)):
        yield replace(judged, dataset=dataset, apart=apart)


def _claims(entry: TableEntry, group: Group, failed: Sequence[Row]) -> Iterator[Judged]:
    """Claims that one row scores higher than another."""
    for claim in entry.claims:
        better, worse = (named(group, label) for label in (claim.better, claim.worse))
        if better == worse:
            continue  # two names of one setting
        for metric in claim.metrics:
            own = tables.clock_of(group, metric)
            fewest = group.fewest(own, (better, worse), failed)
            verdict = judge(*group.beside(better, worse, own), group.level, fewest)
            first = metric == claim.metrics[0]
            if verdict.outcome == "pending" and not first:
                continue  # one line says that the rows are missing
            yield Judged(
                title=entry.title,
                claim=claim.text,
                metric=own,
                paper=_printed(claim),
                verdict=verdict,
                rows=(better, worse),
                ours=claim.ours,
                counts=first and claim.counted,
                images=group.over_images(better, worse, own),
                far_apart=_far_apart(group, (better, worse), own),
                size=size(verdict.difference, claim.printed if first else None, own, group.level, fewest),
            )


def _bests(entry: TableEntry, group: Group, stages: Stages | None, failed: Sequence[Row]) -> Iterator[Judged]:
    """Claims that the paper's value of a knob is the best of those tried."""
    for best in entry.bests:
        points = _points(group, best.knob, stages)
        default = paper_value(group, best.knob, points)
        scores = {f"{value:g}": group.scores(label, entry.metric) for value, label in points.items()}
        own = "none" if default is None else f"{default:g}"
        unscored = _unscored(entry, group, best.knob, points, stages, failed)
        fewest = group.fewest(entry.metric, points.values(), failed)
        verdict = judge_best(own, scores, group.level, fewest, unscored)
        labels = {f"{value:g}": label for value, label in points.items()}
        rows = (points.get(default or 0.0, ""), labels.get(verdict.rival, ""))
        yield Judged(
            title=entry.title,
            claim=best.text,
            metric=entry.metric,
            paper=f"no number ({best.source})",
            verdict=verdict,
            rows=rows,
            open=tuple(labels[rival] for rival in verdict.open),
            ours=best.ours,
            images=group.over_images(*rows, entry.metric),
            far_apart=_far_apart(group, rows, entry.metric),
        )


def _far_apart(group: Group, labels: Iterable[str], metric: str) -> bool:
    """Whether single seeds of a row look collapsed, and the row has too few for an interval that holds all the same."""
    scores = [group.scores(label, metric) for label in labels]
    return not tables.unit_of(metric) and any(len(own) < ENOUGH and uneven(own) for own in scores)


def _points(group: Group, knob: str, stages: Stages | None) -> Mapping[float, str]:
    """Value -> label of the rows among which a knob's best is sought."""
    if stages:
        return stages.first if knob == "lambda1" else stages.second
    return values_of(group, knob)


def _unscored(
    entry: TableEntry,
    group: Group,
    knob: str,
    points: Mapping[float, str],
    stages: Stages | None,
    failed: Sequence[Row],
) -> list[str]:
    """Labels without a score that a best is sought among: what the plan still asks for or, of a plan that is not known,
    what failed."""
    planned = entry.to_come([*group.rows, *failed])
    rows = failed if planned is None else planned
    if not stages:
        return [label for value, label in tried(rows, knob).items() if value not in points]
    first = knob == "lambda1"  # which its second stage cannot change
    return list(
        dict.fromkeys(r.row for r in rows if r.row not in group.labels and not (first and r.config.get("lambda2")))
    )


def waiting(entry: TableEntry, dataset: str) -> list[Judged]:
    """The claims of an experiment that no run has touched yet."""
    pending = Verdict("pending", paired({}, {}))
    common = Judged(dataset=dataset, title=entry.title, claim="", metric=entry.metric, paper="", verdict=pending)
    claims = [
        replace(common, claim=c.text, metric=c.metrics[0], paper=_printed(c), ours=c.ours, counts=c.counted)
        for c in entry.claims
    ]
    bests = [replace(common, claim=b.text, paper=f"no number ({b.source})", ours=b.ours) for b in entry.bests]
    return [*claims, *bests]


def _printed(claim: Claim) -> str:
    """The paper's difference in its own unit, with its place."""
    unit = " h" if tables.unit_of(claim.metrics[0]) else ""
    return f"{'no number' if claim.printed is None else tables.signed(claim.printed) + unit} ({claim.source})"


def named(group: Group, label: str) -> str:
    """The group's label that stands for `label`: one setting may bear several names, joined by "and"."""
    return next((own for own in group.labels if label in (own, *own.split(" and "))), label)
