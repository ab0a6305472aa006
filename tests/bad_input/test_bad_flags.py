"""Bad flags, config files and weights: one sentence that names the field and the choices, nothing half-written."""

from pathlib import Path

import pytest
import torch
from refusal import flags, left_below, refused
from safetensors.torch import save_file

from apc.cli.main import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--lamda1", "0.1"], ["--lamda1", "did you mean --lambda1"]),
        (["--nonsense", "1"], ["--nonsense", "--help lists them all"]),
        (["--lamda-1=0.1"], ["--lamda-1", "did you mean --lambda1"]),
        (["--sizes", "64"], ["--sizes", "did you mean --eval-size"]),
        (["--threads", "-1"], ["threads is -1", "0 for a thread a core"]),
        (["--pooling", "maximum"], ["pooling is 'maximum'; choose from average, max, top_k, adaptive_k"]),
        (["--theta", "1.5"], ["theta is 1.5", "between 0 and 1"]),
        (["--epsilon", "0.4"], ["epsilon is 0.4", "between 0.5 and 1"]),
        (["--lambda2", "-1"], ["lambda2"]),
        (["--k", "0"], ["k is 0", "between 1"]),
        (["--k", "six"], ["k is 'six'; it must be a whole number"]),
        (["--epochs", "2", "--frozen-epochs", "3"], ["frozen_epochs is 3", "epochs, which is 2"]),
        (
            ["--method", "vit_pcm", "--epochs", "4", "--stage2-epochs", "4"],
            ["stage2_epochs is 4", "of both stages together"],
        ),
        (["--encoder", "resnet50"], ["encoder is 'resnet50'"]),
        (["--decoder-blocks", "1", "9"], ["decoder_blocks", "blocks 1 to 3"]),
        (["--image-size", "50"], ["image_size is 50", "multiple of the encoder's patch, 8"]),
        (["--eval-size", "50"], ["eval_size is 50", "multiple of the encoder's patch, 8"]),
        (["--num-val", "99"], ["num_val is 99", "4 images"]),
        (["--encoder", "deit_tiny_distilled_patch16_224"], ["encoder", "no plain ViT"]),
        (["--num-train", "99"], ["num_train is 99", "8 images"]),
        (["--device", "cuda:7"], ["cuda:7", "choose from auto, cpu"]),
        (["--weights", "absent.safetensors"], ["absent.safetensors"]),
        (["--config", "absent.toml"], ["absent.toml"]),
        (["--train-list", "absent.csv"], ["absent.csv", "no such file"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags(photographs: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: list[str]) -> None:
    refused(flags(photographs, *words), capsys, *told)
    assert left_below(photographs.parent / "runs") == []


def test_a_root_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(flags(tmp_path / "absent"), capsys, "absent", "no such folder")


def test_weights_of_another_architecture(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = photographs.parent / "other.safetensors"
    save_file({"blocks.0.norm1.weight": torch.zeros(7)}, weights)
    refused(flags(photographs, "--weights", str(weights)), capsys, "other.safetensors", "not weights of pocket")


def test_weights_that_are_no_weights_are_never_unpickled(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("bad.safetensors", "bad.pth"):
        weights = photographs.parent / name
        weights.write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
        refused(flags(photographs, "--weights", str(weights)), capsys, name)
    assert not Path("owned").exists()


def test_a_folder_that_cannot_be_written(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photographs.parent / "runs").write_text("a file")
    refused(flags(photographs), capsys, "runs", "cannot be written")


def test_verbs_and_presets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["trian"], capsys, "'trian'", "train, eval")
    refused(["train", "vox"], capsys, "'vox'", "pocket, folder")
    refused(["eval", "run", "--eval-size", "64"], capsys, "no flag --eval-size; did you mean --sizes?")
    refused(["eval", "run", "--num-workers", "2"], capsys, "no flag --num-workers; did you mean --crf-workers?")
    refused(["predict", "run", "a.jpg", "--out", "o", "--sizes", "64"], capsys, "did you mean --eval-size?")
    refused(["data", "check", "voc", "--rooot", "."], capsys, "did you mean --root?")
    refused(["eval", str(tmp_path)], capsys, str(tmp_path), "config.toml is missing")
    refused(["report", str(tmp_path)], capsys, "results", "no such folder")


def test_help_of_a_verb_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("train", "eval", "status", "report"):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0 and f"usage: apc {verb}" in capsys.readouterr().out


def test_a_config_file_with_a_slip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text("lambda_1 = 0.1\n")
    refused(["train", "--config", str(tmp_path / "a.toml")], capsys, "a.toml", "'lambda_1'", "did you mean lambda1")
    (tmp_path / "c.toml").write_text("decoder_blocks = 3\n")
    refused(["train", "--config", str(tmp_path / "c.toml")], capsys, "decoder_blocks is 3", "whole numbers")
    (tmp_path / "b.toml").write_text("lambda1 = \n")
    refused(["train", "--config", str(tmp_path / "b.toml")], capsys, "b.toml", "not a TOML file")
