"""Exact statistics: values of the tables and hand-worked ones."""

import math

import pytest

from apc.reporting.verdicts.intervals import (
    Median,
    More,
    apart,
    median,
    more_seeds,
    paired,
    power,
    seeds_for,
    summary,
    t_quantile,
)


def test_summary_of_1_2_3_is_the_hand_worked_one() -> None:
    s = summary([1.0, 2.0, 3.0])
    half = 4.302652729911275 / math.sqrt(3)  # t(0.975; 2) from a table: 4.3027
    assert (s.n, s.mean, s.std) == (3, 2.0, 1.0)
    assert s.low == pytest.approx(2 - half, abs=1e-9) and s.high == pytest.approx(2 + half, abs=1e-9)


def test_one_value_has_a_mean_and_no_spread_and_none_has_nothing() -> None:
    one, none = summary([5.0, math.nan]), summary([])
    assert (one.n, one.mean) == (1, 5.0) and math.isnan(one.std) and math.isnan(one.low)
    assert none.n == 0 and math.isnan(none.mean)


def test_t_quantiles_are_those_of_the_tables() -> None:
    assert t_quantile(1) == pytest.approx(12.7062, abs=1e-4)
    assert t_quantile(4) == pytest.approx(2.7764, abs=1e-4)
    assert t_quantile(4, level=0.99) == pytest.approx(4.6041, abs=1e-4)


def test_paired_takes_common_seeds_only_and_counts_the_signs() -> None:
    p = paired({0: 5.0, 1: 7.0, 2: 4.0, 9: 1.0}, {0: 4.0, 1: 4.0, 2: 5.0, 8: 1.0})
    assert p.differences == {0: 1.0, 1: 3.0, 2: -1.0}
    assert (p.summary.n, p.summary.mean, p.summary.std, p.agree) == (3, 1.0, 2.0, 2)


def test_seeds_for_a_standardised_difference_are_those_of_the_power_tables() -> None:
    assert [seeds_for(d) for d in (1.0, 0.8, 0.5)] == [10, 15, 34]  # paired t test, two-sided 5 %, power 80 %
    assert seeds_for(-1.0) == 10 and seeds_for(0.0) is None and seeds_for(0.001) is None
    assert power(1.0, 10) == pytest.approx(0.8031, abs=1e-4)


def test_the_median_lies_between_numbers_that_hold_it_exactly_as_often_as_said() -> None:
    assert median([3.0, 1.0, 2.0]) == Median(3, 2.0, 1.0, 3.0, 0.75)  # 1 - 2/8: all above it, or all below
    assert median(map(float, range(6))) == Median(6, 2.5, 0.0, 5.0, 1 - 2 / 64)
    assert median(map(float, range(9))) == Median(9, 4.0, 1.0, 7.0, 1 - 20 / 512)  # 2 (1 + 9) of 2^9 tosses
    assert median([5.0, math.nan]).level == 0.0 and median([]).n == 0


def test_a_seed_stands_apart_beyond_two_and_a_half_deviations_and_three_points_of_four_or_more() -> None:
    assert apart({0: 48.0, 1: 49.0, 2: 48.5, 3: 49.5, 4: 32.0}) == [4]
    assert apart({0: 48.0, 1: 49.0, 2: 32.0}) == [] == apart({0: 40.0, 1: 40.0, 2: 40.0, 3: 40.0, 4: 42.0})


def test_seeds_to_come_are_a_range_that_a_wide_effect_leaves_open() -> None:
    near = summary([4.0, 5.0, 1.0])  # t = 2.77 of the 4.30 it would need
    assert more_seeds(near) == More(1, None) and str(more_seeds(near)) == "at least 1 more seed"
    many = summary([0.5 + (-1.0) ** s for s in range(16)])  # 0.48 deviations, known to 0.3
    found = more_seeds(many)
    assert found == More(1, 100 if found is None else found.most)
    assert str(More(4, 60)) == "4 to 60 more seeds" and str(More(1, 1)) == "1 more seed"
    assert more_seeds(summary([(-1.0) ** s + s / 1e6 for s in range(400)])) is None
