"""The formats that can be imported, and which of them a folder or a file is."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from apc.data.importing import class_folders, coco, cvat_xml, label_studio, labelme, masks, spreadsheet
from apc.data.importing.found import Found
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes


class Format(NamedTuple):
    """A way to write labels down."""

    what: str
    looks: Callable[[Source, Wishes], str]
    """By what a source is told to be of this format; empty where it is not."""
    read: Callable[[Source, Wishes], Found]
    rank: int
    """A source that looks like several is of the lowest; of two with one rank nobody but the user knows."""
    tables: bool = False
    """Whether tables of labels are read, which may have columns and signs that the user names."""
    controls: bool = False
    """Whether the user may name what labels are answers to, though there is no table."""


FORMATS = {
    "coco": Format("COCO JSON", coco.looks, coco.read, 0),
    "labelme": Format("labelme's JSON files", labelme.looks, labelme.read, 0),
    "label-studio": Format(
        "Label Studio's JSON, JSON-MIN or CSV", label_studio.looks, label_studio.read, 0, controls=True
    ),
    "cvat": Format(
        "masks whose colours a labelmap.txt names, as CVAT and Datumaro write",
        masks.looks_like_cvat,
        masks.read,
        0,
        True,
    ),
    "cvat-xml": Format("CVAT's XML for images", cvat_xml.looks, cvat_xml.read, 0),
    "voc": Format("Pascal VOC's XML files, with or without masks", masks.looks_like_voc, masks.read, 1, True),
    "csv": Format("a table of labels", spreadsheet.looks, spreadsheet.read, 3, True),
    "masks": Format("photographs and masks", masks.looks_like_masks, masks.read, 2, True),
    "folders": Format("a folder of photographs a class", class_folders.looks, class_folders.read, 4),
}


def candidates(source: Source, wishes: Wishes) -> dict[str, str]:
    """Formats that a source may be of, each with what speaks for it; one where that is clear."""
    for rank in sorted({format.rank for format in FORMATS.values()}):
        ranked = {name: format for name, format in FORMATS.items() if format.rank == rank}
        if seen := {name: evidence for name, format in ranked.items() if (evidence := format.looks(source, wishes))}:
            return seen
    return {}


def detected(source: Source, wishes: Wishes) -> str:
    """The format of a source; ValueError names those that it may be of."""
    seen = candidates(source, wishes)
    if len(seen) == 1:
        return next(iter(seen))
    if not seen:
        why = _slip(source, wishes) or _spreadsheet(source)
        raise ValueError(f"{source.given}: of no format that is known{why}; name one of {', '.join(FORMATS)} before it")
    both = "; or ".join(f"{name} ({evidence})" for name, evidence in seen.items())
    raise ValueError(f"{source.given}: may be {both}; name the format before it")


def require_a_table(name: str, source: Source, wishes: Wishes) -> None:
    """ValueError where a column or a sign of tables is named and the format reads none."""
    wishes = replace(wishes, labels="") if FORMATS[name].controls else wishes
    if wishes.of_tables and not (FORMATS[name].tables and spreadsheet.tables_of(source, wishes)):
        slip = _slip(source, wishes)
        raise ValueError(f"{wishes.of_tables}; {source.given} is read as {name}, without a table of labels{slip}")


def _slip(source: Source, wishes: Wishes) -> str:
    """Why the source's first table is none, in brackets; empty where it has no table."""
    slip = spreadsheet.slip_in(source, wishes)
    return f" ({slip})" if slip else ""


SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
"""Suffixes of tables that are no text."""


def _spreadsheet(source: Source) -> str:
    """What to do with a table that is no text, in brackets; empty where there is none."""
    files = source.of_kind(*SPREADSHEETS)
    return f" ({source.place(files[0])} is of a spreadsheet program; save it as CSV)" if files else ""


def command_for(folder: Path) -> str:
    """The command that imports a folder which `apc data check` cannot take as it is; empty where nothing is known.

    A folder that has classes.txt and images/ is one already, unless files of a labelling tool lie in it.
    """
    try:
        seen = candidates(Source(folder), Wishes())
    except (ValueError, OSError):
        return ""
    name = next(iter(seen), "")
    own = (folder / "classes.txt").is_file() and (folder / "images").is_dir()
    known = len(seen) == 1 and not (own and FORMATS[name].rank > 1)
    return shlex.join(["apc", "data", "import", name, str(folder), "--out", "NEW"]) if known else ""
