"""`apc data check`: every file of a data set read to its end, and what the data set consists of.

Shapes: H,W the photograph's own pixels.
"""

import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from apc import data
from apc.data import cache, folder, prepared
from apc.data.agreement import Held, compare
from apc.data.headers import LIMIT
from apc.data.images import PLAIN, Reading, Undecodable, decode
from apc.data.masks import Truth, truth_in
from apc.data.preparing import left_out
from apc.escaping import are, counted
from apc.files import files_below, hash_of
from apc.parallel import each


class _File(NamedTuple):
    """A photograph as a list names it."""

    image: Path
    mask: Path | None
    classes: list[str]
    how: Reading
    hashes: tuple[str, str] = ("", "")
    """What a prepared list says of the contents of image and mask; empty for photographs of your own."""
    unsure: bool = False
    """Whether its labels are not understood, so that they are compared with no mask."""


class _Seen(NamedTuple):
    """A photograph as its files are."""

    size: tuple[int, ...]
    """Height and width; zeros where it cannot be read."""
    hash: str
    truth: Truth | None
    """What its mask holds; None where it has none, or one that cannot be used."""
    problems: list[str]
    broken: str = ""
    """Why the photograph cannot be decoded, a problem unless broken ones are skipped."""


class _DataSet(NamedTuple):
    """What the lists of a data set say."""

    classes: list[str]
    listed: dict[str, list[_File]]
    """The photographs of each list."""
    labels: dict[str, np.ndarray]
    """Their image labels, (n, C-1), 0 or 1."""
    problems: list[str]
    notes: list[str]


def check(
    dataset: str, root: str, lists: list[str], *, skip_broken: bool = False, max_pixels: int = LIMIT
) -> tuple[str, list[str]]:
    """What the data set consists of, in lines for a person, and a sentence for everything that is wrong with it; with
    `skip_broken` photographs that cannot be decoded are among the lines."""
    how = (PLAIN if dataset == "folder" else prepared.AS_STORED)._replace(max_pixels=max_pixels)
    stated = _photographs(root, lists, how) if dataset == "folder" else _prepared(dataset, root, lists, how)
    files = list({file.image: file for name in lists for file in stated.listed[name]}.values())
    seen = dict(zip((file.image for file in files), each(files, _look, "reading"), strict=True))
    problems = stated.problems + [problem for file in files for problem in seen[file.image].problems]
    broken = [seen[file.image].broken for file in files if seen[file.image].broken]
    problems += [] if skip_broken and len(broken) < len(files) else broken
    notes = [*stated.notes, *(left_out(broken) if skip_broken else [])]
    told = dataset == "coco" and prepared.notes_of(root, dataset)  # `prepare` has said it, with why
    for number, name in enumerate(lists):
        found = compare(_held(stated, name, seen), stated.classes, name, own=dataset == "folder")
        notes += [] if told else found.notes
        scored = number or len(lists) == 1  # the first one of several is trained on, and its masks are not opened
        problems += [found.refusal] if found.refusal and scored else []
    problems += [problem for name in lists for problem in _caches(dataset, root, name)] if not problems else []
    return "\n".join([*_counts(stated, seen), *notes, *_twins(stated.listed, seen)]), problems


def _held(stated: _DataSet, name: str, seen: dict[Path, _Seen]) -> list[Held]:
    """The masks of a list, beside the labels of its lines."""
    return [
        Held(file.image.name, frozenset(1 + int(c) for c in np.flatnonzero(labels)), truth)
        for file, labels in zip(stated.listed[name], stated.labels[name], strict=True)
        if (truth := seen[file.image].truth) is not None and not file.unsure
    ]


def _photographs(root: str, lists: list[str], how: Reading) -> _DataSet:
    classes = folder.read_classes(root)
    listed: dict[str, list[_File]] = {}
    labels: dict[str, np.ndarray] = {}
    problems: list[str] = []
    for name in lists:
        listing, wrong = folder.scan(root, name)
        problems += wrong
        listed[name] = []
        for image, mask in zip(listing.names, listing.masks, strict=True):
            file = _File(Path(root) / "images" / image, mask if mask.is_file() else None, classes, how)
            listed[name].append(file._replace(unsure=image in listing.unsure))
        labels[name] = np.array(listing.labels, dtype=int).reshape(-1, len(classes) - 1)
    every = [file for files in listed.values() for file in files]
    used = {os.path.realpath(path) for file in every for path in (file.image, file.mask) if path}
    notes = []
    for place, why in (("images", "in no list"), ("masks", "named after no image of the lists")):
        there = files_below(Path(root) / place)
        if unused := [path for path in there if os.path.realpath(path) not in used]:
            told = f"{counted(len(unused), 'file')} of {place}/ {are(len(unused))} {why}"
            notes.append(f"note: {told}, such as {unused[0].name!r}")
    return _DataSet(classes, listed, labels, problems, notes)


def _prepared(dataset: str, root: str, lists: list[str], how: Reading) -> _DataSet:
    classes = prepared.read_classes(root, dataset)
    listed: dict[str, list[_File]] = {}
    labels: dict[str, np.ndarray] = {}
    for name in lists:
        entries = prepared.read_entries(root, dataset, name)
        listed[name] = [
            _File(Path(root) / entry.image, Path(root) / entry.mask, classes, how, (entry.image_hash, entry.mask_hash))
            for entry in entries
        ]
        labels[name] = prepared.labels_of(entries, classes, "annotations").astype(int)
    manifest = prepared.manifest(root, dataset)
    notes = [
        f"{split}.csv: " + ", ".join(f"{count} {subset}" for subset, count in subsets.items())
        for split, subsets in manifest.counts.items()
    ]
    notes += [f"note: {name} has not its published count" for name, whole in manifest.whole.items() if not whole]
    return _DataSet(classes, listed, labels, [], [*notes, *prepared.notes_of(root, dataset)])


def _look(file: _File) -> _Seen:
    """Read one image and its mask to their ends."""
    size, content, problems = (0, 0), "", []
    image_hash, mask_hash = file.hashes
    try:
        size = decode(file.image, file.how).shape[:2]
        content = hash_of(file.image.read_bytes())
        if image_hash and content != image_hash:
            problems.append(f"{file.image}: changed since it was prepared")
    except Undecodable as error:
        return _Seen(size, content, None, [], str(error))
    except ValueError as error:
        problems.append(str(error))
    truth = None
    if file.mask and not problems:
        try:
            if file.how.turned:
                truth = folder.truth_of(file.image, file.mask, len(file.classes), file.how)
            else:
                truth = truth_in(file.mask, size, len(file.classes), file.how.max_pixels)
            if mask_hash and hash_of(file.mask.read_bytes()) != mask_hash:
                problems.append(f"{file.mask}: changed since it was prepared")
        except ValueError as error:
            problems.append(str(error))
    return _Seen(size, content, truth, problems)


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
            sums = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["sums"]
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
        masked = sum(file.mask is not None for file in files)
        lines.append(f"{name}: {counted(len(looks), 'image')}, {between}, {masked} with a mask")
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
    notes = [f"note: {counted(across, 'photograph')} {are(across)} in more than one list"] if across else []
    copies_told = (
        f"note: {counted(within, 'file')} {are(within)} {'a copy' if within == 1 else 'copies'} of another one"
    )
    return notes + ([copies_told] if within else [])
