"""A COCO file of instances, as labelling tools write it: categories, images and the objects of each."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from apc.data.coco_outlines import Object
from apc.data.lists import Folder, leaves


class Outlined(NamedTuple):
    """An object, with the category and the annotation that it comes from."""

    category: Any
    annotation: Any
    crowd: bool
    outline: Any


@dataclass
class Image:
    """An image of a file, with its objects."""

    name: str
    """As the file has it; `locate` makes it the path below the folder of the split."""
    size: tuple[int, int]
    """Height and width."""
    objects: list[Outlined] = field(default_factory=list)

    def numbered(self, numbers: dict[Any, int]) -> tuple[list[Object], list[Any]]:
        """Its objects by class number, and the annotation of each; those of categories left out are none of them."""
        kept = [thing for thing in self.objects if thing.category in numbers]
        objects = [Object(numbers[thing.category], thing.crowd, thing.outline) for thing in kept]
        return objects, [thing.annotation for thing in kept]


@dataclass
class Instances:
    """What a file says."""

    path: Path
    categories: list[dict[str, Any]]
    images: list[Image]

    def annotated(self) -> set[Any]:
        """Categories that have an annotation."""
        return {thing.category for image in self.images for thing in image.objects}


def read(path: Path) -> Instances:
    """A file of instances; ValueError names the file, and the image or annotation in it."""
    try:
        told = json.loads(path.read_bytes())
        categories, listed, annotations = told["categories"], told["images"], told["annotations"]
    except OSError:
        raise ValueError(f"{path}: there is no such file; unpack COCO 2014's annotations there") from None
    except KeyError as error:
        raise ValueError(f"{path}: not COCO's instances: the key {error} is missing") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: not COCO's instances ({error})") from None
    _require_parts(path, "category", categories, ("id", "name"))
    _require_parts(path, "image", listed, ("id", "file_name", "height", "width"))
    _require_parts(path, "annotation", annotations, ("image_id", "category_id", "segmentation"))
    images: dict[Any, Image] = {}
    for each in listed:
        named = f"{path}: image {each['id']!r}"
        size = _side(each["height"], f"{named} has the height"), _side(each["width"], f"{named} has the width")
        images[each["id"]] = Image(_text(each["file_name"], f"{named} has the file_name"), size)
    for each in categories:
        _text(each["name"], f"{path}: category {each['id']!r} has the name")
    if not images:
        raise ValueError(f"{path}: lists no image")
    if len(images) != len(listed) or len({image.name for image in images.values()}) != len(listed):
        raise ValueError(f"{path}: an image is listed twice")
    if len({c["id"] for c in categories}) != len(categories) or len({name_of(c) for c in categories}) != len(
        categories
    ):
        raise ValueError(f"{path}: a category is listed twice")
    _add_objects(path, {c["id"] for c in categories}, images, annotations)
    return Instances(path, categories, list(images.values()))


def name_of(category: dict[str, Any]) -> str:
    """Name of a class: one word, as labels are separated by spaces."""
    return "_".join(category["name"].split())


def _require_parts(path: Path, what: str, entries: Any, keys: tuple[str, ...]) -> None:
    """ValueError where one of the entries lacks a key, or has an id of another type than the others."""
    if not isinstance(entries, list):
        raise ValueError(
            f"{path}: not COCO's instances (its {what} entries are a {type(entries).__name__}, not a list)"
        )
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ValueError(f"{path}: {what} number {number} is a {type(entry).__name__}, not an object with keys")
        if missing := set(keys) - entry.keys():
            raise ValueError(f"{path}: {what} {entry.get('id')} has no {min(missing)}")
        for key in {"id", "image_id", "category_id"} & set(keys):
            if not isinstance(entry[key], int | float | str) or entry[key] != entry[key]:
                raise ValueError(
                    f"{path}: {what} {entry.get('id')} has the {key} {entry[key]!r}; give a number or a text"
                )
    if "id" in keys:
        texts = [entry["id"] for entry in entries if isinstance(entry["id"], str)]
        if texts and len(texts) < len(entries):
            number = next(entry["id"] for entry in entries if not isinstance(entry["id"], str))
            raise ValueError(f"{path}: its {what} ids are of two types, such as {number} and {texts[0]!r}; use one")


def _add_objects(path: Path, categories: set[Any], images: dict[Any, Image], annotations: list[Any]) -> None:
    for a in annotations:
        named = f"{path}: annotation {a.get('id')}"
        for key, known, what in (("category_id", categories, "category"), ("image_id", images, "image")):
            if a[key] not in known:
                where = "categories" if what == "category" else "images"
                raise ValueError(
                    f"{named} has the {what} {a[key]!r}, which is not in the file's {where}{_other_type(a[key], known)}"
                )
        thing = Outlined(a["category_id"], a.get("id"), bool(a.get("iscrowd")), a["segmentation"])
        images[a["image_id"]].objects.append(thing)


def _other_type(given: Any, known: Any) -> str:
    """What to say where an id is there, as a number instead of a text or the other way round."""
    same = next((one for one in known if str(one) == str(given)), None)
    return "" if same is None else f" ({same!r} is: ids must be of one type)"


def _side(value: Any, named: str) -> int:
    """A height or width, which programs write as 64, 64.0 or "64"."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number != int(number) or not 0 < number < 10**6:
        raise ValueError(f"{named} {value!r}; it must be a whole number of pixels")
    return int(number)


def _text(value: Any, named: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{named} {value!r}; it must be a text")
    return value


def classes_of(files: list[Instances]) -> tuple[list[str], dict[Any, int], list[str]]:
    """Class names in the order of COCO's ids, the class number of each category, and notes on those left out.

    Left out are a category called background, which no object is, and one that is only the parent of others: it has no
    annotation, and is another one's supercategory.
    """
    named = [sorted(((c["id"], name_of(c)) for c in f.categories), key=lambda both: both[0]) for f in files]
    if any(one != named[0] for one in named):
        raise ValueError(f"{files[0].path.parent}: the two files have different categories")
    annotated = set[Any]().union(*(f.annotated() for f in files))
    parents = {
        c.get("supercategory"): c["name"] for f in files for c in f.categories if c.get("supercategory") != c["name"]
    }
    kept, notes = [], []
    for number, name in named[0]:
        written = next(c["name"] for c in files[0].categories if c["id"] == number)
        if name.casefold().strip("_") == "background":
            objects = sum(thing.category == number for f in files for image in f.images for thing in image.objects)
            notes.append(f"note: category {name!r} is left out with its {objects} objects: 0 is the background")
        elif written in parents and number not in annotated:
            notes.append(
                f"note: category {name!r} is left out: it has no object and is the parent of {parents[written]!r}"
            )
        else:
            kept.append((number, name))
    if not kept:
        raise ValueError(f"{files[0].path}: has no category")
    return [name for _, name in kept], {number: c for c, (number, _) in enumerate(kept, start=1)}, notes


def locate(file: Instances, folder: Path) -> list[str]:
    """Give each image the path of its photograph below `folder`; notes where another one than the file's is taken.

    Labelling servers write where they kept it: a path of theirs, an address, a query. Its last part that is a file
    below the folder is then the photograph. A name that is nowhere stays, for whoever reads it.
    """
    place, found, elsewhere = Folder(folder), Counter[str](), []
    for image in file.images:
        given = image.name
        image.name = _located(place, given)
        found[image.name] += 1
        elsewhere += [(given, image.name)] if image.name != given else []
    if twice := [name for name, count in found.items() if count > 1]:
        raise ValueError(f"{file.path}: an image is listed twice: {twice[0]!r} by several file names")
    if not elsewhere:
        return []
    first = f"{elsewhere[0][1]!r} for {elsewhere[0][0]!r}"
    return [f"note: {len(elsewhere)} photographs of {file.path.name} are taken by another name, such as {first}"]


def _located(place: Folder, given: str) -> str:
    if not leaves(given) and (name := place.find(given)):
        return name
    parts = [part for part in re.split(r"[/\\?&=]|%2F|%5C", given) if part not in ("", ".", "..")]
    return next((name for part in reversed(parts) if (name := place.find(part))), given)
