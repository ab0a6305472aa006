"""Flags of an experiment."""

import pytest

from apc.experiment.flags import seeds_of


def test_seeds_are_a_number_or_a_list() -> None:
    assert seeds_of("", 2) == [0, 1]
    assert seeds_of("3", 5) == [0, 1, 2]
    assert seeds_of("0,7", 5) == [0, 7]
    with pytest.raises(ValueError, match="different seeds"):
        seeds_of("1,1", 5)
