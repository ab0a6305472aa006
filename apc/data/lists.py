"""A list of images as a CSV file is read: line by line, each slip named with file and line."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ListFile:
    """A CSV file that is text, with its columns."""

    path: Path
    columns: list[str]
    """Names in its first line; empty where it has none."""
    lines: list[str]

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number and cells of each row; ValueError where a line is no CSV. A cell that is absent is empty."""
        reader = csv.DictReader(self.lines, strict=True, restval="")
        assert list(reader.fieldnames or []) == self.columns  # and so the first line is read
        while (row := _next(reader, self.path)) is not None:
            yield reader.line_num, row


def open_list(path: Path) -> ListFile:
    """The list of a file; ValueError names file and line where it is no CSV in UTF-8."""
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise ValueError(f"{path}, line {number}: has a NUL byte; save the list as plain text in UTF-8")
    return ListFile(path, _next(csv.reader(lines, strict=True), path) or [], lines)


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
