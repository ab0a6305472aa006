"""A replayed search on a bench without noise, whose epochs, survivors and regrets are counted by hand."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import search
from benchmarks.apc_bench import checks, replay, table
from benchmarks.apc_bench.model import Bench, Noise, World
from benchmarks.apc_bench.strategies import STRATEGIES
from search_spaces import joint

EPOCHS = 10


def quiet(rise: float = 1.0, noise: Noise | None = None) -> Bench:
    """Scores grow by `k` an epoch; held-out scores lie one point lower."""

    def mean(setting: dict[str, Any]) -> np.ndarray:
        tune = setting["k"] * np.arange(1, EPOCHS + 1) ** rise
        return np.stack([tune, tune - 1], axis=1)

    nothing = np.zeros((0, EPOCHS, 2))
    return Bench(mean, noise or Noise(np.zeros((10, EPOCHS, 2)), nothing, nothing))


def ledger(budget: int, values: list[int], bench: Bench | None = None) -> replay.Ledger:
    made = replay.Ledger(World(bench or quiet(), 0), budget)
    for k in values:
        made.add({"k": k})
    return made


def test_a_run_that_goes_on_pays_only_for_its_further_epochs() -> None:
    own = ledger(100, [4])
    assert own.train(0, 3) == 12.0 and own.train(0, 10) == 40.0 and own.train(0, 10) == 40.0
    assert own.spent == 10


def test_halving_keeps_the_best_third_at_each_rung_and_costs_nine_and_six_and_seven_epochs() -> None:
    own = ledger(100, [3, 9, 1, 7, 8, 2, 5, 4, 6])
    for trial in range(9):
        own.train(trial, 1)
    assert replay.halving(own, range(9), (1, 3, 10), 1 / 3) == [1]
    assert own.spent == 9 + 3 * 2 + 1 * 7
    assert sorted(trial for (trial, _), epoch in own.trained.items() if epoch >= 3) == [1, 3, 4]
    assert own.returned == [(1, 29.0), (2, 89.0)]  # what is best of the first rung is so of all here
    assert own.best_so_far == [(22, 90.0)]  # the one that was trained in full, as the search sees it


def test_forty_trials_come_to_ninety_four_epochs() -> None:
    own = ledger(1000, list(range(1, 41)))
    for trial in range(40):
        own.train(trial, 1)
    assert replay.halving(own, range(40), (1, 3, 10), 1 / 3) == [36, 37, 38, 39]
    assert own.spent == 40 + 13 * 2 + 4 * 7 == 94


@pytest.mark.parametrize(
    ("scores", "share", "kept"),
    [([1.0, 3.0, 2.0], 1 / 3, [1]), ([2.0, 2.0, 1.0], 1 / 3, [0]), ([5.0, 1.0], 0.1, [0]), ([1, 2, 3, 4], 0.5, [2, 3])],
)
def test_survivors_are_the_best_share_ties_to_the_earlier(scores: list[float], share: float, kept: list[int]) -> None:
    assert replay.survivors(scores, share) == kept


def test_a_race_goes_by_the_mean_over_seeds_and_pays_for_each() -> None:
    bench = quiet()
    own = ledger(100, [5, 6], bench)
    own.train(0, EPOCHS), own.train(1, EPOCHS)
    for seed, (first, second) in enumerate([(50.0, 60.0), (55.0, 40.0), (54.0, 41.0)]):
        own.scores[0, seed], own.scores[1, seed] = np.full((EPOCHS, 2), first), np.full((EPOCHS, 2), second)
    assert own.best() == 1
    assert own.race([0, 1], 3) == 0 and own.spent == 2 * 10 + 2 * 2 * 10
    assert own.returned[-1] == (60, 49.0)  # what judges is the setting's mean, which no search sees


def test_a_ledger_that_is_closed_trains_nothing_more() -> None:
    own = ledger(5, [1, 2, 3])
    own.train(2, 5)
    assert not own.open and replay.halving(own, [2], (5, 10), 1 / 3) == [] and own.spent == 5


def test_half_of_the_searches_are_close_from_when_it_lasts_and_regret_is_at_a_budget() -> None:
    curves = [[(10, 40.0), (30, 50.0)], [(20, 49.6)], [(10, 30.0), (15, 60.0), (18, 30.0)]]
    assert [replay.epochs_for(curves, 49.5, share, 400) for share in (1 / 3, 0.5, 0.75)] == [20.0, 30.0, math.inf]
    assert [replay.quality_at(curve, 25) for curve in curves] == [40.0, 49.6, 30.0]
    assert math.isnan(replay.quality_at(curves[1], 19))
    own = search.line(STRATEGIES["tpe, in full"], curves, target=49.5, best=52.0)
    assert own.epochs == (30.0, math.inf)
    assert own.regret[400][0] == pytest.approx((2.0 + 2.4 + 22.0) / 3)
    assert "| tpe, in full | Optuna | 3 | 30 | – |" in search.markdown([own])


def test_quantiles_of_replays_begin_where_all_have_begun() -> None:
    curves = [[(10, 40.0), (12, 50.0)], [(11, 46.0)], [(9, 30.0)]]
    epochs, scores = replay.quantiles(curves, (0.0, 0.5, 1.0), 13)
    assert epochs == [11, 12, 13] and scores.tolist() == [[30.0] * 3, [40.0, 46.0, 46.0], [46.0, 50.0, 50.0]]


def test_seeds_move_all_settings_alike_and_worlds_repeat_themselves() -> None:
    common = np.arange(10.0)[:, None, None] + np.zeros((10, EPOCHS, 2))
    bench = quiet(noise=Noise(common, np.zeros((1, EPOCHS, 2)), np.zeros((0, EPOCHS, 2))))
    good, better = (World(bench, 3).run({"k": k}, 0, 1) for k in (6, 7))
    assert (better - good)[-1, 0] == pytest.approx(10.0)  # both have the seed's effect whole
    assert np.array_equal(good, World(bench, 3).run({"k": 6}, 0, 1))
    assert not np.array_equal(good, World(bench, 3).run({"k": 6}, 0, 2))


def test_what_is_a_single_run_s_own_differs_between_trials_and_not_between_calls() -> None:
    single = np.random.default_rng(0).normal(size=(5, EPOCHS, 2))
    bench = quiet(noise=Noise(np.zeros((1, EPOCHS, 2)), single, np.zeros((0, EPOCHS, 2))))
    runs = {trial: World(bench, 3).run({"k": 6}, trial, 0) for trial in range(8)}
    assert np.array_equal(runs[4], World(bench, 3).run({"k": 6}, 4, 0))
    assert 1 < len({run.tobytes() for run in runs.values()}) <= 5


@pytest.mark.parametrize(
    "name",
    [
        "random, in full",
        "tpe, halving 9 at 3-10, 1/3, poolings first",
        "tpe, asha 3-9, poolings first",
        "tpe, median",
        "the paper's staged grid",
    ],
)
def test_a_search_begins_with_the_paper_s_setting_and_spends_what_it_may(name: str) -> None:
    def mean(setting: dict[str, Any]) -> np.ndarray:
        return np.full((EPOCHS, 2), 50 - 10 * abs(math.log10(setting["lambda1"]) + 2))

    nothing = np.zeros((0, EPOCHS, 2))
    own = replay.Ledger(World(Bench(mean, Noise(np.zeros((10, EPOCHS, 2)), nothing, nothing)), 0), 120)
    STRATEGIES[name].search(own, 0)
    paper = joint.PAPER | ({"lambda2": 0.0} if "staged" in name else {})  # whose first stage has none
    assert all(own.settings[0][knob] == paper[knob] for knob in own.settings[0])
    if "poolings first" in name:
        assert own.settings[:4] == list(joint.FIRST)
    assert 120 <= own.spent <= 130
    epochs = sum(own.trained.values())
    assert own.spent == epochs + (30 if "staged" in name else 0)  # lambda1 of 0 is paid for, and learns nothing


def test_real_curves_are_halved_with_and_without_a_barrier() -> None:
    late = [1.0, 2.0, 3.0, 90.0]  # worst at first, best at last
    curves = np.array([late, [9.0, 9.0, 9.0, 9.0], [5.0, 5.0, 5.0, 5.0], [6.0, 6.0, 6.0, 6.0]])
    assert checks.synchronous(curves, (4,), 1.0) == (16, 0)
    assert checks.synchronous(curves, (1, 4), 0.5) == (4 + 2 * 3, 1)
    assert checks.asynchronous(curves, (1,)) == (4 + 4 + 1 + 1, 0)  # who comes first has no rival yet
    assert checks.asynchronous(curves[::-1], (1,)) == (4 + 1 + 4 + 1, 2)


def test_real_runs_choose_by_masks_and_by_labels_and_are_judged_by_other_seeds() -> None:
    lines = [
        dict.fromkeys(table.KNOBS)
        | {"lambda1": setting, "source": "apc_bench", "seed": seed, "epoch": epoch, "epochs": EPOCHS}
        | {"run": f"{setting}{seed}", "held_miou": 10.0 * setting, "tune_miou": setting}
        | {name: -setting if name == "branch_rule" else setting for name in table.BY_LABELS}
        for setting in (1, 2, 3, 4)
        for seed in (0, 1)
        for epoch in range(1, EPOCHS + 1)
    ]
    frame = pd.DataFrame(lines)
    ways = checks.on_real_runs(frame, count=4, draws=4)
    assert ways["in full"] == (4 * EPOCHS, 0.0) and ways["halving at 4-10, 1/4"] == (4 * 4 + 6, 0.0)
    assert ways["in full, by labels"] == (4 * EPOCHS, 30.0)  # which here prefer the worst
    lost = checks.choosing(frame)
    assert lost["tune_miou"] == [0.0, 0.0] and min(lost["branch_rule"]) > 0
    half = frame[(frame["seed"] == 0) | (frame["lambda1"] < 4)]  # the other seed has not trained all settings
    assert checks.whole_seeds(half)["seed"].unique().tolist() == [0]
