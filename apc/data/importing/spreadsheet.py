"""Tables of labels: one class a column (Roboflow, Kaggle), several in a cell, or a line for each object.

Saved by whatever spreadsheet: with commas, semicolons or tabs, in UTF-8, UTF-16 or cp1252, with or without headings.
"""

import ast
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from apc.data.headers import SUFFIXES
from apc.data.importing.found import (
    NOTHING,
    Found,
    Photo,
    by_paths,
    class_name,
    foreground,
    split_named,
    split_of,
)
from apc.data.importing.legend import names_beside
from apc.data.importing.safely import read_text
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes

KIND = (".csv", ".tsv", ".txt")
IMAGE = "image images image_name imagename image_id image_path filename file_name file path filepath img img_name name \
photo photograph picture id bild dateiname datei foto fichier fichero archivo".split()
"""Headings of the column of photographs, likeliest first."""
LABELS = "labels label classes class class_name classname tags tag categories category annotation annotations target \
species klasse klassen etikett etiquette clase".split()
"""Headings of the column of labels, likeliest first."""
SPLIT = "split set subset partition usage dataset".split()
YES, NO = {"1", "1.0", "true", "yes", "x", "y"}, {"0", "0.0", "false", "no", "n", ""}
"""Cells of a column that is a class."""


class Table(NamedTuple):
    """A file of lines of cells."""

    path: Path
    headings: list[str]
    """As written; image, label where the file has none."""
    rows: list[tuple[int, list[str]]]
    """Line number and cells; as many as headings."""
    encoding: str
    delimiter: str
    headed: bool
    """Whether its first line has headings."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are, by number."""

    image: int
    label: int | None
    classes: dict[int, str]
    """Columns that are a class each."""
    split: int | None
    extra: dict[int, str]
    separator: str = ""
    """What stands between several labels in a cell; empty: blanks."""


def looks(source: Source, wishes: Wishes) -> str:
    places = [source.place(table.path) for table in tables_of(source, wishes)]
    return f"the table {places[0]}" + (f" and {len(places) - 1} more" if places[1:] else "") if places else ""


def read(source: Source, wishes: Wishes) -> Found:
    tables = tables_of(source, wishes)
    if not tables:
        raise ValueError(f"{source.given}: is no table with a column of photographs and one of labels")
    found = _lines(source, tables, wishes)
    names, beside = found.classes, names_beside(source, wishes)
    found.classes = foreground(beside[0] if beside and {*foreground(beside[0])} >= {*foreground(names)} else names)
    if not found.classes:
        raise ValueError(f"{tables[0].path}: names no class")
    if wishes.classes and (unknown := set(found.classes) - set(foreground(wishes.classes))):
        raise ValueError(f"{tables[0].path}: label {min(unknown)!r} is none of --classes {' '.join(wishes.classes)}")
    _take_unsaid(source, found, wishes)
    found.photos = by_paths(found.photos)
    return found


def labels_beside(source: Source, wishes: Wishes) -> Found:
    """What tables say of the photographs of a source with masks; lines may be of something else there."""
    return _lines(source, tables_of(source, wishes), wishes)


def _lines(source: Source, tables: list[Table], wishes: Wishes) -> Found:
    """Photographs that lines name, each once with what all of its lines say; a problem for each line without one."""
    found, spoken = Found([]), dict[Path, Photo]()
    for table in tables:
        columns = _columns(table, wishes)
        found.notes.append(f"{source.place(table.path)}: {_told(table, columns)}")
        found.classes += columns.classes.values() or sorted(
            {word for _, row in table.rows for word in _words(row[columns.label or 0], columns.separator)}
        )
        for line, row in table.rows:
            try:
                file = source.find(row[columns.image], table.path.parent)
            except ValueError as error:
                found.problems.append(f"{table.path}, line {line}: {error}")
                continue
            labels, before = _labels(table, line, row, columns), spoken.get(file)
            split = split_named(row[columns.split]) if columns.split is not None else ""
            split = split or split_of(source.place(table.path))
            if before and before.split and split and before.split != split:
                both = " and ".join(sorted((before.split, split)))
                raise ValueError(f"{table.path}, line {line}: photograph {row[columns.image]!r} is for {both}")
            split = split or (before.split if before else "")
            extra = {name: row[number].strip() for number, name in columns.extra.items()}
            extra |= before.extra if before else {}
            labels |= before.labels or frozenset() if before else frozenset()
            spoken[file] = Photo(file, source.place(file), labels, split=split, extra=extra)
    extras = dict.fromkeys((name for photo in spoken.values() for name in photo.extra), "")
    found.photos = [replace(photo, extra=extras | photo.extra) for photo in spoken.values()]
    return found


def _take_unsaid(source: Source, found: Found, wishes: Wishes) -> None:
    """Photographs that no line names: taken as showing nothing where that was asked for, told otherwise."""
    named = {photo.file for photo in found.photos}
    extra = dict.fromkeys(found.photos[0].extra, "") if found.photos else {}
    for path in source.pictures if source.images or source.given.is_dir() else []:
        if path in named:
            continue
        if wishes.take_unlabelled:
            found.photos.append(Photo(path, source.place(path), frozenset(), extra=extra))
        else:
            found.left_out["photographs that no line names"].append(source.place(path))


def tables_of(source: Source, wishes: Wishes) -> list[Table]:
    """Every table of the source that has photographs and labels."""
    opened = [open_table(path) for path in source.of_kind(*KIND) if path == source.given or path.suffix != ".txt"]
    if source.given.is_file():
        return [table for table in opened if table]
    return [table for table in opened if table and _is_of_photographs(source, table, wishes)]


def _is_of_photographs(source: Source, table: Table, wishes: Wishes) -> bool:
    """Whether a table beside others of any kind has labels, and photographs by their suffixes or as they lie there."""
    try:
        columns = _columns(table, wishes)
    except ValueError:
        return False
    cells = [row[columns.image].strip() for _, row in table.rows[:50]]
    return any(Path(cell).suffix.lower() in SUFFIXES or _is_there(source, cell) for cell in cells)


def slip_in(source: Source, wishes: Wishes) -> str:
    """Why a source's first table is none of labels, for whoever meant it as one; empty where there is no table."""
    for path in source.of_kind(".csv", ".tsv"):
        try:
            if table := open_table(path):
                _columns(table, wishes)
        except ValueError as error:
            return str(error)
    return ""


def _is_there(source: Source, name: str) -> bool:
    try:
        return bool(source.find(name))
    except ValueError:
        return False


def open_table(path: Path) -> Table | None:
    """A table's lines; None where the file is none. ValueError names file and line of a slip."""
    text, encoding = read_text(path)
    if not text.strip() or "\0" in text:
        return None
    first, _, below = text.lstrip().partition("\n")
    sep = re.fullmatch(r"sep=(.)", first.strip())  # as Excel writes it
    delimiter = sep[1] if sep else max("\t;,|", key=lambda sign: (first.count(sign), sign == ","))
    lines = io.StringIO(below if sep else text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        cells = [(reader.line_num + bool(sep), row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        why = "a quote is opened and not closed" if "end of data" in str(error) else str(error)
        raise ValueError(f"{path}, line {reader.line_num}: no line of a table ({why})") from None
    if not cells:
        return None
    headings = [cell.strip() for cell in cells[0][1]]
    headed = not any(Path(heading).suffix.lower() in SUFFIXES for heading in headings)
    if not headed:
        headings = ["image", "label", *(f"column_{n}" for n in range(3, len(headings) + 1))][: len(headings)]
    else:
        cells = cells[1:]
    rows = []
    for line, row in cells:
        if len(row) > len(headings) and any(cell.strip() for cell in row[len(headings) :]):
            more = "" if delimiter != "," else "; put a cell that has commas between quotes"
            raise ValueError(f"{path}, line {line}: has {len(row)} cells under {len(headings)} headings{more}")
        rows.append((line, (row + [""] * len(headings))[: len(headings)]))
    return Table(path, headings, rows, encoding, delimiter, headed)


def _columns(table: Table, wishes: Wishes) -> Columns:
    """What each column is, from its heading and its cells; ValueError where that cannot be told."""
    path, headings, separator = table.path, table.headings, wishes.separator
    shown = ", ".join(headings)
    if not table.headed and len(headings) > 2:
        raise ValueError(
            f"{path}: has {len(headings)} columns and no headings; write image, labels and others above them"
        )
    if twice := [heading for heading in headings if heading and headings.count(heading) > 1]:
        raise ValueError(f"{path}: two columns have the heading {twice[0]!r}; only one could be read")
    if not table.rows:
        raise ValueError(f"{path}: has headings ({shown}) and no line below them")

    def share_of_photographs(number: int) -> float:
        return sum(Path(row[number].strip()).suffix.lower() in SUFFIXES for _, row in table.rows) / len(table.rows)

    shares = [share_of_photographs(number) for number in range(len(headings))]
    image = shares.index(max(shares)) if max(shares) > 0.5 else _place_in(headings, IMAGE)
    if image is None:
        raise ValueError(f"{path}: no column names photographs; call it image, before or after labels (it has {shown})")
    split = _place_in(headings, SPLIT)
    if split is not None and not all(split_named(row[split]) or not row[split].strip() for _, row in table.rows):
        split = None
    rest = [number for number in range(len(headings)) if number not in (image, split)]
    label = _place_in(headings, LABELS, rest)
    if wishes.labels:
        if wishes.labels not in headings or headings.index(wishes.labels) == image:
            raise ValueError(f"{path}: --labels is {wishes.labels!r}; its other columns are {shown}")
        label = headings.index(wishes.labels)
    cells = {n: {row[n].strip().casefold() for _, row in table.rows} for n in rest}
    yes_no = [n for n in rest if headings[n] and cells[n] <= YES | NO and (cells[n] - {""} or len(rest) > 1)]
    if label is not None and (label not in yes_no or len(yes_no) < 2):
        if label in yes_no and cells[label] <= {"0", "1"}:
            raise ValueError(
                f"{path}: {headings[label]!r} is 0 or 1; call that column as the class is called that 1 means"
            )
        extra = {n: headings[n] for n in rest if n != label and headings[n]}
        return Columns(image, label, {}, split, extra, separator or _separator(table, label))
    if len(yes_no) >= 2 or (len(yes_no) == 1 == len(rest)):
        classes = {n: "" if headings[n].casefold() in NOTHING else class_name(headings[n]) for n in yes_no}
        if twice := [name for name in classes.values() if name and list(classes.values()).count(name) > 1]:
            raise ValueError(f"{path}: the class {twice[0]!r} has two columns")
        return Columns(image, None, classes, split, {n: headings[n] for n in rest if n not in yes_no and headings[n]})
    if len(rest) == 1:
        return Columns(image, rest[0], {}, split, {}, separator or _separator(table, rest[0]))
    raise ValueError(
        f"{path}: which of {shown} names classes? say it with --labels, or have a column of 0 and 1 a class"
    )


def _place_in(headings: Sequence[str], words: list[str], among: list[int] | None = None) -> int | None:
    """Number of the column with the likeliest heading; None where none fits."""
    plain = [re.sub(r"[\s-]+", "_", heading.casefold()) for heading in headings]
    places = [plain.index(word) for word in words if word in plain]
    return next((place for place in places if among is None or place in among), None)


def _separator(table: Table, column: int) -> str:
    """The sign between several labels of a cell; empty where only blanks are between them."""
    cells = [row[column] for _, row in table.rows if not row[column].strip().startswith("[")]
    return next((sign for sign in "|;,\n" if any(sign in cell for cell in cells)), "")


def _words(cell: str, separator: str) -> list[str]:
    """Labels of a cell; those that mean that nothing is shown are left out."""
    text = cell.strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            words = [str(word) for word in ast.literal_eval(text)]
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            words = text[1:-1].split(separator or ",")
    else:
        words = text.split(separator) if separator else text.split()
    return [class_name(word) for word in words if word.strip().casefold() not in NOTHING and class_name(word)]


def _labels(table: Table, line: int, row: list[str], columns: Columns) -> frozenset[str]:
    if columns.label is not None:
        return frozenset(_words(row[columns.label], columns.separator))
    return frozenset(name for number, name in columns.classes.items() if name and row[number].strip().casefold() in YES)


def _told(table: Table, columns: Columns) -> str:
    """How a table was read, for whoever wrote it."""
    signs = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars"}
    encoding = {"utf-8-sig": ""}.get(table.encoding, f", {table.encoding}")
    if columns.label is None:
        said = f"a column of 0 and 1 for each of {len([name for name in columns.classes.values() if name])} classes"
    else:
        between = {"": "blanks", "\n": "line breaks"}.get(columns.separator, repr(columns.separator))
        said = f"labels from {_place(table, columns.label)}, several parted by {between}"
        cells = (row[columns.label].strip() for _, row in table.rows)
        if not columns.separator and (cell := next((cell for cell in cells if " " in cell), "")):
            said += f" (if {cell!r} is one class, say --separator ,)"
    sign = signs.get(table.delimiter, repr(table.delimiter))
    return f"photographs from {_place(table, columns.image)}, {said} ({sign}{encoding})"


def _place(table: Table, column: int) -> str:
    """A column as whoever wrote the table knows it."""
    return repr(table.headings[column]) if table.headed else f"column {column + 1}, which has no heading"
