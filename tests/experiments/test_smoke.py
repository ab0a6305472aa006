"""The whole way in small: a script under --smoke, and photographs without masks from the search to their masks."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from PIL import Image
from script_runs import ROOT, python

from apc.cli.main import main as cli
from apc.config import from_toml
from apc.flags import reports_folder
from apc.runs.folder import load_runs
from apc.runs.rows import load_rows


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
    details = (reports / "details" / "grid_lambda.pocket.md").read_text()
    assert all(part in details for part in (*labels, "its numbers mean nothing", "grid_lambda.py --smoke\n"))
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
@pytest.mark.usefixtures("sketched", "warm_ray")
def test_photographs_without_masks_are_searched_trained_and_predicted(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/how-to/own-photographs.md says, with halving and a race."""
    monkeypatch.chdir(photographs.parent)
    shutil.rmtree(photographs / "masks")
    small = "--encoder pocket --decoder-blocks 1 3 --image-size 48 --batch-size 4 --epochs 2 --frozen-epochs 0"
    few = "--crf none --trials 4 --keep-share 0.5 --race 2 --race-seeds 2"
    search = f"search joint folder --root photos --choose labels {few} {small}"
    assert cli(search.split()) == 0
    told = capsys.readouterr()
    assert "no --weights" in told.err
    path = Path("reports/results/space_joint_by_labels/photos.jsonl")
    rows = load_rows(path)
    searched, raced = ([row for row in rows if ("race" in row.stamp) == of_race] for of_race in (False, True))
    assert len(searched) == 4 and not searched[0].stopped  # the paper's setting goes on in any case
    assert {row.stopped for row in searched} == {"", "stopped at rung epoch 1 of 2 (halving)"}
    assert sorted(row.config["seed"] for row in raced) == [100, 100, 101, 101] and not any(row.error for row in rows)
    done = [row for row in rows if not row.stopped]
    assert all(row.stamp["selection"] == "labels" and "miou" not in row.metrics for row in done)
    assert {row.config["root"] for row in rows} == {"photos"}  # a name, not this machine's path
    assert str(photographs.parent) not in path.read_text()

    (train,) = re.findall(r"the best setting; `apc (train [^`]+)` trains it", told.out)
    assert cli([*train.split(), "--runs", "again"]) == 0
    (run,) = Path("again").iterdir()
    chosen, (there,) = load_runs(Path("again"))[0], [row for row in searched if row.run == run.name]
    assert chosen.metrics == there.metrics

    photos = sorted((photographs / "images").iterdir())
    assert cli(["predict", str(run), *map(str, photos), "--out", "chosen", "--only", "masks"]) == 0
    for photo in photos:
        with Image.open(photo) as image, Image.open(Path("chosen/masks") / f"{photo.stem}.png") as mask:
            assert mask.size == image.size and mask.mode == "P"
