"""Scripts go the whole way under --smoke, from the flags to the page."""

import shutil
import tomllib
from pathlib import Path

import pytest
from script_runs import ROOT, python

from apc.config import from_toml
from apc.runs.rows import load_rows


@pytest.mark.slow
@pytest.mark.parametrize("script", ["grid_lambda", "table7_pooling"])
def test_a_script_goes_the_whole_way_under_smoke(script: str, tmp_path: Path) -> None:
    alone = shutil.copy(ROOT / "experiments" / f"{script}.py", tmp_path)  # as `ray submit` does
    told = python(str(alone), "--smoke", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    reports = tmp_path / "runs" / "smoke" / "reports"
    rows = load_rows(reports / "results" / script / "pocket.jsonl")
    labels = list(dict.fromkeys(row.row for row in rows))
    assert {row.experiment for row in rows} == {script}
    assert all(row.metrics["miou"] > 0 and row.stamp["commit"] for row in rows)
    assert [(row.row, row.config["seed"]) for row in rows] == [(label, seed) for label in labels for seed in (0, 1)]
    for label in labels:
        assert label in (reports / "details" / f"{script}.pocket.md").read_text()
    assert f"done    {labels[0]} seed 0: miou" in told.stdout
    if script == "grid_lambda":
        text = (reports / "results" / script / "pocket.best.toml").read_text()
        means = {label: sum(r.metrics["miou"] for r in rows if r.row == label) for label in labels}
        second = [label for label in labels if not label.endswith("lambda2=0")]
        winner = max(labels, key=lambda label: means[label])
        chosen = tomllib.loads(text)
        assert f"lambda1={chosen['lambda1']:g} lambda2={chosen['lambda2']:g}" == winner and second
        assert from_toml(reports / "results" / script / "pocket.best.toml").num_train == 64
    else:
        assert labels == ["average", "max", "top_k", "adaptive_k"]
    again = python(str(alone), "--smoke", cwd=tmp_path)
    assert "done    " not in again.stdout and f"{len(rows)} runs are done already" in again.stdout
    assert load_rows(reports / "results" / script / "pocket.jsonl") == rows


@pytest.mark.slow
def test_photographs_go_the_whole_way_under_smoke(photographs: Path, tmp_path: Path) -> None:
    small = "--image-size 64 --crf none --batch-size 4 --num-train 8 --num-val 3".split()
    words = ["folder", "--smoke", "--root", "photos", *small, "--seeds", "1"]
    told = python(str(ROOT / "experiments" / "table7_pooling.py"), *words, cwd=photographs.parent)
    assert told.returncode == 0, told.stderr
    assert "no --weights" in told.stderr
    (path,) = (photographs.parent / "runs" / "smoke" / "reports" / "results" / "table7_pooling").glob("*.jsonl")
    rows = load_rows(path)
    assert path.name == "photos.jsonl"
    assert [row.row for row in rows] == ["average", "max", "top_k", "adaptive_k"]
    assert {row.config["root"] for row in rows} == {"photos"}  # a name, not this machine's path
    assert str(photographs.parent) not in path.read_text()


@pytest.mark.slow
def test_apc_search_goes_the_whole_way_under_smoke(tmp_path: Path) -> None:
    told = python("-m", "apc", "search", "simple", "--smoke", "--crf", "none", "--max-concurrent", "1", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    rows = load_rows(tmp_path / "runs" / "smoke" / "reports" / "results" / "space_simple" / "pocket.jsonl")
    (stopped,) = [row for row in rows if row.stopped]  # at the rung of its first epoch, before its second seed
    assert stopped.stopped == "stopped at rung epoch 1 of 2 (halving)" and len(stopped.curve) == 1
    assert [(row.config["seed"], len(row.curve)) for row in rows if not row.stopped] == [(0, 2), (1, 2)]
    assert rows[0].row == "lambda1=0.02 lambda2=0.01 theta=0.9"
    assert (tmp_path / "runs" / "smoke" / "space_simple.pocket.journal").is_file()
