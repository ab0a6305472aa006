"""Which process is at work on a run: what it writes into the run's lock, and whether it still lives."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from apc.files import this_machine
from apc.runs.folder import RunFolder
from apc.runs.lease import alive

NOBODY = "nobody"
"""What stands in the lock once its holder has left it."""


def announce(folder: RunFolder) -> None:
    """Say, without holding the lock, that this process is about to work on a run."""
    with suppress(OSError):
        folder.path.mkdir(parents=True, exist_ok=True)
        with open(folder.lock, "a", encoding="utf-8") as lock:
            _write(lock, _me())


@contextmanager
def signed(lock: TextIO) -> Iterator[None]:
    """With this process written into a run's lock, which it holds, and at the end that it has left."""
    _write(lock, _me())
    try:
        yield
    finally:
        _write(lock, NOBODY)


def _me() -> str:
    return f"{this_machine()} {os.getpid()}"


def _write(lock: TextIO, text: str) -> None:
    with suppress(OSError):  # a full disk: only `apc status` reads it
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), text.encode())  # not buffered: what is kept back fails again when the lock is closed


def at_work(folder: RunFolder) -> bool | None:
    """As `at_work_here`; of a run that lies in a store its lease tells of other machines."""
    here = at_work_here(folder)
    if here or not folder.lease.is_file():
        return here
    return alive(folder.lease.read_bytes(), folder.lease.stat().st_mtime)


def at_work_here(folder: RunFolder) -> bool | None:
    """Whether a process is at work on a run; None where nothing tells, as of one that died on another machine.

    A lock that is held says so everywhere. A free one may be held on another machine, where a file system keeps locks
    to each; of a process of this machine, since it was started, its number tells.
    """
    text = _free(folder.lock)
    if text is None:
        return True
    if text == NOBODY:
        return False
    machine, _, number = text.rpartition(" ")
    if machine != this_machine() or not number.isdecimal():
        return None
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _free(path: Path) -> str | None:
    """What stands in a lock that is free, or cannot be read; None where it is held."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return lock.read(1000)
    except BlockingIOError:
        return None
    except OSError:
        return ""
