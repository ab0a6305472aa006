"""Which figures a table gets, and what they may say of rows, curves and classes."""

from dataclasses import replace

from planned_rows import FIGURE4, rows_of

from apc.reporting.catalogue import described
from apc.reporting.figures.choose import Shown, class_scores, whole_curve
from apc.reporting.groups import Group
from apc.search.plans import Point


def test_a_curve_ends_with_the_runs_final_score() -> None:
    (row, *_) = rows_of([Point("a", {})], lambda config: 40.0)
    row.curve = [{"epoch": 1, "miou": 20.0, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]
    assert whole_curve(row) == [row.curve[0], {"epoch": 2, "loss": 0.5, "miou": 40.0}]
    row.metrics = {f"{name}_miou": 1.0 for name in "abcdefgh"}
    row.curve = [{"epoch": 1, **row.metrics}, {"epoch": 2}]
    assert list(whole_curve(row)[-1])[:-1] == list(row.metrics)  # another order would draw the figure again
    row.curve = [{"epoch": 1, "loss": 1.0}]
    assert whole_curve(row) == row.curve  # of a run that scored no epoch there is no curve of scores


def test_a_row_that_is_anothers_runs_after_the_crf_has_no_classes_of_its_own() -> None:
    (row, *_) = rows_of([Point("a", {})], lambda config: 40.0, seeds=1)
    row.classes, row.per_class = ["background", "ring"], {"miou": [90.0, 40.0]}
    after = replace(row, run=f"{row.run}@crf", row="crf")
    assert class_scores(Group([row, after]), "a") == {"background": [90.0], "ring": [40.0]}
    assert class_scores(Group([row, after]), "crf") == {}


def test_one_seed_is_promised_no_deviation() -> None:
    one = Group(rows_of([Point("a", {})], lambda config: 40.0, seeds=1))
    assert shown(one).spread == "one seed each"
    assert "standard deviation" in shown(Group(FIGURE4)).spread


def shown(group: Group) -> Shown:
    return Shown(described("figure4_theta_epsilon"), group, "pocket", group.labels, None, [], {})
