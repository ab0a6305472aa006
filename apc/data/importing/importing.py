"""`apc data import`: from a source of labels to a folder of photographs, whole or not at all."""

import shutil
import zipfile
from pathlib import Path

from apc.data.images import Reading
from apc.data.importing.formats import FORMATS, SPREADSHEETS, detected, require_a_table
from apc.data.importing.safely import unpack
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes
from apc.data.importing.writing import write
from apc.data.preparing import BadFiles
from apc.data.splitting import Division
from apc.folders import is_empty, replaced


def import_(
    named: str,
    source: Path,
    out: Path,
    images: Path | None,
    wishes: Wishes,
    division: Division,
    *,
    copy: bool,
    skip_broken: bool,
) -> list[str]:
    """Make the new folder `out` of a source of the format `named`, or of the one that is found; lines for a person.

    ValueError names what is wrong; `out` is then as it was.
    """
    if not is_empty(out):
        raise ValueError(f"out is {str(out)!r}; give a new or an empty folder")
    if not source.exists():
        raise ValueError(f"{source}: there is no such file or folder")
    if source.is_file() and source.suffix.lower() in SPREADSHEETS:
        raise ValueError(f"{source}: is a file of a spreadsheet program, which is not read; save it as CSV")
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"out is {str(out)!r}; give a folder outside {source}")
    with replaced(out) as part:
        unpacked = part / ".unpacked"
        archived = source.is_file() and zipfile.is_zipfile(source)
        try:
            if archived:
                unpacked.mkdir()
                unpack(source, unpacked)
            opened = Source(unpacked if archived else source, images)
            format = named or detected(opened, wishes)
            require_a_table(format, opened, wishes)
            found = FORMATS[format].read(opened, wishes)
            lines = write(
                found, part, division, Reading(max_pixels=wishes.max_pixels), copy=copy, skip_broken=skip_broken
            )
        except BadFiles as error:
            problems = [problem.replace(str(unpacked), str(source)) for problem in error.problems]
            raise BadFiles(problems, error.remedy) from None
        except ValueError as error:
            raise ValueError(str(error).replace(str(unpacked), str(source)).replace(str(part), str(out))) from None
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    said = [line.replace(str(unpacked), str(source)) for line in lines]
    return [f"{source}: read as {format}, {FORMATS[format].what}", *said]
