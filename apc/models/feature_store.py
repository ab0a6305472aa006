"""Outputs of closed blocks on the disk of a machine, for all its processes: `--cache-gib`. Files of rows, of which
feature_rows.py is one; together they never have more bytes than is given, and nobody needs to look after them.

A row that is missing is made by one process while others go on to the next and wait for it last. Where there is no
more room, the files go that nobody has used for longest, and rows for which there is none are made each time.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from apc.files import cache_folder, is_part, require_writable, sweep
from apc.models.feature_rows import Kind, RowFile, bytes_in

IN_USE = 3600.0  # seconds after its last use in which a file is nobody's to remove
PAUSE = 60.0  # seconds in which nothing more is written once there was no room
PATIENCE = 60.0  # seconds that a row somebody else makes is waited for
SPARED = 2**30  # bytes of the disk that stay free, whatever else fills it
ENDING = ".rows"


def folder() -> Path:
    """Where the files lie: below $APC_CACHE, or ~/.cache/apc. It may be removed at any time."""
    return cache_folder() / "features"


class Stored(NamedTuple):
    """A file of rows as the disk has it."""

    used: float
    """When it was last used, in seconds since 1970."""
    bytes: int
    """Of its rows."""
    path: Path


def stored(below: Path) -> Iterator[Stored]:
    """All files of rows."""
    for path in below.glob(f"*{ENDING}"):
        with suppress(OSError):  # removed by now
            if not is_part(path):
                yield Stored(path.stat().st_mtime, bytes_in(path), path)


def no_room(gib: float) -> str:
    """Why the disk cannot keep `gib` GiB of features, the ones that are there included; empty where it can."""
    if gib < 0:
        return f"--cache-gib is {gib:g}; it cannot be below 0"
    if not gib:
        return ""
    try:
        require_writable(below := folder())
    except ValueError as error:
        return f"{error}; --cache-gib needs it, and APC_CACHE names another folder"
    held = sum(file.bytes for file in stored(below))
    most = (held + max(shutil.disk_usage(below).free - SPARED, 0)) / 2**30
    told = f"{below} has room for {most:.1f} GiB; give less, or set APC_CACHE to a folder of a larger disk"
    return "" if gib <= most else f"--cache-gib is {gib:g}; {told}"


def require_room(gib: float) -> None:
    """ValueError, before anything is started, where `no_room`."""
    if fault := no_room(gib):
        raise ValueError(fault)


class FeatureStore:
    """The rows below `folder()`, of at most `gib` GiB together, whoever wrote them."""

    def __init__(self, gib: float) -> None:
        self.folder, self.most = folder(), int(gib * 2**30)
        self._files = dict[str, RowFile]()
        self._full_until = 0.0
        with suppress(OSError), self._held() as held:  # where nothing can be kept, rows are made each time
            sweep(self.folder)
            held.counted()

    def has(self, kind: Kind, place: int) -> bool:
        """Whether a row is there."""
        file = self._file(kind)
        return file is not None and file.has(place)

    def read(self, kind: Kind, place: int, pieces: Sequence[memoryview]) -> bool:
        """Copy a row to where it is wanted, M pieces of T x D numbers; False where there is none that is whole."""
        file = self._file(kind)
        return file is not None and file.read(place, pieces)

    def make(self, kind: Kind, place: int, pieces: Sequence[memoryview], fill: Callable[[], None], wait: bool) -> bool:
        """Have a row that was not there in its pieces: `fill` makes it there, and it is kept if there is room, or it
        is another process's. Without `wait` False where one is making it now."""
        if (file := self._file(kind)) is None:
            fill()
            return True
        with file.alone(place, PATIENCE if wait else 0.0) as mine:
            if file.read(place, pieces):
                return True
            if mine or wait:
                fill()
            if mine and file.writable:
                self._keep(file, place, pieces)
            return mine or wait

    def _keep(self, file: RowFile, place: int, pieces: Sequence[memoryview]) -> None:
        if time.monotonic() < self._full_until:
            return
        try:
            with self._held() as held:
                if file.has(place) or held.take(file.kind.size, self._make_room):  # has: one that is damaged
                    file.write(place, pieces)
        except OSError:  # a full disk, for one: the run goes on without
            self._full_until = time.monotonic() + PAUSE
        if file.removed:  # for room, or by hand: the next row begins another
            self._files.pop(file.kind.name)

    def _file(self, kind: Kind) -> RowFile | None:
        """The file of a kind; None where there can be none."""
        if kind.name not in self._files:
            try:
                with self._held():  # two that begin it at once would have one each
                    self._files[kind.name] = RowFile.made(self.folder / f"{kind.name}{ENDING}", kind)
            except (OSError, ValueError):
                return None
        return self._files[kind.name]

    def _make_room(self, held: int, wanted: int) -> None:
        """Remove files that nobody uses, the ones that were used longest ago first."""
        before = time.time() - IN_USE
        for file in sorted(file for file in stored(self.folder) if file.used < before):
            if held + wanted <= self.most:
                return
            if file.path.name.removesuffix(ENDING) not in self._files:
                file.path.unlink(missing_ok=True)
                held -= file.bytes

    @contextmanager
    def _held(self) -> Iterator["_Held"]:
        """How many bytes there are, for one process at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)  # again, where somebody has removed it
        file = os.open(self.folder / "held", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            yield _Held(self, file)
        finally:
            os.close(file)


class _Held(NamedTuple):
    """The file that says how many bytes the rows have, while it is locked."""

    store: FeatureStore
    file: int

    def counted(self) -> int:
        """Look at all files, and write down what they have: whoever was killed may have left another number."""
        return self._write(sum(file.bytes for file in stored(self.store.folder)))

    def take(self, wanted: int, make_room: Callable[[int, int], None]) -> bool:
        """Whether a row of `wanted` bytes may be kept; it counts from now on."""
        most = self.store.most
        if (held := self._read()) + wanted > most:
            make_room(held, wanted)
            held = self.counted()
        if held + wanted > most or shutil.disk_usage(self.store.folder).free < SPARED:
            self.store._full_until = time.monotonic() + PAUSE
            return False
        self._write(held + wanted)
        return True

    def _read(self) -> int:
        said = os.pread(self.file, 32, 0)
        return int(said) if said.isdigit() else self.counted()

    def _write(self, held: int) -> int:
        os.ftruncate(self.file, 0)
        os.pwrite(self.file, str(held).encode(), 0)
        return held
