"""Prepared data that changed since: refused by training and by `apc data check`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusal import left_below, refused
from spoilt import Cases, Spoil, cut
from trees import make_voc

from apc.cli.main import main

JPEG = "VOCdevkit/VOC2012/JPEGImages"
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
