"""What files of labels say, whichever tool wrote them: classes, and photographs with what each shows.

Shapes: H,W the photograph's own pixels.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from apc.escaping import in_a_line

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
    taken = "they are taken as showing none of the classes, background everywhere"
    return f"{count} photographs have no object in the file: {taken}; take out of it those that nobody has looked at"


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
    """The split that a path names: a folder, or the file's name or a word of it (`instances_val2017.json`)."""
    *folders, file = place.split("/")
    stem = file.rpartition(".")[0] or file
    words = stem.replace("-", "_").split("_")
    for word in [*reversed(folders), stem, words[-1], words[0]]:
        if split := split_named(word.rstrip("0123456789")):
            return split
    return ""
