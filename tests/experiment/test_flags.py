"""Flags of an experiment."""

import pytest

from apc.cli.doctor import DoctorFlags
from apc.experiment.flags import Workers, seeds_of


def test_seeds_are_a_number_or_a_list() -> None:
    assert seeds_of("", 2) == [0, 1]
    assert seeds_of("3", 5) == [0, 1, 2]
    assert seeds_of("0,7", 5) == [0, 7]
    assert seeds_of("3,", 5) == [3]
    with pytest.raises(ValueError, match="different seeds"):
        seeds_of("1,1", 5)
    with pytest.raises(ValueError, match="different seeds"):
        seeds_of(",", 5)


def test_an_address_that_is_empty_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APC_ADDRESS", "")
    assert Workers().address is None and DoctorFlags().address == "local"
