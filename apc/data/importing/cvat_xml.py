"""CVAT for images 1.1: one XML file with polygons, masks, ellipses, boxes and tags, as CVAT exports and `apc predict`
writes it."""

import functools
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from apc.data.importing.found import (
    IGNORED,
    Found,
    Photo,
    by_paths,
    class_name,
    foreground,
    note_of_negatives,
    split_named,
)
from apc.data.importing.outlines import Outline, ellipse, filled, paint, points_of, unrolled
from apc.data.importing.safely import read_xml
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes
from apc.data.masks import IGNORE
from apc.escaping import counted, have

OUTLINES = ("polygon", "mask", "ellipse")
SHAPES = (*OUTLINES, "box", "polyline", "points", "cuboid", "skeleton", "tag")


def looks(source: Source, wishes: Wishes) -> str:
    files = _files(source)
    return f"CVAT's {source.place(files[0])}" if files else ""


def read(source: Source, wishes: Wishes) -> Found:
    files = _files(source)
    if not files:
        raise ValueError(f"{source.given}: holds no XML file of CVAT for images, which begins with <annotations>")
    roots = {path: read_xml(path) for path in files}
    images = [(path, image) for path, root in roots.items() for image in _images(path, root)]
    listed = [label.text or "" for root in roots.values() for label in root.findall("meta//label/name")]
    said = [_label(path, shape) for path, image in images for shape in _shapes(image)]
    found = Found(foreground(wishes.classes or listed or sorted(said)))
    if not found.classes:
        raise ValueError(f"{files[0]}: names no label")
    if unknown := set(foreground(said)) - set(found.classes):
        raise ValueError(f"{files[0]}: the label {min(unknown)!r} is none of {', '.join(found.classes)}")
    outlined = any(shape.tag in OUTLINES for _, image in images for shape in _shapes(image))
    boxed = sum(any(shape.tag not in (*OUTLINES, "tag") for shape in _shapes(image)) for _, image in images)
    if boxed:
        those = f"{counted(boxed, 'photograph')} {have(boxed)}"
        found.notes.append(f"{those} boxes, lines or points, which are no masks and give labels alone")
    if empty := sum(not _shapes(image) for _, image in images):
        found.notes.append(note_of_negatives(empty))
    spoken: dict[Path, Path] = {}
    for path, image in images:
        name = image.get("name", "")
        try:
            file = source.find(name, path.parent, path.parent / "images")
        except ValueError as error:
            found.problems.append(f"{path}: {error}; --images names their folder")
            continue
        if file in spoken:
            raise ValueError(f"{path}: the photograph {name!r} is there twice")
        spoken[file] = path
        labels = frozenset(foreground(_label(path, shape) for shape in _shapes(image)))
        painted = foreground(_label(path, shape) for shape in image if shape.tag in OUTLINES)
        whole = all(shape.tag in (*OUTLINES, "tag") for shape in _shapes(image)) and set(painted) == labels
        mask = functools.partial(_mask, path, image, found.classes) if outlined and whole else None
        place = source.place(file)
        found.photos.append(Photo(file, place, labels, mask, split=split_named(image.get("subset", ""))))
    found.photos = by_paths(found.photos)
    return found


def _files(source: Source) -> list[Path]:
    found = []
    for path in source.of_kind(".xml"):
        with open(path, "rb") as file:
            if b"<annotations>" in file.read(2000).replace(b"\0", b""):
                found.append(path)
    return found


def _images(path: Path, root: ElementTree.Element) -> list[ElementTree.Element]:
    if root.find("track") is not None:
        raise ValueError(f"{path}: holds tracks of a video; export the task as CVAT for images 1.1")
    return root.findall("image")


def _shapes(image: ElementTree.Element) -> list[ElementTree.Element]:
    """What is said of an image, but for pixels that count nowhere."""
    return [each for each in image if each.tag in SHAPES and each.get("label", "").strip().casefold() not in IGNORED]


def _label(path: Path, shape: ElementTree.Element) -> str:
    if not shape.get("label", "").strip():
        raise ValueError(f"{path}: a {shape.tag} has no label")
    return shape.get("label", "")


def _mask(path: Path, image: ElementTree.Element, classes: list[str]) -> np.ndarray:
    """Mask of an image's outlines: what has a higher z_order, and then what comes later, lies on top."""
    where = f"{path}: image {image.get('name')!r}"
    try:
        size = int(image.get("height", "")), int(image.get("width", ""))
        shapes = sorted((each for each in image if each.tag in OUTLINES), key=lambda e: int(e.get("z_order") or 0))
        outlines = [_outline(shape, _number(shape, classes), size) for shape in shapes]
        return paint(outlines, size)
    except KeyError as error:
        raise ValueError(f"{where} cannot be painted: there is no {error}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} cannot be painted: {error}") from None


def _number(shape: ElementTree.Element, classes: list[str]) -> int:
    label = shape.get("label", "")
    name = class_name(label)
    return IGNORE if label.strip().casefold() in IGNORED else classes.index(name) + 1 if name else 0


def _outline(shape: ElementTree.Element, number: int, size: tuple[int, int]) -> Outline:
    said: dict[str, Any] = dict(shape.attrib)
    if shape.tag == "mask":
        box = int(said["height"]), int(said["width"])
        bitmap = unrolled([int(run) for run in said["rle"].split(",")], box)
        return Outline(number, bitmap=bitmap, corner=(int(said["left"]), int(said["top"])))
    if shape.tag == "ellipse":
        [centre, radii] = points_of([(said["cx"], said["cy"]), (said["rx"], said["ry"])])
        corners = ellipse(centre, *radii, float(said.get("rotation", 0)))
    else:
        corners = points_of([point.split(",") for point in said["points"].split(";")])
    if len(corners) < 3:
        raise ValueError(f"a polygon has {len(corners)} corners, and needs 3")
    return Outline(number, bitmap=filled(corners, size))
