"""The rules of halving: which rungs there are, and who goes on."""

import math
from dataclasses import replace
from typing import Any

import pytest
from studies import BASE

from apc.search.halving import Member, Rungs, rungs_of, usual_bracket, usual_rungs

THIRDS = Rungs((1, 3, 10), 1 / 3)


def members(*values: float | None, **more: Any) -> list[Member]:
    """A trial a value at epoch 1; one without failed before it."""
    return [
        Member(number, f"run{number}", {} if value is None else {1: value}, value is None, **more)
        for number, value in enumerate(values)
    ]


def numbers(found: list[Member]) -> list[int]:
    return [member.number for member in found]


def test_forty_trials_of_ten_epochs_train_ninety_four() -> None:
    assert THIRDS.plan(40) == [(1, 40), (3, 13), (10, 4)]
    assert THIRDS.total(40) == 40 * 1 + 13 * 2 + 4 * 7 == 94
    assert THIRDS.told(40) == "40 to epoch 1, 13 to epoch 3, 4 to epoch 10"
    assert THIRDS.total(40, seeds=3) == 94 + 4 * 2 * 10  # further seeds of those that are left
    assert THIRDS.total(13, begin=2) == 13 * 2 + 4 * 7
    assert Rungs((2, 10), 0.5).plan(5) == [(2, 5), (10, 2)]


def test_the_last_bracket_has_what_is_left_and_none_is_smaller() -> None:
    eights = Rungs((4, 10), 1 / 4, 8)
    assert [eights.brackets(n) for n in (3, 8, 15, 16, 27)] == [[3], [8], [15], [8, 8], [8, 8, 11]]
    assert THIRDS.brackets(40) == [40]
    assert eights.plan(27) == [(4, 27), (10, 2 + 2 + 3)]
    assert eights.total(27, seeds=2) == 27 * 4 + 7 * (6 + 10)
    assert eights.told(27) == "27 to epoch 4, 7 to epoch 10, in 3 brackets"
    assert (usual_bracket("miou"), usual_bracket("tune_miou"), usual_bracket("border_rule")) == (8, 8, 24)


@pytest.mark.parametrize(
    ("epochs", "frozen", "rungs"),
    [(10, 1, (4, 10)), (15, 2, (6, 15)), (8, 2, (3, 8)), (2, 0, (1, 2)), (2, 1, (2,)), (1, 0, (1,)), (4, 4, (4,))],
)
def test_the_usual_rung_is_at_two_fifths_behind_the_frozen_epochs(
    epochs: int, frozen: int, rungs: tuple[int, ...]
) -> None:
    assert usual_rungs(epochs, frozen) == rungs


@pytest.mark.parametrize(
    ("found", "lower", "on"),
    [
        (members(3.0, 9.0, 5.0, 7.0, 1.0, 2.0), False, [1, 3]),
        (members(3.0, 9.0, 5.0, 7.0, 1.0, 2.0), True, [4, 5]),
        (members(5.0, 5.0, 5.0), False, [0]),
        (members(None, 1.0, None, None, 2.0, None), False, [1, 4]),  # two places of six, for those that are there
        (members(math.nan, 1.0, math.nan), False, [1]),
        (members(8.0), False, [0]),
        (members(None), False, []),
        ([m._replace(run="same") for m in members(9.0, 9.0)] + members(1.0, 2.0, 3.0, 4.0)[2:], False, [0]),
        ([m._replace(run="same") for m in members(None, 9.0)] + members(1.0, 2.0, 3.0, 4.0)[2:], False, [1]),  # again
    ],
)
def test_the_best_share_goes_on(found: list[Member], lower: bool, on: list[int]) -> None:
    assert numbers(THIRDS.best(found, 1, lower)) == on


def test_a_bracket_waits_for_all_of_a_rung_and_only_a_closed_one_goes_on() -> None:
    four = members(1.0, 2.0, 3.0, 4.0)
    late = [*four[:3], four[3]._replace(values={})]
    at = THIRDS.stand(late, closed=False)
    assert (at.rung, numbers(list(at.missing)), at.dropped) == (1, [3], {})
    assert THIRDS.stand(four, closed=False).rung == 1
    on = THIRDS.stand(four, closed=True)
    assert (on.rung, numbers(list(on.missing)), on.dropped) == (2, [3], {0: 1, 1: 1, 2: 1})
    last = THIRDS.stand([*four[:3], four[3]._replace(values={1: 4.0, 3: 9.0})], closed=True)
    assert (last.rung, numbers(list(last.members)), numbers(list(last.missing))) == (3, [3], [3])


def test_a_trial_that_no_rung_can_compare_takes_nobody_s_place() -> None:
    outside = [m._replace(outside=1) if m.number == 0 else m for m in members(None, 1.0, 2.0, 3.0)]
    at = THIRDS.stand(outside, closed=True)
    assert numbers(list(at.members)) == [3] and at.dropped == {1: 1, 2: 1}


@pytest.mark.parametrize(
    ("rungs", "more", "told"),
    [
        ((1, 20), {}, "--rungs 1 20: a run has 9 epochs; the last rung cannot lie beyond them"),
        ((9,), {}, "--stop-early halving: --rungs 9 leaves one rung, where nothing can be given up"),
        ((), {"epochs": 2, "frozen_epochs": 2}, "halving: --epochs 2 with --frozen-epochs 2 leaves one rung"),
    ],
)
def test_rungs_that_cannot_be_are_refused(rungs: tuple[int, ...], more: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        rungs_of(rungs, 1 / 3, 8, replace(BASE, **more))


def test_the_last_rung_is_the_end_of_a_run_whether_it_is_named_or_not() -> None:
    assert rungs_of((2,), 0.5, 8, BASE) == rungs_of((2, 9), 0.5, 8, BASE) == Rungs((2, 9), 0.5, 8)


KEPT = Rungs((1, 3, 10), 1 / 3, kept=1)


def test_what_is_kept_may_be_one_more_at_each_rung() -> None:
    assert KEPT.plan(40) == [(1, 40), (3, 14), (10, 6)]
    assert KEPT.told(40) == "40 to epoch 1, 13 or 14 to epoch 3, 4 to 6 to epoch 10"
    assert KEPT.total(40) == 40 + 14 * 2 + 6 * 7
    assert KEPT.told(1) == "1 to epoch 1, 1 to epoch 3, 1 to epoch 10"
    eights = Rungs((4, 10), 1 / 4, 8, kept=1)
    assert eights.plan(27) == [(4, 27), (10, 3 + 2 + 3)]  # in its first bracket alone
    assert eights.told(27) == "27 to epoch 4, 7 or 8 to epoch 10, in 3 brackets"


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("value", [4.0, math.nan])
def test_what_is_kept_goes_on_beside_the_best_and_only_where_it_has_a_score(value: float, lower: bool) -> None:
    found = members(value, *((5.0, 6.0, 7.0) if not lower else (3.0, 2.0, 1.0)))
    kept = [found[0]._replace(kept=True), *found[1:]]
    assert numbers(KEPT.best(kept, 1, lower)) == [0, 3] and numbers(KEPT.best(found, 1, lower)) == [3]
    failed = [kept[0]._replace(values={}, ended=True), *kept[1:]]
    assert numbers(KEPT.best(failed, 1, lower)) == [3]
