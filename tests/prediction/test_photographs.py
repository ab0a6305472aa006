"""Which photographs are meant, their names, and what their image labels allow."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from predictions import CLASSES, picture

from apc.data.headers import FORMATS
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


def test_an_image_that_a_list_of_labels_names_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,labels\n1.jpg,red\n2.jpg,red\n 1.jpg,blue\n")
    photographs = [Photograph(Path(f"{n}.jpg"), f"{n}.jpg", str(n)) for n in (1, 2)]
    with pytest.raises(ValueError, match=r"line 4: image '1.jpg' is listed twice; line 2 has it too"):
        image_labels(str(path), CLASSES, photographs)


def test_a_file_name_stands_for_a_photograph_only_where_no_other_has_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,labels\n1.jpg,red\n2.jpg,blue\n")
    top, below, other = (Photograph(tmp_path / n, n, n[:-4]) for n in ("1.jpg", "sub/1.jpg", "sub/2.jpg"))
    assert image_labels(str(path), CLASSES, [top, other]) == {"1": ["red"], "sub/2": ["blue"]}
    with pytest.raises(ValueError, match="has no line for 1 of 3 photographs: sub/1.jpg"):
        image_labels(str(path), CLASSES, [top, below, other])


def test_every_suffix_of_a_format_that_is_read_is_taken(tmp_path: Path) -> None:
    known = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS} | {".HIF", ".mpo"}
    assert {".jpg", ".jpe", ".pnm", ".pbm", ".j2k"} <= known
    for suffix in known:
        picture(3, 4).save(tmp_path / f"a{suffix}", format="PNG")
    assert {p.path.suffix for p in gather([tmp_path], tmp_path / "out")} == known


def test_folders_that_are_links_are_entered_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "photos" / "real").mkdir(parents=True)
    picture(3, 4).save(tmp_path / "elsewhere" / "deep" / "a.png")
    picture(3, 4).save(tmp_path / "photos" / "real" / "b.png")
    for name, target in (("link", "elsewhere"), ("again", "photos/real"), ("real/round", "photos")):
        (tmp_path / "photos" / name).symlink_to(tmp_path / target)
    found = gather([tmp_path / "photos"], tmp_path / "out")
    assert [p.relative for p in found] == ["link/deep/a.png", "real/b.png"]


def test_photographs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    for place in ("A", "B"):
        (tmp_path / place).mkdir()
        picture(3, 4).save(tmp_path / place / "1.png")
    both = gather([tmp_path / "A", tmp_path / "B"], tmp_path / "out")
    path.write_text("image,labels\n1.png,red\n")
    with pytest.raises(ValueError, match=r"has no line for 2 of 2 photographs: A/1\.png, B/1\.png"):
        image_labels(str(path), CLASSES, both)
    path.write_text("image,labels\nA/1.png,red\nB/1.png,blue\n")
    assert image_labels(str(path), CLASSES, both) == {"A/1.png": ["red"], "B/1.png": ["blue"]}
