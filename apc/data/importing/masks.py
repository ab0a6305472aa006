"""Masks with what lies around them: labelmap.txt of CVAT and Datumaro, Roboflow's table, VOC's XML files, or nothing.

Labels are those of XML files or lists, or else of the pixels.
"""

import functools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from apc.data.importing import spreadsheet
from apc.data.importing.found import IGNORED, Found, Photo, by_paths, class_name, foreground, split_named
from apc.data.importing.legend import Legend, legend_from_pixels, legend_of, names_beside
from apc.data.importing.safely import read_text, read_xml
from apc.data.importing.source import Source
from apc.data.importing.turning import drawn_as_stored, note_of, stored
from apc.data.importing.wishes import Wishes

FOLDERS = {"masks", "mask", "segmentationclass", "segmentationclasspng", "labels", "annotations", "gt", "groundtruth"}
"""Folders, in small letters, whose image files are masks."""
OBJECTS = {"segmentationobject", "segmentationobjectpng", "segmentationclassvisualization"}
"""Folders whose image files are neither photographs nor masks of classes."""
_MARK = re.compile(r"[-_. ](mask|masks|seg|segmentation|label|labels|gt)$", re.I)
"""What the name of a mask ends with, where it lies beside its photograph."""


def looks_like_cvat(source: Source, wishes: Wishes) -> str:
    maps = source.named("labelmap.txt")
    return f"{source.place(maps[0])} and {len(_sorted_out(source)[1])} masks" if maps else ""


def looks_like_voc(source: Source, wishes: Wishes) -> str:
    xmls = _xmls(source)
    return f"{len(xmls)} XML files such as {source.place(xmls[0])}" if xmls else ""


def looks_like_masks(source: Source, wishes: Wishes) -> str:
    photos, masks = _sorted_out(source)
    return f"{len(photos)} photographs and {len(masks)} masks" if photos and masks else ""


def read(source: Source, wishes: Wishes) -> Found:
    """Photographs, each with the mask of its name, and labels as XML, lists or the mask itself have them."""
    photos, masks = _sorted_out(source)
    files = _xmls(source)
    if not photos:
        raise ValueError(f"{source.images or source.root}: there is no photograph; name their folder with --images")
    if not masks and not files:
        raise ValueError(f"{source.given}: there is no mask; they lie in masks/ or are named as photo_mask.png is")
    splits, beside = _lists(source), spreadsheet.labels_beside(source, wishes)
    said = {photo.file: photo for photo in beside.photos}
    unsaid = dict.fromkeys(beside.photos[0].extra if beside.photos else {}, "")
    objects = {path: _objects(path) for path in files}
    legend, classes = _legend(source, wishes, list(masks.values()), objects)
    legend = replace(legend, max_pixels=wishes.max_pixels) if legend else None
    found = Found(classes, notes=[*beside.notes, *(legend.notes if legend else [])])
    if masks and not legend:
        found.left_out["masks whose numbers no class_names.txt, labelmap.txt or --classes explains"] += map(str, masks)
    xmls = {_key(source.place(path)): path for path in files}
    keys = _paired([source.place(path) for path in photos], xmls | masks)
    as_stored = False
    if files and legend:
        pairs = [(path, masks[key]) for path in photos if (key := keys[source.place(path)]) in masks]
        as_stored, untold = drawn_as_stored(_sizes(pairs, wishes.max_pixels), wishes.max_pixels)
        found.notes += [note_of(untold)] if untold else []
    for path in photos:
        place = source.place(path)
        key = keys[place]
        line = said.get(path) or Photo(path, place, extra=unsaid)
        labels, split = line.labels, line.split
        if key in xmls:
            labels = _known(objects[xmls[key]], classes, xmls[key])
        elif labels is not None:
            labels = _known(labels, classes, path)
        mask = functools.partial(legend.read, masks[key]) if legend and key in masks else None
        if mask is None and labels is None and not wishes.take_unlabelled:
            found.left_out["photographs without a mask or label"].append(place)
            continue
        labels = frozenset() if mask is None and labels is None else labels
        split = splits.get(Path(key).name) or split
        found.photos.append(Photo(path, place, labels, mask, as_stored=as_stored, split=split, extra=line.extra))
    found.photos = by_paths(found.photos)
    for key, path in (xmls | masks).items():
        if key not in keys.values():
            found.problems.append(f"{path}: there is no photograph of its name; --images names their folder")
    return found


def _sizes(pairs: list[tuple[Path, Path]], max_pixels: int) -> Iterator[tuple[Path, tuple[int, int] | None]]:
    """Each photograph with the height and width of its mask; None where that is none."""
    for photograph, mask in pairs:
        try:
            yield photograph, stored(mask, max_pixels)[0]
        except (ValueError, OSError):
            yield photograph, None


def _paired(places: list[str], labelled: dict[str, Path]) -> dict[str, str]:
    """The key of each photograph's mask and XML: of its own path, else of its name, where that tells them apart.
    ValueError where one would be of two photographs."""
    keys = {place: _key(place) for place in places}
    taken: dict[str, str] = {}
    for place, key in keys.items():
        if key in labelled and taken.setdefault(key, place) != place:
            what = "XML file" if labelled[key].suffix.lower() == ".xml" else "mask"
            both = f"photographs {taken[key]!r} and {place!r}"
            raise ValueError(f"{both} would share the {what} {labelled[key]}; rename one of them")
    left = [place for place, key in keys.items() if key not in labelled]
    free: defaultdict[str, list[str]] = defaultdict(list)
    for key in labelled.keys() - keys.values():
        free[key.rpartition("/")[2]].append(key)
    stems = Counter(keys[place].rpartition("/")[2] for place in left)
    for place in left:
        stem = keys[place].rpartition("/")[2]
        if stems[stem] == 1 and len(free[stem]) == 1:
            keys[place] = free[stem][0]
    return keys


def _legend(
    source: Source, wishes: Wishes, masks: list[Path], objects: dict[Path, frozenset[str]]
) -> tuple[Legend | None, list[str]]:
    legend = legend_of(source, wishes)
    if legend or not objects or (masks and wishes.classes):
        legend = legend or legend_from_pixels(masks, wishes)
        return legend, legend.classes
    names = names_beside(source, wishes)
    return None, foreground(names[0]) if names else sorted(foreground(set().union(*objects.values())))


def _known(labels: frozenset[str], classes: list[str], path: Path) -> frozenset[str]:
    """Labels without background; ValueError for one that is no class."""
    names = frozenset(foreground(labels))
    if unknown := names - set(classes):
        choices = f"{', '.join(classes)}, as the masks have them; --classes names them all"
        raise ValueError(f"{path}: the object {min(unknown)!r} is none of {choices}")
    return names


def _sorted_out(source: Source) -> tuple[list[Path], dict[str, Path]]:
    """Photographs, and masks by `_key`; ValueError where two masks would be of one photograph."""
    photos, masks = [], dict[str, Path]()
    beside = [] if source.images is None else [path for path in source.files if path.suffix.lower() in (".png", ".bmp")]
    for path in dict.fromkeys([*source.pictures, *beside]):
        folders = {part.casefold() for part in source.place(path).split("/")[:-1]}
        if folders & OBJECTS:
            continue
        if folders & FOLDERS or _MARK.search(path.stem) or (source.images and not path.is_relative_to(source.images)):
            key = _key(source.place(path))
            if key in masks:
                raise ValueError(
                    f"{path}: is a second mask of the photograph of {masks[key]}; one mask holds all classes"
                )
            masks[key] = path
        else:
            photos.append(path)
    return photos, masks


_PARTS = FOLDERS | {"images", "image", "imgs", "img", "jpegimages", "photos", "photographs"}


def _key(place: str) -> str:
    """What the paths of a photograph and of its mask have in common: no folder of either kind, mark or suffix."""
    *folders, file = unicodedata.normalize("NFC", place).casefold().split("/")
    stem = _MARK.sub("", file.rpartition(".")[0])
    return "/".join([*(part for part in folders if part not in _PARTS), stem])


def _xmls(source: Source) -> list[Path]:
    """VOC's files of objects, told by their first bytes."""
    found = []
    for path in source.of_kind(".xml"):
        with open(path, "rb") as file:
            if re.search(rb"<annotation[\s>]", file.read(2000).replace(b"\0", b"")):
                found.append(path)
    return found


def _objects(path: Path) -> frozenset[str]:
    """Names of the objects in one of VOC's files, those marked difficult included."""
    root: ElementTree.Element = read_xml(path)
    if root.tag != "annotation":
        raise ValueError(f"{path}: is no annotation as VOC has them, but <{root.tag}>")
    names = [element.findtext("name", "").strip() for element in root.findall("object")]
    if "" in names:
        raise ValueError(f"{path}: its object {names.index('') + 1} has no name")
    return frozenset(name for name in names if class_name(name) and name.casefold() not in IGNORED)


def _lists(source: Source) -> dict[str, str]:
    """Split of each stem that a list of ImageSets/ names."""
    splits: dict[str, str] = {}
    rank: defaultdict[str, list[str]] = defaultdict(list)
    for path in source.of_kind(".txt"):
        if "imagesets" in source.place(path).casefold().split("/") and (split := split_named(path.stem)):
            rank[split] += [line.split()[0] for line in read_text(path)[0].splitlines() if line.split()]
    for split in ("train", "val", "test"):  # last: what is tested is never learned from
        splits |= {unicodedata.normalize("NFC", Path(name).name).casefold(): split for name in rank[split]}
    return splits
