"""Plans on planted surfaces: which points, in which order, and that nothing is proposed or run twice."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apc.config import Config, from_dict, to_dict
from apc.runs.folder import save_run
from apc.runs.rows import Row, run_id, score
from apc.search.plans import Plan, Point, Points, Staged, Sweep, best, grid, points
from apc.search.run_queue import Counts, RunQueue

LAMBDAS = Staged(
    (
        Sweep(knob="lambda1", coarse=(0.0, 0.02, 0.1, 1.0), held={"lambda2": 0.0}),
        Sweep(knob="lambda2", coarse=(0.0, 0.01, 0.1)),
    ),
    always=({"lambda1": 0.02, "lambda2": 0.01},),
)


def identify(cfg: Config) -> str:
    return run_id(to_dict(cfg), "data", "weights")


def row(cfg: Config, miou: float) -> Row:
    return Row(run=identify(cfg), config=to_dict(cfg), metrics={"miou": miou}, seconds={})


def failed(cfg: Config) -> Row:
    return Row(run=identify(cfg), config=to_dict(cfg), metrics={}, seconds={}, error="FloatingPointError: nan")


def pairs(proposed: list[Point]) -> list[tuple[float, float]]:
    return [(p.values["lambda1"], p.values["lambda2"]) for p in proposed]


def stages(plan: Plan, surface: Callable[[dict[str, Any]], float]) -> list[list[Point]]:
    """All stages of a plan on a surface without noise."""
    found: list[list[Point]] = []
    done: list[tuple[Point, list[Row]]] = []
    while stage := plan.next(done):
        found.append(stage)
        done += [(p, [row(Config(**p.values), surface(p.values))]) for p in stage]
    return found


def test_the_staged_search_finds_a_planted_optimum_from_coarse_to_fine() -> None:
    found = stages(LAMBDAS, lambda v: -abs(v["lambda1"] - 0.05) - abs(v["lambda2"] - 0.004))
    assert [pairs(stage) for stage in found] == [
        [(0.0, 0.0), (0.02, 0.0), (0.1, 0.0), (1.0, 0.0), (0.02, 0.01)],
        [(0.01, 0.0), (0.06, 0.0)],  # the middles beside 0.02, which lies nearer to 0.05 than 0.1 does
        [(0.06, 0.01), (0.06, 0.1)],  # (0.06, 0) is known from the stage before
        [(0.06, 0.005)],  # beside 0, at the edge, there is one gap only
    ]


def test_at_the_papers_own_optimum_its_point_is_not_run_twice() -> None:
    found = stages(LAMBDAS, lambda v: -abs(v["lambda1"] - 0.02) - abs(v["lambda2"] - 0.01))
    proposed = [pair for stage in found for pair in pairs(stage)]
    assert proposed == [
        (0.0, 0.0),
        (0.02, 0.0),
        (0.1, 0.0),
        (1.0, 0.0),
        (0.02, 0.01),
        (0.01, 0.0),
        (0.06, 0.0),
        (0.02, 0.1),
        (0.02, 0.005),
        (0.02, 0.055),
    ]
    assert len(set(proposed)) == len(proposed) <= LAMBDAS.max_points


@pytest.mark.parametrize("optimum", [0.0, 0.03, 0.3, 1.0])
def test_a_staged_plan_never_exceeds_the_number_it_promises(optimum: float) -> None:
    found = stages(LAMBDAS, lambda v: -abs(v["lambda1"] - optimum) - abs(v["lambda2"] - optimum))
    assert sum(map(len, found)) <= LAMBDAS.max_points == 12


def test_whole_numbers_have_whole_middles_and_an_end_has_one_gap() -> None:
    patches = Staged((Sweep(knob="k", coarse=(2, 4, 9), refine=2),))
    found = stages(patches, lambda v: -abs(v["k"] - 5))
    assert [[p.values["k"] for p in stage] for stage in found] == [[2, 4, 9], [3, 6], [5]]
    thirds = Staged((Sweep(knob="theta", coarse=(0.125, 0.5)),))
    assert [p.values["theta"] for p in stages(thirds, lambda v: -v["theta"])[1]] == [0.31]


def test_a_plan_goes_on_from_rows_alone() -> None:
    surface = lambda v: -abs(v["lambda1"] - 0.05) - abs(v["lambda2"] - 0.004)  # noqa: E731
    whole = stages(LAMBDAS, surface)
    done = [(p, [row(Config(**p.values), surface(p.values))]) for p in whole[0] + whole[1]]
    assert LAMBDAS.next(done) == whole[2]
    assert LAMBDAS.next(list(reversed(done))) == whole[2]


def test_the_best_point_is_chosen_by_the_mean_of_its_seeds_and_must_not_have_failed() -> None:
    cfg = Config()
    low, high, broken = (Point(name, {"theta": t}) for name, t in (("low", 0.5), ("high", 0.6), ("broken", 0.7)))
    done = [
        (low, [row(cfg, 50.0), row(cfg, 30.0)]),
        (high, [row(cfg, 41.0), row(cfg, 41.0)]),
        (broken, [row(cfg, 90.0), failed(cfg)]),
    ]
    assert best(done, "miou") == high
    assert score(done[0][1], "miou") == 40.0
    assert score(done[2][1], "miou") is None
    assert best(done[2:], "miou") is None


def test_of_two_level_points_the_first_proposed_wins() -> None:
    a, b = Point("a", {"k": 3}), Point("b", {"k": 6})
    assert best([(a, [row(Config(), 40.0)]), (b, [row(Config(), 40.0)])], "miou") == a


def test_where_every_value_of_a_knob_failed_the_plan_ends() -> None:
    first = LAMBDAS.next([])
    assert LAMBDAS.next([(p, [failed(Config(**p.values))]) for p in first]) == []


def test_a_grid_is_every_combination_with_the_last_knob_fastest() -> None:
    plan = grid({"k": [3, 6], "theta": [0.5, 0.9]})
    assert [p.label for p in plan.points] == ["k=3 theta=0.5", "k=3 theta=0.9", "k=6 theta=0.5", "k=6 theta=0.9"]
    assert plan.max_points == 4 and plan.knobs == ("k", "theta")


def test_points_that_say_the_same_are_proposed_once() -> None:
    plan = points({"paper": {"theta": 0.9}, "again": {"theta": 0.9}, "other": {"theta": 0.5}})
    assert [p.values["theta"] for p in plan.next([])] == [0.9, 0.5]
    assert plan.max_points == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Point("x", {"lamda1": 0.1}),
        lambda: grid({"lamda1": [0.1]}),
        lambda: Sweep(knob="lamda1", coarse=(0.0, 1.0)),
    ],
)
def test_a_misspelt_knob_is_named_when_the_plan_is_written(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="no field 'lamda1'; did you mean lambda1"):
        make()


def test_what_a_point_sets_need_not_go_with_the_defaults_of_other_fields() -> None:
    short: dict[str, Any] = {"rounds": 1, "round_epochs": 3, "epochs": 4}
    with pytest.raises(ValueError, match="rounds is 1"):  # the default's two frozen epochs come before a round
        replace(Config(), **short)
    assert from_dict(Point("short", short).values, replace(Config(), frozen_epochs=0)).first_stage_epochs == 1


def test_a_sweep_out_of_range_or_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="theta is 1.5"):
        Sweep(knob="theta", coarse=(0.5, 1.5))
    with pytest.raises(ValueError, match="must rise"):
        Sweep(knob="theta", coarse=(0.9, 0.5))


def queue(plan: Plan, runs: Path, seeds: tuple[int, ...] = (0, 1)) -> RunQueue:
    return RunQueue(plan, base=Config(), seeds=seeds, runs=runs, identify=identify)


def test_the_next_stage_opens_only_when_every_run_of_the_last_one_ended(tmp_path: Path) -> None:
    todo = queue(LAMBDAS, tmp_path)
    first = [todo.take() for _ in range(10)]
    assert all(first) and todo.take() is None  # 5 points, 2 seeds
    for job in first[:-1]:
        assert job
        todo.finish(job.run, row(job.config, 1.0 if job.config.lambda1 == 0.1 else 0.0))
        assert todo.take() is None
    assert first[-1]
    todo.finish(first[-1].run, failed(first[-1].config))  # a failed run has ended as well
    following = todo.take()
    assert following and following.point.values == {"lambda1": 0.06, "lambda2": 0.0}
    assert todo.counts == Counts(done=9, failed=1, running=1, waiting=3, later=6, perhaps=2)


def test_finished_runs_are_taken_from_their_folders_and_never_handed_out(tmp_path: Path) -> None:
    plan = points({"a": {"theta": 0.5}, "b": {"theta": 0.9}})
    done = Config(theta=0.5, seed=1)
    save_run(tmp_path, row(done, 33.0))
    todo = queue(plan, tmp_path)
    handed = []
    while job := todo.take():
        handed.append((job.point.label, job.config.seed))
        todo.finish(job.run, row(job.config, 10.0))
    assert handed == [("b", 0), ("b", 1), ("a", 0)]  # b is the base's own setting
    assert todo.through
    assert [[r.metrics["miou"] for r in rows] for _, rows in todo.result()] == [[10.0, 33.0], [10.0, 10.0]]


def test_a_plan_whose_runs_are_all_finished_is_through_at_once(tmp_path: Path) -> None:
    for theta in (0.5, 0.9):
        save_run(tmp_path, row(Config(theta=theta), 1.0))
    todo = queue(points([{"theta": 0.5}, {"theta": 0.9}]), tmp_path, seeds=(0,))
    assert todo.through and todo.take() is None


def test_runs_that_were_under_way_come_first_after_a_crash_of_the_driver(tmp_path: Path) -> None:
    todo = queue(Points((Point("a", {"theta": 0.5}), Point("b", {"theta": 0.9}))), tmp_path, seeds=(0,))
    lost = todo.take()
    todo.requeue()
    again = todo.take()
    assert lost == again


def test_a_run_that_ended_while_the_driver_was_stopped_is_in_its_result(tmp_path: Path) -> None:
    todo = queue(points([{"theta": 0.5}, {"theta": 0.9}]), tmp_path, seeds=(0,))
    job = todo.take()
    assert job and todo.result() == []
    save_run(tmp_path, row(job.config, 33.0))
    todo.collect()
    assert [[r.metrics["miou"] for r in rows] for _, rows in todo.result()] == [[33.0]]


def test_the_bases_own_setting_is_trained_first_and_stands_where_it_was_proposed(tmp_path: Path) -> None:
    plan = grid({"theta": [0.7, Config().theta, 0.95]})
    waiting = queue(plan, tmp_path)
    assert [(job.point.label, job.config.seed) for job in waiting.waiting] == [
        ("theta=0.9", 0),
        ("theta=0.9", 1),
        ("theta=0.7", 0),
        ("theta=0.7", 1),
        ("theta=0.95", 0),
        ("theta=0.95", 1),
    ]
    while job := waiting.take():
        waiting.finish(job.run, Row(run=job.run, config={}, metrics={"miou": 1.0}, seconds={}))
    assert [point.label for point, _ in waiting.result()] == ["theta=0.7", "theta=0.9", "theta=0.95"]
