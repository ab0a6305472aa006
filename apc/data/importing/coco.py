"""COCO JSON of one's own, wherever its photographs lie: one file, or one for each split."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from apc.data.coco_outlines import UPRIGHT, Object, paint
from apc.data.images import Reading, size_of
from apc.data.importing.found import Found, Photo, by_paths, class_name, foreground, note_of_negatives, split_of
from apc.data.importing.safely import mentions, read_json
from apc.data.importing.source import Source
from apc.data.importing.turning import drawn_as_stored, note_of
from apc.data.importing.wishes import Wishes
from apc.escaping import counted, have, short


class _Image(NamedTuple):
    """An image of a file, with what is outlined in it."""

    path: Path
    """The file that lists it."""
    name: str
    size: tuple[int, int] | None
    """Height and width; None where the file does not say them."""
    objects: list[tuple[str, bool, Any]]
    """Class, whether it is a crowd, and the outline; None where there is a box alone."""
    turned: bool
    """Whether the file says that outlines are drawn on photographs as EXIF turns them."""


def looks(source: Source, wishes: Wishes) -> str:
    files = _files(source)
    return f"COCO's {source.place(files[0])}" + (f" and {len(files) - 1} more" if files[1:] else "") if files else ""


def read(source: Source, wishes: Wishes) -> Found:
    files = _files(source)
    if not files:
        raise ValueError(f"{source.given}: holds no COCO JSON, which has the keys images, annotations and categories")
    found = Found([])
    images: list[_Image] = []
    parents: set[str] = set()
    for path in files:
        names, of_file, only_parents = _images(path)
        images += of_file
        parents |= only_parents
        found.classes = list(dict.fromkeys([*found.classes, *names]))
    if not found.classes:
        raise ValueError(f"{files[0]}: names no category beside the background")
    if wishes.classes and set(foreground(wishes.classes)) != set(found.classes):
        raise ValueError(f"{files[0]}: its categories are {', '.join(found.classes)}, not those of --classes")
    found.classes = foreground(wishes.classes) or found.classes
    if parents:
        found.notes.append(f"left out as mere parents of other categories: {', '.join(sorted(parents))}")
    outlined = any(outline for image in images for _, _, outline in image.objects)
    boxed = sum(any(not outline for _, _, outline in image.objects) for image in images)
    if boxed:
        those = f"{counted(boxed, 'photograph')} {have(boxed)}"
        found.notes.append(f"{those} objects with a box and no outline, which give labels and no mask")
    if empty := sum(not image.objects for image in images):
        found.notes.append(note_of_negatives(empty))
    spoken: dict[Path, str] = {}
    taken: list[tuple[_Image, Photo]] = []
    for image in images:
        try:
            file = source.find(image.name, *_folders(source, image.path))
        except ValueError as error:
            found.problems.append(f"{image.path}: {error}")
            continue
        if file in spoken:
            raise ValueError(f"{image.path}: lists {image.name!r}, as {spoken[file]} does; import them one at a time")
        spoken[file] = str(image.path)
        labels = frozenset(name for name, _, _ in image.objects if name)
        mask = None
        if outlined and all(outline for _, _, outline in image.objects):
            mask = functools.partial(_mask, image, found.classes, file, wishes.max_pixels)
        split = split_of(source.place(image.path))
        taken.append((image, Photo(file, source.place(file), labels, mask, split=split)))
    for path, of_one in itertools.groupby(taken, key=lambda pair: pair[0].path):
        photos, untold = _as_drawn(list(of_one), wishes.max_pixels)
        found.photos += photos
        if untold:
            found.notes.append(f"{source.place(path)}: {note_of(untold)}")
    found.photos = by_paths(found.photos)
    if unsaid := [source.place(p) for p in source.pictures if p not in spoken] if source.given.is_dir() else []:
        found.left_out["image files that no JSON lists"] += unsaid
    return found


def _files(source: Source) -> list[Path]:
    keys = b'"images"', b'"categories"'
    return [path for path in source.of_kind(".json") if len(mentions(path, b"{", *keys)) == len(keys)]


def _folders(source: Source, path: Path) -> Iterator[Path]:
    """Where photographs of a file of COCO lie: beside it, or in the folder that its name ends with (train2017)."""
    yield path.parent
    word = path.stem.rpartition("_")[2]
    for top in (source.images, source.root, path.parent, path.parent.parent):
        if top:
            yield from (top / word, top / "images" / word)


def _images(path: Path) -> tuple[list[str], list[_Image], set[str]]:
    """Classes in the order of their ids, images, and categories that are only a parent of others."""
    content = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path}: is not COCO's: it has no list of {key}")
        for number, each in enumerate(content[key]):
            if not isinstance(each, dict):
                raise ValueError(f"{path}: {key}, number {number}: is no object")
            for name in ("id", "image_id", "category_id"):
                if isinstance(each.get(name), list | dict):
                    raise ValueError(
                        f"{path}: {key}, number {number}: has the {name} {short(each[name])}; it is a number"
                    )
    names = _categories(path, content["categories"])
    used = {a.get("category_id") for a in content["annotations"]}
    above = {class_name(c["supercategory"]) for c in content["categories"] if c.get("supercategory")}
    parents = {name for id, name in names.items() if name in above and id not in used and len(names) > 1}
    images = dict[Any, _Image]()
    info = content["info"] if isinstance(content.get("info"), dict) else {}
    turned = info.get(UPRIGHT) is True or info.get("contributor") == "Label Studio"
    for number, each in enumerate(content["images"]):
        if not isinstance(each.get("file_name"), str) or "id" not in each:
            raise ValueError(f"{path}: images, number {number}: has no id and file_name")
        if each["id"] in images:
            raise ValueError(f"{path}: the image id {each['id']!r} is there twice")
        images[each["id"]] = _Image(path, each["file_name"], _size(path, each), [], turned)
    for number, a in enumerate(content["annotations"]):
        where = f"{path}: annotation {a.get('id', f'number {number}')}"
        for key, known in (("image_id", images), ("category_id", names)):
            if a.get(key) not in known:
                type_of = {str(each): type(each).__name__ for each in known}.get(str(a.get(key)), "")
                other = f" as {type(a.get(key)).__name__}, there is one as {type_of}" if type_of else ""
                raise ValueError(f"{where} has the {key} {a.get(key)!r}{other}, which the file does not list")
        thing = Object(0, bool(a.get("iscrowd")), a.get("segmentation"))
        outline = None if thing.boxed else thing.outline
        images[a["image_id"]].objects.append((names[a["category_id"]], thing.crowd, outline))
    return [name for name in names.values() if name and name not in parents], list(images.values()), parents


def _categories(path: Path, categories: list[dict[str, Any]]) -> dict[Any, str]:
    """Name of each id, in their order; empty for a category that is background."""
    names: dict[Any, str] = {}
    for number, each in enumerate(categories):
        if "id" not in each or not isinstance(each.get("name"), str) or not each["name"].strip():
            raise ValueError(f"{path}: categories, number {number}: has no id and name")
        if each["id"] in names:
            raise ValueError(f"{path}: the category id {each['id']!r} is there twice")
        names[each["id"]] = class_name(each["name"])
    ordered = dict(sorted(names.items(), key=lambda pair: (str(type(pair[0])), pair[0])))
    if twice := [name for name in ordered.values() if name and list(ordered.values()).count(name) > 1]:
        raise ValueError(f"{path}: the category {twice[0]!r} is there twice")
    return ordered


def _size(path: Path, image: dict[str, Any]) -> tuple[int, int] | None:
    if not image.get("height") or not image.get("width"):
        return None
    try:
        size = int(image["height"]), int(image["width"])
        if size == (float(image["height"]), float(image["width"])) and min(size) > 0:
            return size
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(
        f"{path}: image {image['id']!r} is {image['width']!r} by {image['height']!r}; its sides are numbers"
    )


def _as_drawn(taken: list[tuple[_Image, Photo]], max_pixels: int) -> tuple[list[Photo], int]:
    """A file's photographs with how their masks are drawn, and of how many that cannot be told."""
    as_stored, untold = False, 0
    if not taken[0][0].turned:
        drawn = ((photo.file, image.size) for image, photo in taken if photo.mask)
        as_stored, untold = drawn_as_stored(drawn, max_pixels)
    return [replace(photo, as_stored=as_stored) for _, photo in taken], untold


def _mask(image: _Image, classes: list[str], file: Path, max_pixels: int) -> np.ndarray:
    """Mask of an image's objects, painted as COCO's own are; ValueError, before it is made, where its size is not that
    of the photograph, which may lie on its side."""
    of_file = size_of(file, Reading(max_pixels=max_pixels))
    size = image.size or of_file
    if sorted(size) != sorted(of_file):
        raise ValueError(
            f"{image.path}: image {image.name!r} is {size[1]}x{size[0]}, the photograph {of_file[1]}x{of_file[0]}"
        )
    objects = [Object(classes.index(name) + 1 if name else 0, crowd, outline) for name, crowd, outline in image.objects]
    try:
        return paint(objects, *size)
    except ValueError as error:
        raise ValueError(f"{image.path}: image {image.name!r}: {error}") from None
