"""The line of a slice: the mean of the trials nearby."""

import pytest

from apc.reporting.searches.figures import nearby_mean


def test_the_mean_of_the_trials_nearby_is_each_ones_own_far_from_the_others_and_their_mean_between_them() -> None:
    x, y = nearby_mean([0.0, 1.0], [10.0, 20.0])
    assert (x[0], x[20], x[-1]) == (0.0, 0.5, 1.0)
    assert [y[0], y[20], y[-1]] == pytest.approx([10.0, 15.0, 20.0], abs=1e-6)


def test_along_a_logarithm_the_middle_is_the_geometric_one() -> None:
    x, y = nearby_mean([0.01, 1.0], [10.0, 20.0], logarithmic=True)
    assert x[20] == pytest.approx(0.1) and y[20] == pytest.approx(15.0)


def test_one_value_has_one_mean() -> None:
    x, y = nearby_mean([6.0, 6.0], [10.0, 20.0])
    assert set(x) == {6.0} and y[0] == pytest.approx(15.0)
