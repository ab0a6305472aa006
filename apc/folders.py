"""Folders that a command makes: whose they are, and going on where the command was killed.

A folder is marked as unfinished until all is in it, so that the same command knows its own leftovers from the files of
somebody else, which it refuses. What readers look for first, such as lists, is written last.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apc.escaping import in_a_line
from apc.files import is_part, part_in, require_writable, sweep, write_atomically

UNFINISHED = ".apc-unfinished"
"""A file in a folder that is being made: what makes it, in a line."""


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing, or is not there; what `sweep` may remove counts as nothing."""
    return not folder.exists() or (folder.is_dir() and all(map(is_part, folder.iterdir())))


@contextmanager
def new_folder(path: Path, made_by: str, field: str) -> Iterator[None]:
    """Inside, `path` is filled, each file `whole`; whatever ends that early, the same command goes on in it.

    `made_by` is the command in words, with all that its files depend on, and `field` its flag for the folder.
    ValueError where `path` has files of somebody else, or unfinished ones that another command makes.
    """
    mark = path / UNFINISHED
    if mark.is_file():
        if (before := mark.read_text(encoding="utf-8", errors="replace")) != made_by:
            begun = f"holds an unfinished `{in_a_line(before)}`"
            raise ValueError(f"{path}: {begun}; give that command again, remove the folder, or give another {field}")
    elif not is_empty(path):
        raise ValueError(f"{field} is {str(path)!r}; give a new or an empty folder")
    require_writable(path)
    sweep(path, below=True)
    write_atomically(mark, made_by)
    yield
    mark.unlink()


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` at the end, in the place of what is there; whatever ends that early, the
    old folder is there, or the next call puts it back."""
    old = path.with_name(f".{path.name}.apc-old")
    path.parent.mkdir(parents=True, exist_ok=True)
    if old.exists() and not path.exists():
        os.replace(old, path)
    sweep(path.parent)
    part = part_in(path.parent)
    part.mkdir()
    try:
        yield part
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(part, path)
        except BaseException:  # Ctrl-C too
            if old.exists():
                os.rename(old, path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        file = str(error.filename2 or error.filename or path).replace(str(part), str(path))
        raise OSError(error.errno, error.strerror or str(error), file) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
