"""`apc data check`: what a folder consists of, and the first of many faults."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from apc import data
from apc.cli.main import main
from apc.data import cache
from apc.data.folder import scan


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
    assert "note: 1 photograph is in more than one list" in told and "note: 1 file is a copy" in told
    assert "note: 1 file of images/ is in no list" in told and told.endswith("everything can be used\n")
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


def test_an_image_with_a_misspelt_label_is_one_of_its_list(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (photographs / "train.csv").read_text().splitlines()
    (photographs / "train.csv").write_text("\n".join([*lines[:-1], lines[-1].rpartition(",")[0] + ",bleu"]) + "\n")
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 2
    said = capsys.readouterr()
    assert "line 9: label 'bleu' is not in classes.txt" in said.err
    assert "train.csv: 8 images" in said.out and "in no list" not in said.out and "differ" not in said.out


def test_files_in_folders_that_are_links_are_those_of_the_lists(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "images").rename(photographs / "kept")
    (photographs / "images").mkdir()
    (photographs / "images" / "sub").symlink_to(photographs / "kept")
    for name in ("train.csv", "val.csv"):
        text = (photographs / name).read_text().replace("photo", "sub/photo")
        (photographs / name).write_text(text)
    (photographs / "kept" / "spare.png").write_bytes((photographs / "kept" / "photo 1.png").read_bytes())
    main(["data", "check", "folder", "--root", str(photographs)])
    assert "note: 1 file of images/ is in no list, such as 'spare.png'" in capsys.readouterr().out


def test_a_missing_list_for_validation_and_one_of_semicolons_come_with_a_command(photographs: Path) -> None:
    (photographs / "val.csv").unlink()
    told = rf"val.csv: there is no such file; `apc data split --root {photographs} --lists train.csv --replace` draws"
    with pytest.raises(ValueError, match=told):
        scan(str(photographs), "val.csv")
    assert main(["data", "split", "--root", str(photographs), "--lists", "train.csv", "--replace"]) == 0
    assert scan(str(photographs), "val.csv")[1] == []
    text = (photographs / "train.csv").read_text()
    (photographs / "train.csv").write_text(text.replace(",", ";"))
    with pytest.raises(ValueError, match="separated by semicolons: save it with commas, or have it read with") as why:
        scan(str(photographs), "train.csv")
    words = shlex.split(str(why.value).split("`")[1])[1:]
    assert main([str(photographs.parent / "new") if word == "NEW" else word for word in words]) == 0
