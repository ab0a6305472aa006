"""Prepared data: a fingerprint that reads no file."""

from pathlib import Path

from PIL import Image
from trees import make_voc

from apc.data import prepared
from apc.data import voc as voc_data


def test_the_fingerprint_of_prepared_data_changes_with_any_file_and_reads_none(tmp_path: Path) -> None:
    root = make_voc(tmp_path)
    voc_data.prepare(root, partial=True)
    before = prepared.fingerprint(str(root), "voc", ["train.csv", "val.csv"])
    image = root / "VOCdevkit/VOC2012/JPEGImages/2007_000061.jpg"
    Image.open(image).rotate(180).save(image)
    assert prepared.fingerprint(str(root), "voc", ["train.csv", "val.csv"]) == before  # prepare looks, it does not
    voc_data.prepare(root, partial=True)
    assert prepared.fingerprint(str(root), "voc", ["train.csv", "val.csv"]) != before
