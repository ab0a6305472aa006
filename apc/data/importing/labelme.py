"""labelme: a JSON file a photograph, with shapes that have a label, or with flags for the whole of it."""

import base64
import binascii
import functools
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from apc.data.headers import opened
from apc.data.importing.found import IGNORED, Found, Photo, by_paths, class_name, foreground
from apc.data.importing.legend import names_beside
from apc.data.importing.outlines import Outline, circle, paint, points_of, require_size
from apc.data.importing.safely import read_json
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes
from apc.data.masks import IGNORE

OUTLINES = ("polygon", "circle", "mask", "linestrip", "line", "point")
"""Shapes of which each pixel is labelled; lines and points, which have none, are left out of the mask."""


def looks(source: Source, wishes: Wishes) -> str:
    files = _files(source)
    return f"{len(files)} JSON files of labelme such as {source.place(files[0])}" if files else ""


def read(source: Source, wishes: Wishes) -> Found:
    files = _files(source)
    if not files:
        raise ValueError(f"{source.given}: there is no JSON file of labelme, which has the keys shapes and imagePath")
    contents = {path: _content(path) for path in files}
    names = names_beside(source, wishes)
    said = [name for content in contents.values() for name in content["said"]]
    found = Found(foreground(names[0]) if names else sorted(foreground(said)))
    if not found.classes:
        raise ValueError(f"{source.given}: no shape has a label, so there is no class")
    if names and (unknown := set(foreground(said)) - set(found.classes)):
        raise ValueError(f"{source.given}: the label {min(unknown)!r} is not in {names[1]}")
    outlined = any(content["outlined"] for content in contents.values())
    boxes = sum(content["boxes"] for content in contents.values())
    if boxes:
        found.notes.append(f"{boxes} shapes are boxes, which are no masks: their photographs get labels alone")
    for path, content in contents.items():
        _add(source, path, content, found, outlined)
    taken = {photo.file for photo in found.photos}
    for path in source.pictures:
        if path not in taken and wishes.take_unlabelled:
            found.photos.append(Photo(path, source.place(path), frozenset()))
        elif path not in taken:
            found.left_out["photographs without a JSON file"].append(source.place(path))
    found.photos = by_paths(found.photos)
    return found


def _add(source: Source, path: Path, content: dict[str, Any], found: Found, outlined: bool) -> None:
    """Add the photograph of one file."""
    place, embedded = f"{Path(source.place(path)).with_suffix(content['suffix'])}", None
    try:
        file = source.find(content["image"], path.parent)
        place = source.place(file)
    except ValueError as error:
        if not content["embedded"]:
            found.problems.append(f"{path}: {error}; --images names its folder")
            return
        file, embedded = path, functools.partial(_embedded, path)
    mask = None
    if outlined and not content["boxes"] and set(content["outlined"]) >= set(foreground(content["said"])):
        mask = functools.partial(_mask, path, found.classes)
    labels = frozenset(foreground(content["said"]))
    found.photos.append(Photo(file, place, labels, mask, content=embedded))


def _files(source: Source) -> list[Path]:
    found = []
    for path in source.of_kind(".json"):
        with open(path, "rb") as file:
            head = file.read(1 << 16)
        if b'"shapes"' in head or b'"imagePath"' in head:
            found.append(path)
    return found


def _content(path: Path) -> dict[str, Any]:
    """What one file says, without its photograph and its corners."""
    content = _read(path)
    flags = content.get("flags") or {}
    if not isinstance(flags, dict):
        raise ValueError(f"{path}: its flags are no object of names and true or false")
    kinds = [(_label(shape), _kind(shape)) for shape in content["shapes"]]
    said = [name for name, _ in kinds] + [name for name, on in flags.items() if on is True]
    image = content.get("imagePath") or path.with_suffix(".jpg").name
    return {
        "image": image,
        "suffix": Path(re.split(r"[\\/]", str(image))[-1]).suffix or ".jpg",
        "embedded": bool(content.get("imageData")),
        "said": [name for name in said if name.casefold() not in IGNORED],
        "outlined": [class_name(name) for name, kind in kinds if kind in ("polygon", "circle", "mask")],
        "boxes": sum(kind not in OUTLINES and bool(class_name(name)) for name, kind in kinds),
    }


def _read(path: Path) -> Any:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise ValueError(f"{path}: has no list of shapes, so labelme did not write it")
    for number, shape in enumerate(content["shapes"], start=1):
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"].strip():
            raise ValueError(f"{path}: shape {number} has no label")
    return content


def _label(shape: dict[str, Any]) -> str:
    return str(shape["label"]).strip()


def _kind(shape: dict[str, Any]) -> str:
    return str(shape.get("shape_type") or "polygon")


def _mask(path: Path, classes: list[str]) -> np.ndarray:
    """Mask of one file's shapes, in their order, as labelme itself paints them."""
    content = _read(path)
    try:
        size = require_size((int(content["imageHeight"]), int(content["imageWidth"])))
    except (KeyError, TypeError, OverflowError):
        raise ValueError(f"{path}: has no imageHeight and imageWidth") from None
    except ValueError as error:
        raise ValueError(f"{path}: its imageHeight and imageWidth are no size ({error})") from None
    outlines = []
    for number, shape in enumerate(content["shapes"], start=1):
        name = _label(shape)
        value = IGNORE if name.casefold() in IGNORED else classes.index(class_name(name)) + 1 if class_name(name) else 0
        try:
            outlines += _outline(shape, value)
        except ValueError as error:
            raise ValueError(f"{path}: shape {number} ({name!r}) cannot be painted: {error}") from None
    try:
        return paint(outlines, size)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _outline(shape: dict[str, Any], value: int) -> list[Outline]:
    points, kind = points_of(shape.get("points")), _kind(shape)
    if kind == "polygon":
        if len(points) < 3:
            raise ValueError(f"it has {len(points)} corners; a polygon needs 3")
        return [Outline(value, points)]
    if kind == "circle":
        if len(points) != 2:
            raise ValueError("a circle needs its centre and a point of its edge")
        (x, y), (a, b) = points
        return [Outline(value, circle((x, y), float(np.hypot(a - x, b - y))))]
    if kind == "mask":
        if not points or not shape.get("mask"):
            raise ValueError("its bitmap is missing")
        try:
            with opened(io.BytesIO(_decoded(shape["mask"]))) as image:
                bitmap = np.asarray(image.convert("L")) > 0
        except OSError:
            raise ValueError("its bitmap is no picture") from None
        return [Outline(value, bitmap=bitmap, corner=(int(points[0][0]), int(points[0][1])))]
    return []


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, TypeError, ValueError):
        raise ValueError("what is in it as base64 cannot be decoded") from None


def _embedded(path: Path) -> bytes:
    """The photograph inside a file."""
    try:
        data = _decoded(_read(path)["imageData"])
        with opened(io.BytesIO(data)) as image:
            assert isinstance(image, Image.Image)
    except (OSError, ValueError):
        raise ValueError(f"{path}: the photograph inside it (imageData) cannot be read") from None
    return data
