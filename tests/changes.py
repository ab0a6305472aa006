"""A file whose contents change while its size and its time of last change stay."""

import os
from pathlib import Path

from apc.files import state_of


def replaced_in_place(path: Path, contents: bytes) -> None:
    """Write `contents` and set the time of last change back, until the file system's clock has ticked."""
    before, now = state_of(path), path.stat()
    while state_of(path) == before:
        path.write_bytes(contents)
        os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns))
