"""The scripts as a user meets them: flags, bad input, --dry-run, and the whole way under --smoke."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import apc.experiment.definition
import apc.experiment.runner
from apc.config import from_dict, from_toml, pocket, to_dict
from apc.experiment.flags import seeds_of
from apc.experiment.main import main, search_space
from apc.experiment.outputs import merged
from apc.runs.folder import save_run
from apc.runs.rows import Row, load_rows, save_rows
from apc.search.plans import Interrupted, points
from apc.training.run import identity
from experiments import grid_lambda, table7_pooling

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__")


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, timeout=400)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_told_at_once(script: str, tmp_path: Path) -> None:
    told = run("-X", "importtime", str(ROOT / "experiments" / f"{script}.py"), "--help", cwd=tmp_path)
    lines = told.stderr.splitlines()
    assert told.returncode == 0 and lines and all(line.startswith("import time:") for line in lines)
    imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}
    assert not imported & {"torch", "ray", "optuna", "timm", "pandas", "matplotlib", "scipy"}
    for word in ("[pocket|folder|voc|coco]", "--smoke", "--help-fields", "the same\ncommand goes on"):
        assert word in told.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_names_its_table_its_command_and_what_to_expect(script: str) -> None:
    source = (ROOT / "experiments" / f"{script}.py").read_text()
    head = source.split('"""')[1]
    assert f"python experiments/{script}.py" in head and "minute" in head and "Expect" in head


FEW = "--num-train 16 --num-val 2"
BAD: list[tuple[str, str]] = [
    ("--sedes 3", "did you mean --seeds?"),
    ("pockt", "there is no preset 'pockt'; choose from pocket, folder, voc, coco (did you mean pocket?)"),
    ("--thteta 0.5", "did you mean --theta?"),
    ("--theta 1.5", "theta is 1.5; it must lie between 0 and 1"),
    ("--theta high", "theta is 'high'; it must be a number"),
    ("--k 0", "k is 0; it must lie between 1"),
    ("--epsilon 0.3", "epsilon is 0.3; it must lie between 0.5 and 1"),
    ("--mce clampd", "did you mean clamped?"),
    ("--theta", "--theta needs a value"),
    ("--pooling max", "varies it itself"),
    ("--seed 3", "use --seeds"),
    ("--seeds many", "give how many"),
    ("--seeds 0", "give how many"),
    ("--config missing.toml", "missing.toml: there is no such file"),
    ("folder", "--root is missing"),
    ("--root photographs", "write folder as the first word"),
    ("folder --root nowhere", "nowhere"),
    ("--num-workers 0", "--num-workers is 0"),
    ("--address 127.0.0.1:1", "no Ray cluster answers there"),
    ("--address ray://127.0.0.1:1", "no Ray cluster answers there"),
    ("--runs taken/runs", "taken/runs: cannot be written"),
    ("--reports taken", "taken: cannot be written"),
    (f"{FEW} --encoder resnet50", "encoder is 'resnet50'"),
    (f"{FEW} --decoder-blocks 1 9", "decoder_blocks is (1, 9)"),
    (f"{FEW} --image-size 50", "image_size is 50"),
    ("--num-train 99999", "num_train is 99999; the training list has 1600 images"),
]


@pytest.mark.parametrize(("flags", "sentence"), BAD, ids=[flags for flags, _ in BAD])
def test_bad_input_is_one_sentence_and_leaves_nothing(
    flags: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    refused([*flags.split(), "--weights="], sentence, tmp_path, monkeypatch, capsys)


PHOTOS = "folder --root photos --encoder pocket --decoder-blocks 1 3 --image-size 48"
BROKEN: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "an image that cannot be decoded": (
        lambda r: (r / "images" / "photo 3.png").write_text("x"),
        "",
        "photo 3.png: the image cannot be decoded",
    ),
    "a mask of another size": (
        lambda r: Image.new("L", (7, 5)).save(r / "masks" / "photo 11.png"),
        "",
        "photo 11.png: the mask is 7x5",
    ),
    "a mask with an unknown class": (
        lambda r: Image.new("L", (49, 51), 9).save(r / "masks" / "photo 11.png"),
        "",
        "the mask has the value 9",
    ),
    "weights of another architecture": (
        lambda r: save_file({"blocks.0.norm1.weight": torch.zeros(7)}, r.parent / "other.safetensors"),
        "--weights other.safetensors",
        "not weights of",
    ),
    "a label that is no class": (
        lambda r: (r / "train.csv").write_text("image,labels\nphoto 1.png,green\n"),
        "",
        "label 'green' is not in",
    ),
    "no timm encoder": (lambda r: None, "--encoder resnet50", "encoder is 'resnet50'"),
    "more images than there are": (lambda r: None, "--num-train 99", "num_train is 99; the training list has 8"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_photographs_and_weights_are_refused_before_ray_starts(
    name: str, photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photographs.parent)
    spoil, more, sentence = BROKEN[name]
    spoil(photographs)
    refused([*PHOTOS.split(), *more.split()], sentence, photographs.parent, monkeypatch, capsys)


def refused(
    flags: list[str],
    sentence: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    experiment: apc.experiment.definition.Experiment = table7_pooling.EXPERIMENT,
) -> None:
    """Bad input: exit code 2, one line, no file, and no search begun."""
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", lambda run: pytest.fail("the search has begun"))
    before = sorted(path for path in place.rglob("*") if path.is_file())
    assert main(experiment, flags) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1
    assert told.err.startswith(f"{experiment.name}: ") and sentence in told.err
    assert sorted(path for path in place.rglob("*") if path.is_file()) == before


def test_a_search_without_masks_is_refused_and_a_table_is_not(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photographs.parent)
    shutil.rmtree(photographs / "masks")
    sentence = "photos: no validation image has a mask, so there is nothing to choose by"
    refused(PHOTOS.split(), sentence, photographs.parent, monkeypatch, capsys, grid_lambda.EXPERIMENT)

    def unscored(run: apc.experiment.runner.ExperimentRun) -> list[Any]:
        assert run.plan
        row = Row(run="a", config=to_dict(run.base), metrics={}, seconds={})
        return [(point, [row]) for point in run.plan.next([])]

    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", unscored)
    assert main(table7_pooling.EXPERIMENT, PHOTOS.split()) == 0
    told = capsys.readouterr().out
    assert "adaptive_k       –\n" in told and "failed" not in told


def test_the_exit_code_reaches_the_shell_without_a_traceback(tmp_path: Path) -> None:
    told = run(str(ROOT / "experiments" / "grid_lambda.py"), "--theta", "2", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "grid_lambda: theta is 2.0; it must lie between 0 and 1\n"


def test_seeds_are_a_number_or_a_list() -> None:
    assert seeds_of("", 2) == [0, 1]
    assert seeds_of("3", 5) == [0, 1, 2]
    assert seeds_of("0,7", 5) == [0, 7]
    with pytest.raises(ValueError, match="different seeds"):
        seeds_of("1,1", 5)


def test_a_dry_run_lists_the_runs_and_starts_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--runs", str(tmp_path / "runs"), "--reports", str(tmp_path / "reports")]
    assert main(grid_lambda.EXPERIMENT, ["--dry-run", "--seeds", "2", "--weights=", *place]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("lambda1=0 lambda2=0 seed 0") and lines[0].startswith("to do")
    assert lines[-1] == "0 runs done, 10 to do, and at most 14 more that depend on their scores"
    assert list(tmp_path.iterdir()) == []


def test_search_names_the_spaces_and_the_nearest_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert search_space([]) == 0
    assert "lambdas, pooling, simple" in capsys.readouterr().out
    assert search_space(["lambads"]) == 2
    assert capsys.readouterr().err == "apc search: there is no search space 'lambads'; did you mean lambdas?\n"


def test_a_knob_that_an_optuna_space_draws_cannot_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert search_space(["simple", "--theta", "0.5"]) == 2
    assert capsys.readouterr().err == "space_simple: --theta: this experiment varies it itself\n"


def test_a_space_is_checked_when_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import search_spaces

    monkeypatch.setattr(search_spaces, "__path__", [*search_spaces.__path__, str(tmp_path)])
    for name, space in (
        ("slip", "def space(trial):\n    return {'lamda1': trial.suggest_float('lamda1', 0, 1)}\n"),
        ("wrong", "FIRST = ({'theta': 2.0},)\ndef space(t):\n    return {'theta': t.suggest_float('theta', 0, 1)}\n"),
    ):
        (tmp_path / f"{name}.py").write_text(space)
    with pytest.raises(ValueError, match="search_spaces/slip.py: there is no field 'lamda1'; did you mean lambda1"):
        search_spaces.load("slip")
    with pytest.raises(ValueError, match="theta is 2.0"):
        search_spaces.load("wrong")


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


def test_a_search_stamps_its_rows_with_how_it_was_searched_and_shares_no_name_with_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = replace(pocket(), weights="", lambda1=0.3)
    row = Row(run=identity(cfg), config=to_dict(cfg), metrics={"tune_miou": 9.0}, seconds={}, stamp={"commit": "c"})
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "prepare", lambda run: None)
    found = [(points([{"lambda1": 0.3}]).points[0], [row])]
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", lambda run: found)
    words = ["--seeds", "1", "--weights=", "--search-seed", "4", "--sampler", "qmc", "--trials", "7"]
    assert search_space(["joint", *words, "--objectives", "tune_miou"]) == 0
    (kept,) = load_rows(Path("reports/results/space_joint/pocket.jsonl"))
    assert kept.stamp == {
        "commit": "c",
        "selection": "half",
        "search": {
            "sampler": "qmc",
            "objectives": ["tune_miou"],
            "search_seed": 4,
            "stop_early": "none",
            "trials": 7,
        },
    }
    assert [path.name for path in Path("reports/results").iterdir()] == ["space_joint"]


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


@pytest.mark.slow
@pytest.mark.parametrize("script", ["grid_lambda", "table7_pooling", "paper_setting"])
def test_a_script_goes_the_whole_way_under_smoke(script: str, tmp_path: Path) -> None:
    alone = shutil.copy(ROOT / "experiments" / f"{script}.py", tmp_path)  # as `ray submit` does
    told = run(str(alone), "--smoke", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    reports = tmp_path / "runs" / "smoke" / "reports"
    rows = load_rows(reports / "results" / script / "pocket.jsonl")
    labels = list(dict.fromkeys(row.row for row in rows))
    assert {row.experiment for row in rows} == {script}
    assert all(row.metrics["miou"] > 0 and row.stamp["commit"] for row in rows)
    assert [(row.row, row.config["seed"]) for row in rows] == [(label, seed) for label in labels for seed in (0, 1)]
    for label in labels:
        assert label in (reports / "ablation.md").read_text()
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
        rows_of = {"table7_pooling": ["average", "max", "top_k", "adaptive_k"], "paper_setting": ["paper's setting"]}
        assert labels == rows_of[script]
    again = run(str(alone), "--smoke", cwd=tmp_path)
    assert "done    " not in again.stdout and f"{len(rows)} runs are done already" in again.stdout
    assert load_rows(reports / "results" / script / "pocket.jsonl") == rows


@pytest.mark.slow
def test_photographs_go_the_whole_way_under_smoke(photographs: Path, tmp_path: Path) -> None:
    small = "--image-size 64 --crf none --batch-size 4 --num-train 8 --num-val 3".split()
    words = ["folder", "--smoke", "--root", "photos", *small, "--seeds", "1"]
    told = run(str(ROOT / "experiments" / "table7_pooling.py"), *words, cwd=photographs.parent)
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
    told = run("-m", "apc", "search", "simple", "--smoke", "--crf", "none", "--max-concurrent", "1", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    rows = load_rows(tmp_path / "runs" / "smoke" / "reports" / "results" / "space_simple" / "pocket.jsonl")
    assert [row.config["seed"] for row in rows] == [0, 1, 0, 1]
    assert rows[0].row == "lambda1=0.02 lambda2=0.01 theta=0.9"
    assert (tmp_path / "runs" / "smoke" / "space_simple.pocket.journal").is_file()
