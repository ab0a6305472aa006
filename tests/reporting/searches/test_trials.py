"""Trials of a search: counted, told by their knobs, the best first and the pruned apart."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from report_rows import cells, page
from search_rows import SEARCHED, STAMP, a_row, joint_rows

from apc.experiment.outputs import winner_of
from apc.reporting.groups import Group
from apc.reporting.searches import trials as read_trials
from apc.reporting.searches.tuning_curve import in_any_order
from apc.runs.rows import Row
from apc.search.plans import Point


def test_trials_are_counted_in_the_order_of_the_file_and_a_pruned_one_is_no_result() -> None:
    stopped = a_row("k=3", 0, 80.0, {"k": 3}, stopped="epoch 3 by asha")
    rows = [a_row("k=2", 0, 40.0, {"k": 2}), a_row("k=2", 1, 44.0, {"k": 2}), stopped, a_row("k=4", 0, 41.0, {"k": 4})]
    found = read_trials.trials(Group([rows[0], rows[1], rows[3]]), rows, "tune_miou")
    states = [(t.number, t.state, t.epochs) for t in found]
    assert states == [(1, "complete", 20), (2, "pruned", 3), (3, "complete", 10)]
    assert found[0].score == 42.0 and math.isnan(found[1].score) and found[1].last == 40.0
    assert [t.label for t in read_trials.complete(found)] == ["k=2", "k=4"]
    assert read_trials.best_so_far(found) == [(1, 20, 42.0), (3, 33, 42.0)]  # the pruned trial's epochs were spent


def best_of(rows: list[Row], metric: str) -> tuple[str, Point | None]:
    """The best setting of a search on the page, and the one in best.toml."""
    group = Group([row for row in rows if not row.error])
    found = read_trials.complete(read_trials.trials(group, rows, read_trials.goes_by(rows, metric)))
    labels = dict.fromkeys(row.row for row in rows)
    result = [(Point(label, {}), [row for row in rows if row.row == label]) for label in labels]
    return found[0].label, winner_of(result, read_trials.goes_by(rows, metric))


def test_a_setting_of_which_a_seed_failed_is_no_best_on_the_page_as_in_best_toml() -> None:
    rows = [a_row(f"k={k}", seed, 40.0 + k + seed, {"k": k}) for k in (2, 3, 4) for seed in range(2)]
    rows[-1] = a_row("k=4", 1, 0.0, {"k": 4}, error="killed")
    assert best_of(rows, "tune_miou") == ("k=3", Point("k=3", {}))
    found = read_trials.trials(Group(rows[:-1]), rows, "tune_miou")
    assert [t.state for t in found] == ["complete", "complete", "failed"]


def test_the_epochs_of_a_search_that_halves_are_counted_bracket_by_bracket_and_rung_by_rung() -> None:
    halved = SEARCHED | {"stop_early": "halving", "rungs": [4, 10], "bracket": 3}
    reached = [4, 10, 10, 10, 4]  # two brackets, the second of two trials
    tried = [
        read_trials.Trial(i, str(i), {}, 40.0 + i, epochs, 0.0, "complete" if epochs == 10 else "pruned", 1.0, search)
        for search in (halved,)
        for i, epochs in enumerate(reached, start=1)
    ]
    ends = [(trial.number, epochs) for trial, epochs in read_trials.in_turn(tried)]
    assert ends == [(1, 4), (2, 18), (3, 24), (5, 32), (4, 38)]
    assert read_trials.best_so_far(tried) == [(2, 18, 42.0), (3, 24, 43.0), (4, 38, 44.0)]
    for damaged in ({"rungs": "4"}, {"bracket": 0}, {"bracket": None}, {"stop_early": "none"}):
        told = [replace(trial, search=halved | damaged) for trial in tried]
        assert [epochs for _, epochs in read_trials.in_turn(told)] == [4, 14, 24, 34, 38]


def test_a_search_that_lowers_a_score_is_ranked_by_that_score_from_below(tmp_path: Path) -> None:
    rows = [a_row(f"k={k}", 0, 40.0 + k, {"k": k}) for k in range(2, 14)]
    stamp = STAMP | {"search": SEARCHED | {"objectives": ["pooled_ce"]}}
    rows = [replace(row, metrics=row.metrics | {"pooled_ce": 0.1 * abs(row.config["k"] - 5)}) for row in rows]
    rows = [replace(row, stamp=stamp) for row in rows]
    assert best_of(rows, "miou") == ("k=5", Point("k=5", {}))
    found = read_trials.trials(Group(rows), rows, "pooled_ce")
    so_far = [0.3, 0.2, 0.1, 0.0]
    assert [best.score for best in read_trials.best_so_far(found)][:4] == pytest.approx(so_far)
    orders = in_any_order(found)
    assert orders.low[-1] == orders.high[-1] == 0.0 and orders.low[0] < orders.middle[0] < orders.high[0]
    text = page(tmp_path, "space_k", rows)
    assert "**Best: k=5**, `pooled_ce` 0.0, found by trial 4" in text
    assert cells(text.split("**The 10 best of 12 settings**")[1], "k=5")[2] == "0.0"


def test_what_a_search_went_by_is_in_its_stamp_and_a_damaged_one_says_nothing() -> None:
    def told(objectives: object) -> str:
        row = replace(a_row("k=2", 0, 40.0, {"k": 2}), stamp={"search": {"objectives": objectives}})
        return read_trials.goes_by([row], "miou")

    assert [told(each) for each in (["pooled_ce"], [], ["no such score"], [3], "miou")] == ["pooled_ce", *["miou"] * 4]


def test_a_label_tells_which_knobs_a_setting_has_and_the_config_their_values() -> None:
    assert read_trials.knobs("pooling=max lambda1=0.0164715", {"pooling": "max", "k": 6, "lambda1": 0.016471482}) == {
        "pooling": "max",
        "lambda1": 0.016471482,
    }
    assert read_trials.knobs("max", {"pooling": "max"}) == {}


def test_the_page_of_a_search_shows_ten_best_pruned_ones_apart_importance_and_history(tmp_path: Path) -> None:
    stopped = a_row("pooling=max lambda1=0.5", 0, 99.0, {"pooling": "max", "lambda1": 0.5}, stopped="epoch 3 by asha")
    text = page(tmp_path, "search_joint", [*joint_rows(), stopped])
    assert "13 trials: 12 complete, 1 PRUNED (stopped early, in no mean), 0 failed; 123 epochs" in text
    assert "**The 10 best of 12 settings**" in text and "| knob " in text and "PED-ANOVA" in text
    assert "The best k = 2 lies at the low end of its space, 2 to 12" in text
    assert "Trials stopped early (1)" in text and "epoch 3 by asha" in text and "99.0" not in text
    for kind in ("history", "knobs"):
        assert (tmp_path / f"figures/search_joint.pocket.{kind}.pdf").stat().st_size > 1000
