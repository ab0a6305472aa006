"""Which list a photograph is for, by its path alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import exports
import pytest

from apc.data.importing import coco, cvat_xml, label_studio, labelme, masks, spreadsheet
from apc.data.importing.found import Photo, by_paths
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes


def splits(*places: str) -> list[str]:
    return [photo.split for photo in by_paths([Photo(Path(place), place) for place in places])]


def test_one_name_among_others_chooses_no_list() -> None:
    assert splits("engine-test.jpg", "val_thorens.jpg", "photos/a.jpg") == ["", "", ""]


def test_names_of_which_each_says_it_choose_lists() -> None:
    assert splits("train_1.jpg", "2-val.jpg", "test3.jpg") == ["train", "val", "test"]


def test_folders_choose_before_names() -> None:
    assert splits("train2017/val_thorens.jpg", "photos/test/a.jpg", "photos/b.jpg") == ["train", "test", ""]


def test_what_the_source_says_stays() -> None:
    assert [photo.split for photo in by_paths([Photo(Path("a"), "train/a.jpg", split="val")])] == ["val"]


MADE: dict[str, tuple[Callable[[Path], None], Any]] = {
    "coco": (exports.coco, coco.read),
    "cvat-xml": (exports.cvat_xml, cvat_xml.read),
    "label-studio": (exports.label_studio, label_studio.read),
    "labelme": (exports.labelme, labelme.read),
    "masks": (exports.masks, masks.read),
}


@pytest.mark.parametrize("kind", MADE)
def test_a_photograph_called_val_is_no_list_of_its_own(kind: str, tmp_path: Path) -> None:
    make, read = MADE[kind]
    make(tmp_path)
    for path in list(tmp_path.rglob("b.*")):
        path.rename(path.with_name(f"val_b{path.suffix}"))
    for path in [*tmp_path.rglob("*.json"), *tmp_path.rglob("*.xml")]:
        path.write_text(path.read_text().replace("b.jpg", "val_b.jpg"))
    found = read(Source(tmp_path), Wishes())
    assert {photo.file.name for photo in found.photos} == {"a.jpg", "val_b.jpg", "c.jpg", "d.jpg"}
    assert {photo.split for photo in found.photos} == {""}


def test_photographs_that_no_line_names_are_for_a_list_by_their_folders_alone(tmp_path: Path) -> None:
    exports.table("image,labels\na.jpg,red\nb.jpg,blue\n")(tmp_path)
    exports.photograph(tmp_path / "photos/val_thorens.jpg")
    exports.photograph(tmp_path / "photos/val/e.jpg")
    found = spreadsheet.read(Source(tmp_path), Wishes(take_unlabelled=True))
    assert {photo.place: photo.split for photo in found.photos if photo.split} == {"photos/val/e.jpg": "val"}


def test_photographs_of_a_table_are_for_the_lists_that_their_folders_name(tmp_path: Path) -> None:
    for place in ("train/a.jpg", "val/b.jpg", "train/val_thorens.jpg"):
        exports.photograph(tmp_path / place)
    exports.write(tmp_path / "labels.csv", "image,labels\ntrain/a.jpg,red\nval/b.jpg,blue\nval_thorens.jpg,red\n")
    found = spreadsheet.read(Source(tmp_path), Wishes())
    assert [photo.split for photo in found.photos] == ["train", "val", "train"]


def test_a_line_beside_masks_chooses_no_list_by_the_name_of_its_photograph(tmp_path: Path) -> None:
    exports.masks(tmp_path)
    for path in list(tmp_path.rglob("b.*")):
        path.rename(path.with_name(f"val_b{path.suffix}"))
    exports.write(tmp_path / "labels.csv", "image,labels\nval_b.jpg,blue\n")
    found = masks.read(Source(tmp_path), Wishes())
    assert len(found.photos) == 4 and {photo.split for photo in found.photos} == {""}
