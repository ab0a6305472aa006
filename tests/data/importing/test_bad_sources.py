"""Sources that are wrong or hostile: one sentence with file and remedy, exit code 2, and no new folder."""

import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import exports
import numpy as np
import pytest
from faults import killed_at, without_room_at
from refusal import refused

from apc.cli.main import main
from apc.data.importing import safely


def edit(name: str, *changes: tuple[str, str]) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / name).read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (root / name).write_text(text)

    return change


def write(name: str, text: str | bytes) -> Callable[[Path], None]:
    return lambda root: exports.write(root / name, text)


def remove(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()

    return change


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><annotation><object><name>&b;</name></object></annotation>'
)
COCO, LABELS = "labels/my labels.json", "labels.csv"
TABLE = exports.table("image,label\na.jpg,red\nb.jpg,blue\n")

WRONG: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], list[str]]] = {
    "a colour without a name": (
        exports.cvat,
        edit("labelmap.txt", ("red:48,112,32", "red:48,112,33")),
        ["a.png", "the colour 48,112,32 in 100 pixels", "labelmap.txt does not name"],
    ),
    "a colour of two labels": (
        exports.cvat,
        edit("labelmap.txt", ("red:48,112,32", "red:176,112,32")),
        ["labelmap.txt, line 4", "176,112,32 is that of two labels"],
    ),
    "a labelmap of something else": (
        exports.cvat,
        write("labelmap.txt", "red\n"),
        ["labelmap.txt, line 1", "name:red,green"],
    ),
    "a mask of another size": (
        exports.masks,
        lambda root: exports.save(root / "masks/b.png", np.ones((9, 9), np.uint8)),
        ["images/b.jpg", "its mask is 9x9, the photograph 32x24"],
    ),
    "a mask that is cut": (
        exports.masks,
        lambda root: (root / "masks/b.png").write_bytes((root / "masks/b.png").read_bytes()[:60]) and None,
        ["masks/b.png", "cannot be decoded"],
    ),
    "a photograph that is cut": (
        exports.masks,
        lambda root: (root / "images/b.jpg").write_bytes((root / "images/b.jpg").read_bytes()[:400]) and None,
        ["images/b.jpg", "cannot be decoded"],
    ),
    "a mask without its photograph": (
        exports.masks,
        remove("images/b.jpg"),
        ["masks/b.png", "no photograph", "--images"],
    ),
    "two masks of one photograph": (
        exports.masks,
        lambda root: exports.save(root / "labels/b.png", np.ones(exports.SIZE, np.uint8)),
        ["b.png", "second mask"],
    ),
    "masks in colours without a name": (
        exports.cvat,
        remove("labelmap.txt"),
        ["masks are in colours", "labelmap.txt with lines such as NAME:48,112,32::"],
    ),
    "no photographs": (exports.cvat, remove("JPEGImages"), ["there is no photograph", "--images"]),
    "XML that is cut": (
        exports.voc_boxes,
        write("VOC2012/Annotations/a.xml", "<annotation><object>"),
        ["a.xml", "no XML"],
    ),
    "XML with entities": (
        exports.voc_boxes,
        write("VOC2012/Annotations/a.xml", BOMB.replace("<!DOC", "<!--<annotation>--><!DOC")),
        ["a.xml", "document type", "remove its line"],
    ),
    "an object without a name": (
        exports.voc_boxes,
        write("VOC2012/Annotations/a.xml", "<annotation><object/></annotation>"),
        ["a.xml", "object 1 has no name"],
    ),
    "an object that no list of classes has": (
        exports.voc,
        write("VOC2012/class_names.txt", "_background_\nred\n"),
        ["b.xml", "'blue' is none of red"],
    ),
    "CVAT's video": (
        exports.cvat_xml,
        write("annotations.xml", "<annotations><track/></annotations>"),
        ["annotations.xml: holds tracks of a video"],
    ),
    "runs that cover too little": (
        exports.cvat_xml,
        edit("annotations.xml", ('rle="0, 100"', 'rle="0, 99"')),
        ["annotations.xml: image 'c.jpg' cannot be painted: its runs cover 99 pixels, not 10x10"],
    ),
    "COCO that is cut": (
        exports.coco,
        edit(COCO, ('"supercategory": "colours"}]}', "")),
        ["my labels.json", "no JSON"],
    ),
    "COCO with an unknown category": (
        exports.coco,
        edit(COCO, ('"category_id": 7', '"category_id": "7"')),
        ["my labels.json: annotation ared has the category_id '7' as str, there is one as int"],
    ),
    "COCO with an unknown image": (
        exports.coco,
        edit(COCO, ('"image_id": 97', '"image_id": 5')),
        ["annotation ared", "image_id 5"],
    ),
    "COCO with one id twice": (
        exports.coco,
        edit(COCO, ('{"id": 98,', '{"id": 97,')),
        ["the image id 97 is there twice"],
    ),
    "COCO of photographs that are elsewhere": (
        exports.coco,
        remove("photos/b.jpg"),
        ["my labels.json", "no photograph 'b.jpg'"],
    ),
    "COCO of photographs outside": (
        exports.coco,
        edit(COCO, ('"b.jpg"', '"../../outside/q.jpg"')),
        ["my labels.json", "no photograph '../../outside/q.jpg'"],
    ),
    "COCO whose sides are no numbers": (
        exports.coco,
        edit(COCO, ('"width": 32', '"width": "wide"')),
        ["image 97 is 'wide' by 24.0"],
    ),
    "JSON that is nested": (
        exports.coco,
        write(COCO, '{"images": ' + "[" * 100_000 + '"categories"'),
        ["my labels.json"],
    ),
    "a polygon of two corners": (
        exports.labelme,
        edit("json/a.json", ("[[2, 4], [11, 4], [11, 13], [2, 13]]", "[[2, 4], [11, 4]]")),
        ["a.json: shape 1 ('red')", "2 corners; a polygon needs 3"],
    ),
    "a corner that is not finite": (
        exports.labelme,
        edit("json/a.json", ("[[2, 4]", "[[NaN, 4]")),
        ["a.json: shape 1 ('red')", "a corner is not finite"],
    ),
    "a shape without a label": (
        exports.labelme,
        edit("json/a.json", ('"label": "red"', '"label": null')),
        ["a.json: shape 1 has no label"],
    ),
    "an embedded photograph that is none": (
        exports.labelme_embedded,
        lambda root: exports.write(
            root / "json/a.json", json.loads((root / "json/a.json").read_text()) | {"imageData": "aGVsbG8="}
        ),
        ["a.json", "imageData) cannot be read"],
    ),
    "a brush that ends too soon": (
        exports.label_studio_brush,
        edit("project.json", ('"rle": [0, 0, 12, 0', '"rle": [0, 0, 12, 1')),
        ["project.json, task 97: outline 1", "3073 bytes, not 4 for each pixel of 32x24"],
    ),
    "a table without photographs": (
        TABLE,
        write(LABELS, "name;mark\nAda;1.5\nBob;2.5\n"),
        ["of no format that is known"],
    ),
    "a table that is cut": (
        TABLE,
        write(LABELS, 'image,label\na.jpg,"red\n'),
        ["labels.csv, line 2", "a quote is opened and not closed"],
    ),
    "a photograph in two lists": (
        TABLE,
        write(LABELS, "image,label,split\na.jpg,red,train\na.jpg,red,val\n"),
        ["labels.csv, line 3: photograph 'a.jpg' is for train and val"],
    ),
    "a line of a photograph that is not there": (
        TABLE,
        edit(LABELS, ("b.jpg", "q.jpg")),
        ["labels.csv, line 3", "'q.jpg'"],
    ),
    "a column of 0 and 1 that no class names": (
        TABLE,
        write(LABELS, "image,label\na.jpg,0\nb.jpg,1\n"),
        ["of no format"],
    ),
    "a table of nothing but commas": (TABLE, write(LABELS, ",,,\n,,\n"), ["of no format that is known"]),
    "a table with a heading twice": (
        TABLE,
        write(LABELS, "image,label,label\na.jpg,red,blue\n"),
        ["labels.csv: two columns have the heading 'label'"],
    ),
    "a table of three columns without headings": (
        TABLE,
        write(LABELS, "a.jpg,red,blue\nb.jpg,blue,\n"),
        ["labels.csv: has 3 columns and no headings"],
    ),
    "more classes than a mask can hold": (
        TABLE,
        write(LABELS, "image,label\n" + "".join(f"a.jpg,c{n}\n" for n in range(255))),
        ["names 255 classes; 254 are the most"],
    ),
    "labels of which none is any": (
        exports.coco,
        lambda root: exports.write(root / COCO, json.loads((root / COCO).read_text()) | {"annotations": []}),
        ["none of 4 photographs shows any of"],
    ),
    "COCO of a photograph that would be huge": (
        exports.coco,
        edit(COCO, ('"height": 24.0, "width": 32', '"height": 10000000, "width": 10000000')),
        ["my labels.json: image ", " is 10000000x10000000, the photograph 32x24"],
    ),
    "COCO whose id is a list": (
        exports.coco,
        edit(COCO, ('{"id": 97,', '{"id": [97],')),
        ["my labels.json: images, number 0: has the id [97]; it is a number"],
    ),
    "CVAT of a photograph that would be huge": (
        exports.cvat_xml,
        edit("annotations.xml", ('width="32" height="24"', 'width="10000000" height="10000000"')),
        ["annotations.xml: image ", "it is of an image of 10000000x10000000"],
    ),
    "a bitmap far outside": (
        exports.cvat_xml,
        edit("annotations.xml", (' left="', ' left="9999999999')),
        ["annotations.xml: image 'c.jpg' cannot be painted: its bitmap lies far outside"],
    ),
    "a photograph without end": (
        exports.labelme,
        edit("json/a.json", ('"imageHeight": 24', '"imageHeight": Infinity')),
        ["a.json: has no imageHeight"],
    ),
    "a side without end": (
        exports.label_studio,
        edit("project.json", ('"original_width": 32', '"original_width": Infinity')),
        ["project.json, task ", "is not as Label Studio exports it (cannot convert float infinity"],
    ),
    "a corner far outside": (
        exports.label_studio,
        lambda root: exports.write(
            root / "project.json",
            [
                exports.label_studio_task(
                    "a",
                    [
                        {
                            "original_width": 32,
                            "original_height": 24,
                            "value": {"points": [[9e5, 1], [1, 9e5], [2, 2]], "polygonlabels": ["red"]},
                        }
                    ],
                )
            ],
        ),
        ["project.json, task ", "a corner of it lies far outside of its image of 32x24"],
    ),
    "Label Studio's table that is cut": (
        exports.label_studio_csv,
        lambda root: exports.write(next(root.glob("*.csv")), 'image,choice,annotation_id,lead_time\na.jpg,"red\n'),
        ["csv, line ", "is not as Label Studio exports it"],
    ),
    "a value of two classes": (
        exports.roboflow_masks,
        write("train/_classes.csv", "Pixel Value,Class\n1,red\n1,blue\n"),
        ["_classes.csv, line 3: the pixel value 1 has a class already"],
    ),
    "two tables that differ": (
        exports.roboflow_masks,
        write("valid/_classes.csv", "Pixel Value,Class\n0,background\n4,blue\n2,red\n"),
        ["valid/_classes.csv: says other than", "train/_classes.csv what masks mean"],
    ),
    "nothing": (exports.photographs, lambda root: None, ["of no format that is known; name one of coco, labelme"]),
}


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


def packed(path: Path, name: str, link: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (stat.S_IFLNK if link else stat.S_IFREG) << 16
        archive.writestr(entry, "/etc/passwd" if link else bytes(100_000), zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize(
    ("name", "link", "told"),
    [
        ("../../escaped.txt", False, "'../../escaped.txt' would leave the folder"),
        ("/tmp/escaped.txt", False, "'/tmp/escaped.txt' would leave the folder"),
        ("..\\escaped.txt", False, "'../escaped.txt' would leave the folder"),
        ("C:/escaped.txt", False, "'C:/escaped.txt' would leave the folder"),
        ("images/a.jpg", True, "'images/a.jpg' is a link"),
        ("zeros.bin", False, "would become"),
    ],
)
def test_an_archive_that_would_do_harm_is_not_unpacked(
    name: str,
    link: bool,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safely, "LARGE", 10_000)
    archive = packed(tmp_path / "task.zip", name, link)
    refused(["data", "import", str(archive), "--out", str(tmp_path / "out")], capsys, f"{archive}: ", told)
    assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_that_is_cut_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.cvat(tmp_path / "source")
    archive = tmp_path / "task.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(tmp_path / "source/labelmap.txt", "labelmap.txt")
    data = bytearray(archive.read_bytes())
    data[60] ^= 255
    archive.write_bytes(bytes(data))
    refused(["data", "import", str(archive), "--out", str(tmp_path / "out")], capsys, "task.zip: cannot be unpacked")


def listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("archived", [False, True], ids=["folder", "archive"])
def test_an_import_that_is_killed_or_has_no_room_leaves_no_folder_and_the_next_one_is_whole(
    archived: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports.masks(tmp_path / "source")
    source = tmp_path / "source"
    if archived:
        source = Path(shutil.make_archive(str(tmp_path / "task"), "zip", tmp_path / "source"))
    words = ["data", "import", str(source), "--out"]
    assert main([*words, str(tmp_path / "expected")]) == 0
    place = tmp_path / "place"
    place.mkdir()
    n = 1
    while killed_at(n, place, lambda: main([*words, str(place / "out")])):
        assert not (place / "out").exists(), f"after {n} changes"
        n += 1
    assert n > 30
    assert listing(place / "out") == listing(tmp_path / "expected")
    assert listing(place) == {"out", *(f"out/{name}" for name in listing(tmp_path / "expected"))}  # and no leftovers
    for n in (1, 2, 12):
        (place / "full").mkdir()
        assert without_room_at(n, place / "full", lambda: main([*words, str(place / "full" / "out")])) == 2
        assert listing(place / "full") == set()
        (place / "full").rmdir()
