"""Every format: the same four photographs are found in it, with the same labels and masks."""

import csv
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

import exports
import numpy as np
import pytest
from PIL import Image

from apc.cli.main import main
from apc.data.importing import masks
from apc.data.importing.formats import FORMATS
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes


class Imported(NamedTuple):
    """What an import has made."""

    classes: list[str]
    labels: dict[str, list[str]]
    """Labels by the last letter of the photograph's stem."""
    masks: dict[str, np.ndarray]
    said: str


def import_(tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Imported:
    """Run `apc data import` into a new folder and read that."""
    out = tmp_path / "out"
    assert main(["data", "import", *words, "--out", str(out)]) == 0, capsys.readouterr().err
    rows = [row for name in sorted(out.glob("*.csv")) for row in csv.DictReader(name.read_text().splitlines())]
    labels = {Path(row["image"]).stem[-1]: row["labels"].split() for row in rows}
    assert len(labels) == len(rows), "a photograph is listed twice"
    assert all((out / "images" / row["image"]).is_file() for row in rows)
    masks = {path.stem[-1]: np.array(Image.open(path)) for path in out.rglob("masks/**/*.png")}
    return Imported((out / "classes.txt").read_text().split(), labels, masks, capsys.readouterr().out)


@pytest.mark.parametrize("kind", exports.OUTLINED)
def test_labels_and_masks_are_those_of_the_export(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named, make = exports.OUTLINED[kind]
    make(tmp_path / "source")
    imported = import_(tmp_path, capsys, str(tmp_path / "source"))
    assert f"read as {named}," in imported.said
    assert sorted(imported.classes) == ["blue", "red"]
    assert imported.labels == exports.SHOWN
    numbers = {name: number for number, name in enumerate(imported.classes, start=1)}
    for name, shown in exports.SHOWN.items():
        np.testing.assert_array_equal(imported.masks[name], exports.mask(shown, numbers), err_msg=name)


@pytest.mark.parametrize("kind", exports.LABELLED)
def test_labels_are_those_of_the_export_and_there_is_no_mask(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named, make = exports.LABELLED[kind]
    make(tmp_path / "source")
    imported = import_(tmp_path, capsys, str(tmp_path / "source"))
    assert f"read as {named}," in imported.said
    assert sorted(imported.classes) == ["blue", "red"]
    assert imported.labels == exports.SHOWN
    assert not imported.masks


@pytest.mark.parametrize("kind", ["COCO of Roboflow", "masks of Roboflow"])
def test_the_lists_of_the_export_stay(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.OUTLINED[kind][1](tmp_path / "source")
    import_(tmp_path, capsys, str(tmp_path / "source"))
    assert (tmp_path / "out" / "val.csv").read_text() == "image,labels\nvalid/b.jpg,blue\n"
    assert (tmp_path / "out" / "train.csv").read_text().splitlines()[3] == "train/d.jpg,"


def test_an_archive_is_read_as_the_folder_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.cvat(tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        for path in (tmp_path / "source").rglob("*"):
            archive.write(path, path.relative_to(tmp_path / "source"))
    imported = import_(tmp_path, capsys, str(tmp_path / "task.zip"))
    assert imported.labels == exports.SHOWN
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "classes.txt",
        "images",
        "masks",
        "train.csv",
        "val.csv",
    ]


def test_photographs_that_lie_elsewhere_are_found_in_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.cvat(tmp_path / "source")
    (tmp_path / "source/JPEGImages").rename(tmp_path / "mine")
    imported = import_(tmp_path, capsys, "cvat", str(tmp_path / "source"), "--images", str(tmp_path / "mine"))
    assert imported.labels == exports.SHOWN
    assert len(imported.masks) == 4


def test_letters_of_cp1252_are_read_and_the_encoding_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Bild;Etikett\na.jpg;Höhle\nb.jpg;Fluß\nc.jpg;Höhle|Fluß\nd.jpg;\n"
    exports.table(text, "cp1252")(tmp_path / "source")
    imported = import_(tmp_path, capsys, str(tmp_path / "source" / "labels.csv"))
    assert imported.classes == ["Fluß", "Höhle"]
    assert imported.labels["c"] == ["Fluß", "Höhle"]
    assert "(semicolons, cp1252)" in imported.said


def test_the_column_of_labels_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.table("Foto;Tier;Ort\na.jpg;red;x\nb.jpg;blue;y\nc.jpg;red,blue;x\nd.jpg;;y\n")(tmp_path / "source")
    table = str(tmp_path / "source/labels.csv")
    imported = import_(tmp_path, capsys, table, "--labels", "Tier", "--images", str(tmp_path / "source/photos"))
    assert imported.labels == exports.SHOWN


def test_columns_beside_the_labels_stay_in_the_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.table("image,label,patient\na.jpg,red,1\nb.jpg,blue,1\nc.jpg,red|blue,2\nd.jpg,,2\n")(tmp_path / "source")
    import_(tmp_path, capsys, str(tmp_path / "source"), "--group", "patient", "--val", "0.5")
    patients = [
        {row["patient"] for row in csv.DictReader((tmp_path / "out" / name).read_text().splitlines())}
        for name in ("train.csv", "val.csv")
    ]
    assert sorted(map(sorted, patients)) == [["1"], ["2"]]


@pytest.mark.parametrize(
    ("numbers", "words", "classes"),
    [
        ({"red": 255, "blue": 255}, [], ["object"]),
        ({"red": 1, "blue": 2}, [], ["class_1", "class_2"]),
        ({"red": 255, "blue": 128}, ["--classes", "blue", "red"], ["blue", "red"]),
        ({"red": 1, "blue": 2}, ["--classes", "red", "blue"], ["red", "blue"]),
    ],
    ids=["0 and 255", "numbers without names", "greys with names", "numbers with names"],
)
def test_masks_alone_say_what_photographs_show(
    numbers: dict[str, int], words: list[str], classes: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports.photographs(tmp_path / "source/images")
    for name, shown in exports.SHOWN.items():
        exports.save(tmp_path / "source/masks" / f"{name}.png", exports.mask(shown, numbers))
    imported = import_(tmp_path, capsys, "masks", str(tmp_path / "source"), *words)
    assert imported.classes == classes
    rising = {value: number for number, value in enumerate(sorted(set(numbers.values())), start=1)}
    assert imported.labels == {
        name: sorted({classes[rising[numbers[label]] - 1] for label in shown}) for name, shown in exports.SHOWN.items()
    }
    expected = exports.mask(["red", "blue"], {name: rising[value] for name, value in numbers.items()})
    np.testing.assert_array_equal(imported.masks["c"], expected)


@pytest.mark.parametrize("exif", range(1, 9))
def test_masks_of_coco_are_turned_as_their_photographs_are(
    exif: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in exports.SHOWN:
        exports.photograph(tmp_path / "source" / f"{name}.jpg", exif)
    exports.write(tmp_path / "source/labels.json", exports.coco_of(exports.SHOWN))
    imported = import_(tmp_path, capsys, str(tmp_path / "source"))
    stored = exports.mask(["blue", "red"], {"blue": 1, "red": 2})
    turned = [stored, stored[:, ::-1], stored[::-1, ::-1], stored[::-1], stored.T, np.rot90(stored, -1)]
    expected = [*turned, stored[::-1, ::-1].T, np.rot90(stored)][exif - 1]
    np.testing.assert_array_equal(imported.masks["c"], expected)


def test_xml_that_labelimg_marked_as_verified_is_read(tmp_path: Path) -> None:
    exports.voc_boxes(tmp_path)
    for path in tmp_path.rglob("*.xml"):
        path.write_text(path.read_text().replace("<annotation>", '<annotation verified="yes">'))
    found = masks.read(Source(tmp_path), Wishes())
    assert {photo.file.stem: sorted(photo.labels or ()) for photo in found.photos} == exports.SHOWN


def test_the_help_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "import", "--help"])
    assert set(FORMATS) <= set(re.findall(r"[\w-]+", capsys.readouterr().out.partition("Lists that")[0]))
