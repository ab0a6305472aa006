"""Honest verdicts: clear cases, open ones, and at most one false verdict in twenty."""

import math
import random

import pytest

from apc.reporting.verdicts.intervals import More
from apc.reporting.verdicts.judging import judge, judge_best, remark
from apc.reporting.verdicts.sizes import size


def test_verdicts_of_clear_cases() -> None:
    low = {0: 10.0, 1: 11.0, 2: 12.0}
    high = {0: 20.0, 1: 21.5, 2: 22.0}
    assert judge(high, low).outcome == "reproduced"
    assert judge(low, high).outcome == "contradicted"
    assert judge(high, {}).outcome == "pending"


def test_an_open_difference_is_undecided_and_says_how_many_seeds_would_decide() -> None:
    verdict = judge(
        {0: 11.0, 1: 12.0, 2: 13.0}, {0: 10.0, 1: 10.0, 2: 14.0}
    )  # differences 1, 2, -1: mean 2/3, std 1.53
    # the effect lies below 1.12 with 90 %, which needs 8 seeds in all, and may be 0
    assert verdict.outcome == "undecided" and verdict.more_seeds == More(5, None)
    assert remark(verdict) == "2 of 3 seeds agree in sign with the mean; at least 5 more seeds would decide"


def test_a_seed_out_of_line_is_named_with_the_median_and_how_sure_its_interval_is() -> None:
    better = dict(enumerate((4.0, 5.0, 4.5, -12.0, 5.5, 4.2)))
    assert remark(judge(better, dict.fromkeys(range(6), 0.0))) == (
        "5 of 6 seeds agree in sign with the mean; at least 9 more seeds would decide; seed 3 out of line, which a "
        "mean hides: the median is +4.3, and [−12.0, +5.5] holds it in 97 %"
    )


def test_no_verdict_falls_below_the_first_look_where_seeds_are_added_by_verdict() -> None:
    two = {0: 20.0, 1: 20.01}, {0: 10.0, 1: 10.0}
    assert judge(*two).outcome == "reproduced"
    assert judge(*two, fewest=3).outcome == "undecided"
    assert judge(*two, fewest=3).why == "2 of the 3 seeds that it wants"


def test_one_seed_and_identical_rows_decide_nothing() -> None:
    assert judge({0: 50.0}, {0: 10.0}).outcome == "undecided"
    assert "one seed" in remark(judge({0: 50.0}, {0: 10.0}))
    same = judge({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})
    assert (same.outcome, same.why) == ("undecided", "the two rows score the same")


def test_a_difference_that_only_rounding_parts_between_seeds_has_no_spread() -> None:
    worse = {0: 52.1, 1: 58.45, 2: 65.79}
    better = {0: 54.52, 1: 60.87, 2: 68.21}  # 2.42 each, but for the last digit of a float
    assert len({better[seed] - worse[seed] for seed in worse}) > 1
    for one, other in ((better, worse), (worse, better)):
        verdict = judge(one, other)
        assert verdict.outcome == "undecided" and verdict.why.startswith("every seed gives exactly the same difference")
        assert verdict.difference.summary.std == 0 and size(verdict.difference, 1.0, "miou").word == ""
    best = judge_best("a", {"a": better, "b": worse})
    assert (best.outcome, best.open) == ("undecided", ())  # another seed would tell nothing
    shifted = better | {2: 68.2101}
    assert judge(shifted, worse).outcome == "reproduced"


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_of_truly_equal_rows_at_most_five_percent_get_a_verdict(seeds: int) -> None:
    chance, draws = random.Random(seeds), 2000
    drawn = [[{s: chance.gauss(0, 1) for s in range(seeds)} for _ in "ab"] for _ in range(draws)]
    wrong = sum(judge(a, b).outcome != "undecided" for a, b in drawn)
    assert wrong / draws <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / draws)  # 5 % and two standard errors of the count


def test_of_a_truly_best_default_at_most_five_percent_are_called_beaten_though_it_has_many_rivals() -> None:
    chance, draws = random.Random(1), 400
    wrong = 0
    for _ in range(draws):
        points = {str(i): {s: chance.gauss(0, 1) for s in range(3)} for i in range(10)}
        wrong += judge_best("0", points).outcome == "contradicted"
    assert wrong / draws <= 0.05


@pytest.mark.parametrize("rivals", [1, 4])
def test_a_default_that_is_no_better_than_its_rivals_is_called_the_best_in_at_most_five_percent(rivals: int) -> None:
    chance, draws = random.Random(rivals), 1000
    wrong = 0
    for _ in range(draws):
        points = {str(i): {s: chance.gauss(0, 1) for s in range(3)} for i in range(rivals + 1)}
        wrong += judge_best("0", points).outcome == "reproduced"
    assert wrong / draws <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / draws)  # 2.5 % against one rival, fewer against more


def test_the_best_of_several_is_judged_against_each_of_them() -> None:
    points = {"0.02": {0: 40.0, 1: 41.0, 2: 42.1}, "0.1": {0: 30.0, 1: 31.2, 2: 32.0}, "1": {0: 10.0, 1: 11.1, 2: 12.0}}
    assert judge_best("0.02", points).outcome == "reproduced"
    worse = judge_best("0.1", points)
    assert worse.outcome == "contradicted" and "beaten by 0.02" in worse.why
    near = judge_best("0.02", points | {"0.03": {0: 40.5, 1: 40.0, 2: 42.0}})
    assert near.outcome == "undecided" and "not told apart from 0.03" in near.why
    assert judge_best("0.5", points).outcome == "pending"
