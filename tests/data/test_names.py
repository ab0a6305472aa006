"""Names in lists and in classes.txt: however they are spelt, they find their file, and none of another folder."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from apc import data
from apc.config import Config
from apc.data.folder import read_classes, scan
from apc.data.lists import Folder, leaves

NFC, NFD = (unicodedata.normalize(form, "Höhle é") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("listed", "there", "mask"), [(NFC, NFD, NFD), (NFD, NFC, NFD), (NFC, NFC, NFD)])
def test_a_name_is_found_in_either_form_of_its_accents_and_so_is_its_mask(
    photographs: Path, cfg: Config, listed: str, there: str, mask: str
) -> None:
    assert NFC != NFD
    (photographs / "images" / "photo 8.png").rename(photographs / "images" / f"{there}.png")
    (photographs / "masks" / "photo 8.png").rename(photographs / "masks" / f"{mask}.png")
    text = (photographs / "val.csv").read_text()
    (photographs / "val.csv").write_text(text.replace("photo 8.png", f"{listed}.png "))  # a blank at the end, too
    val = data.load(cfg, "val")
    found = val.mask(0)
    assert val.names[0] == f"{there}.png" and found is not None and found.shape == (48, 52)


def test_labels_and_classes_are_the_same_in_either_form(photographs: Path, cfg: Config) -> None:
    (photographs / "classes.txt").write_text(f"{NFC.replace(' ', '')}\nblue\n")
    for name in ("train.csv", "val.csv"):
        path = photographs / name
        path.write_text(path.read_text().replace("red", NFD.replace(" ", "")))
    assert data.load(cfg, "val").labels.tolist() == [[1, 1], [1, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/a.png", "is an absolute path"),
        ("C:/a.png", "is an absolute path"),
        ("file:///a.png", "is an absolute path"),
        ("https://photos.org/a.png", "is an absolute path"),
        ("..", "has `..` in it"),
        ("b/../../masks/a.png", "has `..` in it"),
        ("..\\masks\\a.png", "has a back slash"),
        ("\\\\server\\a.png", "has a back slash"),
    ],
)
def test_what_leaves_the_images_is_refused_with_why(name: str, why: str) -> None:
    assert leaves(name).startswith(why)


@pytest.mark.parametrize("name", ["a.png", "b/a.png", "./a.png", "a..png", "..a.png", "a:b.png", "~/a.png"])
def test_what_stays_below_the_images_is_not(name: str) -> None:
    assert leaves(name) == ""


def test_one_file_by_two_spellings_is_listed_twice(photographs: Path) -> None:
    (photographs / "val.csv").write_text("image,labels\nphoto 9.png,red\n./photo 9.png,red\n photo 9.png,red\n")
    listing, problems = scan(str(photographs), "val.csv")
    assert listing.names == ["photo 9.png"]
    assert [problem.partition(": ")[2] for problem in problems] == ["image 'photo 9.png' is listed twice"] * 2


def test_the_very_name_comes_before_one_that_is_only_the_same_to_a_person(tmp_path: Path) -> None:
    for name in (f"{NFC}.png", f"{NFD}.png", " a.png", "a.png"):
        (tmp_path / name).touch()
    folder = Folder(tmp_path)
    assert [folder.find(name) for name in (f"{NFC}.png", f"{NFD}.png", " a.png", "a.png ", "b.png", "")] == [
        f"{NFC}.png",
        f"{NFD}.png",
        " a.png",
        "a.png",
        None,
        None,
    ]


@pytest.mark.parametrize(
    "name", ["background", "Background", "_background_", "__background__", "__ignore__", "_IGNORE_"]
)
def test_what_every_mask_numbers_by_itself_is_no_class(photographs: Path, name: str) -> None:
    (photographs / "classes.txt").write_text(f"red\n{name}\n")
    with pytest.raises(ValueError, match=f"classes.txt, line 2: '{name}' is no class of its own"):
        read_classes(str(photographs))


def test_empty_lines_behind_the_last_class_shift_nothing(photographs: Path) -> None:
    (photographs / "classes.txt").write_text("red\nblue\n\n \n")
    assert read_classes(str(photographs)) == ["background", "red", "blue"]


@pytest.mark.parametrize("nothing", ["", " ", "background"])
def test_an_image_of_nothing_is_an_image_without_a_class(photographs: Path, cfg: Config, nothing: str) -> None:
    text = (photographs / "train.csv").read_text()
    (photographs / "train.csv").write_text(text.replace("photo 0.png,red", f"photo 0.png,{nothing}"))
    train = data.load(replace(cfg, num_train=0), "train")
    assert train.names[0] == "photo 0.png" and train.labels[:2].tolist() == [[0, 0], [0, 1]]
