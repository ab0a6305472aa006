"""Sources that are wrong or hostile: one sentence with file and remedy, exit code 2, and no new folder."""

from pathlib import Path

import exports
import numpy as np
import pytest
from refusal import refused
from wrong_sources import WRONG

from apc.cli.main import main


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told_in_one_sentence_and_nothing_is_left(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, spoil, told = WRONG[kind]
    make(tmp_path / "source")
    exports.photograph(tmp_path / "outside/q.jpg")
    spoil(tmp_path / "source")
    before = sorted(tmp_path.iterdir())
    assert main(["data", "import", str(tmp_path / "source"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()  # several problems are named one a line, and the error counts them
    assert said.err.count("\n") == 1 and "Traceback" not in said.err
    assert [part for part in told if part not in said.out + said.err] == [], said
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["vco", "SOURCE"], ["the format is 'vco'; choose from coco", "did you mean voc?"]),
        (["absent"], ["absent: there is no such file or folder"]),
        ([], ["SOURCE is missing"]),
        (["SOURCE", "--val", "1.5"], ["val is 1.5; it must lie between 0 and 1"]),
        (["SOURCE", "--images", "absent"], ["images is 'absent'; there is no such folder"]),
        (["SOURCE", "--group", "patient"], ["group is 'patient'", "choose from folder, near"]),
        (["labelme", "SOURCE"], ["there is no JSON file of labelme"]),
        (["csv", "SOURCE"], ["is no table"]),
        (["TABLE"], ["labels.csv: which of photo, animal, place names classes? say it with --labels"]),
        (["TABLE", "--labels", "photo"], ["labels.csv: --labels is 'photo'", "photo, animal, place"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_words_that_are_wrong(
    words: list[str], told: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports.masks(tmp_path / "source")
    exports.table("photo,animal,place\na.jpg,cat,x\n")(tmp_path / "table")
    places = {"SOURCE": str(tmp_path / "source"), "TABLE": str(tmp_path / "table/labels.csv")}
    words = [places.get(word, word) for word in words]
    refused(["data", "import", *words, "--out", str(tmp_path / "out")], capsys, *told)
    assert not (tmp_path / "out").exists()


def test_a_column_of_0_and_1_has_the_name_of_no_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.table("image,label\na.jpg,0\nb.jpg,1\n")(tmp_path / "source")
    words = ["data", "import", "csv", str(tmp_path / "source/labels.csv"), "--out", str(tmp_path / "out")]
    refused(words, capsys, "labels.csv: 'label' is 0 or 1; call that column as the class")


def test_a_source_of_two_formats_names_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.coco(tmp_path / "source")
    exports.labelme(tmp_path / "source")
    words = ["data", "import", str(tmp_path / "source"), "--out", str(tmp_path / "out")]
    refused(words, capsys, "may be coco (", "or labelme (", "name the format before it")


@pytest.mark.parametrize("place", ["full", "source/inside", "a file"])
def test_somebody_elses_folder_stays_as_it_is(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.masks(tmp_path / "source")
    exports.write(tmp_path / "full/mine.txt", "mine")
    exports.write(tmp_path / "a file", "mine")
    refused(
        ["data", "import", str(tmp_path / "source"), "--out", str(tmp_path / place)],
        capsys,
        f"out is '{tmp_path / place}'",
    )
    assert (tmp_path / "full/mine.txt").read_text() == (tmp_path / "a file").read_text() == "mine"
    assert not (tmp_path / "source/inside").exists()


def test_what_cannot_be_used_is_left_out_by_name_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports.masks(tmp_path / "source")
    (tmp_path / "source/images/b.jpg").write_bytes(b"no photograph")
    words = ["data", "import", str(tmp_path / "source"), "--out", str(tmp_path / "out"), "--skip-broken"]
    assert main(words) == 0
    assert "left out: 1 what cannot be used" in (said := capsys.readouterr().out) and "images/b.jpg" in said
    lists = [(tmp_path / "out" / name).read_text() for name in ("train.csv", "val.csv")]
    assert sum(text.count(".jpg") for text in lists) == 3 and not any("b.jpg" in text for text in lists)


@pytest.mark.parametrize("kind", {**exports.OUTLINED, **exports.LABELLED})
def test_checking_an_export_names_the_command_that_imports_it(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named, make = {**exports.OUTLINED, **exports.LABELLED}[kind]
    make(tmp_path)
    command = f"`apc data import {named} {tmp_path} --out NEW`"
    told = "train.csv" if kind == "masks and classes.txt" else command  # its layout is ours, but for the lists
    refused(["data", "check", "folder", "--root", str(tmp_path)], capsys, told)


def test_checking_a_folder_with_masks_of_cvat_names_the_command(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports.write(photographs / "labelmap.txt", "red:48,112,32::\nblue:176,112,32::\nbackground:0,0,0::\n")
    exports.save(photographs / "masks/photo 0.png", np.zeros((40, 60, 3), np.uint8))
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 2
    assert f"`apc data import cvat {photographs} --out NEW`" in capsys.readouterr().out
