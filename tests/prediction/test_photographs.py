"""Which photographs are meant, and their names."""

import shutil
from pathlib import Path

from predictions import picture

from apc.prediction.photographs import gather


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
