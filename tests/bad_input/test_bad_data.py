"""Bad data: one sentence that names file and field, exit code 2, and nothing half-written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from refusal import flags, left_below, refused, small_files
from trees import make_coco, make_voc

from apc.cli.main import main

Spoil = Callable[[Path], object]
Cases = dict[str, tuple[Spoil, list[str]]]


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def as_jpeg(root: Path, number: int) -> Path:
    """Photograph `number` as a JPEG under its old name, which is no matter to Pillow."""
    path = root / "images" / f"photo {number}.png"
    Image.open(path).convert("RGB").save(path, format="JPEG")
    return path


# --- photographs of your own --------------------------------------------------------------------------

FOLDER: Cases = {
    "a truncated JPEG": (lambda r: cut(as_jpeg(r, 3)), ["photo 3.png", "cannot be decoded", "truncated"]),
    "a JPEG that lacks its last bytes": (lambda r: cut(as_jpeg(r, 3), 0.9), ["photo 3.png", "cannot be decoded"]),
    "a broken JPEG": (lambda r: as_jpeg(r, 3).write_bytes(b"\xff\xd8\xff\xe0" + bytes(99)), ["photo 3.png", "decoded"]),
    "an image that is text": (
        lambda r: (r / "images" / "photo 3.png").write_text("x"),
        ["photo 3.png", "cannot be decoded"],
    ),
    "an image that is absent": (
        lambda r: (r / "images" / "photo 3.png").unlink(),
        ["train.csv, line 5", "photo 3.png"],
    ),
    "a mask of another size": (
        lambda r: Image.new("L", (7, 5)).save(r / "masks" / "photo 9.png"),
        ["masks/photo 9.png", "7x5", "51x49"],
    ),
    "a mask of the image before it was turned": (
        lambda r: Image.new("L", (49, 51)).save(r / "masks" / "photo 9.png"),
        ["masks/photo 9.png", "49x51", "51x49"],
    ),
    "a mask with unknown indices": (
        lambda r: Image.new("L", (51, 49), 9).save(r / "masks" / "photo 9.png"),
        ["photo 9.png", "value 9", "0 to 2"],
    ),
    "a mask in colours": (
        lambda r: Image.new("RGB", (51, 49)).save(r / "masks" / "photo 9.png"),
        ["masks/photo 9.png", "RGB", "palette"],
    ),
    "a mask that is cut": (lambda r: cut(r / "masks" / "photo 9.png"), ["masks/photo 9.png", "cannot be decoded"]),
    "a label that is not in classes.txt": (
        lambda r: (r / "train.csv").write_text("image,labels\nphoto 1.png,blue green\n"),
        ["train.csv, line 2", "'green'", "classes.txt", "red, blue"],
    ),
    "no label": (lambda r: (r / "train.csv").write_text("image,labels\nphoto 1.png,\n"), ["line 2", "has no label"]),
    "no classes.txt": (lambda r: (r / "classes.txt").unlink(), ["classes.txt"]),
    "a class twice": (lambda r: (r / "classes.txt").write_text("red\nred\n"), ["classes.txt", "no class twice"]),
    "a class name with a space": (
        lambda r: (r / "classes.txt").write_text("red\nlight blue\n"),
        ["classes.txt, line 2", "'light blue'", "light_blue"],
    ),
    "a list without its columns": (
        lambda r: (r / "val.csv").write_text("image;labels\na;b\n"),
        ["val.csv", "image,labels", "image;labels"],
    ),
    "a name twice": (
        lambda r: (r / "val.csv").write_text("image,labels\n" + "photo 9.png,red\n" * 2),
        ["val.csv, line 3", "'photo 9.png' is listed twice"],
    ),
    "two images of one mask": (
        lambda r: [
            Image.new("RGB", (51, 49)).save(r / "images" / "photo 9.jpg"),
            (r / "val.csv").write_text("image,labels\nphoto 9.png,red\nphoto 9.jpg,red\n"),
        ],
        ["val.csv, line 3", "photo 9.jpg", "share the mask"],
    ),
    "an empty split": (lambda r: (r / "train.csv").write_text("image,labels\n"), ["train.csv", "lists no image"]),
    "an empty file": (lambda r: (r / "train.csv").write_text(""), ["train.csv", "image,labels", "none"]),
    "a list naming an absent file": (
        lambda r: (r / "val.csv").write_text("image,labels\nphoto 99.png,red\n"),
        ["val.csv, line 2", "images/photo 99.png"],
    ),
    "a quote that is not closed": (
        lambda r: (r / "train.csv").write_text('image,labels\nphoto 1.png,red\n"photo 2.png,red\nphoto 3.png,red\n'),
        ["train.csv, line 3", "a quote is opened and not closed"],
    ),
    "a list that is no text": (lambda r: (r / "val.csv").write_bytes(b"\xff\xfe\x00"), ["val.csv", "UTF-8"]),
}


@pytest.mark.parametrize("name", ["a truncated JPEG", "a broken JPEG", "an image that is text", "no label"])
def test_photographs_that_cannot_be_cached(photographs: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, told = FOLDER[name]
    spoil(photographs)
    refused(["data", "cache", "folder", "--root", str(photographs), "--lists", "train.csv"], capsys, *told)
    assert left_below(photographs / "apc") == []


@pytest.mark.parametrize("name", FOLDER)
def test_photographs(photographs: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, told = FOLDER[name]
    spoil(photographs)
    refused(flags(photographs), capsys, *told)
    assert left_below(photographs.parent / "runs") == []
    refused(["data", "check", "folder", "--root", str(photographs)], capsys, *told)


# --- VOC ----------------------------------------------------------------------------------------------

LISTS, XML = "VOCdevkit/VOC2012/ImageSets/Segmentation", "VOCdevkit/VOC2012/Annotations"
JPEG, TRUTH = "VOCdevkit/VOC2012/JPEGImages", "VOCdevkit/VOC2012/SegmentationClass"
CLS = "benchmark_RELEASE/dataset/cls"


def without_objects(path: Path) -> None:
    text = path.read_text()
    path.write_text(text[: text.index("<object>")] + "</annotation>")


VOC: Cases = {
    "a truncated JPEG": (lambda r: cut(r / JPEG / "2007_000033.jpg"), ["2007_000033.jpg", "cannot be decoded"]),
    "a photograph that is absent": (
        lambda r: (r / JPEG / "2008_000002.jpg").unlink(),
        ["2008_000002.jpg", "there is no such image"],
    ),
    "an XML without objects": (
        lambda r: without_objects(r / XML / "2008_000002.xml"),
        ["2008_000002.xml", "has no object"],
    ),
    "an XML that is cut": (lambda r: cut(r / XML / "2008_000002.xml"), ["2008_000002.xml", "not XML"]),
    "an XML that is absent": (lambda r: (r / XML / "2008_000002.xml").unlink(), ["2008_000002.xml", "no such file"]),
    "an object of another data set": (
        lambda r: (r / XML / "2008_000002.xml").write_text("<a><object><name>zebra</name></object></a>"),
        ["2008_000002.xml", "'zebra'", "VOC's 20 classes"],
    ),
    "a mask of another size": (
        lambda r: Image.new("P", (7, 5)).save(r / TRUTH / "2007_000033.png"),
        ["2007_000033.png", "7x5"],
    ),
    "a mask with unknown indices": (
        lambda r: Image.fromarray(
            np.full(np.asarray(Image.open(r / TRUTH / "2007_000033.png")).shape, 77, np.uint8)
        ).save(r / TRUTH / "2007_000033.png"),
        ["2007_000033.png", "value 77", "0 to 20"],
    ),
    "a .mat that is cut": (lambda r: cut(r / CLS / "2008_000003.mat"), ["2008_000003.mat", "not one of SBD's masks"]),
    "a .mat that is absent": (lambda r: (r / CLS / "2008_000003.mat").unlink(), ["2008_000003.mat", "no such file"]),
    "a list naming an absent file": (
        lambda r: (r / LISTS / "val.txt").write_text("2007_999999\n"),
        ["2007_999999.jpg", "there is no such image"],
    ),
    "an empty split": (lambda r: (r / LISTS / "val.txt").write_text("\n"), ["val.txt", "lists no image"]),
    "a name twice": (
        lambda r: (r / LISTS / "train.txt").write_text("2007_000032\n" * 2),
        ["train.txt", "2007_000032", "twice"],
    ),
    "a list that is absent": (lambda r: (r / LISTS / "train.txt").unlink(), ["train.txt", "no such list"]),
}


# --- COCO ---------------------------------------------------------------------------------------------

VAL = "annotations/instances_val2014.json"


def edited(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(root: Path) -> None:
        told = json.loads((root / VAL).read_text())
        change(told)
        (root / VAL).write_text(json.dumps(told))

    return spoil


COCO: Cases = {
    "an unknown category": (
        edited(lambda t: t["annotations"][1].update(category_id=91)),
        ["instances_val2014.json", "annotation 1", "category 91"],
    ),
    "an unknown image": (
        edited(lambda t: t["annotations"][1].update(image_id=5)),
        ["instances_val2014.json", "annotation 1", "image 5"],
    ),
    "an annotation without its outline": (
        edited(lambda t: t["annotations"][1].pop("segmentation")),
        ["annotation 1", "segmentation"],
    ),
    "an outline that is none": (
        edited(lambda t: t["annotations"][1].update(segmentation=[["a"] * 6])),
        ["COCO_val2014_000000000010.jpg", "outline"],
    ),
    "a crowd of another image": (
        edited(lambda t: t["annotations"][2].update(segmentation={"size": [5, 5], "counts": [0, 25]})),
        ["COCO_val2014_000000000011.jpg", "outline"],
    ),
    "an image of another size": (
        edited(lambda t: t["images"][0].update(width=7)),
        ["COCO_val2014_000000000010.jpg", "320x300", "7x300"],
    ),
    "other categories": (edited(lambda t: t["categories"][0].update(name="lamp")), ["annotations", "categories"]),
    "a category twice": (edited(lambda t: t["categories"][0].update(id=1)), ["val2014.json", "category", "twice"]),
    "no images": (edited(lambda t: t.update(images=[], annotations=[])), ["val2014.json", "lists no image"]),
    "an image twice": (edited(lambda t: t["images"].append(t["images"][0])), ["val2014.json", "image", "twice"]),
    "another kind of annotations": (edited(lambda t: t.pop("categories")), ["val2014.json", "'categories'"]),
    "a file that is cut": (lambda r: cut(r / VAL), ["instances_val2014.json", "not COCO's instances"]),
    "a file that is absent": (lambda r: (r / VAL).unlink(), ["instances_val2014.json", "no such file"]),
    "a photograph that is absent": (
        lambda r: (r / "val2014/COCO_val2014_000000000012.jpg").unlink(),
        ["000000000012.jpg", "no such image"],
    ),
    "a truncated JPEG": (
        lambda r: cut(r / "val2014/COCO_val2014_000000000012.jpg"),
        ["000000000012.jpg", "cannot be decoded"],
    ),
}


@pytest.mark.parametrize(("dataset", "name"), [("voc", name) for name in VOC] + [("coco", name) for name in COCO])
def test_the_papers_data_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str, name: str) -> None:
    spoil, told = VOC[name] if dataset == "voc" else COCO[name]
    root = make_voc(tmp_path) if dataset == "voc" else make_coco(tmp_path)
    spoil(root)
    refused(["data", "prepare", dataset, "--root", str(root), "--partial"], capsys, *told)
    assert not list((root / "apc").rglob("*.csv")) and not list((root / "apc").rglob("*.json"))


# --- prepared data that changed since -----------------------------------------------------------------

LIST = "apc/voc/train.csv"


def respelled(old: str, new: str) -> Spoil:
    return lambda root: (root / LIST).write_text((root / LIST).read_text().replace(old, new))


CHANGED: Cases = {
    "a photograph that went away": (
        lambda r: (r / JPEG / "2008_000002.jpg").unlink(),
        ["2008_000002.jpg", "no such image"],
    ),
    "a photograph that is cut": (lambda r: cut(r / JPEG / "2008_000002.jpg"), ["2008_000002.jpg"]),
    "a list that is cut": (lambda r: cut(r / LIST, 0.98), ["train.csv, line 6", "damaged"]),
    "a list without its columns": (lambda r: (r / LIST).write_text("image,labels\na,b\n"), ["train.csv", "image_hash"]),
    "a label that is not in classes.txt": (respelled(",cat,", ",catt,"), ["train.csv, line", "'catt'", "classes.txt"]),
    "an empty split": (lambda r: cut(r / LIST, 0), ["train.csv"]),
    "a quote that is not closed": (respelled("image,", '"image,'), ["train.csv, line 1", "not closed"]),
    "class names that are no text": (
        lambda r: (r / "apc/voc/classes.txt").write_bytes(b"\xff\xfe"),
        ["apc/voc/classes.txt", "UTF-8"],
    ),
    "a list that went away": (lambda r: (r / LIST).unlink(), ["train.csv", "no such list"]),
    "a manifest that is cut": (lambda r: cut(r / "apc/voc/manifest.json"), ["manifest.json", "apc data prepare voc"]),
    "data that was never prepared": (
        lambda r: (r / "apc/voc/manifest.json").unlink(),
        ["manifest.json", "apc data prepare voc"],
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_prepared_data_that_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, told = CHANGED[name]
    root = make_voc(tmp_path)
    assert main(["data", "prepare", "voc", "--root", str(root), "--partial"]) == 0
    capsys.readouterr()
    spoil(root)
    words = [
        "train",
        "voc",
        "--root",
        str(root),
        "--runs",
        str(tmp_path / "runs"),
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
        "--device",
        "cpu",
    ]
    refused(words, capsys, *told)
    assert left_below(tmp_path / "runs") == []
    refused(["data", "check", "voc", "--root", str(root)], capsys, *told)


def test_check_sees_a_mask_whose_pixels_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_voc(tmp_path)
    assert main(["data", "prepare", "voc", "--root", str(root), "--partial"]) == 0
    mask = root / "apc/voc/masks/2008_000003.png"
    Image.fromarray(np.asarray(Image.open(mask))[::-1].copy()).save(mask)
    refused(["data", "check", "voc", "--root", str(root)], capsys, "2008_000003.png", "changed since it was prepared")


# --- the verb -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["prepare", "pascal", "--root", "."], ["dataset is 'pascal'; choose from voc, coco"]),
        (["prepare", "voc", "--root", "absent"], ["root is 'absent'", "no such folder"]),
        (["check", "voc", "--root", "absent"], ["root is 'absent'", "no such folder"]),
        (["check", "folder", "--root", "absent"], ["root is 'absent'", "no such folder"]),
        (["chekc", "voc"], ["'chekc'", "prepare, check, cache"]),
        (["prepare", "voc"], ["--root"]),
        (["cache", "folder", "--root", ".", "--image-size", "3"], ["image_size is 3", "between 16"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_verb(capsys: pytest.CaptureFixture[str], words: list[str], told: list[str]) -> None:
    refused(["data", *words], capsys, *told)


def test_a_root_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_voc(tmp_path)
    (root / "apc").write_text("a file")
    refused(["data", "prepare", "voc", "--root", str(root), "--partial"], capsys, "apc", "cannot be written")


# --- full disks and Ctrl-C ----------------------------------------------------------------------------


def making(action: str, tmp_path: Path, photographs: Path) -> tuple[list[str], Path]:
    """A data verb on whole data, and the folder it writes to."""
    if action in ("voc", "coco"):
        root = (make_voc if action == "voc" else make_coco)(tmp_path / action)
        return ["data", "prepare", action, "--root", str(root), "--partial"], root / "apc"
    if action == "draw":
        return ["data", "draw", "--root", str(tmp_path / "new"), "--num-train", "3", "--num-val", "2"], tmp_path / "new"
    return ["data", action, "folder", "--root", str(photographs)], photographs / "apc"


@pytest.mark.parametrize(
    ("action", "most", "file"),
    [
        ("voc", 300, "masks/2008_000002.png"),
        ("coco", 300, "masks/train2014/COCO_train"),
        ("cache", 2000, "train-256.npy"),
        ("draw", 300, "images/train_000"),
    ],
)
def test_a_disk_that_fills_up(
    tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str], action: str, most: int, file: str
) -> None:
    words, made = making(action, tmp_path, photographs)
    with small_files(most):
        refused(words, capsys, file, "File too large", "the same command goes on")
    left = {path.name for path in left_below(made)}
    assert not any(name.startswith(".") or name.endswith((".csv", ".json", ".npy")) for name in left), left
    assert main(words) == 0


@pytest.mark.parametrize(
    ("action", "where"),
    [
        ("voc", "apc.data.voc.made_of"),
        ("voc", "apc.data.preparing.values_in"),
        ("coco", "apc.data.coco.paint"),
        ("check", "apc.data.checking._look"),
        ("cache", "apc.data.cache.squash"),
        ("draw", "apc.data.pocket_folder.write_mask"),
    ],
)
def test_ctrl_c_ends_in_one_sentence_and_the_same_command_goes_on(
    tmp_path: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    action: str,
    where: str,
) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    words, made = making(action, tmp_path, photographs)
    monkeypatch.setattr(where, stop)
    assert main(words) == 130
    said = capsys.readouterr().err
    assert said == "stopped; the same command goes on where it was\n"
    assert not [path for path in left_below(made) if path.name.startswith(".") or path.suffix != ".png"]
    monkeypatch.undo()
    assert main(words) == 0
