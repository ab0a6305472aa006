"""Every verb from a prepared data set to an exported model that is scored again: VOC, COCO, and real photographs."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from printed import scores_in
from trees import make_coco, make_voc

from apc.cli.export import FILES
from apc.cli.main import main


def chain(dataset: str, root: Path, where: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, object]:
    """Check, train, score at two sizes, predict, export and score the export; what apc eval wrote of the export."""
    assert main(["data", "check", dataset, "--root", str(root)]) == 0
    assert "everything can be used" in capsys.readouterr().out
    words = [
        "train",
        dataset,
        "--root",
        str(root),
        "--runs",
        str(where / "runs"),
        "--encoder",
        "pocket",
        "--weights",
        "",
        "--decoder-blocks",
        "1",
        "3",
        "--image-size",
        "48",
        "--eval-size",
        "48",
        "--batch-size",
        "4",
        "--epochs",
        "1",
        "--frozen-epochs",
        "0",
        "--amp",
        "none",
        "--crf",
        "none",
        "--device",
        "cpu",
    ]
    assert main([*words, *more]) == 0
    trained = scores_in(capsys.readouterr().out)
    (run,) = (where / "runs").iterdir()

    assert main(["eval", str(run), "--sizes", "48", "64", "--device", "cpu"]) == 0
    scored = scores_in(capsys.readouterr().out)
    assert len(scored) == 8 and {f"{name}_48": value for name, value in trained.items()}.items() <= scored.items()

    photographs = sorted((root / ("val2014" if dataset == "coco" else "VOCdevkit/VOC2012/JPEGImages")).iterdir())[:3]
    assert main(["predict", str(run), *map(str, photographs), "--out", str(where / "out"), "--device", "cpu"]) == 0
    for photograph in photographs:
        with Image.open(photograph) as image, Image.open(where / "out/masks" / f"{photograph.stem}.png") as mask:
            assert mask.size == image.size and mask.mode == "P"

    model = where / "model"
    assert main(["export", str(run), "--out", str(model)]) == 0 and {p.name for p in model.iterdir()} == FILES
    capsys.readouterr()
    out = where / "scores.json"
    assert main(["eval", str(model), "--root", str(root), "--out", str(out), "--device", "cpu"]) == 0
    assert scores_in(capsys.readouterr().out) == trained and len(trained) == 4
    told: dict[str, object] = json.loads(out.read_text())
    return told


def test_every_verb_runs_on_voc(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_voc(tmp_path / "voc")
    assert main(["data", "prepare", "voc", "--root", str(root), "--partial"]) == 0
    told = capsys.readouterr().out
    assert "train.csv: 5 train_aug, 2 train" in told and "not whole: train_aug, train, val" in told
    scored = chain("voc", root, tmp_path, capsys)
    assert len(scored["classes"]) == 21 and scored["stamp"]["whole"] is False  # type: ignore[arg-type,index]


def test_every_verb_runs_on_coco(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_coco(tmp_path / "coco")
    assert main(["data", "prepare", "coco", "--root", str(root), "--partial"]) == 0
    assert "train.csv: 4 all, 3 annotated" in capsys.readouterr().out
    scored = chain("coco", root, tmp_path, capsys, "--batch-size", "2")
    assert scored["classes"] == ["background", "person", "traffic_light"]


@pytest.mark.slow
def test_every_verb_runs_on_real_photographs_of_81_classes(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "coco"
    root.mkdir()
    for name in ("annotations", "train2014", "val2014"):
        (root / name).symlink_to(reference / "coco-sample" / name)
    assert main(["data", "prepare", "coco", "--root", str(root), "--partial"]) == 0
    assert "train.csv: 40 all, 40 annotated" in capsys.readouterr().out
    scored = chain("coco", root, tmp_path, capsys, "--num-train", "16", "--num-val", "6")
    assert len(scored["classes"]) == 81  # type: ignore[arg-type]
    for found in scored["protocols"].values():  # type: ignore[attr-defined]
        counts = np.array(found["confusion"])
        assert counts.shape == (81, 81) and counts.sum() > 6 * 100_000
