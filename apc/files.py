"""Files written whole or not at all, their fingerprints, and what to say where nothing more can be written."""

import errno
import hashlib
import io
import itertools
import os
import re
import select
import shutil
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO
from zipfile import BadZipFile

if TYPE_CHECKING:
    from numpy import ndarray

_PART = re.compile(r"\.apc-(?P<machine>.+)\.(?P<process>\d+)\.\d+")
_numbers = itertools.count()

ABANDONED = 3600.0  # seconds without a change after which the part of another machine's process is nobody's


@cache
def this_machine() -> str:
    """Where a process's number means that process: the machine since it was started, for names may be shared, and which
    of its containers."""
    space, boot = Path("/proc/self/ns/pid"), Path("/proc/sys/kernel/random/boot_id")
    started = f"-{boot.read_text(encoding='utf-8')[:8]}" if boot.exists() else ""
    return os.uname().nodename + started + (f"-{space.stat().st_ino}" if space.exists() else "")


def part_in(folder: Path) -> Path:
    """A new name in `folder` for what is only half there: it says whose it is, so that `sweep` knows it, and is short,
    however long the name is that it will get."""
    return folder / f".apc-{this_machine()}.{os.getpid()}.{next(_numbers)}"


def is_part(path: Path) -> bool:
    """Whether a file or folder is one that `part_in` has named."""
    return bool(_PART.fullmatch(path.name))


def sweep(*folders: Path, below: bool = False, abandoned: float = ABANDONED) -> None:
    """Remove from `folders`, and with `below` from all below them, the parts of processes that were killed.

    Of one of another machine all that is known is that it changed nothing for `abandoned` seconds.
    """
    if below:
        folders = tuple(Path(place) for folder in folders for place, _, _ in os.walk(folder))
    for folder in folders:
        with suppress(OSError):  # there is no such folder, or it is somebody else's
            for part in filter(is_part, list(folder.iterdir())):
                with suppress(OSError):  # gone by now
                    if _is_nobodys(part, abandoned):
                        shutil.rmtree(part) if part.is_dir() else part.unlink()


def _is_nobodys(part: Path, abandoned: float) -> bool:
    """Whether the process that writes a part is gone, as far as this machine can tell."""
    named = _PART.fullmatch(part.name)
    assert named
    if named["machine"] == this_machine():
        try:
            os.kill(int(named["process"]), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
    # A folder's own time tells of what lies in it and not of what lies in that.
    return time.time() - max(path.lstat().st_mtime for path in (part, *part.rglob("*"))) > abandoned


@contextmanager
def named(path: Path) -> Iterator[None]:
    """An OSError inside that names no file, as that of a write to a full disk, or a part, names `path`."""
    try:
        yield
    except OSError as error:
        told = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
        if told and not is_part(Path(told)):  # another file, or a store
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` at the end and is removed where anything fails, so that a reader, or a
    crash, sees the old file or the new one and nothing between. Of a full disk the OSError names `path`."""
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = part_in(path.parent)
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def write_encoded(path: Path, content: bytes) -> None:
    """Write what a library has encoded, whole or not at all, and to the disk itself: of a full disk most of them tell
    in their own words."""
    with whole(path) as part, open(part, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_arrays(path: Path, arrays: "Mapping[str, ndarray]") -> None:
    """Write arrays by name as a compressed .npz, whole or not at all."""
    import numpy as np

    encoded, named_arrays = io.BytesIO(), dict[str, Any](arrays)
    np.savez_compressed(encoded, **named_arrays)
    write_encoded(path, encoded.getvalue())


UNREADABLE = (OSError, ValueError, LookupError, EOFError, RuntimeError, MemoryError, BadZipFile, zlib.error)
"""What numpy raises of a damaged .npz, whichever of its bytes is another: in the archive, in what is packed, or in the
shape or type of an array."""


def write_atomically(path: Path, text: str) -> None:
    """Write a text file, whole or not at all, and to the disk itself."""
    with whole(path) as part, open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def files_below(top: Path, *, hidden: bool = True) -> list[Path]:
    """All files below a folder, by their paths. Folders that are links are entered too, each real one once: under its
    own name where it has one below `top`. Without `hidden`, what begins with a dot is passed over."""
    found: list[Path] = []
    seen: set[str] = set()
    waiting = deque([str(top)])
    while waiting:
        place = waiting.popleft()
        if (real := os.path.realpath(place)) in seen:
            continue
        seen.add(real)
        with suppress(PermissionError, FileNotFoundError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith(".") and not hidden:
                    continue
                with suppress(OSError):  # a link to itself, or into what is somebody else's
                    if entry.is_dir():  # real folders first
                        (waiting.append if entry.is_symlink() else waiting.appendleft)(entry.path)
                    elif entry.is_file():
                        found.append(Path(entry.path))
    return sorted(found)


def require_writable(folder: Path, *, make: bool = True) -> None:
    """ValueError where files cannot be written below `folder`, before anything long has started. Where it is not to be
    made yet, the nearest folder above it that is there answers for it."""
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        probe = part_in(folder if make else _nearest(folder))
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror})") from None


def _nearest(path: Path) -> Path:
    """What is there of a path; OSError where nothing could ever be."""
    path = path.absolute()
    while True:
        try:
            path.lstat()
            return path
        except FileNotFoundError:
            path = path.parent


def end_if_unread(error: OSError) -> None:
    """End the program, without a word, where the error is that whoever reads what it prints, such as `head`, has seen
    enough; another pipe that broke is an error."""
    if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still holds back
        raise SystemExit(0)


def _is_unread(stream: TextIO) -> bool:
    """Whether a stream goes into a pipe that nobody reads any more."""
    asked = select.poll()
    try:
        asked.register(stream.fileno(), 0)
    except io.UnsupportedOperation:  # a notebook's, or a test's
        return False
    return any(found & select.POLLERR for _, found in asked.poll(0))


STORAGE = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))
"""What the system says where nothing more can be written."""

PROBE = 2**22  # bytes: a run whose state is larger tells of a full disk itself


def storage_fault(runs: Path) -> str:
    """Why nothing more can be written below `runs`; empty where it can."""
    probe = part_in(runs)
    try:
        with open(probe, "wb") as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
        return ""
    except OSError as error:
        return error.strerror or str(error)
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


class StorageFault(ValueError):
    """Nothing more can be written where the runs lie."""

    def __init__(self, runs: Path | str, fault: str) -> None:
        full = any(words in fault for words in STORAGE)
        then = ", and once there is room the same command goes on" if full else ""
        super().__init__(f"{runs}: cannot be written any more ({fault}); what is finished is kept{then}")


def cache_folder() -> Path:
    """Folder of what can be made again: $APC_CACHE, or ~/.cache/apc."""
    return Path(os.environ.get("APC_CACHE") or Path.home() / ".cache" / "apc")


def hash_of(contents: bytes) -> str:
    """Hash of contents, 12 hex digits."""
    return hashlib.sha256(contents).hexdigest()[:12]


State = tuple[int, ...]
"""Device, inode, size in bytes, and nanoseconds of the last change of contents and of anything at all."""

RECENT = 2.0  # seconds: a file system's clock may tick so seldom that two changes within it leave one state


def state_of(path: str | Path) -> State | None:
    """What differs once a file was written or replaced, even where its time was set back; None where there is none."""
    try:
        now = os.stat(path)
    except OSError:
        return None
    return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns


class _Known(NamedTuple):
    """A fingerprint, and the files it was made of, each as it was before it was read."""

    fingerprint: str
    states: dict[str, State | None]

    @property
    def fresh(self) -> bool:
        return all(state_of(path) == state for path, state in self.states.items())


_known: dict[Hashable, _Known] = {}
_looked_at: ContextVar[set[Hashable] | None] = ContextVar("_looked_at", default=None)


@contextmanager
def one_look() -> Iterator[None]:
    """For many questions asked at one moment: within it, files of a fingerprint are looked at once, not each time."""
    token = _looked_at.set(set())
    try:
        yield
    finally:
        _looked_at.reset(token)


def fingerprint_unless_known(key: Hashable, make: Callable[[Callable[[Path], Path]], str]) -> str:
    """What `make` returns, computed again only where one of the files it depends on has changed since.

    `make` is handed a function to call with each file before it is read or found missing; it returns that file.
    """
    known, looked_at = _known.get(key), _looked_at.get()
    if known and ((looked_at is not None and key in looked_at) or known.fresh):
        if looked_at is not None:
            looked_at.add(key)
        return known.fingerprint
    states: dict[str, State | None] = {}
    changed_recently = False

    def depends_on(path: Path) -> Path:
        nonlocal changed_recently
        state = states.setdefault(str(path), state_of(path))
        changed_recently |= state is not None and abs(time.time() - state[-1] / 1e9) < RECENT
        return path

    fingerprint = make(depends_on)
    if not changed_recently:
        _known[key] = _Known(fingerprint, states)
    return fingerprint


def file_fingerprint(path: str) -> str:
    """Hash of a file's contents, 12 hex digits."""

    def contents(depends_on: Callable[[Path], Path]) -> str:
        digest = hashlib.sha256()
        with open(depends_on(Path(path)), "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()[:12]

    return fingerprint_unless_known(("file", path), contents)
