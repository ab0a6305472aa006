"""The store of outputs of closed blocks: whole rows or none, within its bound, whoever writes, dies or spoils them."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from apc.models.feature_store import HEAD, FeatureStore, Shape, no_room, rows

SHAPE = (2, 3, 4, 4)
SIZE = HEAD.size + 4 * 2 * 3 * 4


def views(array: np.ndarray) -> list[memoryview]:
    return [memoryview(part).cast("B") for part in array]


def row(number: int) -> np.ndarray:
    return np.full(SHAPE[:3], number, np.float32)


def put(store: FeatureStore, *numbers: int) -> None:
    for number in numbers:
        store.write(f"m/{number}", SHAPE, views(row(number)))


def got(store: FeatureStore, number: int) -> np.ndarray | None:
    found: list[np.ndarray] = []

    def place(shape: Shape) -> list[memoryview]:
        found.append(np.empty(shape[:3], np.float32))
        return views(found[0])

    return found[0] if store.read(f"m/{number}", place) else None


def turned(row: bytes) -> bytes:
    """A row whose head says that it has its second and third dimension the other way round."""
    return row[:16] + row[20:24] + row[16:20] + row[24:]


def here(*numbers: int) -> set[int]:
    """Which of the rows a process that begins now finds."""
    store = FeatureStore(1)
    return {number for number in numbers if np.array_equal(got(store, number), row(number))}  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APC_CACHE", str(tmp_path))
    return tmp_path / "features"


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"x" * SIZE,
        lambda row: row[:-1],
        lambda row: row + b"x",
        lambda row: row[:-1] + bytes([row[-1] ^ 1]),
        turned,
    ],
    ids=["empty", "other", "cut", "long", "one bit", "another shape"],
)
def test_a_row_that_is_not_whole_is_removed_and_not_read(below: Path, garbage: object) -> None:
    put(FeatureStore(1), 1, 2)
    (below / "m/1").write_bytes(garbage((below / "m/1").read_bytes()) if callable(garbage) else garbage)  # type: ignore[arg-type]
    assert here(1, 2) == {2}
    assert not (below / "m/1").exists()


def test_the_bound_holds_and_what_was_used_longest_ago_goes_first(below: Path) -> None:
    gib = 10.5 * SIZE / 2**30
    put(FeatureStore(gib), *range(10))
    for number in range(10):
        os.utime(below / f"m/{number}", (then := time.time() - 7200 - 100 * number, then))
    store = FeatureStore(gib)
    assert got(store, 9) is not None  # the oldest, and in use from now on
    put(store, 10)
    assert here(*range(11)) == {0, 1, 2, 3, 4, 5, 6, 9, 10}  # a tenth of the room is free again
    put(FeatureStore(gib), 11, 12, 13)  # nothing is old enough to go for the last two
    assert sum(found.bytes for found in rows(below)) == 10 * SIZE
    assert here(11, 12, 13) == {11}


def test_what_a_killed_process_was_writing_is_no_row_and_goes(below: Path) -> None:
    code = "import os, sys; from tests_of_it import put, FeatureStore; s = FeatureStore(1); put(s, 1); "
    code += "os.replace = lambda *_: os._exit(9); put(s, 2)"
    assert child(code).wait() == 9
    assert len([path for path in (below / "m").iterdir() if path.name != "1"]) == 1
    assert here(1, 2) == {1}
    assert [path.name for path in (below / "m").iterdir()] == ["1"]
    assert int((below / "held").read_text()) == SIZE


def test_processes_that_write_the_same_rows_leave_each_once(below: Path) -> None:
    code = "from tests_of_it import put, got, FeatureStore; s = FeatureStore(1); put(s, *range(300)); "
    code += "assert all((got(s, n) == n).all() for n in range(300))"
    assert [one.wait() for one in [child(code), child(code)]] == [0, 0]
    assert int((below / "held").read_text()) == 300 * SIZE == sum(found.bytes for found in rows(below))


def child(code: str) -> "subprocess.Popen[bytes]":
    """A process that has the functions of this file."""
    start = f"import sys, importlib; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
    start += f"sys.modules['tests_of_it'] = importlib.import_module({Path(__file__).stem!r}); "
    return subprocess.Popen([sys.executable, "-c", start + code])


def test_on_a_full_disk_rows_are_read_and_none_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    put(FeatureStore(1), 1)
    full = type("Usage", (), {"free": 0})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    store = FeatureStore(1)
    put(store, 2)
    assert here(1, 2) == {1}


def test_more_than_the_disk_has_is_refused_in_a_sentence(below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = type("Usage", (), {"free": 2**30 + 2**29})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: half)
    assert no_room(0) == no_room(0.5) == ""
    assert no_room(0.6).startswith(f"--cache-gib is 0.6; {below} has room for 0.5 GiB; give less, or set APC_CACHE")
    assert no_room(-1) == "--cache-gib is -1; it cannot be below 0"
    below.rmdir()
    below.write_text("a file")
    assert no_room(0.5).startswith(f"{below}: cannot be written (")
