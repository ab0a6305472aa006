"""The race of a search's best settings over further seeds: who leaves when, what the set holds, what is preferred."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import search_spaces
from apc.config import Config, folder, from_dict, pocket, to_dict, voc
from apc.runs.folder import save_run
from apc.runs.rows import Row, run_id
from apc.search.plans import Done, Point, Result
from apc.search.race import Prefer, Race, Standing, racers_of, ranked, seeds_of_race, winner
from apc.search.run_queue import RunQueue

LOW, MIDDLE, HIGH = (Point(label, {"theta": theta}) for label, theta in (("low", 0.5), ("middle", 0.7), ("high", 0.9)))
PAPERS = Config()
SEEDS = (100, 101, 102, 103, 104)

Score = Callable[[Point, int], float | None]


def row_of(point: Point, seed: int, value: float | None, metric: str = "miou") -> Row:
    metrics, error = ({}, "FloatingPointError: nan") if value is None else ({metric: value}, "")
    seconds = {"train": metrics.pop("train_seconds", 9.0)}
    return Row(run=f"{point.label}{seed}", config={"seed": seed}, metrics=metrics, seconds=seconds, error=error)


def run_of(cfg: Config) -> str:
    return run_id(to_dict(cfg), "data", "weights")


def raced(race: Race, scores: Score) -> tuple[list[list[tuple[str, int]]], list[Standing]]:
    """Runs of each stage, and how the racers stand in the end."""
    stages: list[list[tuple[str, int]]] = []
    done: Result = []
    while stage := race.next(done):
        stages.append([(point.label, point.seeds[0]) for point in stage])
        for point in stage:
            (seed,) = point.seeds
            done.append((point, [row_of(point, seed, scores(point, seed), race.metric)]))
    return stages, race.standings(done)


def told(standings: list[Standing]) -> list[tuple[str, int, str]]:
    return [(standing.racer.label, standing.left, standing.why) for standing in standings]


def test_all_train_the_same_seeds_and_one_that_is_worse_for_sure_leaves_at_the_first_look() -> None:
    means = {"low": 20.0, "middle": 60.0, "high": 60.5}
    noise = {100: 3.0, 101: -8.0, 102: 5.0, 103: 0.0, 104: 1.0}  # common to all settings, so it cancels

    def scores(point: Point, seed: int) -> float:
        return means[point.label] + noise[seed] + 0.5 * ((seed + len(point.label)) % 3)

    stages, standings = raced(Race((LOW, MIDDLE, HIGH), SEEDS), scores)
    first = [(label, seed) for seed in (100, 101, 102) for label in ("low", "middle", "high")]
    assert stages == [first, [("middle", 103), ("high", 103)], [("middle", 104), ("high", 104)]]
    assert told(standings) == [("high", 0, ""), ("middle", 0, ""), ("low", 3, "worse")]
    leader, second, last = standings
    assert list(last.scores) == [100, 101, 102] and last.gap.high < 0
    assert second.gap.low < 0 < second.gap.high and second.gap.mean == pytest.approx(second.mean - leader.mean)
    assert leader.gap.mean == 0.0


def test_the_race_ends_when_the_leader_is_alone() -> None:
    stages, standings = raced(Race((LOW, HIGH), SEEDS), lambda point, seed: point.values["theta"] * 100 + seed % 2)
    assert len(stages) == 1 and told(standings) == [("high", 0, ""), ("low", 3, "worse")]


def test_settings_that_are_alike_stay_until_the_seeds_are_spent() -> None:
    stages, standings = raced(Race((LOW, HIGH), SEEDS[:2]), lambda point, seed: 50.0)
    assert stages == [[("low", 100), ("high", 100), ("low", 101), ("high", 101)]]
    assert told(standings) == [("low", 0, ""), ("high", 0, "")]


def test_a_racer_that_fails_leaves_with_its_reason_and_the_others_go_on() -> None:
    def scores(point: Point, seed: int) -> float | None:
        return None if (point.label, seed) == ("high", 101) else 50.0 + seed % 3 * len(point.label)

    _, standings = raced(Race((LOW, MIDDLE, HIGH), SEEDS), scores)
    assert told(standings)[-1] == ("high", 2, "FloatingPointError: nan") and standings[-1].scores == {100: 54.0}
    assert [len(standing.scores) for standing in standings[:2]] == [5, 5]
    _, none = raced(Race((LOW, HIGH), SEEDS), lambda point, seed: None)
    assert winner(none, "best", PAPERS) is None and {standing.left for standing in none} == {1}


def test_seconds_are_lowered_and_so_the_race_is() -> None:
    def scores(point: Point, seed: int) -> float:
        return 100 * point.values["theta"] + seed

    _, standings = raced(Race((HIGH, LOW), SEEDS, metric="train_seconds"), scores)
    assert told(standings) == [("low", 0, ""), ("high", 3, "worse")] and standings[1].gap.low > 0
    rows = [(point, [Row(run="", config={}, metrics={}, seconds={"train": scores(point, 0)})]) for point in (HIGH, LOW)]
    assert ranked(rows, "train_seconds") == [LOW, HIGH]


def test_the_best_of_a_search_race_each_once_and_none_that_failed_or_was_given_up() -> None:
    tried: Result = [
        (LOW, [row_of(LOW, 0, 40.0)]),
        (HIGH, [row_of(HIGH, 0, 60.0)]),
        (Point("lambda1=0.1", {"lambda1": 0.1}), [row_of(LOW, 0, None)]),
        (MIDDLE, [row_of(MIDDLE, 0, 50.0)]),
        (Point("high again", {"theta": 0.9}), [row_of(HIGH, 0, 60.0)]),
    ]
    assert racers_of(tried, "miou", 2, "best", PAPERS) == (HIGH, MIDDLE)
    assert racers_of(tried, "miou", 9, "best", PAPERS) == (HIGH, MIDDLE, LOW)
    papers = Point("paper's", {"theta": Config().theta, "lambda1": Config().lambda1})
    with_papers = [*tried, (papers, [row_of(papers, 0, 30.0)])]
    assert racers_of(with_papers, "miou", 2, "paper", PAPERS) == (HIGH, MIDDLE, papers)  # beyond the two best
    assert racers_of(with_papers, "miou", 2, "cheapest", PAPERS) == (HIGH, MIDDLE)


@pytest.mark.parametrize(("left", "races"), [({"stopped": "at rung epoch 4"}, True), ({"error": "nan"}, False)])
def test_the_papers_setting_races_where_the_search_gave_it_up_and_not_where_it_failed(
    left: dict[str, str], races: bool
) -> None:
    papers = Point("paper's", {"theta": Config().theta})
    row = Row(run="p", config={}, metrics={}, seconds={}, **left)
    tried: Result = [(papers, [row]), (LOW, [row_of(LOW, 0, 40.0)]), (MIDDLE, [row_of(MIDDLE, 0, 60.0)])]
    assert racers_of(tried, "miou", 1, "paper", PAPERS) == ((MIDDLE, papers) if races else (MIDDLE,))
    assert racers_of(tried, "miou", 2, "best", PAPERS) == (MIDDLE, LOW)


@pytest.mark.parametrize("preset", [pocket, folder, voc])
@pytest.mark.parametrize("name", ["joint", "plus", "simple"])
def test_the_first_setting_of_a_space_is_the_presets_own_and_the_papers(
    name: str, preset: Callable[[], Config]
) -> None:
    base = preset()
    first = Point("first", search_spaces.first_of(search_spaces.load(name), base, name)[0])
    assert run_of(from_dict(first.values, base)) == run_of(base)  # that of `apc train PRESET`
    tried = [(HIGH, [row_of(HIGH, 0, 90.0)]), (LOW, [row_of(LOW, 0, 80.0)]), (first, [row_of(first, 0, 30.0)])]
    assert racers_of(tried, "miou", 2, "paper", base) == (HIGH, LOW, first)
    other = Point("other", {**first.values, "lambda1": 0.03})
    assert racers_of([*tried[:2], (other, tried[2][1])], "miou", 2, "paper", base) == (HIGH, LOW)


def test_what_is_preferred_is_chosen_among_those_that_are_not_worse() -> None:
    papers = Point("paper's", {"theta": Config().theta})

    def standing(point: Point, mean: float, seconds: float, left: int = 0) -> Standing:
        gap = Race((LOW, HIGH), SEEDS).standings([])[0].gap
        return Standing(point, {100: mean}, gap, left, "worse" if left else "", seconds)

    standings = [standing(LOW, 60, 9), standing(MIDDLE, 59, 5), standing(papers, 58, 7), standing(HIGH, 9, 1, left=3)]
    preferences: tuple[Prefer, ...] = ("best", "cheapest", "paper")
    chosen = [winner(standings, prefer, PAPERS) for prefer in preferences]
    assert [found and found.racer for found in chosen] == [LOW, MIDDLE, papers]
    without = [standings[0], standing(papers, 9, 1, left=4)]
    assert (found := winner(without, "paper", PAPERS)) and found.racer == LOW
    unmeasured = [standing(LOW, 60, math.nan), standing(MIDDLE, 50, 99)]
    assert (found := winner(unmeasured, "cheapest", PAPERS)) and found.racer == MIDDLE


def test_a_setting_that_the_preset_cannot_have_is_not_the_papers() -> None:
    short = Point("short", {"epochs": 1})  # the preset freezes the encoder for two, and a flag said for none
    found = [(short, [row_of(short, 0, 60.0)]), (HIGH, [row_of(HIGH, 0, 50.0)])]
    assert racers_of(found, "miou", 1, "paper", voc()) == (short, HIGH)


def test_the_seeds_of_a_race_are_none_of_the_search() -> None:
    assert seeds_of_race(3, [0, 1, 2]) == (100, 101, 102)
    assert seeds_of_race(3, [100, 102]) == (101, 103, 104)


def test_a_race_that_is_killed_anywhere_goes_on_from_its_rows(tmp_path: Path) -> None:
    race = Race((HIGH, LOW, MIDDLE), SEEDS)
    kept: list[tuple[str, int]] = []

    def name_of(cfg: Config) -> str:
        return f"{cfg.theta} {cfg.seed}"

    def scored(cfg: Config) -> float:
        return 100 * cfg.theta + cfg.seed % 3

    def queue() -> RunQueue:
        return RunQueue(race, base=Config(), seeds=SEEDS[:1], runs=tmp_path, identify=name_of)

    while (killed := queue()) and (job := killed.take()):  # a new process for every run
        assert killed.counts.done == len(kept)
        kept.append((job.point.label, job.config.seed))
        metrics = {"miou": scored(job.config)}
        save_run(tmp_path, Row(run=job.run, config=to_dict(job.config), metrics=metrics, seconds={}))
    whole, _ = raced(race, lambda point, seed: scored(Config(theta=point.values["theta"], seed=seed)))
    assert sorted(kept) == sorted(run for stage in whole for run in stage) and len(kept) == 9
    assert told(race.standings(queue().result())) == [("high", 0, ""), ("middle", 3, "worse"), ("low", 3, "worse")]
    assert queue().counts.later == queue().counts.perhaps == 0


@pytest.mark.parametrize(("racers", "seeds", "apart"), [(2, 5, 0.0), (4, 5, 0.0), (5, 8, 1.0)])
def test_the_set_keeps_the_truly_best_racer_at_19_races_of_20(racers: int, seeds: int, apart: float) -> None:
    """Of scores drawn normally, spread by 3 and by seed by 7, the settings equal or the others a little worse."""
    race = Race(tuple(Point(f"{n}", {"theta": 0.5 + n / 100}) for n in range(racers)), seeds_of_race(seeds, []))
    points = {(n, seed): Point("", race.racers[n].values, seeds=(seed,)) for n in range(racers) for seed in race.seeds}
    best, races, kept = race.racers[0], 1000, 0
    rng = np.random.default_rng(0)
    for _ in range(races):
        drawn = rng.normal(0, 7, seeds) + rng.normal(0, 3, (racers, seeds)) - apart * (np.arange(racers) > 0)[:, None]
        done: Done = [
            (points[n, seed], [Row(run="", config={}, metrics={"miou": drawn[n, s]}, seconds={})])
            for n in range(racers)
            for s, seed in enumerate(race.seeds)
        ]
        kept += any(standing.racer is best and not standing.left for standing in race.standings(done))
    assert kept >= 0.95 * races
