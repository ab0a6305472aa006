"""How far the model of APC-Bench can be trusted: settings it has not seen, and early epochs against late ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from apc.reporting.searches.choosers import of_chosen
from benchmarks.apc_bench.model import fitted, in_space, training_data
from benchmarks.apc_bench.replay import survivors
from benchmarks.apc_bench.table import BY_LABELS, KNOBS

if TYPE_CHECKING:
    from pandas import DataFrame

GOOD = 48.0
"""A held-out score that a search is looking for: those of the table above it are judged on their own."""


def on_unseen(
    frame: "DataFrame", kind: str, epochs: int = 10, folds: int = 10
) -> dict[str, tuple[int, float, float, float]]:
    """Group -> settings, Spearman, R2 and root mean square error of the held-out final scores of settings left out."""
    from scipy.stats import spearmanr

    (x, y, seeds), _ = training_data(in_space(frame, epochs), epochs)
    parts = np.random.default_rng(0).permutation(len(x)) % folds
    said = np.zeros(len(x))
    for part in range(folds):
        others = parts != part
        said[~others] = fitted(kind, x[others], y[others], seeds[others])(x[~others])[:, 1]
    groups = {"all settings": np.ones(len(x), bool), f"those above {GOOD:g}": y[:, 1] > GOOD}
    found = {}
    for name, own in groups.items():
        true, guess = y[own, 1], said[own]
        if own.sum() > 3:
            error = ((guess - true) ** 2).mean()
            found[name] = (
                int(own.sum()),
                float(spearmanr(guess, true)[0]),
                float(1 - error / true.var()),
                float(error**0.5),
            )
    return found


WAYS: Mapping[str, tuple[Sequence[int], float]] = {
    "in full": ((10,), 1.0),
    "halving at 1-3-10, 1/3": ((1, 3, 10), 1 / 3),
    "halving at 2-4-10, 1/3": ((2, 4, 10), 1 / 3),
    "halving at 3-10, 1/5": ((3, 10), 1 / 5),
    "halving at 3-10, 1/3": ((3, 10), 1 / 3),
    "halving at 4-10, 1/5": ((4, 10), 1 / 5),
    "halving at 4-10, 1/4": ((4, 10), 1 / 4),
}
ASYNCHRONOUS = {"asha 1-3-9": (1, 3, 9), "asha 3-9": (3, 9)}
LABELLED = ("in full", "halving at 4-10, 1/5", "halving at 4-10, 1/4")
"""Of these ways the rungs are scored by labels as well."""


def on_real_runs(frame: "DataFrame", count: int = 24, draws: int = 1000) -> dict[str, tuple[int, float]]:
    """Way -> mean epochs and mean regret of choosing among so many of the measured settings, drawn again and again, by
    the real curves of one seed and without the model; judged by the mean `held_miou` of the other seeds."""
    own = whole_seeds(frame).sort_values([*KNOBS, "seed", "epoch"])
    seeds = own["seed"].nunique()
    assert seeds > 1
    table = own[["tune_miou", "branch_rule", "held_miou"]].to_numpy(float).reshape(-1, seeds, 10, 3)
    chance = np.random.default_rng(0)
    found: dict[str, list[tuple[int, float]]] = {}
    for draw in range(draws):
        drawn, seed = table[chance.permutation(len(table))[:count]], draw % seeds
        true = np.delete(drawn[:, :, -1, 2], seed, axis=1).mean(1)
        masks, labels = drawn[:, seed, :, 0], drawn[:, seed, :, 1]
        ways = [(way, synchronous(masks, *how)) for way, how in WAYS.items()]
        ways += [(way, asynchronous(masks, rungs)) for way, rungs in ASYNCHRONOUS.items()]
        ways += [(f"{way}, by labels", synchronous(labels, *WAYS[way])) for way in LABELLED]
        for way, (spent, chosen) in ways:
            found.setdefault(way, []).append((spent, float(true.max() - true[chosen])))
    return {
        way: (round(float(np.mean([spent for spent, _ in own]))), float(np.mean([lost for _, lost in own])))
        for way, own in found.items()
    }


def choosing(frame: "DataFrame") -> dict[str, list[float]]:
    """Score -> mean regret of choosing by it, as the page's choosers have it, in the runs of each seed that all
    settings of the bench have; half of the masks, and the scores that open none."""
    ends = whole_seeds(frame)
    ends = ends[ends["epoch"] == ends["epochs"]]
    found: dict[str, list[float]] = {}
    for _, own in ends.groupby("seed"):
        true = own["held_miou"].to_numpy(float)
        for name in ("tune_miou", *BY_LABELS):
            lost = of_chosen(true, true) - of_chosen(own[name].to_numpy(float), true)
            found.setdefault(name, []).append(float(lost))
    return found


def whole_seeds(frame: "DataFrame") -> "DataFrame":
    """The lines of the bench's own settings, of seeds that all of them have."""
    own = frame[frame["source"] == "apc_bench"]
    runs = own.drop_duplicates("run")["seed"].value_counts()
    return own[own["seed"].isin(runs.index[runs == runs.max()])]


def synchronous(scores: np.ndarray, rungs: Sequence[int], share: float) -> tuple[int, int]:
    """Epochs, and the setting chosen, of halving with a barrier; `scores` are settings by epochs."""
    alive, spent = list(range(len(scores))), rungs[0] * len(scores)
    for rung, following in zip(rungs, rungs[1:], strict=False):
        alive = [alive[place] for place in survivors([scores[at, rung - 1] for at in alive], share)]
        spent += (following - rung) * len(alive)
    return spent, max(alive, key=lambda at: float(scores[at, -1]))


def asynchronous(scores: np.ndarray, rungs: Sequence[int]) -> tuple[int, int]:
    """The same where each goes on at once if it is among the best third of those that have come to the rung, or the
    best of fewer than three, as Optuna's pruner has it."""
    seen: dict[int, list[float]] = {rung: [] for rung in rungs}
    spent, whole = 0, []
    for at, curve in enumerate(scores):
        for rung in rungs:
            seen[rung].append(float(curve[rung - 1]))
            if curve[rung - 1] < sorted(seen[rung], reverse=True)[max(len(seen[rung]) // 3, 1) - 1]:
                spent += rung
                break
        else:
            spent += len(curve)
            whole.append(at)
    return spent, max(whole, key=lambda at: float(scores[at, -1]))
