"""The band of a tuning curve is that of all orders of the trials, counted out, or that of recorded replays."""

import itertools
import json
from pathlib import Path

import pytest

from apc.reporting.searches import tuning_curve
from apc.reporting.searches.trials import Trial


def trial(number: int, score: float, epochs: int, state: str = "complete") -> Trial:
    return Trial(number, f"k={number}", {"k": number}, score, epochs, 0.0, state, last=score)


@pytest.mark.parametrize("drawn", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_quantile_of_the_best_is_that_of_all_orders(drawn: int, share: float) -> None:
    scores = [50.0, 10.0, 30.0, 30.0, 40.0]
    every = sorted(max(order[:drawn]) for order in itertools.permutations(scores))
    counted = next(best for at, best in enumerate(every, start=1) if at >= share * len(every))
    assert tuning_curve.best_of(scores, drawn, share) == counted


def test_the_band_costs_what_the_search_did_and_ends_at_its_best() -> None:
    tried = [trial(1, 40.0, 10), trial(2, 20.0, 2, "failed"), trial(3, 50.0, 10), trial(4, 30.0, 8)]
    assert tuning_curve.in_any_order(tried) == (
        "any order",
        [10.0, 20.0, 30.0],  # 30 epochs among three complete trials
        [30.0, 40.0, 50.0],  # the worst of one; of two 40 in one order of three
        [40.0, 50.0, 50.0],
        [50.0, 50.0, 50.0],
    )


def test_the_curve_of_thousands_of_trials_has_few_points_and_no_number_too_long_for_a_float() -> None:
    orders = tuning_curve.in_any_order([trial(number, number / 100, 1) for number in range(3000)])
    assert len(orders.epochs) <= tuning_curve.MOST + 1 and orders.epochs[-1] == 3000.0
    assert orders.middle[0] == 14.99 and orders.low[-1] == orders.high[-1] == 29.99


STORED = {"search": "tpe", "replays": 200, "epochs": [38, 39], "low": [1, 2], "middle": [3, 4], "high": [5, 6.5]}


@pytest.mark.parametrize(
    "damaged",
    [{"low": [1]}, {"low": [1, float("nan")]}, {"high": None}, {"replays": "many"}, {"epochs": [], "middle": []}],
)
def test_recorded_replays_are_read_and_damaged_ones_are_named(tmp_path: Path, damaged: dict[str, object]) -> None:
    path = tmp_path / "pocket.replay.json"
    assert tuning_curve.read(path) == (None, [])
    path.write_text(json.dumps(STORED))
    band = tuning_curve.Band("200 replays", [38.0, 39.0], [1.0, 2.0], [3.0, 4.0], [5.0, 6.5])
    assert tuning_curve.read(path) == (band, [])
    path.write_text(json.dumps(STORED | damaged))
    nothing, (sentence,) = tuning_curve.read(path)
    assert nothing is None and sentence.startswith("pocket.replay.json: ")
