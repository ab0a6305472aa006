"""A command that is killed, or whose disk is full, at the n-th of the moments when it changes files below a folder."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed_at(n: int, root: Path, work: Callable[[], object]) -> bool:
    """Whether `work`, in a process of its own, was killed just before its n-th change; False where it has fewer."""

    def kill(event: str, path: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    return os.WIFSIGNALED(_forked(n, root, work, kill))


def without_room_at(n: int, root: Path, work: Callable[[], object]) -> int:
    """What `work`, in a process of its own, returns where the disk has no room from its n-th change on; what removes
    files goes on to work."""

    def full(event: str, path: str) -> None:
        if event not in ("os.remove", "os.rmdir"):  # of a file that is open to write the system says no name
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *([] if event == "open" else [path]))

    return os.WEXITSTATUS(_forked(n, root, work, full))


def _forked(n: int, root: Path, work: Callable[[], object], fault: Callable[[str, str], None]) -> int:
    """The status of a process that does `work`, and `fault` from its n-th change on."""
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    code, changes, below = 99, 0, os.fspath(root)

    def watch(event: str, given: tuple[Any, ...]) -> None:
        nonlocal changes
        if event in CHANGES or (event == "open" and isinstance(given[2], int) and given[2] & WRITES):
            path = os.fsdecode(given[0]) if isinstance(given[0], str | bytes | os.PathLike) else ""
            if path.startswith(below):
                changes += 1
                if changes >= n:
                    fault(event, path)

    try:
        sys.addaudithook(watch)
        code = int(work() or 0)  # type: ignore[call-overload]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
