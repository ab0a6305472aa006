"""Bad input to the script of an experiment: one sentence, exit code 2, no file, and no search begun."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from script_runs import ROOT, python

import apc.experiment.definition
import apc.experiment.runner
from apc.config import to_dict
from apc.experiment.main import main
from apc.runs.rows import Row
from experiments import grid_lambda, table7_pooling

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
    """Bad input: exit code 2, one line, no file or folder, and no search begun."""
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", lambda run: pytest.fail("the search has begun"))
    before = sorted(place.rglob("*"))
    assert main(experiment, flags) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1
    assert told.err.startswith(f"{experiment.name}: ") and sentence in told.err
    assert sorted(place.rglob("*")) == before


def test_a_search_without_masks_is_refused_and_a_table_is_not(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photographs.parent)
    shutil.rmtree(photographs / "masks")
    sentence = "photos: no validation image has a mask, so miou cannot be chosen by; add --choose labels"
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
    told = python(str(ROOT / "experiments" / "grid_lambda.py"), "--theta", "2", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "grid_lambda: theta is 2.0; it must lie between 0 and 1\n"
