"""The store of outputs of closed blocks: whole rows or none, within its bound, whoever writes, dies or spoils them."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from apc.models.feature_rows import Kind
from apc.models.feature_store import FeatureStore, no_room, stored

SHAPE = (2, 3, 4, 4)
KIND = Kind("m", 400, SHAPE)
SIZE = 4 * 2 * 3 * 4


def views(array: np.ndarray) -> list[memoryview]:
    return [memoryview(part).cast("B") for part in array]


def row(number: int) -> np.ndarray:
    return np.full(SHAPE[:3], number, np.float32)


def put(store: FeatureStore, *numbers: int, kind: Kind = KIND, made: list[int] | None = None) -> None:
    """Have rows, those that are missing made; their numbers are added to `made`."""
    for number in numbers:
        place = np.zeros(SHAPE[:3], np.float32)

        def fill(place: np.ndarray = place, number: int = number) -> None:
            place[:] = row(number)
            if made is not None:
                made.append(number)

        assert store.make(kind, number, views(place), fill, wait=True)
        assert np.array_equal(place, row(number))


def got(store: FeatureStore, number: int, kind: Kind = KIND) -> np.ndarray | None:
    found = np.empty(SHAPE[:3], np.float32)
    return found if store.read(kind, number, views(found)) else None


def here(*numbers: int, kind: Kind = KIND) -> set[int]:
    """Which of the rows a process that begins now finds."""
    store = FeatureStore(1)
    return {number for number in numbers if np.array_equal(got(store, number, kind), row(number))}  # type: ignore[arg-type]


def held(below: Path) -> int:
    """Bytes of all rows, which is what the store says they have."""
    there = sum(found.bytes for found in stored(below))
    assert int((below / "held").read_text()) == there
    return there


@pytest.fixture(autouse=True)
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APC_CACHE", str(tmp_path))
    return tmp_path / "features"


def test_a_row_has_its_place_in_one_file_that_takes_little_of_a_disk_until_it_is_filled(below: Path) -> None:
    large = Kind("large", 10**6, (2, 30, 40, 4))
    store = FeatureStore(1)
    place = np.ones(large.shape[:3], np.float32)
    assert store.make(large, 999_999, views(place), lambda: None, wait=True)
    (file,) = stored(below)
    assert (file.bytes, file.path.name) == (9600, "large.rows")
    assert file.path.stat().st_size > 9600 * 10**6
    assert file.path.stat().st_blocks * 512 < 2**17
    again, found = FeatureStore(1), np.empty(large.shape[:3], np.float32)
    assert again.read(large, 999_999, views(found)) and np.array_equal(found, place)
    assert not again.has(large, 999_998)


@pytest.mark.parametrize(
    ("garbage", "left"),
    [
        (lambda file: b"", set()),
        (lambda file: b"x" * len(file), set()),
        (lambda file: file[:-1], set()),
        (lambda file: file + b"x", set()),
        (lambda file: file[:8] + file[12:16] + file[8:12] + file[16:], set()),
        (
            lambda file: (
                file[: KIND.begin + SIZE] + bytes([file[KIND.begin + SIZE] ^ 1]) + file[KIND.begin + SIZE + 1 :]
            ),
            {2},
        ),
    ],
    ids=["empty", "other", "cut", "long", "another shape", "one bit"],
)
def test_what_is_not_whole_is_not_read_and_is_made_again(below: Path, garbage: object, left: set[int]) -> None:
    put(FeatureStore(1), 1, 2)
    (file,) = stored(below)
    file.path.write_bytes(garbage(file.path.read_bytes()))  # type: ignore[operator]
    assert here(1, 2) == left
    made: list[int] = []
    put(FeatureStore(1), 1, 2, made=made)
    assert set(made) == {1, 2} - left
    assert here(1, 2) == {1, 2}
    assert held(below) == 2 * SIZE


def test_the_bound_holds_and_files_that_were_used_longest_ago_go_first(below: Path) -> None:
    kinds = [Kind(f"kind{n}", 400, SHAPE) for n in range(4)]
    gib = 9.5 * SIZE / 2**30
    for kind in kinds[:3]:
        put(FeatureStore(gib), 1, 2, 3, kind=kind)
    for hours, kind in zip((2, 4, 3), kinds, strict=False):
        os.utime(below / f"{kind.name}.rows", (then := time.time() - 3600 * hours - 60, then))
    store = FeatureStore(gib)
    assert got(store, 1, kinds[1]) is not None  # the one of longest ago, and in use from now on
    put(store, 1, kind=kinds[3])
    assert [len(here(1, 2, 3, kind=kind)) for kind in kinds] == [3, 3, 0, 1]
    put(FeatureStore(gib), *range(2, 9), kind=kinds[3])  # two find room, and nothing is old enough to go
    assert held(below) == 9 * SIZE


def test_a_file_that_is_removed_while_it_is_read_is_begun_again(below: Path) -> None:
    store = FeatureStore(1)
    put(store, 1, 2)
    shutil.rmtree(below)
    assert got(store, 1) is not None  # its pages live on
    put(store, 3)  # into what nobody finds
    made: list[int] = []
    put(store, 1, 4, made=made)
    assert made == [1, 4]
    assert here(1, 2, 3, 4) == {1, 4}


def test_whoever_is_killed_loses_the_row_it_was_making(below: Path) -> None:
    code = "s = FeatureStore(1); put(s, 1); s.make(KIND, 2, views(row(2)), lambda: os._exit(9), True)"
    assert child(code).wait() == 9
    code = "s = FeatureStore(1); os.pwrite = lambda *_: os._exit(9); put(s, 3)"
    assert child(code).wait() == 9
    assert here(1, 2, 3) == {1}
    made: list[int] = []
    put(FeatureStore(1), 1, 2, 3, made=made)
    assert made == [2, 3]
    assert held(below) == 3 * SIZE


def test_a_row_that_is_being_made_is_left_to_its_maker_and_waited_for_last(tmp_path: Path) -> None:
    """The maker waits for a file before it goes on, so that nothing here depends on who is faster."""
    code = "s = FeatureStore(1); place = row(0); "
    code += "s.make(KIND, 5, views(place), lambda: (open('made', 'w'), until('go'), place.fill(5)), True)"
    maker = child(code, tmp_path)
    try:
        until(tmp_path / "made")
        store, place = FeatureStore(1), row(0)
        assert not store.make(KIND, 5, views(place), lambda: pytest.fail("made twice"), wait=False)
        made: list[int] = []
        put(store, 6, made=made)
        assert made == [6]
        (tmp_path / "go").touch()
        put(store, 5, made=made)
        assert made == [6]
    finally:
        (tmp_path / "go").touch()
        assert maker.wait() == 0
    assert here(5, 6) == {5, 6}


def test_processes_that_want_the_same_rows_make_each_once(below: Path, tmp_path: Path) -> None:
    code = "s = FeatureStore(1); made = []; put(s, *range(300), made=made); "
    code += "assert all((got(s, n) == n).all() for n in range(300)); open(f'{os.getpid()}.made', 'w').write(str(made))"
    assert [one.wait() for one in [child(code, tmp_path), child(code, tmp_path)]] == [0, 0]
    made = [eval(path.read_text()) for path in tmp_path.glob("*.made")]
    assert sorted(sum(made, [])) == list(range(300))
    assert held(below) == 300 * SIZE


def until(path: Path | str) -> None:
    """Wait for a file, a minute at most."""
    for _ in range(6000):
        if Path(path).exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} does not come")


def child(code: str, where: Path | None = None) -> "subprocess.Popen[bytes]":
    """A process that has what this file has."""
    start = f"import sys, importlib; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
    start += f"from {Path(__file__).stem} import *; "
    return subprocess.Popen([sys.executable, "-c", start + code], cwd=where)


def test_on_a_full_disk_rows_are_read_and_none_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    put(FeatureStore(1), 1)
    full = type("Usage", (), {"free": 0})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    store = FeatureStore(1)
    put(store, 2)
    assert here(1, 2) == {1}


def test_where_there_can_be_no_file_rows_are_made_each_time(below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, made = FeatureStore(1), list[int]()
    (below / "m.rows").mkdir()
    put(store, 1, 1, made=made)
    assert made == [1, 1]
    shutil.rmtree(below)
    below.touch()  # or no folder, as on a node whose disk is another
    put(FeatureStore(1), 1, made=made)
    assert made == [1, 1, 1]


def test_more_than_the_disk_has_is_refused_in_a_sentence(below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = type("Usage", (), {"free": 2**30 + 2**29})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: half)
    assert no_room(0) == no_room(0.5) == ""
    assert no_room(0.6).startswith(f"--cache-gib is 0.6; {below} has room for 0.5 GiB; give less, or set APC_CACHE")
    assert no_room(-1) == "--cache-gib is -1; it cannot be below 0"
    below.rmdir()
    below.write_text("a file")
    assert no_room(0.5).startswith(f"{below}: cannot be written (")


def test_rows_that_were_read_do_not_count_as_memory_of_the_process() -> None:
    large = Kind("large", 64, (1, 1024, 1024, 1))  # 64 MiB in all
    writer, reader, place = FeatureStore(1), FeatureStore(1), np.ones((1, 2**20), np.uint8)
    for number in range(64):
        writer.make(large, number, views(place), lambda: None, wait=True)
    before = mapped()
    assert all(reader.read(large, number, views(place)) for number in range(64))
    assert mapped() - before < 8


def mapped() -> float:
    """MiB of files that this process has in its memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssFile"))) / 1024
