"""The files that an experiment leaves beside its rows."""

import csv
from pathlib import Path

from apc.escaping import from_csv
from apc.experiment.outputs import write_trials
from apc.runs.rows import Row
from apc.search.plans import Point


def test_no_cell_of_the_trials_is_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    rows = [
        Row(run="=1+1", config={"seed": 0}, metrics={"miou": -0.5}, seconds={"train": 2.0}),
        Row(run="b", config={"seed": 1}, metrics={}, seconds={}, error="-cmd|' /C calc'!A0"),
    ]
    point = Point("theta=0.25", {"weights": "@SUM(A1)", "theta": 0.25})
    write_trials(tmp_path / "pocket.jsonl", [(point, rows)], ["weights", "theta"])
    with open(tmp_path / "pocket.trials.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["run"], first["weights"], first["theta"], first["miou"]) == ("'=1+1", "'@SUM(A1)", "0.25", "-0.5")
    assert (second["reason"], from_csv(second["reason"])) == ("'-cmd|' /C calc'!A0", "-cmd|' /C calc'!A0")
    assert (first["trial"], first["seed"], first["epochs"], second["miou"]) == ("1", "0", "0", "")
