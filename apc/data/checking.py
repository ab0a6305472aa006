"""`apc data check`: every file of a data set read to its end, and what the data set consists of.

Shapes: H,W the photograph's own pixels.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from apc import data
from apc.data import cache, folder, prepared
from apc.data.images import decode
from apc.data.masks import read_mask
from apc.files import hash_of
from apc.parallel import each


class _File(NamedTuple):
    image: Path
    mask: Path | None
    classes: list[str]
    hashes: tuple[int, str, str]
    """What a prepared list says of the image's size in bytes and both contents; 0 and empty for photographs."""


class _Seen(NamedTuple):
    size: tuple[int, ...]
    hash: str
    masked: bool
    problems: list[str]


def check(dataset: str, root: str, lists: list[str]) -> tuple[str, list[str]]:
    """What the data set consists of, in lines for a person, and a sentence for everything that is wrong with it."""
    told = _photographs if dataset == "folder" else _prepared
    classes, listed, labels, problems, notes = told(dataset, root, lists)
    files = list({file.image: file for name in lists for file in listed[name]}.values())
    seen = dict(zip((file.image for file in files), each(files, _look, "reading"), strict=True))
    problems += [problem for file in files for problem in seen[file.image].problems]
    problems += [problem for name in lists for problem in _caches(dataset, root, name)] if not problems else []
    notes += _twins(listed, seen)
    return "\n".join([*_counts(classes, lists, listed, labels, seen), *notes]), problems


Told = tuple[list[str], dict[str, list[_File]], dict[str, np.ndarray], list[str], list[str]]


def _photographs(dataset: str, root: str, lists: list[str]) -> Told:
    classes = folder.read_classes(root)
    listed: dict[str, list[_File]] = {}
    labels: dict[str, np.ndarray] = {}
    problems: list[str] = []
    for name in lists:
        listing, wrong = folder.scan(root, name)
        problems += wrong
        listed[name] = []
        for image in listing.names:
            mask = folder.mask_path(root, image)
            found = mask if mask.is_file() else None
            listed[name].append(_File(Path(root) / "images" / image, found, classes, (0, "", "")))
        labels[name] = np.array(listing.labels, dtype=int).reshape(-1, len(classes) - 1)
    used = {file.image for files in listed.values() for file in files}
    unused = sum(path.is_file() and path not in used for path in (Path(root) / "images").rglob("*"))
    return classes, listed, labels, problems, [f"note: {unused} files of images/ are in no list"] if unused else []


def _prepared(dataset: str, root: str, lists: list[str]) -> Told:
    classes = prepared.read_classes(root, dataset)
    listed: dict[str, list[_File]] = {}
    labels: dict[str, np.ndarray] = {}
    for name in lists:
        entries = prepared.read_entries(root, dataset, name)
        listed[name] = [
            _File(Path(root) / e.image, Path(root) / e.mask, classes, (e.bytes, e.image_hash, e.mask_hash))
            for e in entries
        ]
        labels[name] = prepared.labels_of(entries, classes, "annotations").astype(int)
    manifest = prepared.manifest(root, dataset)
    notes = [
        f"{split}.csv: " + ", ".join(f"{count} {subset}" for subset, count in subsets.items())
        for split, subsets in manifest["counts"].items()
    ]
    notes += [f"note: {name} has not its published count" for name, whole in manifest["whole"].items() if not whole]
    return classes, listed, labels, [], notes


def _look(file: _File) -> _Seen:
    """Read one image and its mask to their ends."""
    size, content, problems = (0, 0), "", []
    _, image_hash, mask_hash = file.hashes
    try:
        size = decode(file.image).shape[:2]
        content = hash_of(file.image.read_bytes())
        if image_hash and content != image_hash:
            problems.append(f"{file.image}: changed since it was prepared")
    except ValueError as error:
        problems.append(str(error))
    if file.mask and not problems:
        try:
            read_mask(file.mask, size, len(file.classes))
            if mask_hash and hash_of(file.mask.read_bytes()) != mask_hash:
                problems.append(f"{file.mask}: changed since it was prepared")
        except ValueError as error:
            problems.append(str(error))
    return _Seen(size, content, file.mask is not None, problems)


def _caches(dataset: str, root: str, name: str) -> list[str]:
    """What is wrong with the caches of a list."""
    listed, problems = data.files(dataset, root, name), []
    for file in sorted(listed.cache.parent.glob(f"{listed.cache.name}-*.npy")):
        size = int(file.stem.rpartition("-")[2])
        if file.name != listed.file(size).name:
            continue  # of a list whose name begins with this one's
        try:
            kept = cache.find(listed, size)
        except ValueError as error:
            problems.append(str(error))
            continue
        if kept is not None:
            sums = json.loads(file.with_suffix(".json").read_text())["sums"]
            if wrong := cache.broken(kept, sums, range(len(kept))):
                problems.append(f"{file}: image {wrong[0]} and {len(wrong) - 1} more are damaged; delete the file")
    return problems


def _counts(
    classes: list[str],
    lists: list[str],
    listed: dict[str, list[_File]],
    labels: dict[str, np.ndarray],
    seen: dict[Path, _Seen],
) -> list[str]:
    """Images, masks and sizes of each list, and images of each class."""
    lines = []
    for name in lists:
        found = [seen[file.image] for file in listed[name]]
        sides = [side for s in found for side in s.size if side]
        between = f"sides of {min(sides)} to {max(sides)} pixels" if sides else "none readable"
        lines.append(f"{name}: {len(found)} images, {between}, {sum(s.masked for s in found)} with a mask")
    width = max(len(name) for name in classes)
    lines += ["", f"{'images with':{width}} " + " ".join(f"{name:>10}" for name in lists)]
    for c, label in enumerate(classes[1:]):
        lines.append(f"{label:{width}} " + " ".join(f"{labels[name][:, c].sum():10}" for name in lists))
    missing = {name: [label for c, label in enumerate(classes[1:]) if not labels[name][:, c].any()] for name in lists}
    return [*lines, "", *(f"note: {name} has no image of {', '.join(none)}" for name, none in missing.items() if none)]


def _twins(listed: dict[str, list[_File]], seen: dict[Path, _Seen]) -> list[str]:
    """Notes on photographs that are there twice, which flatters a score where one copy is learned from."""
    places: dict[str, set[str]] = defaultdict(set)
    copies: Counter[str] = Counter(s.hash for s in seen.values() if s.hash)
    for name, files in listed.items():
        for file in files:
            places[seen[file.image].hash].add(name)
    across = sum(len(names) > 1 for content, names in places.items() if content)
    within = sum(count - 1 for count in copies.values())
    notes = [f"note: {across} photographs are in more than one list"] if across else []
    return notes + ([f"note: {within} files are copies of another one"] if within else [])
