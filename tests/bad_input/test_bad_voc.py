"""A damaged VOC: one sentence that names file and field, exit code 2, and nothing half-written."""

from pathlib import Path

import numpy as np
import pytest
from huge_headers import HUGE
from PIL import Image
from refusal import refused
from spoilt import Cases, cut
from trees import make_voc

LISTS, XML = "VOCdevkit/VOC2012/ImageSets/Segmentation", "VOCdevkit/VOC2012/Annotations"
JPEG, TRUTH = "VOCdevkit/VOC2012/JPEGImages", "VOCdevkit/VOC2012/SegmentationClass"
CLS = "benchmark_RELEASE/dataset/cls"


VOC: Cases = {
    "a mask that announces gigabytes": (
        lambda r: (r / TRUTH / "2007_000033.png").write_bytes(HUGE["a.png"]()),
        ["2007_000033.png", "its header says 4290 megapixels"],
    ),
    "a photograph that is absent": (
        lambda r: (r / JPEG / "2008_000002.jpg").unlink(),
        ["2008_000002.jpg", "there is no such image"],
    ),
    "an XML of something else": (
        lambda r: (r / XML / "2008_000002.xml").write_text("<html><body/></html>"),
        ["2008_000002.xml", "is no annotation of VOC's", "<html>"],
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


@pytest.mark.parametrize("name", VOC)
def test_voc_that_cannot_be_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, told = VOC[name]
    root = make_voc(tmp_path)
    spoil(root)
    refused(["data", "prepare", "voc", "--root", str(root), "--partial"], capsys, *told)
    assert not list((root / "apc").rglob("*.csv")) and not list((root / "apc").rglob("*.json"))
