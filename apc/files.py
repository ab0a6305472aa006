"""Files written whole or not at all, their fingerprints, and what to say where nothing more can be written."""

import errno
import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` at the end and is removed where anything fails, so that a reader, or a
    crash, sees the old file or the new one and nothing between. Of a full disk the OSError names `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as part, open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def require_writable(folder: Path) -> None:
    """ValueError where files cannot be written below `folder`, before anything long has started."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror})") from None


STORAGE = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))
"""What the system says where nothing more can be written."""

PROBE = 2**22  # bytes: a run whose state is larger tells of a full disk itself


def storage_fault(runs: Path) -> str:
    """Why nothing more can be written below `runs`; empty where it can."""
    probe = runs / f".probe.{os.getpid()}"
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

    def __init__(self, runs: Path, fault: str) -> None:
        super().__init__(
            f"{runs}: cannot be written any more ({fault}); what is finished is kept, and once there is room the same "
            "command goes on"
        )


@functools.cache
def file_fingerprint(path: str) -> str:
    """Hash of a file's contents, 12 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:12]
