"""The folder that predictions go to: it grows, mixes no settings and harms no other file."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from predictions import CLASSES, picture, predict, summary
from refusal import refused

import apc
from apc.cli.main import main
from apc.methods.apc import APC
from apc.methods.checkpoint import load_model
from apc.prediction import predict as prediction
from apc.prediction.output_folder import Summary, claim, file_of, is_finished
from apc.prediction.photographs import Photograph, gather
from apc.prediction.predict import classes_found
from apc.prediction.segment import Segmenter


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


def test_a_photograph_that_another_one_with_an_older_time_replaced_is_done_again(tmp_path: Path) -> None:
    photograph, out = Photograph(tmp_path / "a.png", "a.png", "a"), tmp_path / "out"
    mask, row = file_of(out, "masks", photograph), {"labels": ""}
    photograph.path.write_bytes(b"one")
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"its mask")
    assert is_finished(row, photograph, "", out, ["masks"])
    other = tmp_path / "other.png"
    other.write_bytes(b"another")
    os.utime(mask, (hour_ago := time.time() - 3600, hour_ago))
    os.utime(other, (hour_ago - 3600, hour_ago - 3600))
    other.replace(photograph.path)
    assert not is_finished(row, photograph, "", out, ["masks"])


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


def test_no_cell_of_the_summary_is_a_formula_and_the_names_are_read_back(tmp_path: Path) -> None:
    columns = ["image", "mask", "labels", "classes", "percent_=1+1"]
    rows = [
        {"image": name, "mask": f"masks/{number}.png", "labels": "=1+1", "classes": "@a", "percent_=1+1": "-1.5"}
        for number, name in enumerate(("-photo.jpg", "=cmd|' /C calc'!A0.jpg", "'=quoted.jpg", "plain.jpg"))
    ]
    assert claim(tmp_path, {}, []) == {}
    written = Summary(tmp_path / "summary.csv", columns, rows[:1])
    for row in rows[1:]:
        written.add(row)
    assert [row["image"] for row in summary(tmp_path)] == [
        "'-photo.jpg",
        "'=cmd|' /C calc'!A0.jpg",
        "''=quoted.jpg",
        "plain.jpg",
    ]
    assert {row["labels"] + row["classes"] for row in summary(tmp_path)} == {"'=1+1'@a"}
    assert list(claim(tmp_path, {}, []).values()) == rows


def test_a_line_that_was_cut_inside_its_last_number_is_no_row(tmp_path: Path) -> None:
    columns = ["image", "mask", "labels", "percent_red"]
    rows = [{"image": f"/{i}.jpg", "mask": f"masks/{i}.png", "labels": "", "percent_red": "12.34"} for i in range(2)]
    claim(tmp_path, {}, [])
    path = tmp_path / "summary.csv"
    Summary(path, columns, rows)
    whole = path.read_bytes()
    for cut in range(1, len("/1.jpg,masks/1.png,,12.34") + 1):
        path.write_bytes(whole[:-cut])
        assert list(claim(tmp_path, {}, []).values()) == rows[:1], whole[:-cut]


def test_a_photograph_is_known_by_its_place_and_not_by_how_it_was_typed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    before = APC.predict
    monkeypatch.setattr(APC, "predict", lambda self, x, *more: seen.append(len(x)) or before(self, x, *more))
    out, place = tmp_path / "out", tmp_path / "in" / "a.png"
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    picture(20, 30).save(place)
    picture(30, 20).save(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for folder, typed in (("in", "a.png"), ("in", "./a.png"), ("elsewhere", "../in/a.png"), (".", "link/a.png")):
        monkeypatch.chdir(tmp_path / folder)
        assert predict(model, out, typed, "--only", "masks") == 0
        assert [row["mask"] for row in summary(out)] == ["masks/a.png"] and len(seen) == 1, typed
    assert predict(model, out, str(place), "./link/a.png", "--only", "masks") == 0 and len(seen) == 1
    assert [row["image"] for row in summary(out)] == [str(place)]
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    refused(["predict", str(model), "a.png", "--out", str(out)], capsys, f"is of {place}, not of a.png")


def test_a_photograph_that_became_broken_loses_its_files(model: Path, photographs: Path, tmp_path: Path) -> None:
    out, images = tmp_path / "out", photographs / "images"
    assert predict(model, out, images / "photo 1.png", images / "photo 2.png") == 0
    path = images / "photo 1.png"
    path.write_bytes(path.read_bytes()[:-60])
    assert predict(model, out, images / "photo 1.png", images / "photo 2.png") == 2
    assert {p.name for p in out.rglob("photo*")} == {"photo 2.png", "photo 2.jpg"}
    assert [row["mask"] for row in summary(out)] == ["masks/photo 2.png"]


def test_a_branch_or_a_kind_that_there_is_not_claims_no_folder(model: Path, photographs: Path, tmp_path: Path) -> None:
    for word, told in (
        ("branch", "branch is 'Decoder'; choose from decoder, patch"),
        ("only", "only is 'mask'; choose"),
    ):
        asked = {"branch": "Decoder"} if word == "branch" else {"only": ["masks", "mask"]}
        with pytest.raises(ValueError, match=told):
            apc.predict(model, photographs, out=tmp_path / "out", device="cpu", **asked)  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()


def test_a_class_of_a_few_pixels_is_found_and_rows_share_their_columns(
    model: Path, photographs: Path, tmp_path: Path
) -> None:
    rows = [{"classes": "blue", "percent_red": "0.00", "percent_blue": "0.00"}, {"classes": ""}]
    assert classes_found(rows, CLASSES) == {"red": 0, "blue": 1}
    method, cfg, classes = load_model(model)
    found = gather([photographs / "images"], tmp_path / "out")[:2]
    rows = prediction.predict(prediction.Job(method, cfg, classes, "m", kinds=["masks"]), found, {}, tmp_path / "out")[
        0
    ]
    assert all(one is other for one, other in zip(*rows, strict=True))


def test_heat_maps_that_wait_count_as_memory(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, cfg, classes = load_model(model)
    waiting, most, begin = 0, 0, Segmenter.begin

    def counted(self: Segmenter, *given: Any) -> Any:
        nonlocal waiting, most
        finish, waiting = begin(self, *given), waiting + 1
        most = max(most, waiting)

        def finished() -> Any:
            nonlocal waiting
            waiting -= 1
            return finish()

        return finished

    monkeypatch.setattr(Segmenter, "begin", counted)
    monkeypatch.setattr(prediction, "HELD", 2 * 4 * len(classes) * 48**2)  # of two heat maps, or ten photographs
    found = gather([photographs / "images"], tmp_path / "out")[:5]
    job = prediction.Job(method, cfg, classes, "m", kinds=["masks", "heatmaps"], crf_workers=4)
    prediction.predict(job, found, {}, tmp_path / "out")
    assert most == 2
