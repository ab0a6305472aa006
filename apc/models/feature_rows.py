"""One file of rows: outputs of closed blocks for the images of one list, by one encoder and at one size, that all
processes of a machine have mapped. It needs no torch.

A row has its place from the beginning; a file of which little is written takes little of a disk. A row is there once
its entry is, which is written last, so whoever is killed loses the row it was writing. The first time a process reads
a row, its checksum is compared. A file is never made shorter, and one that is removed lives on for whoever has it
mapped.

A row that is not there is made by one process at a time: it holds a lock on the row's entry, which the system frees
when it dies.

Shapes: M maps of an image, T tokens, D features; a number has S bytes.
"""

import fcntl
import math
import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from apc.files import whole

Shape = tuple[int, int, int, int]
"""M, T, D, S."""
HEAD = struct.Struct("<8s4IQQ")  # MAGIC, M, T, D, S, places, checksum of these; then an entry a place, then the places
MAGIC = b"apcfeat2"
THERE = 1 << 32  # an entry is this and the row's checksum, or 0 where there is no row
PAGE = 4096  # bytes that what follows the entries begins at a multiple of
TOLD = 600.0  # seconds after which a process says again that it uses a file
LOOK = 0.005  # seconds between looks at a row that somebody else is making


class Kind(NamedTuple):
    """What the rows of a file are."""

    name: str
    """Of the file: what made them and of what, hashed."""
    places: int
    """How many rows there can be."""
    shape: Shape

    @property
    def size(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape)

    @property
    def begin(self) -> int:
        """Where the first row begins."""
        return -(-(HEAD.size + 8 * self.places) // PAGE) * PAGE

    def head(self) -> bytes:
        """What a file begins with."""
        return HEAD.pack(MAGIC, *self.shape, self.places, zlib.crc32(f"{self.shape} {self.places}".encode()))


class RowFile:
    """The rows of a kind, mapped; ValueError where the file holds others or is damaged, OSError where there is none."""

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path, self.kind = path, kind
        self._checked, self._told = set[int](), -TOLD
        self.writable = True
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except PermissionError:  # somebody else's: read, and not added to
            self._file, self.writable = os.open(path, os.O_RDONLY | os.O_CLOEXEC), False
        size = kind.begin + kind.places * kind.size
        if os.pread(self._file, HEAD.size, 0) != kind.head() or os.fstat(self._file).st_size != size:
            raise ValueError(f"{path}: not the rows that are wanted")
        self._map = mmap.mmap(self._file, size, prot=mmap.PROT_READ)
        self._entries = np.frombuffer(self._map, "<u8", kind.places, HEAD.size)
        self._rows = np.frombuffer(self._map, np.uint8, kind.places * kind.size, kind.begin).reshape(kind.places, -1)

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):  # never opened
            os.close(self._file)

    @classmethod
    def made(cls, path: Path, kind: Kind) -> "RowFile":
        """The file, without a row if there was none, or none that is whole."""
        with suppress(OSError, ValueError):
            return cls(path, kind)
        with whole(path) as part, open(part, "wb") as file:
            file.write(kind.head())
            file.truncate(kind.begin + kind.places * kind.size)
        return cls(path, kind)

    @property
    def removed(self) -> bool:
        """Whether nobody else can find it any more."""
        return os.fstat(self._file).st_nlink == 0

    def has(self, place: int) -> bool:
        """Whether a row is there; whether it is whole is seen when it is read."""
        return bool(self._entries[place])

    def read(self, place: int, pieces: Sequence[memoryview]) -> bool:
        """Copy a row to M pieces of T x D numbers; False where there is none, or none that is whole."""
        if not (entry := int(self._entries[place])):
            return False
        row = memoryview(self._rows[place])
        if place not in self._checked:
            if zlib.crc32(row) != entry - THERE:
                return False
            self._checked.add(place)
        at = 0
        for piece in pieces:
            piece[:] = row[at : at + piece.nbytes]
            at += piece.nbytes
        self._let_go(place)
        self._use()
        return True

    def write(self, place: int, pieces: Sequence[memoryview]) -> None:
        """Write a row, and then that it is there; OSError where the disk is full."""
        checksum, at = 0, self.kind.begin + place * self.kind.size
        for piece in pieces:
            checksum = zlib.crc32(piece, checksum)
            while piece.nbytes:
                written = os.pwrite(self._file, piece, at)
                at, piece = at + written, piece[written:]
        os.pwrite(self._file, (THERE + checksum).to_bytes(8, "little"), HEAD.size + 8 * place)
        self._checked.add(place)

    @contextmanager
    def alone(self, place: int, patience: float) -> Iterator[bool]:
        """Whether this process may make a row, and no other meanwhile; it waits for another so many seconds."""
        until = time.monotonic() + patience
        while not (mine := self._lock(place, fcntl.F_WRLCK)) and time.monotonic() < until and not self.has(place):
            time.sleep(LOOK)
        try:
            yield mine
        finally:
            if mine:
                self._lock(place, fcntl.F_UNLCK)

    def _lock(self, place: int, how: int) -> bool:
        """Lock a row's entry, or free it; whether nobody else holds it."""
        if not (self.writable and hasattr(fcntl, "F_OFD_SETLK")):  # a lock of Linux that belongs to an open file
            return True
        try:
            wanted = struct.pack("hhqqi4x", how, os.SEEK_SET, HEAD.size + 8 * place, 8, 0)
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, wanted)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks: two may make one row
            pass
        return True

    def _let_go(self, place: int) -> None:
        """Give a row's pages back: the system keeps them for all, and they do not count as what this process holds."""
        first = (self.kind.begin + place * self.kind.size) // PAGE * PAGE
        if hasattr(mmap, "MADV_DONTNEED") and mmap.PAGESIZE == PAGE:
            self._map.madvise(mmap.MADV_DONTNEED, first, self.kind.begin + (place + 1) * self.kind.size - first)

    def _use(self) -> None:
        """Say that the file is in use, now and then."""
        if (now := time.monotonic()) - self._told >= TOLD:
            self._told = now
            with suppress(OSError):  # somebody else's
                os.utime(self._file)


def bytes_in(path: Path) -> int:
    """Bytes that the rows of a file have; 0 where it is none."""
    with open(path, "rb") as file:
        if len(head := file.read(HEAD.size)) < HEAD.size:
            return 0
        magic, *shape, places, _ = HEAD.unpack(head)
        if magic != MAGIC or places * 8 > path.stat().st_size:
            return 0
        there = np.count_nonzero(np.frombuffer(file.read(8 * places), "<u8"))
        return int(there) * math.prod(map(int, shape))
