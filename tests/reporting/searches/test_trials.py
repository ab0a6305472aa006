"""Trials of a search: counted, told by their knobs, the best first and the pruned apart."""

import math
from pathlib import Path

from report_rows import page
from search_rows import a_row, joint_rows

from apc.reporting.groups import Group
from apc.reporting.searches import trials as read_trials


def test_trials_are_counted_in_the_order_of_the_file_and_a_pruned_one_is_no_result() -> None:
    stopped = a_row("k=3", 0, 80.0, {"k": 3}, stopped="epoch 3 by asha")
    rows = [a_row("k=2", 0, 40.0, {"k": 2}), a_row("k=2", 1, 44.0, {"k": 2}), stopped, a_row("k=4", 0, 41.0, {"k": 4})]
    found = read_trials.trials(Group([rows[0], rows[1], rows[3]]), rows, "tune_miou")
    states = [(t.number, t.state, t.epochs) for t in found]
    assert states == [(1, "complete", 20), (2, "pruned", 3), (3, "complete", 10)]
    assert found[0].score == 42.0 and math.isnan(found[1].score) and found[1].last == 40.0
    assert [t.label for t in read_trials.complete(found)] == ["k=2", "k=4"]
    assert read_trials.best_so_far(found) == [(1, 20, 42.0), (3, 33, 42.0)]  # the pruned trial's epochs were spent


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
