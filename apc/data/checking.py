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
    """A photograph as a list names it."""

    image: Path
    mask: Path | None
    classes: list[str]
    hashes: tuple[str, str] = ("", "")
    """What a prepared list says of the contents of image and mask; empty for photographs of your own."""


class _Seen(NamedTuple):
    """A photograph as its files are."""

    size: tuple[int, ...]
    """Height and width; zeros where it cannot be read."""
    hash: str
    masked: bool
    problems: list[str]


class _DataSet(NamedTuple):
    """What the lists of a data set say."""

    classes: list[str]
    listed: dict[str, list[_File]]
    """The photographs of each list."""
    labels: dict[str, np.ndarray]
    """Their image labels, (n, C-1), 0 or 1."""
    problems: list[str]
    notes: list[str]


def check(dataset: str, root: str, lists: list[str]) -> tuple[str, list[str]]:
    """What the data set consists of, in lines for a person, and a sentence for everything that is wrong with it."""
    stated = _photographs(root, lists) if dataset == "folder" else _prepared(dataset, root, lists)
    files = list({file.image: file for name in lists for file in stated.listed[name]}.values())
    seen = dict(zip((file.image for file in files), each(files, _look, "reading"), strict=True))
    problems = stated.problems + [problem for file in files for problem in seen[file.image].problems]
    problems += [problem for name in lists for problem in _caches(dataset, root, name)] if not problems else []
    return "\n".join([*_counts(stated, seen), *stated.notes, *_twins(stated.listed, seen)]), problems


def _photographs(root: str, lists: list[str]) -> _DataSet:
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
            listed[name].append(_File(Path(root) / "images" / image, mask if mask.is_file() else None, classes))
        labels[name] = np.array(listing.labels, dtype=int).reshape(-1, len(classes) - 1)
    used = {file.image for files in listed.values() for file in files}
    unused = sum(path.is_file() and path not in used for path in (Path(root) / "images").rglob("*"))
    notes = [f"note: {unused} files of images/ are in no list"] if unused else []
    return _DataSet(classes, listed, labels, problems, notes)


def _prepared(dataset: str, root: str, lists: list[str]) -> _DataSet:
    classes = prepared.read_classes(root, dataset)
    listed: dict[str, list[_File]] = {}
    labels: dict[str, np.ndarray] = {}
    for name in lists:
        entries = prepared.read_entries(root, dataset, name)
        listed[name] = [
            _File(Path(root) / entry.image, Path(root) / entry.mask, classes, (entry.image_hash, entry.mask_hash))
            for entry in entries
        ]
        labels[name] = prepared.labels_of(entries, classes, "annotations").astype(int)
    manifest = prepared.manifest(root, dataset)
    notes = [
        f"{split}.csv: " + ", ".join(f"{count} {subset}" for subset, count in subsets.items())
        for split, subsets in manifest.counts.items()
    ]
    notes += [f"note: {name} has not its published count" for name, whole in manifest.whole.items() if not whole]
    return _DataSet(classes, listed, labels, [], notes)


def _look(file: _File) -> _Seen:
    """Read one image and its mask to their ends."""
    size, content, problems = (0, 0), "", []
    image_hash, mask_hash = file.hashes
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
    listed = data.files(dataset, root, name)
    problems: list[str] = []
    for file in sorted(listed.cache.parent.glob(f"{listed.cache.name}-*.npy")):
        side = file.stem.rpartition("-")[2]
        if not side.isdecimal() or file.name != listed.file(size := int(side)).name:
            continue  # of a list whose name begins with this one's, or no cache
        try:
            images = cache.find(listed, size)
        except ValueError as error:
            problems.append(str(error))
            continue
        if images is not None:
            sums = json.loads(file.with_suffix(".json").read_text())["sums"]
            if wrong := cache.broken(images, sums, range(len(images))):
                problems.append(f"{file}: image {wrong[0]} and {len(wrong) - 1} more are damaged; delete the file")
    return problems


def _counts(stated: _DataSet, seen: dict[Path, _Seen]) -> list[str]:
    """Images, masks and sizes of each list, and images of each class."""
    lines = []
    for name, files in stated.listed.items():
        looks = [seen[file.image] for file in files]
        sides = [side for look in looks for side in look.size if side]
        between = f"sides of {min(sides)} to {max(sides)} pixels" if sides else "none readable"
        lines.append(f"{name}: {len(looks)} images, {between}, {sum(look.masked for look in looks)} with a mask")
    width = max(len(name) for name in stated.classes)
    lines += ["", f"{'images with':{width}} " + " ".join(f"{name:>10}" for name in stated.listed)]
    for c, label in enumerate(stated.classes[1:]):
        lines.append(f"{label:{width}} " + " ".join(f"{labels[:, c].sum():10}" for labels in stated.labels.values()))
    lines.append("")
    for name, labels in stated.labels.items():
        if missing := [label for c, label in enumerate(stated.classes[1:]) if not labels[:, c].any()]:
            lines.append(f"note: {name} has no image of {', '.join(missing)}")
    return lines


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
