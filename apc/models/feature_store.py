"""Outputs of closed blocks on the disk of a machine, for all its processes: `--cache-gib`. It holds rows by name, never
more bytes than it is given, and needs neither torch nor to be looked after.

A row is a file of its own, which gets its name when it is whole, so whoever is killed leaves nothing that looks whole,
and two processes that make one row leave one. The first time a process reads a row, its checksum is compared; one that
is damaged is removed and made again. Where there is no more room, the rows go that nobody has used for longest.
Rows are read and not mapped: the system holds their pages in memory for all processes either way, and a file that
another machine removes from a shared folder would end a process that has it mapped.

Shapes: M maps of an image, T tokens, D features; a number has S bytes.
"""

import fcntl
import math
import os
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from apc.files import cache_folder, is_part, part_in, require_writable, sweep

Shape = tuple[int, int, int, int]
"""M, T, D, S."""
Place = Callable[[Shape], Sequence[memoryview]]
"""Where a row of a shape is to be read to: M pieces of T x D numbers of S bytes."""

HEAD = struct.Struct("<8sIIIIII")  # MAGIC, checksum, M, T, D, S, checksum of these; then the numbers, as in memory
MAGIC = b"apcfeat1"
IN_USE = 3600.0  # seconds after its last use in which a row is nobody's to remove
TOLD = 600.0  # seconds after which a process says again that it uses a row
PAUSE = 60.0  # seconds in which nothing more is written once there was no room
FREED = 0.1  # share of the room that is made at once, so that making it is rare
SPARED = 2**30  # bytes of the disk that stay free, whatever else fills it


def folder() -> Path:
    """Where the rows lie: below $APC_CACHE, or ~/.cache/apc. It may be removed at any time."""
    return cache_folder() / "features"


class Row(NamedTuple):
    """A row's file as the disk has it."""

    used: float
    """When it was last used, in seconds since 1970."""
    bytes: int
    path: Path


def rows(below: Path) -> Iterator[Row]:
    """All whole rows."""
    for place, _, names in os.walk(below):
        for path in (Path(place, name) for name in names if place != str(below)):
            with suppress(OSError):  # removed by now
                if not is_part(path):
                    found = path.stat()
                    yield Row(found.st_mtime, found.st_size, path)


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
    held = sum(row.bytes for row in rows(below))
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
        self._known: dict[str, float] = {}
        """Rows that this process has read or written, and when it last said so."""
        self._full_until = 0.0
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder, below=True)
        with self._held() as held:
            held.counted()

    def read(self, name: str, place: Place) -> bool:
        """Read a row to where `place` says; False where there is none, or none that is whole."""
        path = self.folder / name
        try:
            with open(path, "rb", buffering=0) as file:
                head = file.read(HEAD.size).ljust(HEAD.size)
                _, checksum, *dims, _ = HEAD.unpack(head)
                m, t, d, s = dims
                whole = head == _head(checksum, shape := (m, t, d, s))
                if whole and os.fstat(file.fileno()).st_size == HEAD.size + math.prod(shape):
                    pieces = place(shape)
                    complete = all(file.readinto(piece) == piece.nbytes for piece in pieces)
                    if complete and (name in self._known or _sum(pieces) == checksum):
                        self._use(name, path)
                        return True
            path.unlink(missing_ok=True)
        except OSError:  # there is none, or somebody removes it now
            pass
        return False

    def write(self, name: str, shape: Shape, pieces: Sequence[memoryview]) -> None:
        """Keep a row, if there is room for it."""
        if time.monotonic() < self._full_until:
            return
        path, part = self.folder / name, None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = part_in(path.parent)
            with open(part, "wb") as file:
                file.writelines([_head(_sum(pieces), shape), *pieces])
            with self._held() as held:
                if not path.exists() and held.take(part.stat().st_size, self._make_room):
                    os.replace(part, path)
                    self._known[name] = time.monotonic()
        except OSError:  # a full disk, for one: the run goes on without
            self._full_until = time.monotonic() + PAUSE
        finally:
            if part:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def _use(self, name: str, path: Path) -> None:
        """Say that a row is in use, now and then."""
        now = time.monotonic()
        if now - self._known.get(name, -TOLD) >= TOLD:
            self._known[name] = now
            with suppress(OSError):  # somebody else's
                os.utime(path)

    def _make_room(self, held: int, wanted: int) -> None:
        """Remove rows that nobody uses, the ones that were used longest ago first."""
        before = time.time() - IN_USE
        for row in sorted(row for row in rows(self.folder) if row.used < before):
            if held + wanted <= (1 - FREED) * self.most:
                return
            if row.path.relative_to(self.folder).as_posix() not in self._known:
                row.path.unlink(missing_ok=True)
                held -= row.bytes

    @contextmanager
    def _held(self) -> Iterator["_Held"]:
        """How many bytes there are, for one process at a time."""
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
        """Look at all rows, and write down what they have: whoever was killed may have left another number."""
        return self._write(sum(row.bytes for row in rows(self.store.folder)))

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


def _head(checksum: int, shape: Shape) -> bytes:
    """What a row's file begins with; a place is made for no shape that is not what was written."""
    return HEAD.pack(MAGIC, checksum, *shape, zlib.crc32(f"{checksum} {shape}".encode()))


def _sum(pieces: Sequence[memoryview]) -> int:
    checksum = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    return checksum
