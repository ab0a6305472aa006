"""Photographs in which nothing is labelled, and objects without an outline."""

import json
from pathlib import Path
from typing import Any

import exports
import pytest

from apc.data.importing import coco, cvat_xml
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes


@pytest.mark.parametrize(("make", "read"), [(exports.coco, coco.read), (exports.cvat_xml, cvat_xml.read)])
def test_photographs_without_an_object_are_kept_and_counted(make: Any, read: Any, tmp_path: Path) -> None:
    make(tmp_path)
    found = read(Source(tmp_path), Wishes())
    assert [photo.labels for photo in found.photos][3] == frozenset()
    [told] = [note for note in found.notes if note.startswith("1 photograph has no object in the file: ")]
    assert "background" in told


@pytest.mark.parametrize("empty", [[], [[]], [[], []], None])
def test_an_object_without_an_outline_gets_no_mask(empty: Any, tmp_path: Path) -> None:
    exports.coco(tmp_path)
    path = tmp_path / "labels/my labels.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = empty  # that of `a`
    exports.write(path, content)
    found = coco.read(Source(tmp_path), Wishes())
    assert [photo.mask is None for photo in found.photos] == [True, False, False, False]
    assert "1 photograph has objects with a box and no outline, which give labels and no mask" in found.notes
