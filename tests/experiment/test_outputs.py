"""What an experiment leaves: rows beside those of earlier calls, trials, the front, best.toml."""

import csv
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from studies import drive, study

import apc.experiment.runner
from apc.cli.train import read_flags
from apc.config import from_dict, pocket, to_dict
from apc.escaping import from_csv
from apc.experiment.main import main
from apc.experiment.outputs import front, merged, winner_of, write_trials
from apc.files import write_atomically
from apc.runs.folder import RunFolder, save_run
from apc.runs.rows import Row, load_rows, save_rows
from apc.runs.scores import RECIPE_VERSION
from apc.search.plans import Interrupted, Point
from apc.training.run import identity
from experiments import grid_lambda, table7_pooling, table9_cosine
from search_spaces import joint

pytestmark = pytest.mark.usefixtures("sketched")


def test_two_objectives_give_a_front(tmp_path: Path) -> None:
    s = study(tmp_path, 10, space=joint, objectives=("miou", "train_seconds"))
    drive(s)
    assert [direction.name for direction in s.study.directions] == ["MAXIMIZE", "MINIMIZE"]
    best = {trial.number for trial in s.study.best_trials}
    chosen = front(s.result(), s.settings.objectives)
    assert {number for number, (point, _) in enumerate(s.result()) if point in chosen} == best
    assert winner_of(s.result(), "miou") in chosen and winner_of(s.result(), "train_seconds") in chosen
    write_trials(tmp_path / "pocket.jsonl", s.result(), ["k"], s.settings.objectives)
    frame = pd.read_csv(tmp_path / "pocket.trials.csv")
    assert {number - 1 for number in frame.loc[frame["front"], "trial"]} == best and 0 < len(best) < 10


def test_trials_are_left_as_a_table(tmp_path: Path) -> None:
    s = study(tmp_path, 3, space=joint)
    drive(s)
    write_trials(tmp_path / "pocket.jsonl", s.result(), list(joint.FIRST[0]))
    frame = pd.read_csv(tmp_path / "pocket.trials.csv")
    assert "front" not in frame.columns
    assert list(frame.columns[:8]) == ["trial", "pooling", "k", "theta", "lambda1", "lambda2", "epsilon", "seed"]
    assert list(frame["state"]) == ["done"] * 3
    assert frame["miou"].tolist() == pytest.approx([rows[0].metrics["miou"] for _, rows in s.result()])
    assert len(pd.read_parquet(tmp_path / "pocket.trials.parquet")) == 3


def made(label: str, seed: int, miou: float = 0.0, run: str = "", error: str = "") -> Row:
    metrics = {} if error else {"miou": miou}
    return Row(run=run or f"{label}{seed}", config={"seed": seed}, metrics=metrics, seconds={}, row=label, error=error)


def test_rows_of_earlier_calls_stay_and_a_failure_replaces_no_score() -> None:
    earlier = [made("a", 0, 1.0), made("a", 1, 2.0), made("b", 0, 3.0), made("b", 1, error="lost"), made("z", 0, 4.0)]
    new = [made("b", 1, 5.0), made("b", 0, error="lost"), made("a", 0, 6.0), made("a", 1, 7.0, run="other epochs")]
    assert [(row.row, row.config["seed"], row.metrics.get("miou")) for row in merged(earlier, new, ["a", "b"])] == [
        ("a", 0, 6.0),
        ("a", 1, 2.0),
        ("a", 1, 7.0),
        ("b", 0, 3.0),
        ("b", 1, 5.0),
        ("z", 0, 4.0),
    ]


def test_a_call_of_fewer_seeds_or_one_that_is_interrupted_loses_no_committed_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = ["average", "max", "top_k", "adaptive_k"]
    committed = [made(label, seed, 40.0, run=f"old {label} {seed}") for label in labels for seed in range(5)]
    file = Path("reports/results/table7_pooling/pocket.jsonl")
    save_rows(file, committed)
    base = replace(pocket(), weights="")
    for label in labels[1:]:
        cfg = from_dict({"pooling": label}, base)
        row = Row(run=identity(cfg), config=to_dict(cfg), metrics={"miou": 50.0}, seconds={})
        save_run(Path("runs"), row)
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "prepare", lambda run: None)

    def interrupted(run: apc.experiment.runner.ExperimentRun) -> list[Any]:
        raise Interrupted(run.queue().result())

    words = ["--seeds", "1", "--weights="]
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", interrupted)
    assert main(table7_pooling.EXPERIMENT, words) == 130
    rows = load_rows(file)
    assert len(rows) == 23 and all(old in rows for old in committed)
    assert list(dict.fromkeys(row.row for row in rows)) == labels

    def failed(run: apc.experiment.runner.ExperimentRun) -> list[Any]:
        (point, *_) = run.queue().plan.next([])
        lost = Row(run="lost", config=to_dict(base), metrics={}, seconds={}, error="FloatingPointError: nan")
        return [(point, [lost]), *run.queue().result()]

    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", failed)
    assert main(table7_pooling.EXPERIMENT, words) == 1
    assert [row.error for row in load_rows(file) if row.run == "lost"] == ["FloatingPointError: nan"]
    assert len(load_rows(file)) == 24


def test_an_interrupted_search_leaves_best_toml_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    best = Path("reports/results/grid_lambda/pocket.best.toml")
    best.parent.mkdir(parents=True)
    best.write_text("lambda1 = 0.1\n")
    cfg = replace(pocket(), weights="", lambda1=0.0, lambda2=0.0)
    save_run(Path("runs"), Row(run=identity(cfg), config=to_dict(cfg), metrics={"miou": 9.0}, seconds={}))
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "prepare", lambda run: None)

    def interrupted(run: apc.experiment.runner.ExperimentRun) -> list[Any]:
        raise Interrupted(run.queue().result())

    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", interrupted)
    assert main(grid_lambda.EXPERIMENT, ["--seeds", "1", "--weights="]) == 130
    assert best.read_text() == "lambda1 = 0.1\n"
    assert len(load_rows(best.with_name("pocket.jsonl"))) == 1


def test_an_interrupted_search_writes_what_was_measured_on_its_runs_and_measures_nothing_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        cfg = replace(from_dict(next(iter(table9_cosine.ROWS.values())), replace(pocket(), weights="")), seed=seed)
        save_run(Path("runs"), Row(run=identity(cfg), config=to_dict(cfg), metrics={"miou": 9.0}, seconds={}))
        if seed == 0:
            known = {"metrics": {"inter_cosine": 30.0}, "protocol": RECIPE_VERSION, "commit": "c", "device": "cpu"}
            write_atomically(RunFolder(Path("runs") / identity(cfg)).measured("cosine"), json.dumps(known))
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "prepare", lambda run: None)

    def interrupted(run: apc.experiment.runner.ExperimentRun) -> list[Any]:
        raise Interrupted(run.queue().result())

    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", interrupted)
    assert main(table9_cosine.EXPERIMENT, ["--seeds", "2", "--weights="]) == 130
    rows = load_rows(Path("reports/results/table9_cosine/pocket.jsonl"))
    assert [row.metrics for row in rows] == [{"miou": 9.0, "inter_cosine": 30.0}, {"miou": 9.0}]
    assert "not measured" not in capsys.readouterr().err


def test_a_search_says_where_its_best_setting_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    row = Row(run="a", config=to_dict(pocket()), metrics={"miou": 9.0}, seconds={})
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "prepare", lambda run: None)
    found = [(Point("a", {"lambda1": 0.1}), [row])]
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", lambda run: found)
    assert main(grid_lambda.EXPERIMENT, ["--seeds", "1", "--weights="]) == 0
    best = "reports/results/grid_lambda/pocket.best.toml"
    said = f"{best}: the best setting; `apc train pocket --config {best}` trains it"
    assert said in capsys.readouterr().out.splitlines() and Path(best).is_file()


def test_the_command_that_a_search_prints_trains_its_best_setting_from_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my vit.pth").write_bytes(b"weights")
    row = Row(run="a", config=to_dict(pocket()), metrics={"miou": 9.0}, seconds={})
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "prepare", lambda run: None)
    found = [(Point("a", {"lambda1": 0.1}), [row])]
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", lambda run: found)
    assert main(grid_lambda.EXPERIMENT, ["--seeds", "1", "--weights", "my vit.pth", "--runs", "other runs"]) == 0
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "the best setting" in line]
    cfg, flags = read_flags(shlex.split(said.split("`")[1])[2:])
    assert (cfg.weights, cfg.lambda1, flags.runs) == ("my vit.pth", 0.1, Path("other runs"))


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
