"""Scripts go the whole way under --smoke, from the flags to the page."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from script_runs import ROOT, python

from apc.config import from_toml
from apc.experiment.main import main, search_space
from apc.flags import reports_folder
from apc.runs.rows import load_rows
from experiments.table7_pooling import EXPERIMENT


def git(*words: str) -> str:
    """What git says; files that whoever runs this has it ignore everywhere count."""
    own = ["git", "-c", "core.excludesFile=", *words]
    return subprocess.run(own, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_main_command_goes_the_whole_way_under_smoke_and_leaves_a_clone_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python experiments/grid_lambda.py --smoke` in a fresh clone: alone at first, then in its place."""
    monkeypatch.delenv("APC_REPORTS", raising=False)
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--shared", str(ROOT), str(clone))
    alone = shutil.copy(ROOT / "experiments" / "grid_lambda.py", tmp_path)  # as `ray submit` does
    told = python(str(alone), "--smoke", cwd=clone)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    reports = clone / "runs" / "smoke" / "reports"
    results = reports / "results" / "grid_lambda"
    rows = load_rows(results / "pocket.jsonl")
    labels = list(dict.fromkeys(row.row for row in rows))
    assert {row.experiment for row in rows} == {"grid_lambda"}
    assert all(row.metrics["miou"] > 0 and row.stamp["commit"] for row in rows)
    assert [(row.row, row.config["seed"]) for row in rows] == [(label, seed) for label in labels for seed in (0, 1)]
    for label in labels:
        assert label in (reports / "details" / "grid_lambda.pocket.md").read_text()
    assert f"done    {labels[0]} seed 0: miou" in told.stdout
    means = {label: sum(r.metrics["miou"] for r in rows if r.row == label) for label in labels}
    second = [label for label in labels if not label.endswith("lambda2=0")]
    winner = max(labels, key=lambda label: means[label])
    chosen = tomllib.loads((results / "pocket.best.toml").read_text())
    assert f"lambda1={chosen['lambda1']:g} lambda2={chosen['lambda2']:g}" == winner and second
    assert from_toml(results / "pocket.best.toml").num_train == 64
    usual = ["--reports", str(reports_folder())]  # where rows and page go without --smoke
    again = python("experiments/grid_lambda.py", "--smoke", *usual, cwd=clone)
    assert again.returncode == 0, again.stderr
    assert "done    " not in again.stdout and f"{len(rows)} runs are done already" in again.stdout
    assert load_rows(clone / "reports" / "results" / "grid_lambda" / "pocket.jsonl") == rows
    assert "*reference* is what the project ships" in (clone / "reports" / "ablation.md").read_text()
    assert git("-C", str(clone), "status", "--porcelain") == ""
    shipped = "reports/reference/results/grid_lambda/pocket.jsonl"
    (clone / shipped).write_text("")
    assert git("-C", str(clone), "status", "--porcelain") == f" M {shipped}\n"  # what is shipped is looked after


@pytest.mark.slow
def test_photographs_go_the_whole_way_under_smoke(
    warm_ray: None, photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photographs.parent)
    small = "--image-size 64 --crf none --batch-size 4 --num-train 8 --num-val 3".split()
    assert main(EXPERIMENT, ["folder", "--smoke", "--root", "photos", *small, "--seeds", "1"]) == 0
    assert "no --weights" in capsys.readouterr().err
    (path,) = Path("runs/smoke/reports/results/table7_pooling").glob("*.jsonl")
    rows = load_rows(path)
    assert path.name == "photos.jsonl"
    assert [row.row for row in rows] == ["average", "max", "top_k", "adaptive_k"]
    assert {row.config["root"] for row in rows} == {"photos"}  # a name, not this machine's path
    assert str(photographs.parent) not in path.read_text()


@pytest.mark.slow
def test_apc_search_goes_the_whole_way_under_smoke(
    warm_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert search_space(["simple", "--smoke", "--crf", "none", "--max-concurrent", "1"]) == 0
    rows = load_rows(tmp_path / "runs" / "smoke" / "reports" / "results" / "space_simple" / "pocket.jsonl")
    paper = [row for row in rows if row.row == "lambda1=0.02 lambda2=0.01 theta=0.9"]  # which goes on in any case
    assert rows[:2] == paper and [(row.config["seed"], len(row.curve)) for row in paper] == [(0, 2), (1, 2)]
    *others, last = rows[2:]
    if last.stopped:  # at the rung of its first epoch, before its second seed, unless it was the better one
        assert not others and last.stopped == "stopped at rung epoch 1 of 2 (halving)" and len(last.curve) == 1
    assert (tmp_path / "runs" / "smoke" / "space_simple.pocket.journal").is_file()
