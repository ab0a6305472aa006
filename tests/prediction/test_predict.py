"""`apc predict`: what lands in the folder, for photographs of every kind."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from predictions import CLASSES, picture, predict, summary

from apc.data.images import decode
from apc.methods.checkpoint import load_model
from apc.prediction import pictures
from apc.prediction.photographs import gather
from apc.prediction.predict import Job
from apc.prediction.predict import predict as predict_all


def test_a_folder_becomes_masks_overlays_heat_maps_a_contact_sheet_and_a_summary(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert predict(model, out, photographs / "images") == 0
    assert "12 photographs" in capsys.readouterr().out
    names = {f"photo {i}" for i in range(12)}
    for kind in ("masks", "overlays", "heatmaps"):
        assert {p.stem for p in (out / kind).iterdir()} == names
    found = set()
    for i in range(12):
        with Image.open(out / "masks" / f"photo {i}.png") as mask:
            assert mask.mode == "P" and mask.size == (60 - i, 40 + i)
            assert mask.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
            found |= set(np.unique(np.asarray(mask)).tolist())
    assert found == {0, 1, 2}
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 1000 and sheet.height > 500
    rows = summary(out)
    assert [Path(row["image"]).stem for row in rows] == sorted(names)
    for row in rows:
        shares = [float(row[f"percent_{name}"]) for name in CLASSES]
        assert sum(shares) == pytest.approx(100, abs=0.02) and 1 / 3 < float(row["confidence"]) <= 1
        assert set(row["classes"].split()) == {n for n, share in zip(CLASSES[1:], shares[1:], strict=True) if share}
        assert (out / row["mask"]).is_file()
    assert not list(out.rglob(".*"))


def test_crf_processes_change_no_file_and_no_row(model: Path, photographs: Path, tmp_path: Path) -> None:
    method, cfg, classes = load_model(model)
    torn = photographs / "images" / "photo 3.png"
    torn.write_bytes(torn.read_bytes()[:2000])
    alone_job = Job(method, replace(cfg, crf="pocket"), classes, "model")
    found = gather([photographs], tmp_path / "alone")
    ticks: list[float] = []
    alone = predict_all(alone_job, found, {}, tmp_path / "alone")
    spread = predict_all(
        replace(alone_job, crf_workers=2), found, {}, tmp_path / "spread", lambda share: ticks.append(share)
    )
    assert spread == alone and sum(ticks) == 12 and len(alone.rows) == 11 and "photo 3.png" in alone.broken[0]
    kinds = ("masks/*.png", "overlays/*.jpg", "heatmaps/*.png", "summary.csv", "contact_sheet.png")
    files = {p.relative_to(tmp_path / "alone") for kind in kinds for p in (tmp_path / "alone").glob(kind)}
    assert len(files) == 3 * 11 + 2
    for file in files:
        assert (tmp_path / "alone" / file).read_bytes() == (tmp_path / "spread" / file).read_bytes(), file


def test_a_photograph_is_turned_as_its_exif_says(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    upright, exif = picture(40, 64), Image.Exif()
    exif[0x0112] = 6
    upright.save(tmp_path / "in" / "upright.png")
    upright.rotate(90, expand=True).save(tmp_path / "in" / "turned.png", exif=exif)
    assert predict(model, tmp_path / "out", tmp_path / "in") == 0
    with Image.open(tmp_path / "out/masks/turned.png") as a, Image.open(tmp_path / "out/masks/upright.png") as b:
        assert a.size == (64, 40) and (np.asarray(a) == np.asarray(b)).all()


KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "cmyk.jpg": lambda p: p.convert("CMYK"),
    "grey.jpg": lambda p: p.convert("L"),
    "sixteen.png": lambda p: Image.fromarray(np.asarray(p.convert("L")).astype(np.uint16) * 257),
    "alpha.png": lambda p: p.convert("RGBA"),
    "palette.gif": lambda p: p.convert("P"),
    "bits.tif": lambda p: p.convert("1"),
    "a row.png": lambda p: p.resize((70, 1)),
    "a column.webp": lambda p: p.resize((1, 70)),
    "a dot.bmp": lambda p: p.resize((1, 1)),
    "Ünï ☃ 猫.v2.jpeg": lambda p: p,
}


def test_photographs_of_any_kind_and_name_get_a_mask_of_their_size(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    sizes = {}
    for name, change in KINDS.items():
        made = change(picture(40, 60))
        made.save(tmp_path / "in" / name)
        sizes[name.rsplit(".", 1)[0]] = made.size
    assert predict(model, tmp_path / "out", tmp_path / "in", "--crf", "pocket") == 0
    for name, size in sizes.items():
        with Image.open(tmp_path / "out" / "masks" / f"{name}.png") as mask:
            assert mask.size == size
        with Image.open(tmp_path / "out" / "overlays" / f"{name}.jpg") as shown:
            assert max(shown.size) >= pictures.SMALLEST  # small ones are enlarged to be seen
    # sixteen bits and eight of the same picture are one photograph
    assert (decode(tmp_path / "in" / "sixteen.png") == np.asarray(picture(40, 60).convert("L").convert("RGB"))).all()


def test_image_labels_rule_other_classes_out(model: Path, photographs: Path, tmp_path: Path) -> None:
    assert predict(model, tmp_path / "red", photographs, "--labels", "red") == 0
    assert {row["classes"] for row in summary(tmp_path / "red")} <= {"red", ""}
    listed = tmp_path / "labels.csv"
    lines = [f"photo {i}.png,{'blue' if i % 2 else 'red blue'}" for i in range(12)]
    listed.write_text("image,labels\n" + "\n".join(lines) + "\n")
    assert predict(model, tmp_path / "listed", photographs, "--labels", listed) == 0
    rows = {Path(row["image"]).stem: row for row in summary(tmp_path / "listed")}
    assert all("red" not in rows[f"photo {i}"]["classes"] for i in (1, 3, 5))
    assert any("red" in rows[f"photo {i}"]["classes"] for i in (0, 2, 4))


def test_the_patch_branch_is_another_mask(model: Path, photographs: Path, tmp_path: Path) -> None:
    assert predict(model, tmp_path / "a", photographs, "--only", "masks") == 0
    assert predict(model, tmp_path / "b", photographs, "--only", "masks", "--branch", "patch") == 0
    same = [(tmp_path / x / "masks" / "photo 0.png").read_bytes() for x in "ab"]
    assert same[0] != same[1]


def test_the_config_of_the_model_is_not_changed_by_a_prediction(model: Path, photographs: Path, tmp_path: Path) -> None:
    before = (model / "config.toml").read_text()
    assert predict(model, tmp_path / "out", photographs, "--eval-size", "64", "--only", "masks") == 0
    assert (model / "config.toml").read_text() == before
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["settings"]["eval_size"] == 64


def test_several_scales_are_shown_and_told(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once, several = tmp_path / "once", tmp_path / "several"
    asked = ("--only", "masks")
    assert predict(model, once, photographs, *asked) == 0
    assert predict(model, several, photographs, *asked, "--multi-scale", "0.5", "1") == 0
    settings = [json.loads((out / "prediction.json").read_text())["settings"] for out in (once, several)]
    assert "multi_scale" not in settings[0] and settings[1]["multi_scale"] == [0.5, 1.0]
    masks = [(out / "masks" / "photo 0.png").read_bytes() for out in (once, several)]
    assert masks[0] != masks[1]
    capsys.readouterr()
    assert predict(model, several, photographs, *asked, "--multi-scale", "0.75", "1") == 2
    assert "multi_scale [0.5, 1.0], not [0.75, 1.0]" in capsys.readouterr().err
    assert predict(model, tmp_path / "bad", photographs, *asked, "--multi-scale", "1", "0.5") == 2
    assert "rising scales" in capsys.readouterr().err and not (tmp_path / "bad").exists()


def test_no_photograph_is_shown_smaller_than_the_network_can_read(model: Path) -> None:
    method, cfg, classes = load_model(model)
    method.encoder.least = 32  # as MiT has it
    with pytest.raises(
        ValueError, match="eval_size is 16; it must be a multiple of the encoder's patch, 8, from 32 up"
    ):
        Job(method, replace(cfg, eval_size=16), classes, "model")
    assert Job(method, replace(cfg, eval_size=32), classes, "model").cfg.eval_size == 32
