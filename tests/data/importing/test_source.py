"""Where files of labels and photographs are looked for."""

from pathlib import Path

import exports
import pytest

from apc.data.importing import masks
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes


def test_folders_that_are_links_are_entered_and_loops_end(tmp_path: Path) -> None:
    exports.masks(tmp_path / "source")
    (tmp_path / "source/images").rename(tmp_path / "disk")
    (tmp_path / "source/images").symlink_to(tmp_path / "disk")
    (tmp_path / "source/round").symlink_to(tmp_path / "source")
    found = masks.read(Source(tmp_path / "source"), Wishes())
    assert [photo.place for photo in found.photos] == [f"images/{name}.jpg" for name in "abcd"]
    assert all(photo.mask for photo in found.photos) and not found.problems


def test_what_is_hidden_or_of_a_mac_s_archive_is_passed_over(tmp_path: Path) -> None:
    for place in ("a.jpg", "__MACOSX/b.jpg", "sub/__MACOSX/b.jpg", ".hidden/b.jpg", "._b.jpg"):
        exports.photograph(tmp_path / "source" / place)
    assert Source(tmp_path / "source").pictures == [tmp_path / "source/a.jpg"]
    (tmp_path / "source").rename(tmp_path / "__MACOSX")
    assert Source(tmp_path / "__MACOSX").pictures == [tmp_path / "__MACOSX/a.jpg"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("/data/cam/IMG#1.jpg", "cam/IMG#1.jpg"),
        ("/data/cam/IMG%231.jpg", "other/IMG%231.jpg"),
        ("/data/upload/3/0a1b2c3d-IMG%231.jpg", "cam/IMG#1.jpg"),
        ("/data/local-files/?d=cam/IMG%231.jpg", "cam/IMG#1.jpg"),
        ("http://localhost:8080/data/upload/3/IMG%231.jpg?x=y", "cam/IMG#1.jpg"),
    ],
)
def test_of_paths_below_data_those_of_label_studio_alone_are_addresses(name: str, place: str, tmp_path: Path) -> None:
    for each in ("cam/IMG#1.jpg", "other/IMG%231.jpg"):
        exports.photograph(tmp_path / each)
    assert Source(tmp_path).find(name) == tmp_path / place
