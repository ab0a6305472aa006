"""Folders and files in the making: whose they are, and what becomes of them where their maker is killed."""

import os
from pathlib import Path

import pytest
from faults import killed_at, tree

from apc.files import part_in, sweep, write_atomically
from apc.folders import UNFINISHED, is_empty, new_folder, replaced


def half_made(path: Path, made_by: str) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(path, made_by, "--out"):
        (path / "a").write_text("a")
        raise KeyboardInterrupt


def test_an_unfinished_folder_goes_on_by_the_command_that_began_it_and_by_no_other(tmp_path: Path) -> None:
    half_made(tmp_path, "make two")
    assert tree(tmp_path) == {UNFINISHED: b"make two", "a": b"a"}
    told = r"holds an unfinished `make two`; give that command again, remove the folder, or give another --out"
    with pytest.raises(ValueError, match=told), new_folder(tmp_path, "make three", "--out"):
        pass
    with new_folder(tmp_path, "make two", "--out"):
        (tmp_path / "b").write_text("b")
    assert tree(tmp_path) == {"a": b"a", "b": b"b"}
    with pytest.raises(ValueError, match="give a new or an empty folder"), new_folder(tmp_path, "make two", "--out"):
        pass


def test_the_mark_of_an_unfinished_folder_is_shown_in_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    (tmp_path / UNFINISHED).write_bytes(b"a\n\x1b[31m\xff b")
    with pytest.raises(ValueError, match=r"unfinished `a \[31m\ufffd b`"), new_folder(tmp_path, "make", "--out"):
        pass


def test_a_file_of_somebody_else_is_no_empty_folder_and_a_file_is_none(tmp_path: Path) -> None:
    part_in(tmp_path).touch()
    assert is_empty(tmp_path) and is_empty(tmp_path / "absent")
    (tmp_path / ".mine").touch()
    assert not is_empty(tmp_path) and not is_empty(tmp_path / ".mine")
    for path in (tmp_path, tmp_path / ".mine"):
        with pytest.raises(ValueError, match="give a new or an empty folder"), new_folder(path, "make", "--out"):
            pass


@pytest.mark.parametrize("there", [True, False])
def test_killed_at_any_moment_the_old_folder_or_the_new_one_is_there_or_comes_back(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "model"

    def replace(text: str = "new") -> None:
        with replaced(path) as part:
            for name in ("a", "b"):
                (part / name).write_text(text)

    old, new, n = {"a": b"old", "b": b"old"}, {"a": b"new", "b": b"new"}, 1
    if there:
        replace("old")
    while killed_at(n, tmp_path, replace):
        if path.exists():
            assert tree(path) in (old, new)
        else:
            assert not there or tree(tmp_path / ".model.apc-old") == old
            with pytest.raises(KeyboardInterrupt), replaced(path):
                raise KeyboardInterrupt
            assert path.exists() == there
        replace("old" if there else "new")
        assert os.listdir(tmp_path) == ["model"] and tree(path) == (old if there else new)
        if not there:
            for name in ("a", "b"):
                (path / name).unlink()
            path.rmdir()
        n += 1
    assert n > 5 and tree(path) == new


def test_parts_of_killed_processes_are_swept_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for folder in (tmp_path, tmp_path / "below"):
        assert killed_at(3, folder, lambda where=folder: write_atomically(where / "a", "a"))  # open, and not renamed
    mine = [part_in(tmp_path), tmp_path / ".apc-notes", tmp_path / ".a.4711", tmp_path / ".apc-elsewhere.4711.0"]
    for path in mine:
        path.touch()
    folder = part_in(tmp_path / "below")
    folder.mkdir()
    assert len(list(tmp_path.rglob("*"))) == 8
    sweep(tmp_path, tmp_path / "absent")
    assert sorted(tmp_path.iterdir()) == sorted([*mine, tmp_path / "below"])
    sweep(tmp_path, below=True)
    assert list((tmp_path / "below").iterdir()) == [folder]
    (folder / "images").mkdir()
    (folder / "images" / "a").touch()  # written just now
    for path in (mine[-1], folder):  # of another machine, and long ago
        os.utime(path, (0, 0))
    sweep(tmp_path, below=True)
    assert sorted(tmp_path.iterdir()) == sorted([*mine[:-1], tmp_path / "below"])
    assert list((tmp_path / "below").iterdir()) == [folder]


def test_a_name_as_long_as_a_file_may_have_is_written_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("é" * 127), "a")
    assert tree(tmp_path) == {"é" * 127: b"a"}
