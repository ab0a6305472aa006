"""Folders that are classes, and folders around them that are none."""

import shutil
from pathlib import Path

import exports
import pytest

from apc.cli.main import main
from apc.data.importing import class_folders
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes


def drawn(root: Path, *places: str) -> Source:
    """A source with a photograph at each place, all different."""
    for place in places:
        exports.photograph(root / place)
    return Source(root)


@pytest.mark.parametrize(
    "places",
    [
        ("pets/cat/a.jpg", "pets/dog/b.jpg"),
        ("pets/cat/a.jpg", "pets/dog/b.jpg", "pets/logo.png"),
        ("my/pets/train/cat/a.jpg", "my/pets/val/dog/b.jpg"),
        ("train/pets/cat/a.jpg", "val/pets/dog/b.jpg"),
        ("images/cat/a.jpg", "images/dog/b.jpg"),
        ("pets/cat/a.jpg", "pets/dog/mine/b.jpg"),
    ],
    ids=" ".join,
)
def test_folders_around_all_photographs_are_no_classes(places: tuple[str, ...], tmp_path: Path) -> None:
    source = drawn(tmp_path, *places)
    assert class_folders.looks(source, Wishes()) == "photographs in the folders cat, dog"
    found = class_folders.read(source, Wishes())
    assert found.classes == ["cat", "dog"]
    assert [photo.labels for photo in found.photos] == [{"cat"}, {"dog"}]


def test_lists_are_told_by_folders_around_the_classes(tmp_path: Path) -> None:
    source = drawn(tmp_path, "pets/train/cat/a.jpg", "pets/train/dog/b.jpg")
    assert {photo.split for photo in class_folders.read(source, Wishes()).photos} == {"train"}


def test_a_single_class_keeps_its_folder(tmp_path: Path) -> None:
    found = class_folders.read(drawn(tmp_path, "pets/cat/a.jpg", "pets/cat/b.jpg"), Wishes())
    assert [photo.labels for photo in found.photos] == [{"cat"}, {"cat"}]


def test_an_archive_of_a_folder_of_classes_is_read_as_that_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports.folders(tmp_path / "source/pets")
    archive = shutil.make_archive(str(tmp_path / "pets"), "zip", tmp_path / "source")
    assert main(["data", "import", archive, "--out", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    assert (tmp_path / "out/classes.txt").read_text() == "blue\nred\n"


def test_a_class_that_is_only_folders_of_folders_is_refused(tmp_path: Path) -> None:
    around = [
        f"seg_{part}/seg_{part}/{name}" for part in ("test", "train") for name in ("forest/a.jpg", "street/b.jpg")
    ]
    source = drawn(tmp_path, *around)
    with pytest.raises(ValueError, match="seg_test/ has photographs only in seg_test/seg_test/forest/, "):
        class_folders.read(source, Wishes())


def test_a_class_may_have_the_name_of_the_folder_around_it(tmp_path: Path) -> None:
    source = drawn(tmp_path, "cat/cat/a.jpg", "cat/cat/mine/b.jpg", "cat/cat/others/c.jpg", "cat/dog/d.jpg")
    found = class_folders.read(source, Wishes())
    assert [photo.labels for photo in found.photos] == [{"cat"}, {"cat"}, {"cat"}, {"dog"}]


def test_classes_that_are_named_may_have_folders_of_their_own(tmp_path: Path) -> None:
    source = drawn(tmp_path, "cat/1/a.jpg", "cat/2/b.jpg", "dog/1/c.jpg")
    found = class_folders.read(source, Wishes(classes=("cat", "dog")))
    assert [photo.labels for photo in found.photos] == [{"cat"}, {"cat"}, {"dog"}]
