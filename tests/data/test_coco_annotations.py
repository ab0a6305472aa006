"""COCO files as labelling tools write them: what is taken, what is left out with a note, what is refused by number."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exif import tagged
from PIL import Image
from refusal import flags, refused
from trees import make_coco, square

from apc import data
from apc.cli.main import main
from apc.config import coco
from apc.data import coco as coco_data
from apc.data import prepared

Told = dict[str, Any]


def spoilt(root: Path, change: Callable[[Told], object], splits: tuple[str, ...] = ("train", "val")) -> None:
    """Change the files of instances."""
    for split in splits:
        path = root / "annotations" / f"instances_{split}2014.json"
        told = json.loads(path.read_text())
        change(told)
        path.write_text(json.dumps(told))


def prepare(root: Path) -> str:
    """Prepare, and the notes of it."""
    coco_data.prepare(root, partial=True)
    return "\n".join(prepared.notes_of(str(root), "coco"))


def masks(root: Path, **changes: Any) -> list[np.ndarray]:
    """The masks of the validation images."""
    val = data.load(replace(coco(), root=str(root), image_size=48, eval_size=0, **changes), "val")
    return [mask for i in range(len(val)) if (mask := val.mask(i)) is not None]


def edit(told: Told, **values: Any) -> None:
    told["annotations"][0].update(values)


@pytest.mark.parametrize(
    "write", [float, str, lambda side: f"{side}.0"], ids=["numbers with a point", "texts", "texts with a point"]
)
def test_sizes_are_whole_numbers_however_they_are_written(tmp_path: Path, write: Callable[[int], object]) -> None:
    root = make_coco(tmp_path)
    prepare(root)
    expected = [mask.tobytes() for mask in masks(root)]
    spoilt(root, lambda t: [i.update(width=write(i["width"]), height=write(i["height"])) for i in t["images"]])
    prepare(root)
    assert [mask.tobytes() for mask in masks(root)] == expected


REFUSED: dict[str, tuple[Callable[[Told], object], list[str]]] = {
    "a width that is no number": (lambda t: t["images"][0].update(width=float("nan")), ["image 10", "width nan"]),
    "half a pixel": (lambda t: t["images"][0].update(height=300.5), ["image 10", "height 300.5", "whole number"]),
    "no width": (lambda t: t["images"][0].pop("width"), ["image 10 has no width"]),
    "a file name that is none": (lambda t: t["images"][0].update(file_name=7), ["image 10", "file_name 7"]),
    "an image that is a number": (lambda t: t["images"].insert(0, 5), ["image number 0 is a int"]),
    "annotations by name": (lambda t: t.update(annotations={}), ["annotation entries are a dict, not a list"]),
    "categories of two types": (
        lambda t: t["categories"][0].update(id="17"),
        ["category ids are of two types, such as 1 and '17'"],
    ),
    "images of two types": (lambda t: t["images"][0].update(id="10"), ["image ids are of two types", "'10'"]),
    "an id of another type": (
        lambda t: edit(t, image_id="10"),
        ["annotation 0 has the image '10'", "(10 is: ids must be of one type)"],
    ),
    "an id that is a list": (lambda t: edit(t, category_id=[1]), ["annotation 0 has the category_id [1]"]),
    "coordinates that are not finite": (
        lambda t: edit(t, segmentation=[[10, 10, float("nan"), 10, 30, 30]]),
        ["000000000010.jpg", "annotation 0", "the coordinate nan"],
    ),
    "coordinates beyond reason": (
        lambda t: edit(t, segmentation=[[10, 10, 1e12, 10, 30, 30]]),
        ["000000000010.jpg", "annotation 0", "the coordinate 1e+12"],
    ),
    "a name that leaves the folder": (
        lambda t: t["images"][0].update(file_name="../../etc/passwd"),
        ["no such image", "has `..` in it"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_tool_means_is_refused_by_image_or_annotation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    change, told = REFUSED[name]
    root = make_coco(tmp_path)
    spoilt(root, change, ("val",))
    refused(["data", "prepare", "coco", "--root", str(root), "--partial"], capsys, *told)
    assert not list((root / "apc").rglob("*.csv"))


@pytest.mark.parametrize("folder", [False, True], ids=["another suffix", "another folder"])
def test_no_two_photographs_share_a_mask(tmp_path: Path, folder: bool) -> None:
    root = make_coco(tmp_path)

    def renamed(told: Told) -> None:
        names = ["cam0/a.png", "cam1/a.png"] if folder else ["a.png", "a.jpg"]
        for image, name in zip(told["images"], names, strict=False):
            path = root / "val2014" / name
            path.parent.mkdir(exist_ok=True)
            Image.open(root / "val2014" / image["file_name"]).save(path, format="PNG")
            image["file_name"] = name

    spoilt(root, renamed, ("val",))
    prepare(root)
    entries = prepared.read_entries(str(root), "coco", "val.csv")
    assert len({entry.mask for entry in entries}) == len(entries) == 4
    first, second, *_ = masks(root, coco_images="all")
    assert first[70, 70] == 2 and second[15, 15] == 1 and second[100, 5] == 255


def test_masks_of_names_that_differ_are_called_as_ever(tmp_path: Path) -> None:
    root = make_coco(tmp_path)
    prepare(root)
    entries = prepared.read_entries(str(root), "coco", "val.csv")
    assert entries[0].mask == "apc/coco/masks/val2014/COCO_val2014_000000000010.png"


def test_a_category_called_background_and_one_that_is_only_a_parent_are_left_out_with_a_note(tmp_path: Path) -> None:
    root = make_coco(tmp_path)
    prepare(root)
    expected = [mask.tobytes() for mask in masks(root)]

    def more(told: Told) -> None:
        told["categories"] += [
            {"id": 0, "name": "things", "supercategory": "none"},
            {"id": 5, "name": "Background", "supercategory": "things"},
        ]
        for category in told["categories"][:2]:
            category["supercategory"] = "things"
        ground = {"id": 99, "image_id": 10, "category_id": 5, "segmentation": [square(0, 0, 10)]}
        told["annotations"].append(ground)

    spoilt(root, more)
    notes = prepare(root)
    assert "note: category 'things' is left out: it has no object and is the parent of" in notes
    assert "note: category 'Background' is left out with its 2 objects: 0 is the background" in notes
    assert prepared.read_classes(str(root), "coco") == ["background", "person", "traffic_light"]
    assert [mask.tobytes() for mask in masks(root)] == expected


def test_a_parent_that_has_objects_of_its_own_is_a_class(tmp_path: Path) -> None:
    root = make_coco(tmp_path)
    spoilt(root, lambda t: t["categories"][0].update(supercategory="person"))
    prepare(root)
    assert prepared.read_classes(str(root), "coco") == ["background", "person", "traffic_light"]


def test_labels_without_a_pixel_are_counted_named_and_said_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_coco(tmp_path)

    def change(told: Told) -> None:
        told["annotations"][0]["segmentation"] = [square(60.1, 60.1, 0.1)]  # no middle of a pixel lies in it
        told["annotations"][3]["iscrowd"], told["annotations"][4]["segmentation"] = 1, []

    spoilt(root, change, ("val",))
    assert main(["data", "prepare", "coco", "--root", str(root), "--partial"]) == 0
    lines = [
        "note: 3 of 4 val images have a label without a pixel",
        "  val2014/COCO_val2014_000000000010.jpg: traffic_light (hidden or too small)",
        "  val2014/COCO_val2014_000000000011.jpg: person (crowds only)",
        "  val2014/COCO_val2014_000000000013.jpg: traffic_light (boxes only)",
        "note: 1 of 4 val images have crowds only, which are no outlines",
        "note: 1 of 4 val images have boxes only, which are no outlines",
        "note: 1 of 4 val images show no object; --coco-images all trains on them, as background",
    ]
    assert "\n".join(lines) in capsys.readouterr().out
    assert main(["data", "check", "coco", "--root", str(root)]) == 0
    assert "\n".join(lines) in capsys.readouterr().out


def test_where_every_label_is_a_crowd_nothing_can_be_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_coco(tmp_path)

    def crowds(told: Told) -> None:
        for a, image in ((a, i) for a in told["annotations"] for i in told["images"] if i["id"] == a["image_id"]):
            size = [image["height"], image["width"]]
            a.update(iscrowd=1, segmentation={"size": size, "counts": [5, 40, size[0] * size[1] - 45]})

    spoilt(root, crowds)
    assert "note: 3 of 4 val images have a label without a pixel" in prepare(root)
    words = ["train", "coco", *flags(root)[2:], "--weights", ""]
    refused(words, capsys, "val.csv: nothing can be scored", "person, traffic_light", "a crowd or a box has no pixels")
    assert main(["data", "check", "coco", "--root", str(root)]) == 2


@pytest.mark.parametrize(
    "place",
    [
        "/data/upload/7/{}",
        "http://labels.example:8080/data/upload/7/{}",
        "/data/local-files/?d=val%2F{}",
        "C:\\photos\\{}",
        "images/{}",
        "../{}",
    ],
)
def test_file_names_of_labelling_servers_fall_back_to_their_last_part(tmp_path: Path, place: str) -> None:
    root = make_coco(tmp_path)
    spoilt(root, lambda t: [i.update(file_name=place.format(i["file_name"])) for i in t["images"]], ("val",))
    notes = prepare(root)
    first = "COCO_val2014_000000000010.jpg"
    assert f"note: 4 photographs of instances_val2014.json are taken by another name, such as '{first}' for" in notes
    assert prepared.read_entries(str(root), "coco", "val.csv")[0].image == f"val2014/{first}"


def test_two_addresses_of_one_photograph_are_an_image_listed_twice(tmp_path: Path) -> None:
    root = make_coco(tmp_path)
    spoilt(root, lambda t: t["images"][1].update(file_name=f"other/{t['images'][0]['file_name']}"))
    with pytest.raises(ValueError, match=r"an image is listed twice: 'COCO_train2014_000000000010.jpg'"):
        prepare(root)


def test_a_photograph_that_is_cut_is_left_out_of_a_partial_set_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_coco(tmp_path)
    path = root / "val2014/COCO_val2014_000000000011.jpg"
    path.write_bytes(path.read_bytes()[:700])
    assert main(["data", "prepare", "coco", "--root", str(root), "--partial"]) == 0
    said = capsys.readouterr().out
    assert f"note: 1 photograph cannot be decoded and is left out\n  {path}: the image cannot be decoded (" in said
    assert "val.csv: 3 all, 2 annotated" in said
    assert [entry.image[-6:-4] for entry in prepared.read_entries(str(root), "coco", "val.csv")] == ["10", "12", "13"]


def test_photographs_are_shown_as_they_are_stored_whatever_their_exif_says(tmp_path: Path) -> None:
    root = make_coco(tmp_path)
    path = root / "val2014/COCO_val2014_000000000010.jpg"
    for orientation in (3, 6):
        prepare(root)
        before = data.load(replace(coco(), root=str(root), image_size=48, eval_size=0), "val")
        pixels, shown = before.photo(0), before.images[0]
        tagged(path, orientation)
        prepare(root)
        after = data.load(replace(coco(), root=str(root), image_size=48, eval_size=0), "val")
        assert (after.photo(0) == pixels).all() and (after.images[0] == shown).all()
