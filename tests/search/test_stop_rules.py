"""When a search has had enough, by rules in words."""

from pathlib import Path

import pytest
from studies import drive, study

from apc.experiment.flags import read_flags
from apc.experiment.main import space_experiment
from apc.experiment.settings import settings_of
from apc.runs.rows import Row
from apc.search.stop_rules import StopWhen, stop_when


def trials(*scores: float | None) -> list[list[Row]]:
    """One trial a score, of one seed; None for one that failed."""
    return [
        [Row(run="", config={}, metrics={"miou": value}, seconds={"train": value})]
        if value is not None
        else [Row(run="", config={}, metrics={}, seconds={}, error="failed")]
        for value in scores
    ]


def test_the_words_of_a_rule() -> None:
    assert stop_when("no better in 20") == StopWhen(trials=20)
    assert stop_when("label_rule 70.5") == StopWhen(score="label_rule", value=70.5)


@pytest.mark.parametrize("text", ["no better in 0", "no better", "miou", "miou seventy", "70", "miou 7e1", "miou 70 "])
def test_what_is_no_rule_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"--stop-when is .*; write \"no better in 20\", or a score and a value"):
        stop_when(text)


@pytest.mark.parametrize(
    ("scores", "enough"),
    [
        ([], False),
        ([50, 49, 50], True),  # level is not better
        ([50, 49, 51], False),
        ([50, None, None], True),  # two that failed are none that are better
        ([None, None, None], False),  # nothing is found yet
        ([50, 49, 48, 51, 50], False),
    ],
)
def test_no_better_in_two_trials(scores: list[float | None], enough: bool) -> None:
    assert StopWhen(trials=2).met(trials(*scores), "miou") == enough


def test_a_time_is_better_when_it_is_less() -> None:
    assert not StopWhen(trials=1).met(trials(50, 40), "train_seconds")
    assert StopWhen(trials=1).met(trials(50, 60), "train_seconds")
    assert StopWhen(score="train_seconds", value=45).met(trials(50, 40), "miou")
    assert not StopWhen(score="train_seconds", value=35).met(trials(50, 40), "miou")


def test_a_time_is_reached_by_no_trial_that_was_given_up() -> None:
    given_up = Row(run="", config={}, metrics={}, seconds={"train": 30.0}, stopped="stopped at rung epoch 4 of 10")
    assert not StopWhen(score="train_seconds", value=40).met([[given_up], *trials(50)], "miou")
    assert StopWhen(score="train_seconds", value=40).met([[given_up], *trials(39)], "miou")


def test_a_score_is_reached_by_the_mean_of_the_seeds() -> None:
    two = [[*trials(69)[0], *trials(71)[0]]]
    assert StopWhen(score="miou", value=70).met(two, "miou")
    assert not StopWhen(score="miou", value=70.1).met(two, "miou")
    assert not StopWhen(score="miou", value=1).met([[*trials(69)[0], *trials(None)[0]]], "miou")


def test_a_study_stops_where_the_rule_is_met_and_goes_on_under_another(tmp_path: Path) -> None:
    whole = drive(study(tmp_path / "whole", 12))
    scores = [rows[0].metrics["miou"] for _, rows in study(tmp_path / "whole", 12).result()]
    best = [max(scores[: i + 1]) for i in range(12)]
    stop = next(i + 1 for i in range(3, 12) if best[i] == best[i - 3])  # three in a row that beat nothing
    assert stop < 12
    part = study(tmp_path / "part", 12, stop_when="no better in 3")
    assert drive(part) == whole[:stop] and part.through
    assert drive(study(tmp_path / "part", 12)) == whole


def test_a_score_that_no_run_reports_is_refused_by_name() -> None:
    joint = space_experiment("joint")
    with pytest.raises(ValueError, match=r"--stop-when iou 70: no run reports iou; choose from miou, ") as refused:
        settings_of(joint, read_flags(joint, ["--stop-when", "iou 70"]))
    choices = str(refused.value).partition("choose from ")[2].split(", ")
    assert len(choices) == len(set(choices))
