"""`apc predict`: what lands in the folder, for photographs of every kind, and what is refused."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from refusal import left_below, refused

from apc.cli.main import main
from apc.config import pocket
from apc.data.images import decode
from apc.data.masks import palette
from apc.data.transforms import as_floats, squash
from apc.methods.apc import APC
from apc.methods.checkpoint import load_model, save_model
from apc.methods.registry import build
from apc.models.crf import CRF, crf_labels
from apc.prediction import pictures, segment
from apc.prediction.photographs import gather
from apc.prediction.predict import Job
from apc.prediction.predict import predict as predict_all
from apc.prediction.segment import Segmenter

CLASSES = ["background", "red", "blue"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that names every class somewhere."""
    torch.manual_seed(0)
    cfg = replace(pocket(), weights="", image_size=48, crf="none")
    method = build(cfg, len(CLASSES))
    assert isinstance(method, APC)
    with torch.no_grad():
        method.decoder.classify.weight *= 20
        method.classifier.weight *= 20
    save_model(tmp_path_factory.mktemp("run"), method, cfg, CLASSES)
    return tmp_path_factory.getbasetemp() / "run0"


def predict(model: Path, out: Path, *words: str | Path) -> int:
    return main(["predict", str(model), *map(str, words), "--out", str(out), "--device", "cpu"])


def summary(out: Path) -> list[dict[str, str]]:
    with open(out / "summary.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)


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
    assert not list(out.rglob("*.part"))


def test_masks_are_the_labels_that_eval_scores(model: Path) -> None:
    method, cfg, _ = load_model(model)
    photo = np.asarray(picture(50, 70))
    with torch.no_grad():
        image = as_floats(squash(photo, 48)[None], "cpu")
        p = method.predict(image)["decoder"][0]
    full = torch.nn.functional.interpolate(p[None], size=(50, 70), mode="bilinear", align_corners=False)[0].numpy()
    made = Segmenter(method, cfg)(photo)
    assert (made.labels == full.argmax(0)).all() and made.confidence == pytest.approx(full.max(0).mean(), abs=1e-6)
    refined = Segmenter(method, replace(cfg, crf="pocket"))(photo).labels
    assert (refined == crf_labels(photo, full, CRF["pocket"])).all() and (refined != made.labels).any()


def test_the_crf_sees_a_large_photograph_smaller_and_its_mask_is_as_large_as_ever(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, cfg, _ = load_model(model)
    photo, crf = np.asarray(picture(120, 160)), replace(cfg, crf="pocket")
    whole = Segmenter(method, crf)(photo).labels
    seen = []
    monkeypatch.setattr(segment, "CRF_PIXELS", 120 * 160 // 4)
    monkeypatch.setattr(
        segment,
        "dense_crf",
        lambda image, p, q: seen.append(image.shape) or p,  # type: ignore[func-returns-value]
    )
    half = Segmenter(method, crf)(photo).labels
    assert seen == [(60, 80, 3)] and half.shape == (120, 160)
    assert (half == whole).mean() > 0.7


def test_crf_processes_change_no_file_and_no_row(model: Path, photographs: Path, tmp_path: Path) -> None:
    from apc.methods.checkpoint import load_model

    method, cfg, classes = load_model(model)
    torn = photographs / "images" / "photo 3.png"
    torn.write_bytes(torn.read_bytes()[:2000])
    alone_job = Job(method, replace(cfg, crf="pocket"), classes, "model")
    found = gather([photographs], tmp_path / "alone")
    ticks: list[int] = []
    alone = predict_all(alone_job, found, {}, tmp_path / "alone")
    spread = predict_all(replace(alone_job, crf_workers=2), found, {}, tmp_path / "spread", lambda: ticks.append(1))
    assert spread == alone and len(ticks) == 12 and len(alone.rows) == 11 and "photo 3.png" in alone.broken[0]
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


def test_two_photographs_never_share_a_name(tmp_path: Path) -> None:
    for name in ("one/a.png", "one/a.jpg", "one/sub/a.png", "two/a.jpg", "two/B.png", "one/b.png", "three/one/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(3, 4).save(tmp_path / name)
    given = [tmp_path / "one", tmp_path / "two", tmp_path / "three" / "one", tmp_path / "one" / "a.png"]
    found = gather(given, tmp_path / "out")
    assert [p.relative for p in found] == ["a.jpg", "a.png", "b.png", "sub/a.png", "B.png", "a.jpg", "b.png"]
    names = ["one/a.jpg", "a.png", "one/b.png", "sub/a", "two/B.png", "two/a.jpg", "one/b.png (2)"]
    assert [p.name for p in found] == names


def test_what_is_no_photograph_is_passed_over_and_a_data_set_means_its_images(photographs: Path) -> None:
    (photographs / "images" / "notes.txt").write_text("x")
    (photographs / "images" / ".hidden.png").write_text("x")
    assert len(gather([photographs], photographs / "out")) == 12
    shutil.copytree(photographs / "images", photographs / "images" / "out" / "masks")
    assert len(gather([photographs / "images"], photographs / "images" / "out")) == 12


def test_the_same_command_predicts_only_what_is_new(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    before = APC.predict
    monkeypatch.setattr(APC, "predict", lambda self, x, *more: seen.append(len(x)) or before(self, x, *more))
    out, images = tmp_path / "out", photographs / "images"
    assert predict(model, out, images) == 0 and len(seen) == 12
    first = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert predict(model, out, images) == 0 and len(seen) == 12
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == first
    (out / "overlays" / "photo 4.jpg").unlink()
    picture(30, 30).save(images / "photo 7.png")
    text = (out / "summary.csv").read_text()
    (out / "summary.csv").write_text(text[:-20])  # as a power cut leaves it: the last row is torn
    assert predict(model, out, images) == 0 and len(seen) == 15
    assert len(summary(out)) == 12
    with Image.open(out / "masks" / "photo 7.png") as mask:
        assert mask.size == (30, 30)


def test_a_folder_never_mixes_two_settings(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(model), str(photographs), "--out", str(tmp_path / "out"), "--only", "masks"]
    assert main(words) == 0
    before = summary(tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"masks", "summary.csv", "prediction.json"}
    capsys.readouterr()
    refused([*words, "--crf", "pocket"], capsys, "out", "crf none, not pocket", "another --out")
    refused([*words, "--eval-size", "64"], capsys, "eval_size 48, not 64")
    assert summary(tmp_path / "out") == before
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["settings"]["branch"] == "decoder"


def test_a_second_command_adds_to_a_folder_and_replaces_no_other_photograph(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one/a.png", "one/b.png", "two/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(20, 30).save(tmp_path / name)
    out = tmp_path / "out"
    assert predict(model, out, tmp_path / "one" / "a.png") == 0 == predict(model, out, tmp_path / "one" / "b.png")
    assert [row["mask"] for row in summary(out)] == ["masks/b.png", "masks/a.png"]
    capsys.readouterr()
    words = ["predict", str(model), str(tmp_path / "two"), "--out", str(out)]
    refused(words, capsys, "masks/a.png", "one/a.png", "another --out")


def test_a_folder_of_other_files_is_left_alone(
    model: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((p, p.read_bytes()) for p in photographs.rglob("*") if p.is_file())
    words = ["predict", str(model), str(photographs / "images"), "--out"]
    refused([*words, str(photographs)], capsys, "photos", "did not write")
    assert sorted((p, p.read_bytes()) for p in photographs.rglob("*") if p.is_file()) == before
    refused([*words, str(photographs / "classes.txt")], capsys, "classes.txt", "cannot be written")


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


def test_image_labels_with_a_slip_are_named(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(model), str(photographs), "--out", str(tmp_path / "out"), "--labels"]
    refused([*words, "red green"], capsys, "labels", "'green'", "red, blue")
    refused([*words, str(tmp_path / "absent.csv")], capsys, "absent.csv")
    listed = tmp_path / "labels.csv"
    listed.write_text("image,labels\nphoto 1.png,red\nphoto 2.png,cat\n")
    refused([*words, str(listed)], capsys, "labels.csv, line 3", "'cat'")
    listed.write_text("image,labels\nphoto 1.png,red\n")
    refused([*words, str(listed)], capsys, "labels.csv", "11 of 12 photographs", "photo 0.png")
    listed.write_text("file,labels\n")
    refused([*words, str(listed)], capsys, "image,labels", "file,labels")
    assert left_below(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--eval-size", "50"], ["eval_size is 50", "multiple of the encoder's patch, 8"]),
        (["--crf", "best"], ["crf is 'best'", "choose from none, vit_pcm"]),
        (["--device", "cuda:7"], ["cuda:7", "choose from auto, cpu"]),
        (["--threads", "-1"], ["threads is -1"]),
        (["--branch", "other"], ["branch", "other"]),
        (["--only", "masques"], ["only", "masques"]),
        (["--thraeds", "2"], ["did you mean --threads"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_flags_with_a_slip(
    model: Path,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: list[str],
) -> None:
    refused(["predict", str(model), str(photographs), "--out", str(tmp_path / "out"), *words], capsys, *told)
    assert left_below(tmp_path / "out") == []


def test_what_is_not_there_or_no_image_is_named_before_anything_is_written(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    refused(["predict", str(model), str(tmp_path / "absent"), *out], capsys, "absent", "no such file or folder")
    refused(["predict", str(tmp_path), str(photographs), *out], capsys, str(tmp_path), "config.toml is missing")
    refused(["predict", str(model), *out], capsys, "images: none is named")
    (tmp_path / "empty").mkdir()
    refused(["predict", str(model), str(tmp_path / "empty"), *out], capsys, "empty", "no photograph")
    for i in (3, 5):
        (photographs / "images" / f"photo {i}.png").write_text("no image")
    refused(["predict", str(model), str(photographs), *out], capsys, "2 of 12", "photo 3.png", "photo 5.png")
    assert not (tmp_path / "out").exists()


def test_a_photograph_that_is_cut_costs_itself_alone(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = photographs / "images" / "photo 3.png"
    whole.write_bytes(whole.read_bytes()[:2000])  # its header is sound
    words = ["predict", str(model), str(photographs), "--out", str(tmp_path / "out")]
    refused(words, capsys, "1 of 12 left out", "photo 3.png")
    assert len(summary(tmp_path / "out")) == 11 and (tmp_path / "out" / "contact_sheet.png").is_file()
    assert not (tmp_path / "out" / "masks" / "photo 3.png").exists()


def test_the_patch_branch_is_another_mask(model: Path, photographs: Path, tmp_path: Path) -> None:
    assert predict(model, tmp_path / "a", photographs, "--only", "masks") == 0
    assert predict(model, tmp_path / "b", photographs, "--only", "masks", "--branch", "patch") == 0
    same = [(tmp_path / x / "masks" / "photo 0.png").read_bytes() for x in "ab"]
    assert same[0] != same[1]


def test_the_palette_is_that_of_voc() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {n: tuple(palette()[n].tolist()) for n in known} == known


def test_many_photographs_fill_several_pages(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(19):
        picture(8, 9, i).save(tmp_path / "in" / f"{i:02}.png")
    assert predict(model, tmp_path / "out", tmp_path / "in", "--only", "contact_sheet") == 0
    assert sorted(p.name for p in (tmp_path / "out").glob("*.png")) == ["contact_sheet_1.png", "contact_sheet_2.png"]


def test_a_heat_map_is_yellow_where_the_class_is_and_dark_where_it_is_not() -> None:
    heat = torch.zeros(3, 16, 16)
    heat[1, :, :8] = 1
    drawn = np.asarray(pictures.heat_maps(np.full((160, 160, 3), 128, np.uint8), heat, [1], CLASSES)).astype(int)
    panel = drawn[8 + 24 : 8 + 24 + 400, 8 + 400 + 8 : 8 + 400 + 8 + 400]
    left, right = panel[200, 60], panel[200, 340]
    assert left[0] > left[2] + 80 and left[1] > left[2] + 80  # yellow
    assert right[2] > right[1] + 40 and right.sum() < left.sum() - 200  # dark violet


def test_an_overlay_shows_colours_borders_and_a_legend() -> None:
    photo, labels = np.full((480, 640, 3), 100, np.uint8), np.zeros((480, 640), np.uint8)
    labels[100:300, 100:400] = 1
    shown = np.asarray(pictures.overlay(photo, labels, CLASSES)).astype(int)
    assert shown.shape[0] > 480 and shown.shape[1] == 640
    assert shown[120, 120].tolist() == [114, 50, 50] and shown[400, 500].tolist() == [100, 100, 100]
    assert (shown[100, 110:390] == 255).all()  # its border
    assert (shown[480:] == [128, 0, 0]).all(-1).sum() > 50  # its colour in the legend


def test_help_tells_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["predict", "--help"])
    told = capsys.readouterr().out
    assert stop.value.code == 0 and "usage: apc predict" in told and "--labels" in told


def test_the_config_of_the_model_is_not_changed_by_a_prediction(model: Path, photographs: Path, tmp_path: Path) -> None:
    before = (model / "config.toml").read_text()
    assert predict(model, tmp_path / "out", photographs, "--eval-size", "64", "--only", "masks") == 0
    assert (model / "config.toml").read_text() == before
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["settings"]["eval_size"] == 64
