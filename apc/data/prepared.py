"""What `apc data prepare` leaves below ROOT/apc/voc or ROOT/apc/coco; the originals stay as they are.

    train.csv, val.csv   an Entry a line: image and mask (paths below ROOT), labels, subsets, sizes, contents' hashes
    classes.txt          class names, background first
    manifest.json        counts, and whether they are those of the whole data set
    masks/               masks that had to be converted
    cache/               what `apc data cache` made

So a start reads a list and not 80,000 images: the lists' hash stands for all they name.
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from apc.data.images import decode
from apc.data.masks import read_mask, values_in
from apc.files import write_atomically
from apc.parallel import each

Job = TypeVar("Job")
VERSION = 1
"""Raise it when preparation changes what is in the lists or the masks."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a prepared list."""

    image: str
    """Photograph, a path below ROOT."""
    mask: str
    """Its mask, a path below ROOT."""
    labels_annotations: str
    """Classes that are annotated as objects, separated by spaces."""
    labels_masks: str
    """Classes that have a pixel in the mask."""
    subsets: str
    """Named parts of the list that the image belongs to."""
    image_hash: str
    mask_hash: str
    height: int
    width: int
    bytes: int
    """Size of the photograph's file."""


class BadFiles(ValueError):
    """Files that cannot be used; `problems` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        named = f"{len(problems)} things are wrong with the data; the first {min(len(problems), 10)} are named above"
        super().__init__(problems[0] if len(problems) == 1 else named)


def attempt(jobs: list[Job], make: Callable[[Job], Entry], label: str) -> list[Entry]:
    """An Entry of every job, over all cores; BadFiles with a sentence for each job that raised ValueError."""

    def caught(job: Job) -> Entry | ValueError:
        try:
            return make(job)
        except ValueError as error:
            return error

    made = each(jobs, caught, label)
    if problems := [str(result) for result in made if isinstance(result, ValueError)]:
        raise BadFiles(problems)
    return [result for result in made if isinstance(result, Entry)]


def look_at(
    root: Path,
    image: str,
    mask: Path,
    classes: list[str],
    labels: set[str],
    subsets: Callable[[tuple[int, ...], list[int]], list[str]],
) -> Entry:
    """An Entry from its files, which are decoded to their end; ValueError where one cannot be used.

    `subsets` names the image's from its size (H,W) and the numbers that occur in its mask.
    """
    size = decode(root / image).shape[:2]
    data = (root / image).read_bytes()
    values = values_in(read_mask(mask, size, len(classes)))
    return Entry(
        image=image,
        mask=mask.relative_to(root).as_posix(),
        labels_annotations=" ".join(name for name in classes if name in labels),
        labels_masks=" ".join(classes[value] for value in values if 0 < value < len(classes)),
        subsets=" ".join(subsets(size, values)),
        image_hash=hash_of(data),
        mask_hash=hash_of(mask.read_bytes()),
        height=size[0],
        width=size[1],
        bytes=len(data),
    )


def hash_of(data: bytes) -> str:
    """Hash of contents, 12 hex digits."""
    return hashlib.sha256(data).hexdigest()[:12]


def folder_of(root: str | Path, dataset: str) -> Path:
    """Where all that is made for a data set stands; for photographs of your own that is their cache alone."""
    return Path(root) / "apc" / dataset


def save(root: Path, dataset: str, classes: list[str], lists: dict[str, list[Entry]], whole: dict[str, bool]) -> None:
    """Write lists, classes and, last, the manifest. `whole` tells by subset whether it has its published count."""
    where, names = folder_of(root, dataset), [f.name for f in fields(Entry)]
    for split, entries in lists.items():
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(entry) for entry in entries)
        write_atomically(where / f"{split}.csv", text.getvalue())
    write_atomically(where / "classes.txt", "\n".join(classes) + "\n")
    counts = {split: Counter(s for e in entries for s in e.subsets.split()) for split, entries in lists.items()}
    told = {"version": VERSION, "dataset": dataset, "whole": whole, "counts": counts}
    for part in (where / "masks").rglob(".*.png.*"):  # of a preparation that was killed
        part.unlink(missing_ok=True)
    write_atomically(where / "manifest.json", json.dumps(told, indent=1) + "\n")


def manifest(root: str, dataset: str) -> dict[str, Any]:
    """The manifest; ValueError where the data set has not been prepared, or by another version."""
    if not root:
        raise ValueError(f"root is empty; give the folder with --root that `apc data prepare {dataset}` was given")
    if not Path(root).is_dir():
        raise ValueError(f"root is {root!r}; there is no such folder")
    path, again = folder_of(root, dataset) / "manifest.json", f"run `apc data prepare {dataset} --root {root}`"
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; {again}")
    try:
        told: dict[str, Any] = json.loads(path.read_text())
        version = told["version"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: damaged; {again}") from None
    if version != VERSION:
        raise ValueError(f"{path}: made by another version; {again}")
    return told


def read_classes(root: str, dataset: str) -> list[str]:
    """Class names, background first."""
    manifest(root, dataset)
    return (folder_of(root, dataset) / "classes.txt").read_text().split()


def read_entries(root: str, dataset: str, name: str) -> list[Entry]:
    """The lines of one prepared list, or of a part of one that you made beside it."""
    known = set(read_classes(root, dataset))
    path = folder_of(root, dataset) / name
    if not path.is_file():
        raise ValueError(f"{path}: there is no such list; `apc data prepare {dataset}` writes train.csv and val.csv")
    names = [f.name for f in fields(Entry)]
    reader = csv.DictReader(path.read_text().splitlines())
    if set(reader.fieldnames or []) != set(names):
        has = ",".join(reader.fieldnames or []) or "none"
        raise ValueError(f"{path}: needs the columns {','.join(names)}; it has {has}")
    entries, seen = [], set()
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        try:
            values: dict[str, Any] = {k: int(v) if k in ("height", "width", "bytes") else v for k, v in row.items()}
            entry = Entry(**values)
        except (ValueError, TypeError):  # a line cut short lacks its numbers
            raise ValueError(f"{where}: damaged; run `apc data prepare {dataset}` again") from None
        if unknown := set(f"{entry.labels_annotations} {entry.labels_masks}".split()) - known:
            raise ValueError(f"{where}: label {min(unknown)!r} is not in classes.txt")
        if entry.image in seen:
            raise ValueError(f"{where}: image {entry.image!r} is listed twice")
        seen.add(entry.image)
        entries.append(entry)
    if not entries:
        raise ValueError(f"{path}: lists no image")
    return entries


def require_unchanged(root: str, dataset: str, entries: list[Entry]) -> None:
    """ValueError where a photograph is gone or its file has another size; `apc data check` compares contents."""
    again = f"run `apc data prepare {dataset} --root {root}` again"
    for entry in entries:
        try:
            size = (Path(root) / entry.image).stat().st_size
        except OSError:
            raise ValueError(f"{Path(root) / entry.image}: there is no such image; {again}") from None
        if size != entry.bytes:
            raise ValueError(f"{Path(root) / entry.image}: changed since it was prepared; {again}")


def labels_of(entries: list[Entry], classes: list[str], source: str) -> np.ndarray:
    """Image labels (n, C-1), 0 or 1, from `annotations` or `masks`."""
    number = {name: c for c, name in enumerate(classes[1:])}
    labels = np.zeros((len(entries), len(number)), np.float32)
    for row, entry in zip(labels, entries, strict=True):
        for name in getattr(entry, f"labels_{source}").split():
            row[number[name]] = 1
    return labels


def fingerprint(root: str, dataset: str, lists: list[str]) -> str:
    """Hash of manifest, classes and lists, which hold the hashes of all files they name (12 hex digits)."""
    manifest(root, dataset)
    where = folder_of(root, dataset)
    texts = [where / name for name in ("manifest.json", "classes.txt", *lists)]
    return hash_of(b"\0".join(path.read_bytes() if path.is_file() else b"" for path in texts))
