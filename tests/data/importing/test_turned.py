"""Masks of photographs that EXIF turns: told, a file at a time, whether the tool showed them turned."""

import json
from pathlib import Path
from typing import Any

import exports
import pytest

from apc.data.importing import coco, masks
from apc.data.importing.source import Source
from apc.data.importing.turning import stored
from apc.data.importing.wishes import Wishes

EXIF = {"a": 3, "b": 6, "c": 2, "d": 1}
"""How each photograph is turned; `b` by a quarter."""


def exported(root: Path, sides: dict[str, tuple[int, int]], info: dict[str, Any] | None = None) -> Source:
    """COCO of turned photographs, with the height and width of some said otherwise than 24 by 32."""
    for name, exif in EXIF.items():
        exports.photograph(root / f"{name}.jpg", exif)
    content = exports.coco_of(exports.SHOWN) | {"info": info or {}}
    for image in content["images"]:
        image["height"], image["width"] = sides.get(image["file_name"][0], (24, 32))
    exports.write(root / "labels.json", content)
    return Source(root)


def test_a_size_as_seen_tells_it_of_the_whole_file(tmp_path: Path) -> None:
    found = coco.read(exported(tmp_path, {"b": (32, 24)}), Wishes())
    assert [photo.as_stored for photo in found.photos] == [False] * 4
    assert not any("EXIF" in note for note in found.notes)


def test_a_size_as_stored_tells_it_of_the_whole_file(tmp_path: Path) -> None:
    found = coco.read(exported(tmp_path, {}), Wishes())
    assert [photo.as_stored for photo in found.photos] == [True] * 4
    assert not any("EXIF" in note for note in found.notes)


def test_label_studio_shows_photographs_turned(tmp_path: Path) -> None:
    source = exported(tmp_path, {}, {"contributor": "Label Studio"})
    assert not any(photo.as_stored for photo in coco.read(source, Wishes()).photos)


def test_photographs_of_which_nothing_tells_it_are_counted(tmp_path: Path) -> None:
    source = exported(tmp_path, {})
    exports.photograph(tmp_path / "b.jpg", 1)
    found = coco.read(source, Wishes())
    assert all(photo.as_stored for photo in found.photos)
    [told] = [note for note in found.notes if "EXIF" in note]
    assert told.startswith("labels.json: 2 photographs are turned by EXIF, ")


def test_one_file_says_nothing_of_another(tmp_path: Path) -> None:
    exported(tmp_path / "one", {"b": (32, 24)})
    exported(tmp_path / "two", {})
    found = coco.read(Source(tmp_path), Wishes())
    assert {(photo.place[:3], photo.as_stored) for photo in found.photos} == {("one", False), ("two", True)}


@pytest.mark.parametrize("seen", [True, False])
def test_masks_beside_xml_files_tell_it_by_their_sizes(seen: bool, tmp_path: Path) -> None:
    exports.voc(tmp_path)
    for name, exif in EXIF.items():
        exports.photograph(tmp_path / "VOC2012/JPEGImages" / f"{name}.jpg", exif)
    mask = exports.mask(["blue"], {"blue": 1})
    exports.save(tmp_path / "VOC2012/SegmentationClass/b.png", mask.T if seen else mask)
    found = masks.read(Source(tmp_path), Wishes())
    assert [photo.as_stored for photo in found.photos] == [not seen] * 4


def test_masks_beside_xml_files_that_do_not_tell_it_are_counted(tmp_path: Path) -> None:
    exports.voc(tmp_path)
    exports.photograph(tmp_path / "VOC2012/JPEGImages/a.jpg", 3)
    found = masks.read(Source(tmp_path), Wishes())
    assert any(note.startswith("1 photograph is turned by EXIF, ") for note in found.notes)


def test_a_file_without_sizes_tells_nothing(tmp_path: Path) -> None:
    source = exported(tmp_path, {})
    content = json.loads((tmp_path / "labels.json").read_text())
    for image in content["images"]:
        del image["height"], image["width"]
    exports.write(tmp_path / "labels.json", content)
    found = coco.read(source, Wishes())
    assert any(note.startswith("labels.json: 2 photographs are turned by EXIF, ") for note in found.notes)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
@pytest.mark.parametrize("exif", [1, 3, 6, 8])
def test_a_photograph_is_as_large_as_its_file_has_it(exif: int, suffix: str, tmp_path: Path) -> None:
    path = exports.photograph(tmp_path / f"a{suffix}", exif)
    assert stored(path, 10_000) == (exports.SIZE, exif)
