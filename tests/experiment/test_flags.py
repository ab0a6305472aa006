"""Flags of an experiment."""

import re

import pytest

from apc.cli.doctor import DoctorFlags
from apc.experiment.definition import Experiment
from apc.experiment.flags import Workers, read_flags, seeds_of
from apc.experiment.main import space_experiment
from apc.runs.scores import CHOOSERS
from experiments import table7_pooling


def test_seeds_are_a_number_or_a_list() -> None:
    assert seeds_of("", 2) == [0, 1]
    assert seeds_of("3", 5) == [0, 1, 2]
    assert seeds_of("0,7", 5) == [0, 7]
    assert seeds_of("3,", 5) == [3]
    with pytest.raises(ValueError, match="different seeds"):
        seeds_of("1,1", 5)
    with pytest.raises(ValueError, match="different seeds"):
        seeds_of(",", 5)


def test_the_help_of_a_search_names_defaults_that_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    def told(experiment: Experiment) -> str:
        with pytest.raises(SystemExit):
            read_flags(experiment, ["--help"])
        return " ".join(capsys.readouterr().out.split())

    of_a_space, of_a_table = told(space_experiment("joint")), told(table7_pooling.EXPERIMENT)
    (default,) = re.findall(r"the vote of 24 settings or more \(default: (\w+)", of_a_space)
    assert default in CHOOSERS
    assert "is seed 3 alone (default: 1)." in of_a_space
    assert "is seed 3 alone (default: 5 on pocket, 3 on folder, 3 on voc, 3 on coco)." in of_a_table


def test_an_address_that_is_empty_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APC_ADDRESS", "")
    assert Workers().address is None and DoctorFlags().address == "local"
