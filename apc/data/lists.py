"""A list of images as a CSV file is read: line by line, each slip named with file and line."""

import csv
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from apc.files import files_below


@dataclass(frozen=True)
class ListFile:
    """A CSV file that is text, with its columns."""

    path: Path
    columns: list[str]
    """Names in its first line, without blanks at their ends; empty where it has none."""
    lines: list[str]

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number and cells of each row; ValueError where a line is no CSV, or has more cells than columns. A cell
        that is absent is not in it."""
        reader: csv.DictReader[str] = csv.DictReader(self.lines, strict=True, restkey=_BEYOND)
        assert reader.fieldnames is not None or not self.columns  # and so the first line is read
        reader.fieldnames = self.columns
        while (row := _next(reader, self.path)) is not None:
            beyond: Any = row.pop(_BEYOND, None)
            if beyond and any(cell.strip() for cell in beyond):
                has = f"{len(self.columns) + len(beyond)} cells, the first line {len(self.columns)}"
                remedy = "quote a name that has a comma in it, and separate labels by spaces"
                raise ValueError(f"{self.path}, line {reader.line_num}: has {has}; {remedy}")
            yield reader.line_num, {name: cell for name, cell in row.items() if cell is not None}


_BEYOND = "\0"  # which no line has


def open_list(path: Path) -> ListFile:
    """The list of a file; ValueError names file and line where it is no CSV in UTF-8."""
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise ValueError(f"{path}, line {number}: has a NUL byte; save the list as plain text in UTF-8")
    columns = _next(csv.reader(lines, strict=True), path) or []
    names = [name.strip() for name in columns if name.strip()]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}: two columns are called {twice[0]!r}; only one could be read")
    return ListFile(path, [name.strip() for name in columns], lines)


def read_text(path: Path) -> str:
    """Text of a file that may begin with a byte-order mark, as spreadsheets write it; ValueError names the file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError:
        raise ValueError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None


def _next(reader: Any, path: Path) -> Any:
    """The next row, None behind the last; ValueError names the line that the row begins in."""
    begins = reader.line_num + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        why = "a quote is opened and not closed" if "end of data" in str(error) else str(error)
        raise ValueError(f"{path}, line {begins}: no line of a CSV file ({why})") from None


def same_name(name: str) -> str:
    """What two spellings of a name share: letters with their accents in one, however a system or a program wrote them
    (NFC), and no blanks at the ends."""
    return unicodedata.normalize("NFC", name).strip()


def leaves(name: str) -> str:
    """Why a name in a list may not be a file below the folder of the images; empty where it may."""
    if "\\" in name:
        return "has a back slash; write / between folders"
    if name.startswith("/") or re.match(r"[A-Za-z]:/", name) or "://" in name:
        return "is an absolute path; write the path below the folder of the images"
    if ".." in PurePosixPath(name).parts:
        return "has `..` in it; write the path below the folder of the images"
    return ""


class Folder:
    """The files of a folder, found by names that may be spelt otherwise than theirs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._spelt: dict[str, str] | None = None

    def find(self, name: str) -> str | None:
        """The file of a name, a path below the folder; None where there is none. The very name comes first, then one
        that differs in its Unicode form or in blanks at its ends."""
        for spelling in (name, name.strip()):
            place = PurePosixPath(spelling).as_posix()
            if spelling and os.path.isfile(self.path / place):  # which also holds of a name too long for any file
                return place
        if self._spelt is None:
            every = reversed(files_below(self.path))
            self._spelt = {same_name(path.relative_to(self.path).as_posix()): str(path) for path in every}
        found = self._spelt.get(same_name(PurePosixPath(name.strip()).as_posix()))
        return Path(found).relative_to(self.path).as_posix() if found else None
