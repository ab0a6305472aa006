"""Settings that differ in two numbers: which rows are a grid, and the time that rows take."""

from pathlib import Path

from planned_rows import FIGURE4, of_thresholds, rows_of
from report_rows import whole

from apc.reporting.figures.two_knobs import cells, heat_map, timed
from apc.reporting.groups import Group
from apc.runs.rows import save_rows
from apc.search.plans import Point
from search_spaces import theta_epsilon


def test_a_cross_and_a_full_grid_are_grids_and_a_diagonal_or_a_third_knob_is_none() -> None:
    pair = ("theta", "epsilon")
    assert len(cells(Group(FIGURE4), pair, "miou")) == 12  # 7 + 6 - 1
    full = rows_of(theta_epsilon.PLAN.next([]), of_thresholds, seeds=2)
    grid = cells(Group(full), pair, "miou")
    assert len(grid) == 16 and all(len(scores) == 2 for scores in grid.values())
    diagonal = [Point(str(i), {"theta": i / 10, "epsilon": i / 10}) for i in range(5, 9)]
    assert cells(Group(rows_of(diagonal, of_thresholds)), pair, "miou") == {}
    third = rows_of([Point("k=9", {"theta": 0.9, "epsilon": 0.85, "k": 9})], of_thresholds)
    assert cells(Group([*full, *third]), pair, "miou") == {}
    assert cells(Group(full), ("theta", "lambda1"), "miou") == {}


def test_the_grid_of_thresholds_stands_on_its_page_as_a_heat_map(tmp_path: Path) -> None:
    rows = rows_of(theta_epsilon.PLAN.next([]), of_thresholds, seeds=2)
    save_rows(tmp_path / "results/space_theta_epsilon/pocket.jsonl", rows)
    text = whole(tmp_path)
    assert "figures/space_theta_epsilon.pocket.theta-epsilon.png" in text
    assert (tmp_path / "figures/space_theta_epsilon.pocket.theta-epsilon.pdf").stat().st_size > 1000


def test_a_heat_map_with_one_far_failure_is_drawn(tmp_path: Path) -> None:
    grid = {(x, y): [40 + x + y, 41 + x + y] for x in (0.0, 1.0, 2.0) for y in (0.0, 1.0)} | {(0.0, 0.0): [1.0]}
    assert heat_map(grid, ("theta", "epsilon"), "miou", tmp_path / "a").read_bytes()[:4] == b"\x89PNG"


def test_times_are_those_of_the_processor_where_the_rows_have_them() -> None:
    rows = rows_of([Point("a", {}), Point("b", {})], lambda config: 40.0)
    for i, row in enumerate(rows):
        row.seconds.update(train=60.0, train_cpu=30.0 + i)
    assert {name: list(points) for name, points in timed(Group(rows), ["a", "b"], "miou").items()} == {
        "training (processor seconds)": ["a", "b"]
    }
    for row in rows:
        del row.seconds["train_cpu"]
        row.seconds["to_95"] = 20.0
    found = timed(Group(rows), ["a", "b"], "miou")
    assert list(found) == ["training (wall seconds)", "to 95 % of the final score (wall seconds)"]
    assert found["training (wall seconds)"]["b"][0][0] == 60.0
