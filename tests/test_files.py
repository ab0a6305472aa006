"""Fingerprints are of the files as they are now, and cost a look where nothing has changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from changes import replaced_in_place

from apc import files
from apc.files import file_fingerprint, fingerprint_unless_known, one_look, state_of


def counted(path: Path, key: str) -> Callable[[], int]:
    """Asks for a fingerprint of `path`; how often it was computed so far."""
    computed = []

    def make(depends_on: Callable[[Path], Path]) -> str:
        computed.append(depends_on(path).is_file())
        return "f"

    return lambda: (fingerprint_unless_known((key, path), make), len(computed))[1]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "RECENT", 0.0)
    (tmp_path / "a.bin").write_bytes(b"one")
    return tmp_path / "a.bin"


def test_room_is_asked_for_only_where_room_is_what_lacks() -> None:
    full = (
        "runs: cannot be written any more (No space left on device); what is finished is kept, and once there is room"
    )
    assert str(files.StorageFault("runs", "No space left on device")) == f"{full} the same command goes on"
    refused = (
        "s3://b/r: cannot be written any more (the credentials are refused (ExpiredToken)); what is finished is kept"
    )
    assert str(files.StorageFault("s3://b/r", "the credentials are refused (ExpiredToken)")) == refused


def test_a_folder_that_is_not_there_is_made_only_where_it_is_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files.require_writable(tmp_path / "a" / "b", make=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for make in (True, False):
        for bad in (tmp_path / "file" / "below", tmp_path / "file", tmp_path / ("x" * 300) / "below"):
            with pytest.raises(ValueError, match=rf"^{bad}: cannot be written \("):
                files.require_writable(bad, make=make)
    files.require_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_link_that_leads_nowhere_or_to_itself_hides_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("a", "z", "below/b"):
        (tmp_path / name).touch()
    for name, target in (("loop", "loop"), ("nowhere", "absent"), ("below/up", "..")):
        (tmp_path / name).symlink_to(target)
    assert files.files_below(tmp_path) == [tmp_path / "a", tmp_path / "below" / "b", tmp_path / "z"]


def test_a_fingerprint_is_the_first_12_digits_of_the_contents_sha256(path: Path) -> None:
    assert file_fingerprint(str(path)) == "7692c3ad3540"
    assert files.hash_of(b"one") == "7692c3ad3540"


def test_a_file_is_read_again_only_once_it_changed(path: Path) -> None:
    asked = counted(path, "changed")
    assert [asked(), asked()] == [1, 1]
    replaced_in_place(path, b"two")
    assert [asked(), asked()] == [2, 2]
    path.unlink()
    assert [asked(), asked()] == [3, 3]
    path.write_bytes(b"one")
    assert [asked(), asked()] == [4, 4]


def test_a_change_shows_though_size_and_time_are_set_back(path: Path) -> None:
    assert file_fingerprint(str(path)) == "7692c3ad3540"
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    replaced_in_place(path, b"two")
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (size, time)
    assert file_fingerprint(str(path)) == "3fc4ccfe7458"


def test_a_file_moved_over_another_shows_though_it_is_older(path: Path, tmp_path: Path) -> None:
    assert file_fingerprint(str(path)) == "7692c3ad3540"
    (tmp_path / "b.bin").write_bytes(b"two")
    os.utime(tmp_path / "b.bin", ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    os.replace(tmp_path / "b.bin", path)
    assert file_fingerprint(str(path)) == "3fc4ccfe7458"


def test_what_changed_a_moment_ago_is_not_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "RECENT", 1e6)  # a second change within a tick of the clock would leave the same state
    asked = counted(path, "recent")
    assert [asked(), asked()] == [1, 2]


def test_within_one_look_files_are_looked_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, looks = counted(path, "look"), []
    asked()
    monkeypatch.setattr(files, "state_of", lambda path: looks.append(path) or state_of(path))
    with one_look():
        assert [asked(), asked(), asked(), len(looks)] == [1, 1, 1, 1]
    assert [asked(), len(looks)] == [1, 2]
