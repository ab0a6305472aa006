"""What is to be predicted: photographs from files and folders, a name for each one's outputs, image labels."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import UnidentifiedImageError

from apc.data.headers import LIMIT, SUFFIXES, opened
from apc.data.images import why_unreadable
from apc.data.lists import open_list, same_name
from apc.files import files_below

COMMON = (".jpg", ".png", ".tif", ".webp")
"""Suffixes that are told of where a folder has no photograph. One with a suffix that cannot be read is named, never
passed over."""


@dataclass(frozen=True)
class Photograph:
    """One image to predict."""

    path: Path
    relative: str
    """Its path below the folder that was given, or its file name."""
    name: str
    """Name of its outputs, without suffix; two photographs never share one, whatever the case of letters."""


def gather(
    given: Sequence[Path], out: Path, *, max_pixels: int = LIMIT, skipped: list[str] | None = None
) -> list[Photograph]:
    """Photographs of files and folders, subfolders included, each once and in the order given.

    Left out are hidden files, files of other kinds and what lies below `out`. The folder of a data set (classes.txt
    beside images/) means its images/. ValueError names what is missing or is no image; only headers are read. Where
    `skipped` is given, it is handed a sentence for each file that is no image, and the others are taken.
    """
    if not given:
        raise ValueError("images: none is named; give photographs, or folders of them, behind the checkpoint")
    relative_paths: dict[Path, str] = {}
    for place in given:
        if not place.exists():
            raise ValueError(f"{place}: there is no such file or folder")
        if place.is_file():
            relative_paths.setdefault(place, place.name)
            continue
        top = place / "images" if (place / "classes.txt").is_file() and (place / "images").is_dir() else place
        for path in files_below(top, hidden=False):
            if path.suffix.lower() in SUFFIXES:
                relative_paths.setdefault(path, path.relative_to(top).as_posix())
    once: dict[Path, tuple[Path, str]] = {}
    for path, name in relative_paths.items():
        once.setdefault(path.resolve(), (path, name))
    outside = [both for real, both in once.items() if not real.is_relative_to(out.resolve())]
    if not outside:
        kinds = _few([*COMMON, *sorted(SUFFIXES.difference(COMMON))], len(COMMON))
        raise ValueError(f"{', '.join(map(str, given))}: there is no photograph; {kinds} are read")
    wrong = _unreadable((path for path, _ in outside), max_pixels)
    named = [f"{path} ({why})" for path, why in wrong.items()]
    if wrong and (skipped is None or len(wrong) == len(outside)):
        raise ValueError(f"{len(wrong)} of {len(outside)} files are no images that can be read: {_few(named)}")
    if skipped is not None:
        skipped += named
    outside = [both for both in outside if both[0] not in wrong]
    names = _names([(path, Path(relative)) for path, relative in outside])
    return [Photograph(path, relative, name) for (path, relative), name in zip(outside, names, strict=True)]


def _few(words: Sequence[str], most: int = 10) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _unreadable(paths: Iterable[Path], max_pixels: int) -> dict[Path, str]:
    """Why files are no images, of those whose first bytes tell none. No pixel is decoded, so thousands take seconds."""
    wrong = {}
    for path in paths:
        try:
            with opened(path, max_pixels):
                pass
        except UnidentifiedImageError as error:
            told = why_unreadable(path, error)
            wrong[path] = told if "HEIC" in told else "no image, or of a format that is not read"
        except Exception as error:  # decoders raise whatever they like
            wrong[path] = str(error)
    return wrong


def _names(files: Sequence[tuple[Path, Path]]) -> list[str]:
    """A name for each (path, relative path): without its suffix, with it where two share that, with its folder's name
    where they still do, and numbered at last."""
    names = [relative.with_suffix("").as_posix() for _, relative in files]
    closer_names: list[Callable[[Path, Path], Path]] = [
        lambda path, relative: relative,
        lambda path, relative: path.resolve().parents[len(relative.parts) - 1].name / relative,
    ]
    for closer in closer_names:
        shared = Counter(name.casefold() for name in names)
        names = [
            closer(path, relative).as_posix() if shared[name.casefold()] > 1 else name
            for name, (path, relative) in zip(names, files, strict=True)
        ]
    taken: set[str] = set()
    for i, name in enumerate(names):
        number = 2
        while names[i].casefold() in taken:
            names[i], number = f"{name} ({number})", number + 1
        taken.add(names[i].casefold())
    return names


def tool_names(photographs: Sequence[Photograph]) -> list[str]:
    """A path of each photograph: below the folder that was given, and where two share one, with the folders above it
    that tell them apart."""
    places = [Path(os.path.abspath(photograph.path)).parts for photograph in photographs]
    names = [photograph.relative for photograph in photographs]
    for above in range(1, max(map(len, places), default=0)):
        shared = Counter(names)
        if max(shared.values(), default=1) == 1:
            break
        for i, photograph in enumerate(photographs):
            if shared[names[i]] > 1:
                names[i] = "/".join(places[i][-above - len(Path(photograph.relative).parts) :])
    return names


def image_labels(given: str, classes: list[str], photographs: Sequence[Photograph]) -> dict[str, list[str]]:
    """Classes that each photograph may show, by its output's name, background left out; empty where nothing is given.

    `given` are class names for all of them, or a CSV file with the columns image,labels, where `image` is the
    photograph's `tool_names`, or its file name where no other photograph has it. As in the lists that are trained
    on, `background` or an empty cell stands for none of the classes: an empty list here.
    """
    if not given:
        return {}
    if not given.lower().endswith(".csv"):
        if not _words(given):
            raise ValueError(f"labels: no label is given; name at least one of {', '.join(classes)}")
        same = _class_names(given, classes, "labels")
        return {photograph.name: same for photograph in photographs}
    listed = _read(Path(given), classes)
    bare, known = Counter(same_name(p.path.name) for p in photographs), tool_names(photographs)
    of_photograph = {
        p.name: listed.get(same_name(place), listed.get(file) if bare[file] == 1 else None)
        for p, place in zip(photographs, known, strict=True)
        if (file := same_name(p.path.name))
    }
    if absent := [place for p, place in zip(photographs, known, strict=True) if of_photograph[p.name] is None]:
        raise ValueError(f"{given}: has no line for {len(absent)} of {len(photographs)} photographs: {_few(absent)}")
    return {name: labels for name, labels in of_photograph.items() if labels is not None}


def _read(path: Path, classes: list[str]) -> dict[str, list[str]]:
    if not path.is_file():
        raise ValueError(f"labels: there is no file {path}")
    listed = open_list(path)
    if not {"image", "labels"} <= set(listed.columns):
        raise ValueError(f"{path}: needs the columns image,labels; it has {','.join(listed.columns) or 'none'}")
    named: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for line, row in listed.rows():
        where = f"{path}, line {line}"
        if "labels" not in row:
            raise ValueError(f"{where}: has no cell for labels; write a comma behind an image that shows nothing")
        image = same_name(row.get("image", ""))
        if lines.setdefault(image, line) != line:
            raise ValueError(f"{where}: image {image!r} is listed twice; line {lines[image]} has it too")
        named[image] = _class_names(row["labels"], classes, where)
    return named


def _class_names(text: str, classes: list[str], where: str) -> list[str]:
    """The classes that a text names, spelt as the model has them, background left out."""
    known = {same_name(name): name for name in classes}
    if unknown := [word for word in _words(text) if same_name(word) not in known]:
        raise ValueError(f"{where}: {unknown[0]!r} is not a class of this model; it has {', '.join(classes[1:])}")
    return [name for word in _words(text) if (name := known[same_name(word)]) != classes[0]]


def _words(text: str) -> list[str]:
    """Words separated by spaces or commas."""
    return text.replace(",", " ").split()
