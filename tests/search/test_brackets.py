"""Bracket after bracket of a study that halves: idle slots, what is kept, journals of before. Training is made up."""

from pathlib import Path
from typing import Any

import pytest
from studies import advance, arrive, finish, halving, table

from apc.search.run_queue import AtRung
from search_spaces import simple


def test_bracket_after_bracket_lets_the_sampler_see_finished_runs(tmp_path: Path) -> None:
    s, handed = halving(tmp_path, 27, bracket=8, rungs=(4, 10), keep_share=1 / 4, seeds=(0, 1)), list[int]()
    at = {}
    while trial := s.take():
        at[len(handed)] = s.counts.rung
        handed.append(trial.until)
        advance(s, trial)
        s.finish(trial)
    assert handed == [*[4] * 8, 0, 0] * 2 + [*[4] * 11, 0, 0, 0]
    epochs = (8 * 4 + 2 * (6 + 10), 11 * 4 + 3 * (6 + 10))
    assert at[0] == AtRung("bracket 1 of 3, rung 1 of 2: 0 of 8 at epoch 4", 0, 0, (2 * epochs[0] + epochs[1]) / 10)
    assert at[10].told == "bracket 2 of 3, rung 1 of 2: 0 of 8 at epoch 4" and at[10].left == sum(epochs) / 10
    assert at[32].told == "bracket 3 of 3, rung 2 of 2: 1 of 3 at epoch 10"
    assert s.rungs.total(27, seeds=2) == 2 * epochs[0] + epochs[1]
    assert s.rungs.told(27) == "27 to epoch 4, 7 to epoch 10, in 3 brackets"
    assert table(halving(tmp_path, 27, bracket=8, rungs=(4, 10), keep_share=1 / 4, seeds=(0, 1))) == table(s)


@pytest.mark.parametrize("slots", [1, 3])
def test_with_a_setting_that_is_kept_nothing_else_changes(slots: int, tmp_path: Path) -> None:
    how: dict[str, Any] = {"bracket": 8, "rungs": (4, 10), "keep_share": 1 / 4, "seeds": (0, 1), "sampler": "random"}
    s, trained, running, left = halving(tmp_path, 27, first=simple.FIRST, **how), list[tuple[str, int]](), [], []
    while not s.through:
        while len(running) < slots and (trial := s.take()):
            running.append(trial)
        if at := s.counts.rung:
            left.append(at.trained + round(10 * at.left))
        trained += advance(s, trial := running.pop(0))
        s.finish(trial)
    epochs = 2 * (8 * 4 + 2 * (6 + 10)) + 11 * 4 + 3 * (6 + 10)
    assert len(trained) == len(set(trained)) == epochs + 6 + 10  # of the paper's setting, which has no place
    assert left[0] == s.rungs.total(27, seeds=2) == epochs + 16
    plain = halving(tmp_path / "plain", 27, first=simple.FIRST, **how)
    finish(plain)
    assert table(s) == table(plain) == table(halving(tmp_path, 27, first=simple.FIRST, **how))


def test_what_an_earlier_version_gave_up_stays_so_and_counts_as_such(tmp_path: Path) -> None:
    how: dict[str, Any] = {"first": simple.FIRST, "rungs": (4, 10), "keep_share": 1 / 4}
    s = halving(tmp_path, 9, **how)
    s.rungs = s.brackets.rungs = s.rungs._replace(kept=0)
    for _ in range(9):
        arrive(s)
    last = s.take()  # one of the two that go on
    assert last
    advance(s, last)
    s.finish(last)
    s = halving(tmp_path, 9, **how)
    at = s.counts.rung
    assert at and (at.told, at.spared) == ("rung 2 of 2: 1 of 2 at epoch 10", 7 * 6)
    finish(s)
    assert s.result()[0][1][0].stopped and s.through


def test_idle_slots_begin_the_next_bracket_and_its_numbers_are_the_same(tmp_path: Path) -> None:
    s = halving(tmp_path, 24, bracket=8, rungs=(4, 10), sampler="random")
    first = [trial for _ in range(8) if (trial := s.take())]
    further = s.take()
    assert further and further.until == 4  # nobody has arrived, and the ninth is of the second bracket
    for trial in [*first, further]:
        advance(s, trial)
        s.finish(trial)
    assert [s.take().until for _ in range(3)] == [0, 0, 0]  # a third of eight, and not of nine
    alone = halving(tmp_path / "alone", 24, bracket=8, rungs=(4, 10), sampler="random")
    finish(alone)
    finish(s := halving(tmp_path, 24, bracket=8, rungs=(4, 10), sampler="random"))
    assert table(s) == table(alone)


def test_finalists_of_the_last_bracket_wait_for_none_of_the_brackets_before(tmp_path: Path) -> None:
    s = halving(tmp_path, 16, bracket=8, rungs=(4, 10), keep_share=1 / 4, sampler="random")
    for _ in range(8):
        arrive(s)
    finalists = [s.take(), s.take()]
    assert [trial.until for trial in finalists if trial] == [0, 0]
    for _ in range(8):
        arrive(s)
    last = [s.take(), s.take()]
    assert [trial.until for trial in last if trial] == [0, 0]
    assert s.take() is None and not s.through
    for trial in [*finalists, *last]:
        assert trial
        advance(s, trial)
        s.finish(trial)
    assert s.through and s.take() is None
    alone = halving(tmp_path / "alone", 16, bracket=8, rungs=(4, 10), keep_share=1 / 4, sampler="random")
    finish(alone)
    assert table(s) == table(alone)


@pytest.mark.parametrize(("one", "then"), [(1, 9), (9, 1)])
def test_a_study_of_one_trial_goes_on_with_more_and_one_of_more_with_one(one: int, then: int, tmp_path: Path) -> None:
    trained = finish(halving(tmp_path, one))
    assert one == 9 or len(trained) == 10
    s = halving(tmp_path, then)
    assert bool(finish(s)) == (then > one) and len(s.ended) == 9


def test_a_search_of_one_bracket_of_before_goes_on_in_brackets(tmp_path: Path) -> None:
    s = halving(tmp_path, 24)
    for _ in range(10):
        trial = s.take()
        assert trial
        advance(s, trial)
        s.finish(trial)
    settings = {key: value for key, value in s.study.user_attrs["settings"].items() if key != "bracket"}
    s.study.set_user_attr("settings", settings)  # as a journal of before has them
    s = halving(tmp_path, 24, bracket=8)
    assert s.take().until == 3 and len(s.brackets.stands()[0].members) == 3  # ten are one bracket, fourteen the next
    finish(halving(tmp_path, 24, bracket=8))
    assert [len(numbers) for name, numbers in s.study.user_attrs.items() if name.startswith("bracket ")] == [10, 14]
