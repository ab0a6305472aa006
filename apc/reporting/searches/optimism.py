"""The optimism ledger: what a rule of choice adds to the score that is reported, or costs, in points of mIoU.

Whoever takes the best of many noisy scores takes the luckiest too. How much of a chosen score is luck is what it lies
above the same setting's score elsewhere: on images that had no part in the choice, or with other seeds. Images differ
in difficulty, which is no luck, so of each such difference its mean over all settings is taken off.

As in choosers.py everything is a mean over all draws of half of the settings, at most SETTINGS of them, and in brackets
stand the middle 95 % of draws: what one search of so many settings may meet.

Shapes: t settings, s seeds, d draws, k settings of a draw.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from apc.config import Config, to_dict
from apc.reporting.figures.choose import whole_curve
from apc.reporting.groups import Group
from apc.reporting.searches.choosers import FEWEST, HALF, JUDGE, of_chosen, subsets
from apc.reporting.section import Section
from apc.runs.rows import Row
from apc.runs.scores import CHOOSERS

if TYPE_CHECKING:
    from numpy import ndarray

LABELS = CHOOSERS["labels"]
SEEDS = 3
"""Seeds of a setting below which they say nothing of the others."""
CURVES = 3
"""Settings with scored epochs below which nothing is said of a method's."""
_OF_RUN = ("seed", "eval_every")
"""Config fields that make no other setting."""


class Spread(NamedTuple):
    """Points over draws of half of the settings, at most SETTINGS."""

    mean: float
    low: float
    high: float
    """Ends of the middle 95 % of the draws."""


@dataclass(frozen=True)
class Rule:
    """A way to choose, and what its choice is held against."""

    chosen_by: str
    against: str
    would: str
    """What would measure it."""
    adds: bool
    """Whether its points are added to what is reported; else they are what the choice costs or gains."""


@dataclass(frozen=True)
class Line:
    """What a rule is worth in one table, or in the curves of several."""

    rule: Rule
    table: str
    settings: int
    seeds: int
    """Of each setting; 0 where they have different numbers."""
    points: Spread


ON_TEST = Rule("all validation masks", "the test images, same networks", "ten settings on data with a test split", True)
ON_SEEDS = Rule("all validation masks, one seed", "the other seeds", "ten settings with three seeds each", True)
ON_HALF = Rule("half of the validation masks", "the other half", "ten settings scored by halves", True)
BEHIND = Rule("image labels alone", "the choice by half of the masks", f"ten settings with `{LABELS}`", False)
REGRET = Rule("image labels alone", "the best setting", f"ten settings with `{LABELS}`", False)
EPOCH = Rule("best epoch, by all validation masks", "the last epoch, same images", "runs with `--eval-every 1`", False)
EPOCH_HALF = Rule(
    "best epoch, by half of the masks", "the last epoch, the other half", "runs with `--eval-every 1`", False
)
EPOCH_LABELS = Rule(
    "best epoch, by image labels alone",
    "the last epoch, the other half",
    f"runs with `--eval-every 1` whose epochs have `{LABELS}`",
    False,
)
LUCK = (ON_TEST, ON_SEEDS, ON_HALF)
"""Rules that say how much too high the score of a setting is that masks chose."""
RULES = (ON_TEST, ON_SEEDS, ON_HALF, BEHIND, REGRET, EPOCH, EPOCH_HALF, EPOCH_LABELS)


def ledger(sections: Sequence[Section]) -> list[Line]:
    """Every rule that the tables of one data set can judge, in the order of RULES.

    A search that proposes by scores is none of them: half of its settings are not what it would have tried. Epochs are
    judged by what is chosen of settings drawn at random, and by the runs of all other tables.
    """
    tables = [(each, group) for each in sections for group in each.compared if not _proposes(each)]
    lines = [line for each, group in tables for line in _of_table(_name(each), group)]
    lines += [line for each, group in tables if each.entry.choosers for line in _of_best_epochs(_name(each), group)]
    others = [group for each, group in tables if not each.entry.choosers]
    runs = {row.run: row for group in others for row in group.rows if "@" not in row.run}.values()
    lines += _of_runs("APC's runs in all other tables", [row for row in runs if _is_apc(row)])
    lines += _of_runs("other methods' runs", [row for row in runs if not _is_apc(row)])
    return sorted(lines, key=lambda line: RULES.index(line.rule))


def _is_apc(row: Row) -> bool:
    return bool(row.config.get("method", "apc") == "apc")


def _proposes(section: Section) -> bool:
    return section.entry.search and not section.entry.choosers


def _name(section: Section) -> str:
    return section.entry.title.split(":")[0]


def _of_table(table: str, group: Group) -> Iterator[Line]:
    """The rules about settings that one table can judge."""
    all_masks, test = _scores(group, "miou", "test_miou")
    yield from _line(ON_TEST, table, all_masks, luck, test)
    (all_masks,) = _scores(group, "miou")
    if all_masks.shape[-1] >= SEEDS:
        others = (all_masks.sum(1, keepdims=True) - all_masks) / (all_masks.shape[1] - 1)
        yield from _line(ON_SEEDS, table, all_masks, luck, others)
    half, judge = _scores(group, HALF, JUDGE)
    yield from _line(ON_HALF, table, half, luck, judge)
    labels, half, judge = _scores(group, LABELS, HALF, JUDGE)
    yield from _line(BEHIND, table, labels, behind, half, judge)
    yield from _line(REGRET, table, labels, behind, judge, judge)


def _line(
    rule: Rule, table: str, chooser: "ndarray", worth: "Callable[..., Spread]", *others: "ndarray"
) -> Iterator[Line]:
    if len(chooser) >= FEWEST and chooser.shape[1]:
        settings, seeds = chooser.shape
        yield Line(rule, table, settings, seeds, worth(chooser, *others))


def _scores(group: Group, *metrics: str) -> "list[ndarray]":
    """Several scores of the settings that have them all, at the seeds that these have in common: (t,s) each."""
    import numpy as np

    found: dict[str, dict[int, list[float]]] = {}
    for row in group.rows:
        values = [row.value(metric) for metric in metrics]
        if all(map(math.isfinite, values)):
            found.setdefault(row.row, {})[row.config.get("seed", 0)] = values
    common = sorted(set.intersection(*map(set, found.values()))) if found else []
    every = np.array([[by_seed[seed] for seed in common] for by_seed in found.values()], dtype=float)
    return list(np.moveaxis(every.reshape(len(found), len(common), len(metrics)), 2, 0))


def luck(chooser: "ndarray", elsewhere: "ndarray") -> Spread:
    """How much more the chosen setting has in the score that chose it than elsewhere, beside all settings: (t,s)
    each."""
    gap = chooser - elsewhere
    mean = _mean_of_chosen(chooser, gap) - float(gap.mean())
    drawn = subsets(len(chooser))
    return _spread(mean, (_of_chosen(drawn, chooser, gap) - gap[drawn].mean(1)).mean(1))


def behind(chooser: "ndarray", other: "ndarray", judge: "ndarray") -> Spread:
    """How far what `chooser` chooses lies below what `other` chooses, by `judge`: (t,s) each."""
    mean = _mean_of_chosen(other, judge) - _mean_of_chosen(chooser, judge)
    drawn = subsets(len(chooser))
    theirs, mine = (_of_chosen(drawn, score, judge) for score in (other, chooser))
    return _spread(mean, (theirs - mine).mean(1))


def _mean_of_chosen(score: "ndarray", judged: "ndarray") -> float:
    """Mean over all draws, and over the seeds, of what is judged of the setting that each seed chooses: (t,s) each."""
    by_seed = [of_chosen(own, held) for own, held in zip(score.T, judged.T, strict=True)]
    return sum(by_seed) / len(by_seed)


def _of_chosen(drawn: "ndarray", score: "ndarray", judged: "ndarray") -> "ndarray":
    """What is judged of the setting of each draw that each seed chooses: (t,s) each -> (d,s)."""
    import numpy as np

    found: ndarray = np.take_along_axis(judged[drawn], score[drawn].argmax(1)[:, None], 1)[:, 0]
    return found


def _spread(mean: float, points: "ndarray") -> Spread:
    """A mean over all draws, and the middle 95 % of some: (d,)."""
    import numpy as np

    mean = round(mean, 9) + 0.0  # no -0.0 from a sum of shares
    return Spread(mean, *map(float, np.percentile(points, [2.5, 97.5])))


EPOCHS = ((EPOCH, "miou", "miou"), (EPOCH_HALF, HALF, JUDGE), (EPOCH_LABELS, LABELS, JUDGE))
"""The rules about epochs, with the score that chooses and the one that judges."""


class Epochs(NamedTuple):
    """The best epoch of a run by one score and the last one, by that score and by another."""

    best: float
    best_judged: float
    last: float
    last_judged: float


def _of_best_epochs(table: str, group: Group) -> Iterator[Line]:
    """The rules about epochs for the setting that is chosen, by its best epoch in place of its last."""
    import numpy as np

    rows = {row.row: row for row in reversed(group.rows)}  # one seed of each setting
    for rule, chooser, judge in EPOCHS:
        found = np.array([own for row in rows.values() if (own := epochs(row, chooser, judge))])
        if len(found) >= FEWEST:
            best, best_judged, last, last_judged = np.split(found, 4, axis=1)
            mean = _mean_of_chosen(best, best_judged) - _mean_of_chosen(last, last_judged)
            drawn = subsets(len(found))
            gained = _of_chosen(drawn, best, best_judged) - _of_chosen(drawn, last, last_judged)
            yield Line(rule, f"{table}: the chosen setting", len(found), 1, _spread(mean, gained[:, 0]))


def _of_runs(table: str, runs: Iterable[Row]) -> Iterator[Line]:
    """The rules about epochs as a mean over settings, of runs whose epochs have the scores."""
    import numpy as np

    runs, usual = list(runs), to_dict(Config())
    for rule, chooser, judge in EPOCHS:
        gains: dict[str, list[float]] = {}
        for row in runs:
            # rows of before a field was there had its default
            config = {n: value for n, value in (usual | row.config).items() if n not in _OF_RUN}
            setting = json.dumps(config, sort_keys=True)
            if own := epochs(row, chooser, judge):
                gains.setdefault(setting, []).append(own.best_judged - own.last_judged)
        if len(gains) >= CURVES:
            means = np.array([np.mean(own) for own in gains.values()])
            seeds = {len(own) for own in gains.values()}
            points = _spread(float(means.mean()), means[subsets(len(means))].mean(1))
            yield Line(rule, table, len(means), seeds.pop() if len(seeds) == 1 else 0, points)


def epochs(row: Row, chooser: str, judge: str) -> Epochs | None:
    """The best epoch by one score and the last; None without both scores in the last epoch and in another.

    Of a method with two stages those of the second count, as in timing.py: before it, it is another network's score.
    """
    stage2 = row.config.get("stage2_epochs", 0)
    before = len(row.curve) - stage2 if stage2 else 0
    scored = [
        (number, epoch[chooser], epoch[judge])
        for number, epoch in enumerate(whole_curve(row), start=1)
        if number > before
        and all(isinstance(value := epoch.get(name), int | float) and math.isfinite(value) for name in (chooser, judge))
    ]
    if len(scored) < 2 or scored[-1][0] < len(row.curve):
        return None
    _, best, best_judged = max(scored, key=lambda each: each[1])
    return Epochs(best, best_judged, *scored[-1][1:])
