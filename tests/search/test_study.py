"""The Optuna study without Ray: what it proposes, what it survives, what it tells. Runs are faked by writing rows."""

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from studies import BASE, definition, drive, study, train

import search_spaces
from apc.search import search_settings, spaces
from apc.search.run_queue import Counts
from apc.search.search_settings import SearchSettings
from apc.search.spaces import Above, Real, When
from apc.search.study import Study
from apc.training.run import identity
from search_spaces import joint, simple

ABOVE: When = {"lambda1": Above(0.1)}


@pytest.mark.parametrize("sampler", [name for name in search_settings.SAMPLERS if name != "grid"])
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
    shutil.rmtree(tmp_path / trial.ids[0])  # or another command works there, which has removed its error.txt
    again = study(tmp_path, 2).result()
    assert [rows[0].error for _, rows in again] == [row.error] and not (tmp_path / trial.ids[0]).exists()


def test_repeated_seeds_are_one_trial_by_their_mean(tmp_path: Path) -> None:
    s = study(tmp_path, 2, seeds=(0, 1, 2))
    drive(s)
    point, rows = s.result()[0]
    assert [row.config["seed"] for row in rows] == [0, 1, 2]
    assert s.ended[0].value == pytest.approx(rows[0].metrics["miou"] - 1)  # seeds score 0, 1 and 2 points less


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


@pytest.mark.parametrize("kill", [7, 8])
@pytest.mark.parametrize("rungs", [(), (4, 9)])
def test_a_study_killed_between_two_knobs_of_a_setting_draws_the_same(
    rungs: tuple[int, ...], kill: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more: dict[str, Any] = {"stop_early": "halving" if rungs else "none", "rungs": rungs}
    more["base"] = replace(BASE, eval_every=0)

    def known(runs: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        return [(t.params, t.user_attrs["values"]) for t in study(runs, 6, **more).study.trials]

    whole = study(tmp_path / "whole", 6, **more)
    assert all(whole.take() for _ in range(6))
    storage, written = optuna.storages.JournalStorage, 0
    done = storage.set_trial_param

    def some(*words: Any, **how: Any) -> Any:
        nonlocal written
        done(*words, **how)
        written += 1
        if written == kill:
            raise KeyboardInterrupt  # which a space lets pass

    with monkeypatch.context() as patch:
        patch.setattr(storage, "set_trial_param", some)
        s = study(tmp_path / "cut", 6, **more)
        with pytest.raises(KeyboardInterrupt):
            _ = [s.take() for _ in range(6)]
    cut = study(tmp_path / "cut", 6, **more)
    while len(cut.study.trials) < 6 or cut.interrupted:
        assert cut.take()
    assert known(tmp_path / "cut") == known(tmp_path / "whole") and len(known(tmp_path / "cut")) == 6


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


@pytest.mark.parametrize("enough", [{"gpu_hours": 0.1}, {"stop_when": "miou 1"}])
def test_trials_under_way_when_their_driver_dies_end_though_there_is_enough(
    enough: dict[str, Any], tmp_path: Path
) -> None:
    s = study(tmp_path, 9, **enough)
    s.gpus = 2.0
    trials = [s.take() for _ in range(3)]
    assert trials[1]
    train(s.runs, trials[1].configs[0], trials[1].ids[0])
    s.finish(trials[1])  # 6 minutes of two GPUs
    assert s.take() is None
    s.study.ask()  # which has no setting yet
    again = study(tmp_path, 9, **enough)
    again.gpus = 2.0
    assert again.enough and not again.through
    assert len(drive(again)) == 3 and [trial.number for trial in again.ended] == [0, 1, 2]


def test_gpu_hours_are_counted_from_the_rows(tmp_path: Path) -> None:
    s = study(tmp_path, 50, gpu_hours=0.5)
    s.gpus = 2.0
    drive(s)
    assert len(s.ended) == 3  # 6 minutes of two GPUs each: 0.2, 0.4, 0.6 hours
    assert s.gpu_hours == pytest.approx(0.6, abs=0.01)


def test_a_setting_proposed_twice_is_counted_once_in_gpu_hours(tmp_path: Path) -> None:
    s = study(tmp_path, 3, gpu_hours=10.0)
    s.gpus = 2.0
    s.study.enqueue_trial(simple.FIRST[0])  # which is tried first anyway
    drive(s)
    assert len({row.run for _, rows in s.result() for row in rows}) == 2
    assert len(s.ended) == 3 and s.gpu_hours == pytest.approx(0.4, abs=0.01)  # 6 minutes of two GPUs each


def test_seeds_behind_one_that_failed_were_not_started_and_are_not_called_lost(tmp_path: Path) -> None:
    s = study(tmp_path, 1, seeds=(0, 1, 2))
    trial = s.take()
    assert trial
    train(s.runs, trial.configs[0], trial.ids[0])
    (tmp_path / trial.ids[1]).mkdir()
    (tmp_path / trial.ids[1] / "error.txt").write_text("FloatingPointError: loss is nan\n")
    rows = s.finish(trial)
    assert [row.error for row in rows] == ["", "FloatingPointError: loss is nan"]
    assert s.result()[0][1] == rows and not (tmp_path / trial.ids[2]).exists()
    assert s.ended[0].state.name == "FAIL" and s.ended[0].user_attrs["error"] == "FloatingPointError: loss is nan"


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
        Study(definition(search_spaces.draw_of(simple, BASE), two), tmp_path)
