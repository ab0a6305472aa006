"""`apc data check`: what a folder consists of, and the first of many faults."""

from pathlib import Path

import numpy as np
import pytest

from apc import data
from apc.cli.main import main
from apc.data import cache


def test_check_says_what_a_folder_consists_of(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photographs / "images" / "spare.png").write_bytes((photographs / "images" / "photo 1.png").read_bytes())
    text = (photographs / "val.csv").read_text()
    (photographs / "val.csv").write_text(text + "photo 1.png,blue\nspare.png,blue\n")
    (photographs / "images" / "other.png").write_bytes(b"")
    cache.build(data.files("folder", str(photographs), "train.csv"), 48)
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 0
    told = capsys.readouterr().out
    assert "train.csv: 8 images, sides of 40 to 60 pixels, 8 with a mask" in told
    assert "val.csv: 6 images, sides of 41 to 59 pixels, 5 with a mask" in told
    assert "note: 1 photographs are in more than one list" in told and "note: 1 files are copies" in told
    assert "note: 1 files of images/ are in no list" in told and told.endswith("everything can be used\n")
    red, blue = (line.split() for line in told.splitlines() if line.startswith(("red", "blue")))
    assert red == ["red", "5", "3"] and blue == ["blue", "5", "5"]


def test_check_names_the_first_ten_of_many_and_finds_damaged_caches(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = cache.build(data.files("folder", str(photographs), "train.csv"), 48)
    kept = np.lib.format.open_memmap(file, mode="r+")
    kept[5, 3, 3] ^= 255
    kept.flush()
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 2
    assert "train-48.npy" in capsys.readouterr().err
    for path in (photographs / "images").iterdir():
        path.write_bytes(path.read_bytes()[:70])
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 2
    said = capsys.readouterr()
    assert said.out.count("cannot be decoded") == 10
    assert "12 things are wrong with the data; the first 10 are named above" in said.err


def test_caches_of_lists_whose_names_begin_alike_are_told_apart(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (photographs / "train.csv").read_text().splitlines()
    (photographs / "train-40.csv").write_text("\n".join(lines[:4]) + "\n")
    built = {
        name: cache.build(data.files("folder", str(photographs), name), 48) for name in ("train.csv", "train-40.csv")
    }
    assert [path.name for path in built.values()] == ["train-48.npy", "train-40-48.npy"]
    (built["train.csv"].parent / "train-old.npy").write_text("somebody's")
    words = ["data", "check", "folder", "--root", str(photographs), "--lists"]
    assert main([*words, "train.csv", "train-40.csv"]) == 0
    kept = np.lib.format.open_memmap(built["train-40.csv"], mode="r+")
    kept[1] ^= 255
    kept.flush()
    assert main([*words, "train.csv"]) == 0
    capsys.readouterr()
    assert main([*words, "train.csv", "train-40.csv"]) == 2
    assert capsys.readouterr().err.count("train-40-48.npy") == 1
