"""Settings that differ in one number: which rows these are, their curve, the paper's value and an optimum at an end."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from apc.config import default_of, voc
from apc.reporting.figures.sweeps import Sweep
from apc.reporting.groups import Group
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts.intervals import summary
from apc.runs.rows import Row

PAIRS = (("lambda1", "lambda2"), ("theta", "epsilon"))
"""Pairs of knobs that the paper's Figures 5 and 4 set beside each other."""
PAPER = {knob: default_of(knob) for knob in ("lambda1", "lambda2", "theta", "epsilon", "k")}
"""The paper's values (section 4.1)."""
SHOWN = voc().eval_size / voc().image_size
"""Image size in inference over that in training, in the paper."""
POOLINGS = {"adaptive_k": "adaptive-K pooling", "top_k": "top-K pooling"}
"""The poolings that have a K."""
AXES = {
    "theta": "theta (adaptive-K pooling)",
    "epsilon": "epsilon (patch contrastive error)",
    "k": "K (most patches of a class)",
    "eval_size": "side of the shown image (pixels)",
}
"""Names of axes."""
NOTHING_BEYOND = {
    ("theta", "low", 0.5): "below it adaptive-K pooling stays top-K pooling",
    ("theta", "high", 1.0): "there it is max pooling, and nothing lies above",
    ("k", "low", 1.0): "there it is max pooling, and nothing lies below",
    ("lambda1", "low", 0.0): "nothing lies below 0",
    ("lambda2", "low", 0.0): "nothing lies below 0",
}
"""Ends of a space beyond which there is nothing to try."""


def values_of(group: Group, knob: str, pooling: str = "adaptive_k") -> dict[float, str]:
    """Value -> label of the rows that differ in one number only; empty where fewer than three do."""
    labels, rows = tried(group.rows, knob, pooling), on_line(group.rows, knob, pooling)
    return labels if len(labels) >= 3 and len(labels) == len({row.row for row in rows}) else {}


def tried(rows: Iterable[Row], knob: str, pooling: str = "adaptive_k") -> dict[float, str]:
    """Value of a knob -> label, of the rows on its line."""
    labels: dict[float, str] = {}
    for row in on_line(rows, knob, pooling):
        value = _value(row, knob)
        if isinstance(value, int | float) and not isinstance(value, bool):
            labels.setdefault(float(value), row.row)
    return dict(sorted(labels.items()))


def on_line(rows: Iterable[Row], knob: str, pooling: str) -> list[Row]:
    """Of a pair that is varied one after the other, the rows at which the other knob has the paper's value; of K those
    of one pooling, and max pooling as its K of 1."""
    others = [other for pair in PAIRS if knob in pair for other in pair if other != knob]
    rows = [row for row in rows if all(row.config.get(other) == PAPER[other] for other in others)]
    return [row for row in rows if row.config.get("pooling") in (pooling, "max")] if knob == "k" else rows


def _value(row: Row, knob: str) -> Any:
    if knob == "eval_size":  # 0 is the size of training
        return row.config.get(knob) or row.config.get("image_size")
    return 1 if knob == "k" and row.config.get("pooling") == "max" else row.config.get(knob)


def paper_value(group: Group, knob: str, points: Collection[float]) -> float | None:
    """The paper's value of a knob, its image size as a multiple of the training's; None where it has none."""
    if knob != "eval_size":
        return PAPER.get(knob)
    wanted = SHOWN * group.rows[0].config.get("image_size", 0)
    near = min(points, key=lambda value: abs(value - wanted), default=0.0)
    return near if abs(near - wanted) < 0.02 * wanted else None  # sizes are multiples of the patch


def best_of(group: Group, points: Mapping[float, str], metric: str) -> float | None:
    """The value with the best mean; None without scores."""
    means = {v: s.mean for v, label in points.items() if (s := summary(group.scores(label, metric).values())).n}
    return max(means, key=lambda v: means[v], default=None)


def at_an_end(knob: str, best: float | None, points: Collection[float]) -> str:
    """A sentence where the best value is the smallest or largest that was tried; empty elsewhere."""
    if best is None or len(points) < 2 or best not in (min(points), max(points)):
        return ""
    end, name = ("low", "smallest") if best == min(points) else ("high", "largest")
    further = NOTHING_BEYOND.get((knob, end, best), "values beyond it were not tried and may be better")
    searched = f"{min(points):g} to {max(points):g}"
    return f"The best {knob} = {best:g} is the {name} of the searched values, {searched}: {further}."


def panels(entry: TableEntry, group: Group, place: str, names: Mapping[str, str]) -> list[Sweep]:
    """A panel for each knob with at least three values: a line a metric, for K a line a pooling."""
    sweeps = []
    for knob in entry.knobs or ():
        points = values_of(group, knob)
        if not points or knob == "pooling":
            continue
        default, sized = paper_value(group, knob, points), knob == "eval_size"
        marks = {} if default is None else {"paper's 960 of 384" if sized else "paper's value": default}
        if sized:
            marks["training size"] = float(group.rows[0].config.get("image_size", 0))
        held = [f": {other} = {PAPER[other]:g}" for pair in PAIRS if knob in pair for other in pair if other != knob]
        lines = _lines(group, knob, points, names, entry.metric)
        best = best_of(group, points, entry.metric)
        sweeps.append(Sweep(AXES.get(knob, knob), "".join([place, *held]), lines, marks, best))
    return sweeps


def _lines(
    group: Group, knob: str, points: Mapping[float, str], names: Mapping[str, str], metric: str
) -> dict[str, dict[float, dict[int, float]]]:
    """Name of the line -> value -> scores by seed: the decoder and the patch branch, of K both poolings."""
    if knob == "k":
        both = {name: values_of(group, knob, pooling) for pooling, name in POOLINGS.items()}
        return {name: {v: group.scores(label, metric) for v, label in own.items()} for name, own in both.items()}
    return {name: {v: group.scores(label, m) for v, label in points.items()} for m, name in names.items()}


def sentences(entry: TableEntry, group: Group) -> list[str]:
    """The best value of each knob that was varied alone, beside the paper's, and a warning where it lies at an end."""
    lines = []
    for knob in entry.knobs or () if "values" in entry.figures else ():
        points = values_of(group, knob)
        best = best_of(group, points, entry.metric)
        if best is None:
            continue
        default = paper_value(group, knob, points)
        beside = f"; the paper's: {default:g}" if default is not None else ""
        of = " with adaptive-K pooling" if knob == "k" else ""
        lines.append(f"**Best {knob} here{of}, by the mean of `{entry.metric}`: {best:g}{beside}.**")
        lines += [end] if (end := at_an_end(knob, best, points)) else []
    return lines
