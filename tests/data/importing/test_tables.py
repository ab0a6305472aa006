"""Tables of labels: the column that is named, and tables that lie beside masks."""

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

import exports
import pytest
from refusal import refused

from apc.cli.main import main
from apc.data.importing import masks
from apc.data.importing.formats import detected
from apc.data.importing.slips import misspelt
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes

THREE = "Foto;Tier;Ort\na.jpg;red;x\nb.jpg;blue;y\nc.jpg;red,blue;x\nd.jpg;;y\n"
"""A table of which nobody knows whether Tier or Ort names classes."""


def pets(root: Path) -> Path:
    """The table in a folder, and the photographs in a folder for each place."""
    for name, folder in (("a", "berlin"), ("c", "berlin"), ("b", "hamburg"), ("d", "hamburg")):
        exports.photograph(root / folder / f"{name}.jpg")
    exports.write(root / "labels.csv", THREE)
    return root


@pytest.mark.parametrize("make", [exports.table(THREE), pets], ids=["one folder", "folders of places"])
def test_a_column_that_is_named_makes_a_folder_with_a_table_one_of_labels(
    make: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "pets")
    words = ["data", "import", str(tmp_path / "pets"), "--out", str(tmp_path / "out"), "--labels", "Tier"]
    assert main(words) == 0, capsys.readouterr().err
    assert "read as csv," in capsys.readouterr().out
    assert (tmp_path / "out/classes.txt").read_text() == "blue\nred\n"


def test_a_column_that_no_table_has_is_told_instead_of_another_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "import", str(pets(tmp_path / "pets")), "--out", str(tmp_path / "out"), "--labels", "Teir"]
    refused(words, capsys, "labels.csv: --labels is 'Teir'; its other columns are Foto, Tier, Ort")


@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        *itertools.product(["labels", "separator"], ["labelme", "masks and classes.txt"]),
        ("separator", "Label Studio, CSV"),
    ],
)
def test_flags_of_tables_are_refused_where_no_table_is_read(
    flag: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named, make = {**exports.OUTLINED, **exports.LABELLED}[kind]
    make(tmp_path / "source")
    words = ["data", "import", str(tmp_path / "source"), "--out", str(tmp_path / "out"), f"--{flag}", "x"]
    refused(words, capsys, f"{flag} is 'x'", f"{tmp_path / 'source'} is read as {named}")


def test_a_table_without_a_named_column_says_which_it_has(tmp_path: Path) -> None:
    exports.table(THREE)(tmp_path)
    with pytest.raises(ValueError, match="which of Foto, Tier, Ort names classes"):
        detected(Source(tmp_path), Wishes())


BESIDE = """Foto,patient,class,split
a.jpg,1,red,train
b.jpg,1,blue,train
c.jpg,2,red,val
c.jpg,2,blue,val
d.jpg,3,,test
"""


def with_masks(root: Path, lines: str) -> Source:
    exports.masks(root)
    exports.write(root / "labels.csv", lines)
    return Source(root)


def test_a_table_beside_masks_is_read_as_one_alone_is(tmp_path: Path) -> None:
    found = masks.read(with_masks(tmp_path, BESIDE), Wishes())
    said = {photo.file.stem: (photo.labels, photo.split, photo.extra) for photo in found.photos}
    assert said == {
        "a": ({"red"}, "train", {"patient": "1"}),
        "b": ({"blue"}, "train", {"patient": "1"}),
        "c": ({"red", "blue"}, "val", {"patient": "2"}),
        "d": (set(), "test", {"patient": "3"}),
    }
    assert all(photo.mask for photo in found.photos)


def test_a_column_and_a_separator_that_are_named_hold_beside_masks(tmp_path: Path) -> None:
    lines = "Foto,Tier,Ort\na.jpg,red,x\nb.jpg,blue,y\nc.jpg,red/blue,x\nd.jpg,,y\n"
    found = masks.read(with_masks(tmp_path, lines), Wishes(labels="Tier", separator="/"))
    said = {photo.file.stem: (photo.labels, photo.extra) for photo in found.photos}
    assert said["c"] == ({"red", "blue"}, {"Ort": "x"})


def test_photographs_with_masks_are_grouped_by_a_column_of_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_masks(tmp_path / "source", "image,label,patient\na.jpg,red,1\nb.jpg,blue,1\nc.jpg,red|blue,2\n")
    words = ["data", "import", "masks", str(tmp_path / "source"), "--out", str(tmp_path / "out")]
    assert main([*words, "--group", "patient", "--val", "0.4"]) == 0, capsys.readouterr().err
    lists = [csv.DictReader((tmp_path / "out" / name).read_text().splitlines()) for name in ("train.csv", "val.csv")]
    found = [{row["patient"] for row in rows} for rows in lists]
    assert found[0] | found[1] == {"", "1", "2"} and not found[0] & found[1]


def test_a_list_of_all_photographs_beside_those_of_parts_is_no_contradiction(tmp_path: Path) -> None:
    source = with_masks(tmp_path, "image,labels\na.jpg,red\nb.jpg,blue\nc.jpg,red blue\nd.jpg,\n")
    exports.write(tmp_path / "val.csv", "image,labels\nb.jpg,blue\n")
    assert {photo.file.stem: photo.split for photo in masks.read(source, Wishes()).photos} == {
        "a": "",
        "b": "val",
        "c": "",
        "d": "",
    }


def test_a_table_without_headings_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.table("red,a.jpg\nblue,b.jpg\nred,c.jpg\nred,d.jpg\n")(tmp_path / "in")
    assert main(["data", "import", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "photographs from column 2, which has no heading, labels from column 1, which has no heading" in told


def test_a_class_that_looks_misspelt_is_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.table("image,label\na.jpg,dog\nb.jpg,dgo\nc.jpg,dog\nd.jpg,cat\n")(tmp_path / "in")
    assert main(["data", "import", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert "note: dgo (1): is it dog?\n" in capsys.readouterr().out


@pytest.mark.parametrize(("rare", "asked"), [("bird", True), ("brid", True), ("birds", True), ("biqq", False)])
def test_one_letter_is_a_slip(rare: str, asked: bool) -> None:
    usual = {"bird": "bard", "brid": "bird", "birds": "bird", "biqq": "bird"}[rare]
    assert misspelt({usual: 5, rare: 1}) == ([f"{rare} (1): is it {usual}?"] if asked else [])


def test_classes_that_are_meant_are_no_slips() -> None:
    assert misspelt({"class_1": 5, "class_2": 1, "a": 4, "b": 1, "Dog": 3, "dog": 1, "cat": 2, "rat": 2}) == []


def test_a_file_of_a_spreadsheet_program_is_to_be_saved_as_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in" / "l.xlsx"
    exports.write(path, b"PK")
    out = ["--out", str(tmp_path / "out")]
    refused(["data", "import", str(path), *out], capsys, "l.xlsx: is a file of a spreadsheet program", "save it as CSV")
    refused(
        ["data", "import", str(tmp_path / "in"), *out], capsys, "l.xlsx is of a spreadsheet program; save it as CSV"
    )


def test_a_broken_photograph_is_told_with_the_flag_that_leaves_it_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports.table("image,label\na.jpg,dog\nb.jpg,dog\nc.jpg,dog\nd.jpg,cat\n")(tmp_path / "in")
    (tmp_path / "in" / "photos" / "b.jpg").write_bytes(b"no image")
    words = ["data", "import", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    refused(words, capsys, "b.jpg: the image cannot be decoded", "--skip-broken leaves out what cannot be used")
    assert main([*words, "--skip-broken"]) == 0
