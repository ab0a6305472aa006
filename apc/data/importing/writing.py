"""A folder of photographs made of what was understood: images/, masks/, classes.txt and, last, the lists.

Shapes: H,W the photograph's own pixels.
"""

import csv
import io
import os
import re
import shutil
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from apc.data.folder import require_classes
from apc.data.images import Reading, require_whole, size_of
from apc.data.importing.found import Found, Photo
from apc.data.importing.slips import misspelt
from apc.data.importing.turning import stored
from apc.data.masks import IGNORE, values_in, write_mask
from apc.data.preparing import BadFiles
from apc.data.splitting import Division, Member, divide
from apc.escaping import counted
from apc.files import write_atomically
from apc.parallel import each


@dataclass(frozen=True)
class Written:
    """A photograph as it lies in the new folder."""

    name: str
    photo: Photo
    labels: frozenset[str]
    shown: frozenset[str] | None
    """Classes that its mask has a pixel of; None without a mask."""
    linked: bool


def write(found: Found, folder: Path, division: Division, how: Reading, *, copy: bool, skip_broken: bool) -> list[str]:
    """Write what was found into an empty folder; lines for a person about what that is.

    BadFiles, where a photograph or a mask cannot be used and `skip_broken` does not leave it out.
    """
    require_classes(folder / "classes.txt", found.classes)
    names = names_of([photo.place for photo in found.photos])
    (folder / "images").mkdir(parents=True)

    def caught(job: tuple[Photo, str]) -> Written | str:
        try:
            return _written(*job, found.classes, folder, how, copy)
        except ValueError as error:
            return str(error)

    results = each(list(zip(found.photos, names, strict=True)), caught, "importing")
    problems = found.problems + [result for result in results if isinstance(result, str)]
    if problems and not skip_broken:
        raise BadFiles(problems, "--skip-broken leaves out what cannot be used")
    written = [result for result in results if isinstance(result, Written)]
    if not written:
        raise ValueError("no photograph is left to be imported" + (f"; {problems[0]}" if problems else ""))
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for name in found.classes:
        spellings[name.casefold()].append(name)
    for alike in (names for names in spellings.values() if len(names) > 1):
        found.notes.append(f"{', '.join(alike)} are {len(alike)} classes; if they are one, write it in one way")
    found.notes += misspelt(Counter(name for row in written for name in row.labels))
    if not any(row.labels for row in written):
        raise ValueError(f"none of {len(written)} photographs shows any of {', '.join(found.classes)}; one must")
    if problems:
        found.left_out["what cannot be used"] += problems
    lists = _lists(written, division, folder / "images", found.notes)
    write_atomically(folder / "classes.txt", "\n".join(found.classes) + "\n")
    for split, rows in lists.items():  # last: a folder without lists is no data set
        write_atomically(folder / f"{split}.csv", _csv(rows))
    return _summary(found, lists)


def names_of(places: Sequence[str]) -> list[str]:
    """A name below images/ for each photograph: its path without the folders common to all, of characters that lists
    can hold. No two share a mask, whose name is the photograph's without suffix."""
    parts = [[_clean(part) for part in place.split("/")] for place in places]
    common = len(os.path.commonprefix([part[:-1] for part in parts]))
    wanted = [PurePosixPath(*part[common:]) for part in parts]
    stems = Counter(path.with_suffix("").as_posix().casefold() for path in wanted)
    names: list[str] = []
    taken: set[str] = set()
    for path in wanted:
        stem = path.with_suffix("")
        if stems[stem.as_posix().casefold()] > 1:
            stem = stem.with_name(f"{stem.name}_{path.suffix[1:]}")
        unique, number = stem, 2
        while unique.as_posix().casefold() in taken:
            unique, number = stem.with_name(f"{stem.name}_{number}"), number + 1
        taken.add(unique.as_posix().casefold())
        names.append(f"{unique.as_posix()}{path.suffix}")
    return names


def _clean(part: str) -> str:
    """Part of a path without line breaks, back slashes, other signs that no text holds, and blanks at its ends."""
    text = unicodedata.normalize("NFC", part).encode("utf-8", "replace").decode()
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]", "_", text).strip() or "_"


def _written(photo: Photo, name: str, classes: list[str], folder: Path, how: Reading, copy: bool) -> Written:
    """Put a photograph and its mask into the folder; ValueError where one cannot be used."""
    target = folder / "images" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    linked = False
    if photo.content:
        target.write_bytes(photo.content())
    else:
        require_whole(photo.file, how)
        linked = not copy and _linked(photo.file, target)
        if not linked:
            shutil.copyfile(photo.file, target)
    shown = None
    if photo.mask:
        mask = _upright(photo.mask(), target, photo, how)
        write_mask((folder / "masks" / name).with_suffix(".png"), mask, "imported")
        shown = frozenset(classes[value - 1] for value in values_in(mask) if 0 < value < IGNORE)
    labels = photo.labels if photo.labels is not None else shown
    assert labels is not None, "a photograph without labels has a mask"
    return Written(name, photo, labels, shown, linked)


def _linked(file: Path, target: Path) -> bool:
    """Whether a second name could be given to the file itself, which costs no room."""
    try:
        os.link(file.resolve(), target)
    except OSError:  # another disk, or a file system without links
        return False
    return True


def _upright(mask: np.ndarray, photograph: Path, photo: Photo, how: Reading) -> np.ndarray:
    """The mask turned as its photograph is when it is read; ValueError where their sizes differ."""
    size = size_of(photograph, how)
    own, orientation = stored(photograph, how.max_pixels)
    turned = 2 <= orientation <= 8
    if turned and mask.shape == own and (photo.as_stored or mask.shape != size):
        flat = Image.fromarray(mask)
        flat.getexif()[0x0112] = orientation
        mask = np.asarray(ImageOps.exif_transpose(flat))
    if mask.shape != size:
        (h, w), (height, width) = mask.shape, size
        raise ValueError(f"{photo.file}: its mask is {w}x{h}, the photograph {width}x{height}")
    return mask


def _lists(written: list[Written], division: Division, images: Path, notes: list[str]) -> dict[str, list[Written]]:
    """Photographs by list: as the source says it, and where it names none for validation, as `division` has it."""
    lists: dict[str, list[Written]] = {"train": [], "val": [], "test": []}
    for row in written:
        lists[row.photo.split or "train"].append(row)
    if not lists["train"]:  # a source that has one part alone
        part = "val" if lists["val"] else "test"
        lists["train"], lists[part] = lists[part], []
    if not lists["val"]:
        members = [Member(row.name, row.labels, row.photo.extra, row.shown is not None) for row in lists["train"]]
        of_val, said = divide(members, division, images)
        notes += said
        lists["val"] = [each for each, val in zip(lists["train"], of_val, strict=True) if val]
        lists["train"] = [each for each, val in zip(lists["train"], of_val, strict=True) if not val]
    return {split: rows for split, rows in lists.items() if rows}


def _csv(rows: list[Written]) -> str:
    text = io.StringIO()
    extra = list(dict.fromkeys(name for row in rows for name in row.photo.extra if name not in ("image", "labels")))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "labels", *extra])
    writer.writerows(
        [r.name, " ".join(sorted(r.labels)), *(r.photo.extra.get(name, "") for name in extra)] for r in rows
    )
    return text.getvalue()


def _summary(found: Found, lists: dict[str, list[Written]]) -> list[str]:
    every = [row for rows in lists.values() for row in rows]
    masked = sum(row.shown is not None for row in every)
    how = "linked" if all(row.linked for row in every) else "copied"
    classes = counted(len(found.classes), "class", "classes")
    lines = [f"{counted(len(every), 'photograph')} ({how}) of {classes}, {masked} with a mask", ""]
    width = max(len(name) for name in [*found.classes, "photographs", "nothing in it"])
    lines.append(f"{'':{width}} " + " ".join(f"{split + '.csv':>10}" for split in lists))
    table = defaultdict[str, list[int]](list)
    for rows in lists.values():
        table["photographs"].append(len(rows))
        table["with a mask"].append(sum(row.shown is not None for row in rows))
        for name in found.classes:
            table[name].append(sum(name in row.labels for row in rows))
        table["nothing in it"].append(sum(not row.labels for row in rows))
    lines += [f"{what:{width}} " + " ".join(f"{count:10}" for count in numbers) for what, numbers in table.items()]
    lines.append("")
    differ = [row for row in every if row.shown is not None and row.shown != row.labels]
    if differ:
        shown = " ".join(sorted(differ[0].shown or ())) or "nothing"
        said = " ".join(sorted(differ[0].labels)) or "nothing"
        differing = f"{counted(len(differ), 'mask')} {'differs' if len(differ) == 1 else 'differ'}"
        lines.append(f"note: {differing} from the labels; {differ[0].name}: labels {said}, mask {shown}")
    lines += [f"note: {note}" for note in found.notes]
    for why, which in found.left_out.items():
        few = ", ".join(which[:3]) + (f" and {len(which) - 3} more" if len(which) > 3 else "")
        lines.append(f"left out: {len(which)} {why}: {few}")
    return lines
