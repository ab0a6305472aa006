"""The folder that keeps predictions: whose it is, what is finished, its summary. Imports no torch."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from apc.escaping import from_csv, in_csv
from apc.files import named, require_writable, sweep, whole, write_atomically
from apc.folders import is_empty
from apc.prediction.photographs import Photograph
from apc.runs.stamp import stamp

FOLDERS = {"masks": "png", "overlays": "jpg", "heatmaps": "png"}
"""Subfolders with a file a photograph, and what kind of file."""
_MARK = "prediction.json"


def settings_of(out: Path) -> dict[str, Any] | None:
    """Settings of the predictions below `out`, None where it is empty or absent; ValueError for anybody else's folder,
    so that no file of another origin (a data set's own masks/) is ever written over."""
    try:
        return dict(json.loads((out / _MARK).read_text(encoding="utf-8"))["settings"])
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{out}/{_MARK}: is damaged; remove {out}, or give another --out") from None
    except OSError:
        if out.is_dir() and not is_empty(out):
            raise ValueError(f"{out}: holds files that `apc predict` did not write; give another --out") from None
        return None


def claim(out: Path, settings: dict[str, Any], photographs: Iterable[Photograph]) -> dict[str, dict[str, str]]:
    """Make `out` the folder of predictions with these settings; returns the rows that are there, by their masks.

    ValueError where it holds predictions with other settings, which are never mixed, or a mask of another photograph
    that one of these would replace.
    """
    there = settings_of(out)
    require_writable(out)
    sweep(out, below=True)
    if there is None:
        write_atomically(out / _MARK, json.dumps({"settings": settings, "stamp": stamp()}, indent=1) + "\n")
        return {}
    for name in {**settings, **there}:
        if there.get(name) != settings.get(name):
            before = f"{there.get(name)}, not {settings.get(name)}"
            raise ValueError(f"{out}: holds predictions with {name} {before}; give another --out, or remove it")
    path = out / "summary.csv"
    if not path.is_file():
        return {}
    try:
        finished = {row["mask"]: row for row in _rows(path)}
    except (csv.Error, KeyError) as error:
        raise ValueError(f"{path}: damaged ({error}); give another --out, or remove it") from None
    for photograph in photographs:
        row = finished.get(mask_name(photograph))
        if row and Path(row["image"]).resolve() != photograph.path.resolve():
            raise ValueError(f"{out}/{row['mask']}: is of {row['image']}, not of {photograph.path}; give another --out")
    return finished


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a summary; a line that was being written when the command was killed is none."""
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read()
    reader = csv.DictReader(io.StringIO(lines[: lines.rfind("\n") + 1], newline=""))
    names = {name: from_csv(name) for name in reader.fieldnames or []}  # one text for all rows
    for row in reader:
        if None not in row and None not in row.values():
            yield {names[name]: from_csv(cell) for name, cell in row.items()}


def file_of(out: Path, kind: str, photograph: Photograph) -> Path:
    """Where an output of a photograph lies; its name may have dots and subfolders."""
    return out / kind / f"{photograph.name}.{FOLDERS[kind]}"


def mask_name(photograph: Photograph) -> str:
    """A photograph's mask as the summary names it."""
    return f"masks/{photograph.name}.{FOLDERS['masks']}"


def is_finished(
    row: dict[str, str] | None, photograph: Photograph, labels: str, out: Path, kinds: Iterable[str]
) -> bool:
    """Whether a photograph's row is there, with these image labels, and its files are, and are younger than it is in
    its place: one that is unpacked, moved or copied over another keeps an older time of change of its contents."""
    if row is None or row["labels"] != labels:
        return False
    stat = photograph.path.stat()
    changed = max(stat.st_mtime, stat.st_ctime)
    files = [file_of(out, kind, photograph) for kind in kinds]
    return all(file.is_file() and file.stat().st_mtime >= changed for file in files)


class Summary:
    """summary.csv: a line a photograph, added as it is finished, in the photographs' own order at last.

    A name that a spreadsheet would take for a formula has a quote in front (`in_csv`), which `claim` takes off again.
    """

    def __init__(self, path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
        self.path, self.columns = path, list(columns)
        self.write(rows)

    def write(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write it anew, whole."""
        with whole(self.path) as part:
            self._append(part, "w", [dict(zip(self.columns, self.columns, strict=True)), *rows])

    def add(self, row: dict[str, Any]) -> None:
        """Add a line."""
        with named(self.path):
            self._append(self.path, "a", [row])

    def _append(self, path: Path, mode: str, rows: Iterable[dict[str, Any]]) -> None:
        with open(path, mode, newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file, lineterminator="\n")
            # a row of an earlier version has no scores
            writer.writerows([in_csv(row.get(name, "")) for name in self.columns] for row in rows)
