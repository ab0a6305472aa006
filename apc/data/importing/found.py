"""What files of labels say, whichever tool wrote them: classes, and photographs with what each shows.

Shapes: H,W the photograph's own pixels.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from apc.escaping import counted, have, in_a_line

BACKGROUND = {"background", "_background_", "__background__"}
"""Names that tools give to what is no object."""
IGNORED = {"__ignore__", "_ignore_"}
"""Names that tools give to pixels which count nowhere."""
NOTHING = {"", "-", "none", "nothing", "nan", "n/a", "empty", "unlabeled", "unlabelled"} | BACKGROUND
"""Words by which tables and folders say that a photograph shows none of the classes."""


@dataclass(frozen=True)
class Photo:
    """A photograph and what is said of it."""

    file: Path
    """Where it lies, or, with `content`, where it would."""
    place: str
    """Its path below the folder it was found in."""
    labels: frozenset[str] | None = None
    """Classes it shows; None: those of its mask."""
    mask: Callable[[], np.ndarray] | None = None
    """Class numbers (H,W) uint8: 0 background, 1.. the classes, 255 ignored. ValueError where it cannot be read."""
    as_stored: bool = False
    """Whether masks of this format are drawn on the pixels as the file has them, before EXIF turns them."""
    split: str = ""
    """train, val or test; empty where nothing says it."""
    extra: dict[str, str] = field(default_factory=dict)
    """Further columns of a table, such as the patient or the camera."""
    content: Callable[[], bytes] | None = None
    """The photograph itself, where a file of labels holds it."""


@dataclass
class Found:
    """What was understood of a source, and what was not."""

    classes: list[str]
    """Foreground classes, in the order of their numbers."""
    photos: list[Photo] = field(default_factory=list)
    left_out: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Why -> which photographs, files or objects are not taken."""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """A sentence for each photograph or file that should have been taken and cannot be."""


def class_name(text: object) -> str:
    """A class as lists and classes.txt name it: one word in NFC; empty for the background."""
    name = "_".join(in_a_line(unicodedata.normalize("NFC", str(text))).split())
    return "" if name.casefold() in BACKGROUND else name


def foreground(names: Iterable[object]) -> list[str]:
    """Classes once each, in their order, without background and what is ignored."""
    cleaned = [class_name(name) for name in names]
    return list(dict.fromkeys(name for name in cleaned if name and name.casefold() not in IGNORED))


def note_of_negatives(count: int) -> str:
    """What to say of photographs that a file lists without an object, where it does not say that somebody looked."""
    without = f"{counted(count, 'photograph')} {have(count)} no object in the file"
    taken = f"{'it is' if count == 1 else 'they are'} taken as showing none of the classes, background everywhere"
    return f"{without}: {taken}; take out of it what nobody has looked at"


def split_named(word: str) -> str:
    """train, val or test for a word that means one of them; empty for any other."""
    return _SPLITS.get(word.strip().casefold(), "")


_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def split_of(place: str) -> str:
    """The split that a file of labels is of by its path: a folder, or its name or a word of that
    (`instances_val2017.json`)."""
    return split_of_folders(place) or _split_of_name(place)


def split_of_folders(place: str) -> str:
    """The split that the folders of a path name, the innermost first."""
    return _first_split(reversed(place.split("/")[:-1]))


def by_paths(photos: list[Photo]) -> list[Photo]:
    """Photographs, with the split that their folders name where nothing else says it; their own names say it where
    every one does, for a photograph may be called val_thorens.jpg and be none of a list."""
    named = all(_split_of_name(photo.place) for photo in photos)
    return [
        photo
        if photo.split
        else replace(photo, split=split_of_folders(photo.place) or (_split_of_name(photo.place) if named else ""))
        for photo in photos
    ]


def _split_of_name(place: str) -> str:
    file = place.rpartition("/")[2]
    stem = file.rpartition(".")[0] or file
    words = stem.replace("-", "_").split("_")
    return _first_split([stem, words[-1], words[0]])


def _first_split(words: Iterable[str]) -> str:
    return next((split for word in words if (split := split_named(word.rstrip("0123456789")))), "")
