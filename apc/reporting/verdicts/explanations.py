"""Why a claim does not hold here, or not for sure: what the two rows do differently, and seeds that stand apart."""

import statistics
from collections.abc import Iterable, Sequence

from apc.escaping import as_code, in_markdown
from apc.reporting.groups import Group
from apc.reporting.table_entry import TableEntry
from apc.reporting.tables import signed
from apc.reporting.verdicts.claims import Judged
from apc.reporting.verdicts.intervals import apart, summary
from apc.runs.rows import Row

LEVEL = 2.0
"""Points of precision or recall below which two rows are called level."""
FOUND, CALLED = 0.2, 2.0
"""Figure and ground of a class have changed places where less than this share of its pixels is found, and it is called
on more than so many times its pixels."""


def explanations(entry: TableEntry, group: Group, judged: Iterable[Judged]) -> list[str]:
    """A paragraph for each claim that is contradicted or undecided by its own metric."""
    asked = [j for j in judged if entry.explained and j.verdict.outcome in ("contradicted", "undecided")]
    first = {j.claim: j for j in reversed(asked) if all(j.rows)}  # the first metric of each claim
    figure = [f"Masks of one seed stand in {entry.masks_in}."] if entry.masks_in else []
    return [" ".join([*_explanation(group, j), *figure]) for j in reversed(list(first.values()))]


def _explanation(group: Group, j: Judged) -> list[str]:
    better, worse = j.rows
    text = [f"**Why {j.verdict.outcome}: {j.claim}?**"]
    if j.metric.endswith("seconds"):
        text += [line for label in (better, worse) if (line := _pace(group, label, j.metric))]
    elif _runs(group, better) == _runs(group, worse):
        text.append(f"Both rows are the same networks, {_rescored_how(group, better, worse)}.")
    else:
        if choices := _choices(group, better, worse):
            before = " (the last two before the CRF)" if j.metric == "ladder_miou" else ""
            text.append(f"{as_code(better)} beside {as_code(worse)}{before}: {choices}.")
        text += _errors(group, better, worse)
        text += [line for label in (better, worse) if (line := outliers(group, label, j.metric))]
    differences = j.verdict.difference.differences
    listed = ", ".join(signed(value) for _, value in sorted(differences.items()))
    text.append(f"The difference seed by seed: {listed}." if len(differences) > 1 else "It rests on one seed.")
    if alone := apart(differences):
        text.append(f"That of seed {', '.join(map(str, alone))} stands apart and widens the interval; it stays in.")
    return text


def _runs(group: Group, label: str) -> set[str]:
    """Trained networks of a row; what is measured of one again is called RUN@WHAT."""
    return {row.run.split("@")[0] for row in group.rows if row.row == label}


def _rescored_how(group: Group, better: str, worse: str) -> str:
    if any(row.run.endswith("@crf") for row in group.rows if row.row in (better, worse)):
        return "scored before and after the CRF"
    return "shown images of another size; Figure 6 shows what becomes of their patch scores"


def _pace(group: Group, label: str, metric: str) -> str:
    """After how many epochs a row has reached the time it is judged by, and what an epoch costs; empty if unknown."""
    clock = "cpu_seconds" if metric.endswith("_cpu_seconds") else "seconds"
    scores, reached, each = group.scores(label, metric), [], []
    for row in (row for row in group.rows if row.row == label):
        spent = [epoch[clock] for epoch in row.curve if clock in epoch]
        if row.config.get("seed", 0) in scores and spent:
            reached.append(sum(at < scores[row.config.get("seed", 0)] for at in spent) + 1)
            each.append(spent[-1] / len(spent))
    if not each:
        return ""
    cost, after = statistics.fmean(each), statistics.fmean(reached)
    return f"{as_code(label)} is there after {after:.1f} epochs on average, of {cost:.1f} s each."


def _choices(group: Group, better: str, worse: str) -> str:
    """What Algorithm 1 takes and how often the patch contrastive error has anything to compare, of both rows."""
    parts = []
    for metric, meaning, digits in (
        ("mean_k", "patches that Algorithm 1 takes for a present class", 2),
        ("high_share", "share of present classes with two patches above epsilon", 2),
        ("precision", "precision of the foreground", 0),
        ("recall", "its recall", 0),
    ):
        mine, other = (summary(group.scores(label, metric).values()) for label in (better, worse))
        if mine.n and other.n:
            parts.append(f"{meaning} {mine.mean:.{digits}f} beside {other.mean:.{digits}f}")
    return ", ".join(parts)


def _errors(group: Group, better: str, worse: str) -> list[str]:
    """Precision and recall in words: does a row mark too much or miss too much?"""
    moved = {}
    for metric in ("precision", "recall"):
        mine, other = (summary(group.scores(label, metric).values()) for label in (better, worse))
        moved[metric] = mine.mean - other.mean if mine.n and other.n else 0.0
    words = {
        ("precision", False): "calls more background a thing",
        ("precision", True): "calls less background a thing",
        ("recall", False): "misses more of the things",
        ("recall", True): "misses less of the things",
    }
    said = [words[metric, by > 0] for metric, by in moved.items() if abs(by) >= LEVEL]
    if said:
        return [f"So {as_code(better)} {' and '.join(said)}."]
    return ["In precision and recall the two are level."] if any(moved.values()) else []


def outliers(group: Group, label: str, metric: str) -> str:
    """Seeds of a row that stand apart from its others, and seeds that never find some class; empty where none does."""
    scores = group.scores(label, metric)
    middle = statistics.median(scores.values()) if scores else 0.0
    sentences = [
        f"seed {s} of {as_code(label)} stands apart with {scores[s]:.1f} (median {middle:.1f})" for s in apart(scores)
    ]
    for row in (row for row in group.rows if row.row == label):
        seed = f"seed {row.config.get('seed', 0)} of {as_code(label)}"
        if swapped := _swapped(group, row):
            sentences.append(f"in {seed} figure and ground have changed places for {'; for '.join(swapped)}")
        elif lost := _lost(row.classes, row.per_class.get("miou", [])):
            sentences.append(f"{seed} never finds {in_markdown(', '.join(lost))} (IoU 0)")
    text = "; ".join(sentences)
    return f"{text[0].upper()}{text[1:]}." if sentences else ""


def _swapped(group: Group, row: Row) -> list[str]:
    """Classes that a run calls where they are not and misses where they are, with how much of both."""
    counts = group.images.counts.get(row.run)
    if counts is None or counts.shape[2] != len(row.classes):
        return []
    swapped = []
    for name, right, truth, called in list(zip(row.classes, *counts.sum(0, dtype=float), strict=True))[1:]:
        if truth and right < FOUND * truth and called > CALLED * truth:
            share, times = f"{100 * right / truth:.0f} %", f"{called / truth:.1f} times"
            swapped.append(
                f"{in_markdown(name)}: {share} of its pixels are found, and it is called on {times} as many as it has"
            )
    return swapped


def _lost(classes: Sequence[str], values: Sequence[float | None]) -> list[str]:
    return [name for name, value in zip(classes, values, strict=False) if value is not None and value < 0.05]
