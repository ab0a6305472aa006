"""A damaged COCO: one sentence that names file and field, exit code 2, and nothing half-written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusal import refused
from spoilt import Cases, Spoil, cut
from trees import make_coco

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
}


@pytest.mark.parametrize("name", COCO)
def test_coco_that_cannot_be_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, told = COCO[name]
    root = make_coco(tmp_path)
    spoil(root)
    refused(["data", "prepare", "coco", "--root", str(root), "--partial"], capsys, *told)
    assert not list((root / "apc").rglob("*.csv")) and not list((root / "apc").rglob("*.json"))
