"""Which photographs are meant, their names, and what their image labels allow."""

import shutil
from pathlib import Path

import pytest
from predictions import CLASSES, picture

from apc.prediction.photographs import Photograph, gather, image_labels


def test_two_photographs_never_share_a_name(tmp_path: Path) -> None:
    for name in ("one/a.png", "one/a.jpg", "one/sub/a.png", "two/a.jpg", "two/B.png", "one/b.png", "three/one/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture(3, 4).save(tmp_path / name)
    given = [tmp_path / "one", tmp_path / "two", tmp_path / "three" / "one", tmp_path / "one" / "a.png"]
    found = gather(given, tmp_path / "out")
    assert [p.relative for p in found] == ["a.jpg", "a.png", "b.png", "sub/a.png", "B.png", "a.jpg", "b.png"]
    names = ["one/a.jpg", "a.png", "one/b.png", "sub/a", "two/B.png", "two/a.jpg", "one/b.png (2)"]
    assert [p.name for p in found] == names


def test_what_is_no_photograph_is_passed_over_and_a_data_set_means_its_images(photographs: Path) -> None:
    (photographs / "images" / "notes.txt").write_text("x")
    (photographs / "images" / ".hidden.png").write_text("x")
    assert len(gather([photographs], photographs / "out")) == 12
    shutil.copytree(photographs / "images", photographs / "images" / "out" / "masks")
    assert len(gather([photographs / "images"], photographs / "images" / "out")) == 12


def test_a_list_that_is_trained_on_says_what_its_photographs_show(tmp_path: Path) -> None:
    path, classes = tmp_path / "train.csv", [*CLASSES, "gr\u00fcn"]
    path.write_text("image,labels\na.jpg,\nb.jpg,background\nc.jpg,background gru\u0308n\nd.jpg,blue red\n")
    shown = image_labels(str(path), classes, [Photograph(Path(f"{name}.jpg"), f"{name}.jpg", name) for name in "abcd"])
    assert shown == {"a": [], "b": [], "c": ["gr\u00fcn"], "d": ["blue", "red"]}


def test_no_class_is_another_thing_than_no_label() -> None:
    photographs = [Photograph(Path("a.jpg"), "a.jpg", "a")]
    assert image_labels("background", CLASSES, photographs) == {"a": []}
    assert image_labels("", CLASSES, photographs) == {}
    with pytest.raises(ValueError, match="labels: no label is given; name at least one of background, red, blue"):
        image_labels(" , ", CLASSES, photographs)
