"""The staged search of section 4.1, read back from rows: lambda1 with lambda2 = 0, then lambda2 at the best lambda1."""

import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from apc.escaping import in_markdown
from apc.reporting.figures.one_knob import PAPER, at_an_end
from apc.reporting.figures.sweeps import Sweep
from apc.reporting.groups import Group
from apc.reporting.names import score_name

Pair = tuple[float, float]
"""lambda1 and lambda2."""
_PAPER: Pair = PAPER["lambda1"], PAPER["lambda2"]


@dataclass
class Stages:
    """Labels of the two stages and what each of them found best."""

    labels: dict[Pair, str]
    """(lambda1, lambda2) -> label, of every point with a score."""
    best1: float | None
    """Best lambda1 with lambda2 = 0, by the means of `metric`."""
    best2: float | None
    """Best lambda2 at that lambda1."""
    chosen: Pair | None = None
    """What best.toml holds: the best of all points, those run outside the stages included; None without it."""
    metric: str = "miou"
    """By which the stages choose."""

    @property
    def first(self) -> dict[float, str]:
        """lambda1 -> label, of the points with lambda2 = 0."""
        return {l1: label for (l1, l2), label in sorted(self.labels.items()) if l2 == 0}

    @property
    def second(self) -> dict[float, str]:
        """lambda2 -> label, of the points with the best lambda1."""
        return {l2: label for (l1, l2), label in sorted(self.labels.items()) if l1 == self.best1}

    @property
    def last(self) -> str:
        """Label of the setting that the stages lead to, empty where there is none yet."""
        return self.second.get(self.best2, "") if self.best2 is not None else ""

    @property
    def best(self) -> str:
        """Label of the best setting: what the search chose or, without best.toml, what the stages lead to."""
        return self.labels[self.chosen] if self.chosen else self.last

    @property
    def default(self) -> str:
        """Label of the paper's setting, empty where it was not run."""
        return self.labels.get(_PAPER, "")


def stages(group: Group, chosen: Mapping[str, Any], failed: Collection[str] = (), metric: str = "miou") -> Stages:
    """The two stages of a group, from its means of `metric`; `chosen` is what best.toml holds.

    A setting of which a seed failed (`failed` labels) is not taken for the best, as in the search itself.
    """
    labels: dict[Pair, str] = {}
    for row in group.rows:
        labels.setdefault((float(row.config.get("lambda1", 0)), float(row.config.get("lambda2", 0))), row.row)
    staged = Stages(labels, None, None, metric=metric)
    means = {
        label: statistics.fmean(scores.values()) for label in labels.values() if (scores := group.scores(label, metric))
    }
    eligible = {label: mean for label, mean in means.items() if label not in failed}

    def highest(points: dict[float, str]) -> float | None:
        return max((v for v in points if points[v] in eligible), key=lambda v: eligible[points[v]], default=None)

    staged.best1 = highest(staged.first)
    staged.best2 = highest(staged.second) if len(staged.second) > 1 else None  # lambda2 = 0 alone is no search
    stored = _pair(chosen)
    staged.chosen = stored if stored in labels else None
    return staged


def _pair(chosen: Mapping[str, Any]) -> Pair:
    """The pair in best.toml; where it names none, one that no point has."""
    try:
        return float(chosen["lambda1"]), float(chosen["lambda2"])
    except (KeyError, TypeError, ValueError):
        return -1.0, -1.0


def _named(pair: Pair) -> str:
    return f"lambda1={pair[0]:g} lambda2={pair[1]:g}"


def sentences(stages: Stages) -> list[str]:
    """The best setting in words, with a warning where it lies at an end of the searched values."""
    lines = []
    if stages.best:
        paper = _named(_PAPER)
        lines.append(
            f"**Best here, by the mean of `{stages.metric}`: {in_markdown(stages.best)}; the paper's choice: {paper}.**"
        )
    if stages.last and stages.best != stages.last:
        lines.append(
            f"The two stages lead to {in_markdown(stages.last)}; {in_markdown(stages.best)} is what best.toml "
            "holds, chosen among all settings, the paper's included."
        )
    for name, best, points in (("lambda1", stages.best1, stages.first), ("lambda2", stages.best2, stages.second)):
        lines += [end] if (end := at_an_end(name, best, points)) else []
    if stages.best1 is not None and stages.best2 is None:
        lines.insert(0, f"**Best lambda1 so far: {stages.best1:g}. The second stage, lambda2, is pending.**")
    if 0.0 in stages.first:
        lines.append(
            f"At lambda1 = 0 nothing trains the decoder, so its `{stages.metric}` is that of random weights; "
            "the patch branch (`patch_miou`) is what to read there."
        )
    if not stages.default:
        lines.append(f"The paper's setting ({_PAPER[0]:g}, {_PAPER[1]:g}) has not been run in this group.")
    return lines


def panels(group: Group, stages: Stages, place: str, names: Mapping[str, str]) -> list[Sweep]:
    """Figure 5's two panels, decoder and patch branch; `place` is the data set's name, `names` those of the scores."""

    def lines(labels_at: dict[float, str]) -> dict[str, dict[float, dict[int, float]]]:
        metrics = (stages.metric, "patch_miou")
        return {
            names.get(m, score_name(m)): {v: group.scores(label, m) for v, label in labels_at.items()} for m in metrics
        }

    at = "best lambda1" if stages.best1 is None else f"lambda1 = {stages.best1:g}"
    return [
        Sweep(
            "lambda1 (weight of the segmentation loss)",
            f"{place}: lambda2 = 0",
            lines(stages.first),
            {"paper's value": PAPER["lambda1"]},
            stages.best1,
            "decoder not trained",
        ),
        Sweep(
            "lambda2 (weight of the patch contrastive error)",
            f"{place}: {at}",
            lines(stages.second),
            {"paper's value": PAPER["lambda2"]},
            stages.best2,
        ),
    ]
