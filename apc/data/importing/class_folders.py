"""A folder a class: photographs lie in folders that have the names of what they show, in train/ and val/ or at once."""

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
    folders = {folder for path in source.pictures if (folder := _folder(source.place(path)))}
    named = sorted(name for name in folders if name.casefold() not in OTHER)
    return f"photographs in the folders {', '.join(named[:5])}" if len(named) > 1 and len(named) == len(folders) else ""


def read(source: Source, wishes: Wishes) -> Found:
    found = Found([])
    names: set[str] = set()
    same: dict[tuple[str, int], list[tuple[Path, str, str]]] = {}
    for path in source.pictures:
        place = source.place(path)
        folder = _folder(place)
        if not folder:
            found.left_out["photographs that lie in no class's folder"].append(place)
            continue
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


def _folder(place: str) -> str:
    """The class's folder in a photograph's path: the first that is no split; empty where there is none."""
    return next((part for part in place.split("/")[:-1] if not split_named(part)), "")


def _split(place: str) -> str:
    return next((split for part in place.split("/")[:-1] if (split := split_named(part))), "")
