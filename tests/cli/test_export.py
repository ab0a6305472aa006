"""`apc export`: a folder that can be given away, and the way from photographs to it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from printed import scores_in
from refusal import flags, refused
from safetensors import safe_open

from apc.cli.export import FILES
from apc.cli.main import main
from apc.config import plus, pocket, to_dict
from apc.methods.apc import APC
from apc.methods.checkpoint import save_model
from apc.reporting.model_card import at_best_epoch, model_card
from apc.runs.folder import load_run, save_run
from apc.runs.rows import Row


@pytest.fixture
def run(photographs: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run on photographs, trained for two epochs and scored after the first."""
    assert main([*flags(photographs, "--crf", "none"), "--epochs", "2", "--eval-every", "1"]) == 0
    (made,) = (photographs.parent / "runs").iterdir()
    told = capsys.readouterr().out
    for verb in ("eval", "predict", "export"):
        assert f"apc {verb} {made}" in told
    return made


def test_an_exported_model_predicts_and_scores_as_the_run_does(
    run: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    assert main(["export", str(run), "--out", str(model)]) == 0
    assert {p.name for p in model.iterdir()} == FILES
    for place, out in ((run, "a"), (model, "b")):
        words = [str(place), str(photographs), "--out", str(tmp_path / out), "--only", "masks", "--device", "cpu"]
        assert main(["predict", *words]) == 0
    masks = [sorted((p.name, p.read_bytes()) for p in (tmp_path / out / "masks").iterdir()) for out in "ab"]
    assert masks[0] == masks[1] and len(masks[0]) == 12
    scores = []
    for place in (run, model):
        capsys.readouterr()
        assert main(["eval", str(place), "--root", str(photographs), "--device", "cpu"]) == 0
        scores.append(scores_in(capsys.readouterr().out))
    assert scores[0] == scores[1] and scores[0]["miou"] == f"{load_row(run).metrics['miou']:.2f}"


def load_row(run: Path) -> Row:
    row = load_run(run.parent, run.name)
    assert row is not None
    return row


def test_a_hub_reads_the_model_card(run: Path, tmp_path: Path) -> None:
    yaml, hub = pytest.importorskip("yaml"), pytest.importorskip("huggingface_hub")
    assert main(["export", str(run), "--out", str(tmp_path / "model"), "--license", "cc-by-4.0"]) == 0
    text = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc-by-4.0" and front["pipeline_tag"] == "image-segmentation"
    row = load_row(run)
    results = hub.ModelCard(text).data.eval_results
    told = {result.metric_name.split(":")[0]: result.metric_value for result in results}
    protocols = {name: round(value, 2) for name, value in row.metrics.items() if name.endswith("miou")}
    assert told == {name: value for name, value in protocols.items() if name not in ("tune_miou", "held_miou")}
    assert results[0].dataset_name == "photos" and results[0].dataset_revision == row.stamp["data"]
    for word in (row.stamp["commit"], row.stamp["torch"], row.stamp["machine"], "seed 0", "red, blue", row.run):
        assert word in text
    assert all(len(line) <= 120 or line.startswith("|") for line in text.splitlines())


def test_no_path_of_the_machine_is_in_an_export(run: Path, photographs: Path, tmp_path: Path) -> None:
    lists = f'train_list = "{photographs}/train.csv"'
    config = run / "config.toml"
    text = config.read_text().replace('train_list = "train.csv"', lists)
    for name in ("weights", "deeplab_weights"):
        assert f'\n{name} = ""\n' in text
        text = text.replace(f'\n{name} = ""\n', f'\n{name} = "{photographs}/{name}.pth"\n')
    config.write_text(text)
    assert str(photographs) in config.read_text()
    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 0
    for path in (tmp_path / "model").iterdir():
        if path.suffix != ".safetensors":
            assert not re.search(r"(?<![\w.>])/\w+/\w+", path.read_text(encoding="utf-8")), path
    assert '\ndeeplab_weights = "deeplab_weights.pth"\n' in (tmp_path / "model" / "config.toml").read_text()
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as weights:
        assert not (weights.metadata() or {}).get("path")
    assert str(photographs).encode() not in (tmp_path / "model" / "model.safetensors").read_bytes()


def test_the_best_epoch_is_exported_with_its_own_score(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("apc.training.loop.miou", lambda matrix: 98.7654)  # the first epoch is the best
    assert main([*flags(photographs, "--crf", "none"), "--epochs", "2", "--eval-every", "1"]) == 0
    (run,) = (photographs.parent / "runs").iterdir()
    assert main(["export", str(run / "best"), "--out", str(tmp_path / "best model")]) == 0
    assert f"apc predict '{tmp_path}/best model' photos/" in capsys.readouterr().out
    text = (tmp_path / "best model" / "README.md").read_text(encoding="utf-8")
    _, epoch = at_best_epoch(load_row(run))
    assert epoch == 1 and "epoch 1 of 2" in text and "| `miou` | 98.77 |" in text
    assert load_row(run).metrics["miou"] < 98
    assert "patch_miou" not in text


def test_the_card_of_an_exported_apc_plus_says_how_it_was_made(tmp_path: Path) -> None:
    made = replace(plus(pocket()), weights="", seg_loss="balanced")
    row = Row(run="made", config=to_dict(made), metrics={"miou": 50.0}, seconds={}, classes=["background", "ring"])
    save_model(tmp_path / "runs" / row.run, APC(made, 2), made, row.classes)
    save_run(tmp_path / "runs", row)
    assert main(["export", str(tmp_path / "runs" / row.run), "--out", str(tmp_path / "model")]) == 0
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8").replace("\\_", "_")
    assert "APC+, Adaptive Patch Contrast (APC) and then training on its own masks" in card
    assert "the last 3 epochs, in 1 round, from its own masks of the training photographs, refined by the dense" in card
    assert "in the rounds 1 in the place of λ1" in card
    assert "| parts beside the paper's | seg_loss balanced, schedule cosine |" in card


def test_a_foreign_folder_is_left_alone_and_an_earlier_export_is_replaced(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    assert main(["export", str(run), "--out", str(model)]) == 0
    (model / "README.md").write_text("an older card")
    assert main(["export", str(run), "--out", str(model)]) == 0
    assert "an older card" not in (model / "README.md").read_text(encoding="utf-8")
    (model / "notes.txt").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("by hand")
    refused(["export", str(run), "--out", str(tmp_path / "mine")], capsys, "mine", "did not write")
    refused(["export", str(run), "--out", str(run / "new")], capsys, "lies in the run's own folder")
    refused(["export", str(run), "--out", str(run / "best")], capsys, "did not write")
    assert (run / "best" / "model.safetensors").is_file()
    capsys.readouterr()
    refused(["export", str(run), "--out", str(model)], capsys, "model", "did not write")
    refused(["export", str(run), "--out", str(run)], capsys, "did not write")
    assert (model / "notes.txt").read_text() == "mine" and (run / "row.json").is_file()
    (tmp_path / "file").write_text("x")
    refused(["export", str(run), "--out", str(tmp_path / "file")], capsys, "file")
    refused(["export", str(run), "--out", str(tmp_path / "file" / "below")], capsys, "file", "cannot be written")
    refused(["export", str(model), "--out", str(tmp_path / "again")], capsys, "no row.json")
    refused(["export", str(tmp_path), "--out", str(tmp_path / "again")], capsys, "config.toml is missing")
    assert not (tmp_path / "again").exists() and not list(tmp_path.glob(".model*"))


def test_a_run_that_cannot_be_scored_says_so_and_is_exported_all_the_same(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mask in (photographs / "masks").iterdir():
        mask.unlink()
    for choose, score in (("val", "miou"), ("half", "tune_miou")):
        told = "val.csv: no validation image has a mask", f"no epoch can be chosen by {score}; --choose labels chooses"
        refused(flags(photographs, "--choose", choose), capsys, *told)
    assert not (photographs.parent / "runs").exists()
    assert main(flags(photographs, "--eval-every", "1")) == 0
    said = capsys.readouterr()
    assert "no validation image has a mask" in said.out and f"{photographs}/masks" in said.out
    assert "so best/ keeps no epoch; --choose labels keeps the best by image labels" in said.err
    (run,) = (photographs.parent / "runs").iterdir()
    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 0
    text = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "nothing could be scored" in text and "model-index" not in text


def test_scores_of_some_photographs_say_of_how_many(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photographs / "masks" / "photo 9.png").unlink()
    assert main(flags(photographs, "--crf", "none")) == 0
    assert "1 of 4 validation images has no mask" in capsys.readouterr().out


def test_photographs_to_masks_in_three_commands(run: Path, photographs: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 0
    new = tmp_path / "new"
    new.mkdir()
    Image.new("RGB", (90, 70), (200, 30, 30)).save(new / "mine.jpg")
    assert main(["predict", str(tmp_path / "model"), str(new / "mine.jpg"), "--out", str(tmp_path / "out")]) == 0
    with Image.open(tmp_path / "out" / "masks" / "mine.png") as mask:
        assert mask.size == (90, 70)


def test_a_card_of_a_row_of_an_older_version_is_made_too(run: Path) -> None:
    row = load_row(run)
    older = Row(**json.loads(json.dumps(vars(row))) | {"stamp": {}})
    assert "fingerprint `unknown`" in model_card(older, "model")
