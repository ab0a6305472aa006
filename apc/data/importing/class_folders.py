"""A folder a class: photographs lie in folders that have the names of what they show, in train/ and val/ or at once.

Folders around all photographs, as archives and data sets have them, are no classes.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from apc.data.importing.found import NOTHING, Found, Photo, class_name, foreground, split_named
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes
from apc.files import hash_of

OTHER = {"images", "image", "img", "imgs", "jpegimages", "masks", "mask", "labels", "annotations", "segmentationclass"}
"""Folders of layouts that are no classes."""


def looks(source: Source, wishes: Wishes) -> str:
    if source.given.is_file():
        return ""
    folders = {folder for folder, *_ in filter(None, _below(map(source.place, source.pictures)).values())}
    named = sorted(name for name in folders if name.casefold() not in OTHER)
    return f"photographs in the folders {', '.join(named[:5])}" if len(named) > 1 and len(named) == len(folders) else ""


def read(source: Source, wishes: Wishes) -> Found:
    found = Found([])
    names: set[str] = set()
    same: dict[tuple[str, int], list[tuple[Path, str, str]]] = {}
    below = _below(map(source.place, source.pictures))
    if not wishes.classes:
        _require_no_deeper_classes(source, below)
    for path in source.pictures:
        place = source.place(path)
        if not below[place]:
            found.left_out["photographs that lie in no class's folder"].append(place)
            continue
        folder = below[place][0]
        nothing = folder.casefold() in NOTHING
        names |= set() if nothing else {class_name(folder)}
        alike = same.setdefault((path.name, path.stat().st_size), [])
        alike.append((path, "" if nothing else class_name(folder), _split(place)))
    found.classes = foreground(wishes.classes or sorted(names))
    if unknown := names - set(found.classes):
        raise ValueError(f"{source.given}: the folder {min(unknown)!r} is none of --classes {' '.join(found.classes)}")
    if not found.classes:
        raise ValueError(f"{source.given}: has no folders of photographs, one a class")
    for alike in same.values():
        groups: dict[tuple[str, str], list[tuple[Path, str, str]]] = {}
        for path, name, split in alike:
            content = hash_of(path.read_bytes()) if len(alike) > 1 else ""
            groups.setdefault((content, split), []).append((path, name, split))
        for (_, split), copies in groups.items():
            labels = frozenset(name for _, name, _ in copies if name)
            found.photos.append(Photo(copies[0][0], source.place(copies[0][0]), labels, split=split))
            if len(copies) > 1:
                found.notes.append(
                    f"{copies[0][0].name} lies in {len(copies)} folders: it shows {', '.join(sorted(labels))}"
                )
    return found


def _below(places: Iterable[str]) -> dict[str, list[str]]:
    """The class's folder of each photograph, the first below those around all of them, and what lies between the two;
    empty where there is none."""
    folders = {place: [part for part in place.split("/")[:-1] if not split_named(part)] for place in places}
    around = len(os.path.commonprefix(list(folders.values())))
    if len({parts[around] for parts in folders.values() if len(parts) > around}) < 2:
        around = max(0, around - 1)  # the folder of a single class is around all photographs itself
    return {place: parts[around:] for place, parts in folders.items()}


def _require_no_deeper_classes(source: Source, below: dict[str, list[str]]) -> None:
    """ValueError where a class has its photographs in several sub-folders alone, which may be the classes."""
    inside: defaultdict[str, set[str]] = defaultdict(set)
    for folder, *between in filter(None, below.values()):
        inside[folder].add("/".join([folder, *between]))
    for folder, paths in inside.items():
        if len(paths) > 1 and folder not in paths and folder.casefold() not in NOTHING:
            few = ", ".join(f"{path}/" for path in sorted(paths)[:3])
            remedy = (
                "say with --classes that it is a class, or give a folder that holds the classes, in train/ and val/"
            )
            raise ValueError(f"{source.given}: {folder}/ has photographs only in {few}; {remedy} or at once")


def _split(place: str) -> str:
    return next((split for part in place.split("/")[:-1] if (split := split_named(part))), "")
