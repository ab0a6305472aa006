"""A study that halves, without Ray: what it trains, what it proposes, what it survives. Training is made up."""

import functools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from studies import TEN, advance, finish, halving, quality, study, table, train

from apc.config import from_dict
from apc.runs.compared import END
from apc.runs.folder import RunFolder
from apc.runs.status import status
from apc.search.halving import SHARE
from apc.search.run_queue import AtRung
from apc.search.spaces import Choice, Real
from apc.search.study import Study
from search_spaces import joint, simple


def test_nine_trials_train_twenty_two_epochs_of_ninety_and_none_twice(tmp_path: Path) -> None:
    s = halving(tmp_path)
    trained = finish(s)
    assert len(trained) == len(set(trained)) == 9 * 1 + 3 * 2 + 1 * 7 == 22
    ends = Counter(rows[0].stopped or "done" for _, rows in s.result())
    first, second = "stopped at rung epoch 1 of 10 (halving)", "stopped at rung epoch 3 of 10 (halving)"
    assert ends == {first: 6, second: 2, "done": 1}
    firsts = [quality(from_dict(point.values, TEN)) for point, _ in s.result()]
    lengths = [len(rows[0].curve) for _, rows in s.result()]
    assert lengths[firsts.index(max(firsts))] == 10
    assert sorted(firsts, reverse=True)[:3] == sorted((q for q, n in zip(firsts, lengths, strict=True) if n > 1))[::-1]
    assert {RunFolder(tmp_path / rows[0].run).rule() for _, rows in s.result()} == {first, second, ""}
    assert Counter(trial.state.name for trial in s.ended) == {"PRUNED": 8, "COMPLETE": 1}
    assert table(halving(tmp_path)) == table(s)


class Killed(BaseException):
    """SIGKILL, as far as the journal sees."""


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2", "qmc"])
def test_a_study_killed_again_and_again_comes_to_the_same(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = halving(tmp_path / "whole", 12, space=joint, sampler=sampler)
    epochs = finish(whole)
    assert len({json.dumps(point.values) for point, _ in whole.result()}) == 12
    told, writes, trained = optuna.storages.JournalStorage.set_trial_state_values, 0, list[tuple[str, int]]()

    def some(*words: Any, **more: Any) -> Any:
        nonlocal writes
        done = told(*words, **more)
        writes += 1
        if writes % 3 == 0:  # after a trial was told or begun
            raise Killed
        return done

    monkeypatch.setattr(optuna.storages.JournalStorage, "set_trial_state_values", some)
    for step in range(200):
        try:
            s = halving(tmp_path / "parts", 12, space=joint, sampler=sampler)
            if (trial := s.take()) is None:
                break
            if step % 4 != 1:  # else it is killed before it trains
                trained += advance(s, trial)
            if step % 4 > 1:  # else before it is told
                s.finish(trial)
        except Killed:
            pass
    s = halving(tmp_path / "parts", 12, space=joint, sampler=sampler)
    assert s.through and table(s) == table(whole)
    assert sorted(trained) == sorted(epochs) and len(set(trained)) == len(trained)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2", "qmc"])
def test_a_first_setting_outside_its_range_ends_no_search(sampler: str, tmp_path: Path) -> None:
    s = halving(
        tmp_path, 12, space=joint, sampler=sampler, base=replace(TEN, image_size=32), first=joint.FIRST
    )  # K: 2 to 4
    finish(s)
    tried = [point.values.get("k", 2) for point, _ in s.result()]
    assert tried[0] == 6 and all(2 <= k <= 4 for k in tried[len(joint.FIRST) :])


def test_tpe_learns_from_the_first_rung(tmp_path: Path) -> None:
    late = {}
    for sampler in ("tpe", "random"):
        s = halving(tmp_path / sampler, 40, sampler=sampler)
        for _ in range(40):
            trial = s.take()
            assert trial and trial.until == 1  # no trial has ended, at no time
            advance(s, trial)
            s.finish(trial)
        finish(s)
        late[sampler] = sum(quality(from_dict(point.values, TEN)) for point, _ in s.result()[20:]) / 20
    assert late["tpe"] > late["random"] + 2


def test_a_failed_trial_leaves_its_place(tmp_path: Path) -> None:
    s = halving(tmp_path, 6)
    for number in range(6):
        trial = s.take()
        assert trial
        if number in (0, 1, 2):
            (tmp_path / trial.ids[0]).mkdir()
            (tmp_path / trial.ids[0] / "error.txt").write_text("FloatingPointError: the loss is not finite\n")
            assert s.finish(trial)[0].error == "FloatingPointError: the loss is not finite"
        else:
            advance(s, trial)
            assert s.finish(trial) == []
    trained = finish(s)
    assert Counter(epoch for _, epoch in trained)[3] == 2  # a third of six, though three are left
    assert Counter(trial.state.name for trial in s.ended) == {"FAIL": 3, "PRUNED": 2, "COMPLETE": 1}


def test_further_seeds_are_trained_of_those_that_are_left_alone(tmp_path: Path) -> None:
    s = halving(tmp_path, 9, seeds=(0, 1, 2))
    trained = finish(s)
    assert len(trained) == len(set(trained)) == 22 + 2 * 10
    done = [rows for _, rows in s.result() if not rows[0].stopped]
    assert [[row.config["seed"] for row in rows] for rows in done] == [[0, 1, 2]]
    assert {row.config["seed"] for _, rows in s.result() for row in rows if row.stopped} == {0}


def test_what_was_trained_before_without_rungs_is_taken_as_it_is_and_takes_no_place(tmp_path: Path) -> None:
    first = halving(tmp_path / "elsewhere").take()
    assert first
    train(tmp_path / "here", first.configs[0], first.ids[0])
    s = halving(tmp_path / "here", 7)
    trained = finish(s)
    assert first.ids[0] not in {run for run, _ in trained}
    assert Counter(epoch for _, epoch in trained) == {1: 6} | dict.fromkeys((2, 3), 2) | dict.fromkeys(range(4, 11), 1)
    assert [rows[0].run for _, rows in s.result() if not rows[0].stopped][0] == first.ids[0]


def test_a_setting_proposed_twice_is_trained_once(tmp_path: Path) -> None:
    s = halving(tmp_path, 6, first=simple.FIRST)
    s.study.enqueue_trial(simple.FIRST[0])  # which is tried first anyway
    trained = finish(s)
    assert len(trained) == len(set(trained)) == 5 * 1 + 3 * 2 + 2 * 7  # two places and the first, which is kept
    assert table(halving(tmp_path, 6, first=simple.FIRST)) == table(s)


def test_the_setting_tried_first_goes_on_whatever_it_scores_and_takes_nobody_s_place(tmp_path: Path) -> None:
    s, counted = halving(tmp_path, 9, first=simple.FIRST), []
    while trial := s.take():
        at = s.counts.rung
        assert at
        counted.append(at.trained + round(10 * at.left))
        advance(s, trial)
        s.finish(trial)
    (paper, (row,)), *others = s.result()
    assert paper.values == simple.FIRST[0] and len(row.curve) == 10 and not row.stopped
    scores = {point.label: quality(from_dict(point.values, TEN)) for point, _ in s.result()}
    assert sorted(scores.values())[-3] > scores[paper.label]  # the rungs would have given it up
    lengths = [len(rows[0].curve) for _, rows in others]
    assert sorted(lengths) == [1] * 5 + [3] * 2 + [10]  # a third goes on, and it beside them
    assert sum(lengths) + 10 == 31 <= max(counted)
    assert table(halving(tmp_path, 9, first=simple.FIRST)) == table(s)


def test_more_trials_are_a_bracket_of_their_own(tmp_path: Path) -> None:
    assert len(finish(halving(tmp_path, 9))) == 22
    s = halving(tmp_path, 15)
    assert len(finish(s)) == 6 + 2 * 2 + 7
    assert Counter(trial.state.name for trial in s.ended) == {"PRUNED": 13, "COMPLETE": 2}


def test_hours_end_the_first_rung_where_the_later_ones_need_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s, now = halving(tmp_path, 40, hours=1.0), 0.0
    began = s.began
    monkeypatch.setattr("apc.search.study.time.monotonic", lambda: began + now)
    trained = []
    while trial := s.take():
        epochs = advance(s, trial)
        trained += epochs
        now += 100.0 * len(epochs)  # 36 epochs in an hour
        s.finish(trial)
    assert s.through
    assert Counter(epoch for _, epoch in trained)[1] == 14  # of which five go on, and of these two: 14 + 10 + 14 epochs
    assert now == 3800.0
    again = halving(tmp_path, 40, hours=1.0)
    assert again.take() is not None  # the next call goes on, with trials of a bracket of its own


def test_gpu_hours_count_what_waits_at_a_rung(tmp_path: Path) -> None:
    s = halving(tmp_path, 40, gpu_hours=0.0099)  # 36 s, and an epoch takes two seconds of one GPU
    s.gpus = 1.0
    trained = finish(s)
    assert Counter(epoch for _, epoch in trained)[1] == 7 and len(trained) == 7 + 2 * 2 + 7
    assert s.gpu_hours == pytest.approx(36 / 3600)


def test_hours_are_kept_for_what_goes_on_while_slots_are_idle(tmp_path: Path) -> None:
    s = halving(tmp_path, 40, rungs=(4, 10), keep_share=1 / 5, gpu_hours=200 / 3600)  # 100 epochs of two seconds
    s.gpus = 1.0
    handed = list[int]()
    while at_once := [trial for _ in range(9) if (trial := s.take())]:
        handed += [trial.until for trial in at_once]
        for trial in at_once:
            advance(s, trial)
            s.finish(trial)
    assert s.through and handed == [4] * 23 + [0] * 5  # 92 epochs and 30, and no further bracket beside the five


def test_trials_under_way_are_none_that_are_no_better(tmp_path: Path) -> None:
    s = halving(tmp_path, 40, sampler="random", stop_when="no better in 5")
    first = s.take()
    assert first
    advance(s, first)
    s.finish(first)
    assert all(s.take() for _ in range(9))


@pytest.mark.parametrize("cut", [False, True])
def test_settings_shorter_than_a_rung_train_to_their_own_end_and_take_no_place(cut: bool, tmp_path: Path) -> None:
    space = SimpleNamespace(
        SPACE={"epochs": Choice((2, 10)), "lambda1": Real(0.01, 1.0)}, FIRST=({"epochs": 2, "lambda1": 0.1},)
    )
    more: dict[str, Any] = {"space": space, "rungs": (4, 10), "keep_share": 1 / 5, "sampler": "random"}
    s = halving(tmp_path, 16, **more)
    while trial := s.take():
        if cut and not trial.point.label.startswith("epochs=10"):
            s = halving(tmp_path, 16, **more)  # killed before it trained
            trial = s.take()
            assert trial
        advance(s, trial)
        s.finish(trial)
    rows = [row for _, (row,) in s.result()]
    ends = Counter((row.config["epochs"], len(row.curve), bool(row.stopped), bool(row.error)) for row in rows)
    long = sum(row.config["epochs"] == 10 for row in rows)
    on = round(long / 5)
    assert 0 < long < 16 and s.through
    assert ends == {(2, 2, False, False): 16 - long, (10, 4, True, False): long - on, (10, 10, False, False): on}


def test_no_better_in_so_many_trials_is_asked_at_the_first_rung(tmp_path: Path) -> None:
    s = halving(tmp_path, 40, sampler="random", stop_when="no better in 5")
    trained = finish(s)
    scores = [quality(from_dict(point.values, TEN)) for point, _ in s.result()]
    assert scores.index(max(scores)) == len(scores) - 6 < 34
    assert Counter(epoch for _, epoch in trained)[10] >= 1


def test_where_it_is_and_what_it_saved_is_told(tmp_path: Path) -> None:
    s, told = halving(tmp_path, 9, seeds=(0, 1)), list[Any]()
    while trial := s.take():
        told.append(s.counts.rung)
        advance(s, trial)
        s.finish(trial)
    assert told[0] == AtRung("rung 1 of 3: 0 of 9 at epoch 1", trained=0, spared=0, left=(22 + 10) / 10)
    assert told[4].told == "rung 1 of 3: 4 of 9 at epoch 1" and told[4].left == (22 + 10 - 4) / 10
    assert told[9] == AtRung("rung 2 of 3: 0 of 3 at epoch 3", trained=9, spared=6 * 19, left=(6 + 7 + 10) / 10)
    assert told[12].told == "rung 3 of 3: 0 of 1 at epoch 10" and told[12].spared == 6 * 19 + 2 * 17
    assert s.counts.rung is None and (s.counts.done, s.counts.stopped) == (2, 16)


def test_a_trial_that_waits_at_a_rung_says_so_to_another_shell(tmp_path: Path) -> None:
    s = halving(tmp_path)
    trial = s.take()
    assert trial
    advance(s, trial)
    s.finish(trial)
    told = status(tmp_path)
    assert "1 waiting" in told and "waits at rung epoch 1 of 10 (halving)" in told


def test_a_study_goes_on_with_its_own_rungs_only_and_journals_without_rungs_stay_valid(tmp_path: Path) -> None:
    halving(tmp_path / "halved", 9).take()
    for more, told in (
        ({"rungs": (2, 10)}, r"rungs was \[1, 3, 10\], is \[2, 10\]"),
        ({"keep_share": 0.5}, "keep_share was 0.33.*, is 0.5"),
        ({"bracket": 8}, "bracket was 100, is 8"),
        ({"stop_early": "none", "rungs": (), "keep_share": SHARE, "bracket": None}, "stop_early was halving, is none"),
    ):
        with pytest.raises(ValueError, match=told):
            halving(tmp_path / "halved", 9, **more)
    halving(tmp_path / "halved", 9, rungs=(1, 3))  # the end is always one
    plain = study(tmp_path / "plain", 3, base=TEN)
    assert not {"rungs", "keep_share", "bracket"} & plain.study.user_attrs["settings"].keys()


def test_values_that_change_as_trials_come_in_are_what_a_sampler_is_shown(tmp_path: Path) -> None:
    def proposals(name: str, rescored: Any) -> list[dict[str, Any]]:
        s = study(tmp_path / name, 24)
        s.rescored = rescored and functools.partial(rescored, s)
        while trial := s.take():
            train(s.runs, trial.configs[0], trial.ids[0])
            s.finish(trial)
        return [point.values for point, _ in s.result()]

    def values(s: Study, epoch: int) -> dict[int, float]:
        return {trial.number: trial.values[0] for trial in s.ended} if epoch == END else {}

    plain = proposals("plain", None)
    assert proposals("same", values) == plain
    upside_down = proposals("other", lambda s, epoch: {n: -value for n, value in values(s, epoch).items()})
    assert upside_down[:10] == plain[:10] and upside_down[10:] != plain[10:]
