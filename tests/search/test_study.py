"""The Optuna study without Ray: what it proposes, what it survives, what it tells. Runs are faked by writing rows."""

import functools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

import search_spaces
from apc.config import Config, to_dict
from apc.experiment.outputs import front, winner_of, write_trials
from apc.runs.folder import save_run
from apc.runs.rows import Row
from apc.search import spaces
from apc.search.run_queue import Counts
from apc.search.spaces import Above, Draw, Real, SearchSettings, When
from apc.search.study import Study
from apc.search.study_settings import StudyDefinition
from apc.training.run import identity
from search_spaces import joint, simple

BASE = Config(num_train=8, num_val=4, encoder="pocket", decoder_blocks=(1, 2, 3), epochs=9, eval_every=1, crf="none")


ABOVE: When = {"lambda1": Above(0.1)}


def quality(cfg: Config) -> float:
    """A surface with its top at lambda1 = 0.1, theta = 0.7."""
    return 50 - 5 * abs(math.log10(cfg.lambda1) + 1) - 20 * abs(cfg.theta - 0.7) - cfg.seed


def train(runs: Path, cfg: Config, run: str) -> None:
    row = Row(run=run, config=to_dict(cfg), metrics={"miou": quality(cfg)}, seconds={"train": 60.0 * cfg.k + cfg.theta})
    save_run(runs, row)


def study(runs: Path, trials: int, space: Any = simple, seeds: tuple[int, ...] = (0,), **more: Any) -> Study:
    base = more.pop("base", BASE)
    draw: Draw = search_spaces.draw_of(space)
    return Study(definition(draw, SearchSettings(trials=trials, **more), base, seeds, space.FIRST), runs)


def definition(
    draw: Draw, settings: SearchSettings, base: Config = BASE, seeds: tuple[int, ...] = (0,), first: Any = ()
) -> StudyDefinition:
    return StudyDefinition(draw, name="s", base=base, seeds=seeds, settings=settings, first=first)


def drive(s: Study) -> list[dict[str, Any]]:
    """Train all that it proposes, one at a time; the settings."""
    while trial := s.take():
        for cfg, run in zip(trial.configs, trial.ids, strict=True):
            train(s.runs, cfg, run)
        s.finish(trial)
    assert s.through
    return [point.values for point, _ in s.result()]


@pytest.mark.parametrize("sampler", [name for name in spaces.SAMPLERS if name != "grid"])
def test_every_sampler_proposes_the_same_in_one_go_and_in_parts(sampler: str, tmp_path: Path) -> None:
    whole = drive(study(tmp_path / "whole", 14, space=joint, sampler=sampler))
    for trials in (3, 12, 14):
        parts = drive(study(tmp_path / "parts", trials, space=joint, sampler=sampler))
    assert parts == whole
    assert whole[0] == joint.FIRST[0]
    assert len({json.dumps(values) for values in whole}) == 14
    other = drive(study(tmp_path / "other", 14, space=joint, sampler=sampler, search_seed=1))
    assert other[1:] != whole[1:]


def test_tpe_finds_the_top_better_than_chance(tmp_path: Path) -> None:
    found = {}
    for sampler in ("tpe", "random"):
        s = study(tmp_path / sampler, 40, sampler=sampler)
        drive(s)
        late = [rows[0].metrics["miou"] for _, rows in s.result()][20:]
        found[sampler] = sum(late) / len(late)
    assert found["tpe"] > found["random"] + 2


def test_a_trial_under_way_when_its_driver_dies_is_taken_up_again(tmp_path: Path) -> None:
    whole = drive(study(tmp_path / "whole", 6))
    s = study(tmp_path / "cut", 6)
    for _ in range(3):
        trial = s.take()
        assert trial
        train(s.runs, trial.configs[0], trial.ids[0])
        s.finish(trial)
    lost = s.take()
    assert lost
    with open(s.path, "ab") as journal:
        journal.write(b'{"op_code": 6, "tri')  # killed in the middle of a line
    again = study(tmp_path / "cut", 6)
    first = again.take()
    assert first and first.point == lost.point and first.optuna.number == lost.optuna.number == 3
    again.requeue()  # as after a crash of the driver's own loop
    assert drive(again) == whole


def test_a_trial_killed_before_it_had_its_setting_gets_it(tmp_path: Path) -> None:
    whole = drive(study(tmp_path / "whole", 3))
    s = study(tmp_path / "cut", 3)
    s.study.ask()  # and nothing else: dead
    assert drive(study(tmp_path / "cut", 3)) == whole


def test_a_failed_trial_is_told_as_failed_with_its_reason(tmp_path: Path) -> None:
    s = study(tmp_path, 2)
    trial = s.take()
    assert trial
    (tmp_path / trial.ids[0]).mkdir()
    (tmp_path / trial.ids[0] / "error.txt").write_text("FloatingPointError: the loss is not finite")
    (row,) = s.finish(trial)
    assert row.error == "FloatingPointError: the loss is not finite"
    assert s.ended[0].state == optuna.trial.TrialState.FAIL and s.ended[0].values is None
    assert s.ended[0].user_attrs["error"] == row.error
    assert s.counts == Counts(failed=1, waiting=1)


def learn(s: Study, trial: Any, scores: list[float]) -> int:
    """Log epochs until the study gives the trial up; how many were logged."""
    folder = s.runs / trial.ids[0]
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for epoch, score in enumerate(scores, start=1):
        lines.append(json.dumps({"epoch": epoch, "seconds": 10.0 * epoch, "miou": score}) + "\n")
        (folder / "curve.jsonl").write_text("".join(lines))
        if s.should_stop(trial):
            return epoch
    return len(scores)


@pytest.mark.parametrize("rule", ["asha", "median"])
def test_a_bad_trial_is_given_up_and_told_as_pruned_with_its_curve(rule: str, tmp_path: Path) -> None:
    s = study(tmp_path, 8, stop_early=rule)
    lengths = []
    for number in range(8):
        trial = s.take()
        assert trial
        good = number != 6
        lengths.append(learn(s, trial, [(5.0 if good else 0.1) * epoch + 0.01 * number for epoch in range(1, 9)]))
        if lengths[-1] == 8:
            train(s.runs, trial.configs[0], trial.ids[0])
        rows = s.finish(trial)
        if number == 6:
            assert rows[0].metrics == {} and rows[0].error == "" and "stopped early after epoch" in rows[0].stopped
            assert len(rows[0].curve) == lengths[6] and rows[0].seconds == {"train": 10.0 * lengths[6]}
    assert lengths[6] < 4 and lengths[7] == 8
    state = optuna.trial.TrialState.PRUNED
    kept = optuna.load_study(
        study_name="s", storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(s.path)))
    ).trials
    assert kept[6].state == state
    assert list(kept[6].intermediate_values) == list(range(1, lengths[6] + 1))
    assert state not in [trial.state for trial in kept if trial.number not in (6,) and lengths[trial.number] == 8]
    assert s.counts.stopped == sum(length < 8 for length in lengths)
    again = study(tmp_path, 8, stop_early=rule)
    assert [bool(rows[0].stopped) for _, rows in again.result()] == [length < 8 for length in lengths]


def test_early_stopping_without_scores_on_the_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--stop-early asha needs scores while training; add --eval-every 1"):
        study(tmp_path, 2, stop_early="asha", base=replace(BASE, eval_every=0))


def test_two_objectives_give_a_front(tmp_path: Path) -> None:
    s = study(tmp_path, 10, space=joint, objectives=("miou", "train_seconds"))
    drive(s)
    assert [direction.name for direction in s.study.directions] == ["MAXIMIZE", "MINIMIZE"]
    best = {trial.number for trial in s.study.best_trials}
    chosen = front(s.result(), s.settings.objectives)
    assert {number for number, (point, _) in enumerate(s.result()) if point in chosen} == best
    assert winner_of(s.result(), "miou") in chosen and winner_of(s.result(), "train_seconds") in chosen
    write_trials(tmp_path / "pocket.jsonl", s.result(), ["k"], s.settings.objectives)
    frame = pd.read_csv(tmp_path / "pocket.trials.csv")
    assert {number - 1 for number in frame.loc[frame["front"], "trial"]} == best and 0 < len(best) < 10


def test_repeated_seeds_are_one_trial_by_their_mean(tmp_path: Path) -> None:
    s = study(tmp_path, 2, seeds=(0, 1, 2))
    drive(s)
    point, rows = s.result()[0]
    assert [row.config["seed"] for row in rows] == [0, 1, 2]
    assert s.ended[0].value == pytest.approx(rows[0].metrics["miou"] - 1)  # seeds score 0, 1 and 2 points less


def test_a_warm_start_knows_what_lies_in_its_space_and_nothing_else(tmp_path: Path) -> None:
    early = tmp_path / "early"
    inside = replace(BASE, lambda1=0.1, lambda2=0.01, theta=0.7)
    others = [
        replace(BASE, lambda1=2.0, lambda2=0.01, theta=0.7),  # outside the range
        replace(inside, epochs=3),
        replace(inside, k=3),  # of another base config
    ]
    for cfg in (inside, replace(inside, seed=1), *others):
        train(early, cfg, identity(cfg))
    train(early, replace(inside, theta=0.8), "ofotherdata0")
    s = study(tmp_path / "late", 3, warm_start=early)
    warm = [trial for trial in s.study.trials if "warm" in trial.user_attrs]
    assert [trial.params for trial in warm] == [{"lambda1": 0.1, "lambda2": 0.01, "theta": 0.7}]
    assert warm[0].value == pytest.approx(49.5)  # mean of two seeds
    assert s.ended == [] and s.counts.waiting == 3
    assert drive(s)[0] == simple.FIRST[0]
    assert len(drive(study(tmp_path / "late", 4, warm_start=early))) == 4  # and is not added again
    with pytest.raises(ValueError, match="--warm-start .*none of its finished runs"):
        study(tmp_path / "none", 3, warm_start=early, base=replace(BASE, batch_size=4))


def test_a_refused_warm_start_is_refused_again_and_leaves_nothing_behind(tmp_path: Path) -> None:
    early, late = tmp_path / "early", tmp_path / "late"
    early.mkdir()
    for _ in range(2):
        with pytest.raises(ValueError, match="--warm-start .*none of its finished runs"):
            study(late, 3, warm_start=early)
    assert [path.stat().st_size for path in late.iterdir()] == [0]
    cfg = replace(BASE, lambda1=0.1, lambda2=0.01, theta=0.7)
    train(early, cfg, identity(cfg))
    s = study(late, 3, warm_start=early, objectives=("miou", "train_seconds"), sampler="nsga2")
    assert [trial.params["lambda1"] for trial in s.study.trials if "warm" in trial.user_attrs] == [0.1]
    assert drive(s)[0] == simple.FIRST[0]


class Killed(BaseException):
    """SIGKILL, as far as the journal sees."""


@pytest.mark.parametrize("step", ["create_study", "add_trial", "enqueue_trial", "set_user_attr"])
def test_a_study_killed_while_it_begins_is_begun_anew(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = tmp_path / "early"
    for theta in (0.6, 0.7, 0.9):
        cfg = replace(BASE, lambda1=0.02, lambda2=0.01, theta=theta)  # the last one is also tried first
        train(early, cfg, identity(cfg))
    whole = study(tmp_path / "whole", 4, warm_start=early)
    assert drive(whole)[0] == simple.FIRST[0]

    owner: Any = optuna if step == "create_study" else optuna.Study
    done = getattr(owner, step)

    def once(*words: Any, **more: Any) -> Any:
        made = done(*words, **more)
        if step == "create_study" and "storage" not in more:  # one in memory, to look at the space
            return made
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, once)
        with pytest.raises(Killed):
            study(tmp_path / "cut", 4, warm_start=early)
    assert (tmp_path / "cut" / "s.journal").stat().st_size > 0
    cut = study(tmp_path / "cut", 4, warm_start=early)
    drive(cut)
    told = [[(t.number, t.params, t.values, t.user_attrs) for t in s.study.trials] for s in (whole, cut)]
    assert told[0] == told[1]


def test_used_up_hours_start_nothing_new_and_the_next_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = study(tmp_path, 5, hours=1.0)
    trial = s.take()
    assert trial and not s.through
    began = s.began
    monkeypatch.setattr("apc.search.study.time.monotonic", lambda: began + 3601)
    assert s.take() is None and not s.through  # one is under way
    train(s.runs, trial.configs[0], trial.ids[0])
    s.finish(trial)
    assert s.through and len(s.ended) == 1
    assert len(drive(study(tmp_path, 5, hours=1.0))) == 5


def test_gpu_hours_are_counted_from_the_rows(tmp_path: Path) -> None:
    s = study(tmp_path, 50, gpu_hours=0.5)
    s.gpus = 2.0
    drive(s)
    assert len(s.ended) == 3  # 6 minutes of two GPUs each: 0.2, 0.4, 0.6 hours
    assert s.gpu_hours == pytest.approx(0.6, abs=0.01)


def test_a_study_goes_on_with_its_own_settings_only(tmp_path: Path) -> None:
    drive(study(tmp_path, 1))

    def refused(**more: Any) -> str:
        with pytest.raises(ValueError, match="begun with other settings") as caught:
            study(tmp_path, 2, **more)
        return str(caught.value)

    assert "epochs was 9, is 2" in refused(base=replace(BASE, epochs=2, frozen_epochs=0))
    assert "seeds was [0], is [0, 1]" in refused(seeds=(0, 1))
    assert "sampler was tpe, is random" in refused(sampler="random")
    assert "search_seed was 0, is 1" in refused(search_seed=1)
    two = SearchSettings(trials=2)
    changed = functools.partial(spaces.suggest, simple.SPACE | {"theta": Real(0.5, 0.9)})
    with pytest.raises(ValueError, match=r"space of theta was FloatDistribution\(high=0.95.*is .*high=0.9,"):
        Study(definition(changed, two), tmp_path)
    wider = functools.partial(spaces.suggest, simple.SPACE | {"epsilon": Real(0.5, 0.9)})
    with pytest.raises(ValueError, match="space of epsilon was absent, is FloatDistribution"):
        Study(definition(wider, two), tmp_path)
    moved = functools.partial(spaces.suggest, simple.SPACE | {"theta": replace(simple.SPACE["theta"], when=ABOVE)})
    with pytest.raises(ValueError, match=r"\(theta was in 64 of 64 settings drawn, is in \d+: its condition is"):
        Study(definition(moved, two, first=simple.FIRST), tmp_path)
    with pytest.raises(ValueError, match=r"FIRST was \[{'lambda1': 0.02.*is \[\]"):
        Study(definition(search_spaces.draw_of(simple), two), tmp_path)


def test_trials_are_left_as_a_table(tmp_path: Path) -> None:
    s = study(tmp_path, 3, space=joint)
    drive(s)
    write_trials(tmp_path / "pocket.jsonl", s.result(), list(joint.SPACE))
    frame = pd.read_csv(tmp_path / "pocket.trials.csv")
    assert "front" not in frame.columns
    assert list(frame.columns[:8]) == ["trial", "pooling", "k", "theta", "lambda1", "lambda2", "epsilon", "seed"]
    assert list(frame["state"]) == ["done"] * 3
    assert frame["miou"].tolist() == pytest.approx([rows[0].metrics["miou"] for _, rows in s.result()])
    assert len(pd.read_parquet(tmp_path / "pocket.trials.parquet")) == 3
