"""What `apc data prepare` leaves below ROOT/apc/voc or ROOT/apc/coco; the originals stay as they are.

    train.csv, val.csv   an Entry a line: image and mask (paths below ROOT), labels, subsets, sizes, contents' hashes
    classes.txt          class names, background first
    manifest.json        counts, and whether they are those of the whole data set
    notes.txt            what a person should know: what was left out, labels without a pixel
    masks/               masks that had to be converted
    cache/               what `apc data cache` made

So a start reads a list and not 80,000 images: the lists' hash stands for all they name.
"""

import functools
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from apc.config import Config
from apc.data.cache import Files, images_of, place_of
from apc.data.images import Reading, decode
from apc.data.lists import open_list, read_text
from apc.data.masks import Truth, read_mask
from apc.data.split import Split, chosen, list_of, side_of
from apc.files import State, fingerprint_unless_known, hash_of, state_of

AS_STORED = Reading(turned=False)
"""How photographs of VOC and COCO are read: their masks and outlines are drawn on the pixels as stored."""
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


def folder_of(root: str | Path, dataset: str) -> Path:
    """Where all that is made for a data set stands; for photographs of your own that is their cache alone."""
    return Path(root) / "apc" / dataset


NOTES = "notes.txt"
"""What a person should know of the data, in lines. It is no part of the fingerprint."""


def notes_of(root: str, dataset: str) -> list[str]:
    """The notes of a preparation; none where an earlier version made it."""
    path = folder_of(root, dataset) / NOTES
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


class Manifest(NamedTuple):
    """What a preparation found."""

    whole: dict[str, bool]
    """Of every subset whether it has its published count."""
    counts: dict[str, dict[str, int]]
    """Images of each subset, by list."""


def manifest(root: str, dataset: str) -> Manifest:
    """The manifest; ValueError where the data set has not been prepared, or by another version."""
    if not root:
        raise ValueError(f"root is empty; give the folder with --root that `apc data prepare {dataset}` was given")
    if not Path(root).is_dir():
        raise ValueError(f"root is {root!r}; there is no such folder")
    path, remedy = (
        folder_of(root, dataset) / "manifest.json",
        f"run `apc data prepare {dataset} --root {shlex.quote(root)}`",
    )
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; {remedy}")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["version"] == VERSION:
            return Manifest(stored["whole"], stored["counts"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: damaged; {remedy}") from None
    raise ValueError(f"{path}: made by another version; {remedy}")


def read_classes(root: str, dataset: str) -> list[str]:
    """Class names, background first."""
    manifest(root, dataset)
    return read_text(folder_of(root, dataset) / "classes.txt").split()


def read_entries(root: str, dataset: str, name: str) -> list[Entry]:
    """The lines of one prepared list, or of a part of one that you made beside it."""
    known = set(read_classes(root, dataset))
    path = folder_of(root, dataset) / name
    if not path.is_file():
        raise ValueError(f"{path}: there is no such list; `apc data prepare {dataset}` writes train.csv and val.csv")
    names = [f.name for f in fields(Entry)]
    listed = open_list(path)
    if set(listed.columns) != set(names):
        has = ",".join(listed.columns) or "none"
        raise ValueError(f"{path}: needs the columns {','.join(names)}; it has {has}")
    entries, seen = [], set()
    for line, row in listed.rows():
        where = f"{path}, line {line}"
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


def entries_of(root: str, dataset: str, name: str) -> list[Entry]:
    """`read_entries`, read again only where the list has changed."""
    return _entries_at(root, dataset, name, state_of(folder_of(root, dataset) / name))


@functools.lru_cache(maxsize=4)
def _entries_at(root: str, dataset: str, name: str, state: State | None) -> list[Entry]:
    return read_entries(root, dataset, name)


def require_unchanged(root: str, dataset: str, entries: list[Entry]) -> None:
    """ValueError where a photograph is gone or its file has another size; `apc data check` compares contents."""
    remedy = f"run `apc data prepare {dataset} --root {shlex.quote(root)}` again"
    for entry in entries:
        try:
            size = (Path(root) / entry.image).stat().st_size
        except OSError:
            raise ValueError(f"{Path(root) / entry.image}: there is no such image; {remedy}") from None
        if size != entry.bytes:
            raise ValueError(f"{Path(root) / entry.image}: changed since it was prepared; {remedy}")


def labels_of(entries: list[Entry], classes: list[str], source: str) -> np.ndarray:
    """Image labels (n, C-1), 0 or 1, from `annotations` or `masks`."""
    number = {name: c for c, name in enumerate(classes[1:])}
    labels = np.zeros((len(entries), len(number)), np.float32)
    for row, entry in zip(labels, entries, strict=True):
        for name in getattr(entry, f"labels_{source}").split():
            row[number[name]] = 1
    return labels


def truth_of(entry: Entry, classes: list[str]) -> Truth:
    """The classes that the mask of an image holds, which the list tells; its colours are VOC's."""
    return Truth([*sorted(classes.index(name) for name in entry.labels_masks.split())], {})


def fingerprint(root: str, dataset: str, lists: list[str]) -> str:
    """Hash of manifest, classes and lists, which hold the hashes of all files they name (12 hex digits)."""

    def contents(depends_on: Callable[[Path], Path]) -> str:
        where = folder_of(root, dataset)
        texts = [depends_on(where / name) for name in ("manifest.json", "classes.txt", *lists)]
        manifest(root, dataset)
        return hash_of(b"\0".join(path.read_bytes() if path.is_file() else b"" for path in texts))

    return fingerprint_unless_known((dataset, root, *lists), contents)


def load(cfg: Config, split: str, subset: str = "", *, lazily: bool = False) -> Split:
    """Split `train` or `val` of a prepared data set, or the part of it that is in `subset`; see data.load."""
    root, name, how = Path(cfg.root), list_of(cfg, split), AS_STORED._replace(max_pixels=cfg.max_pixels)
    classes, listed = read_classes(cfg.root, cfg.dataset), entries_of(cfg.root, cfg.dataset, name)
    used = [i for i, entry in enumerate(listed) if not subset or subset in entry.subsets.split()]
    if not used:
        raise ValueError(f"coco_images is {subset}; {name} has no such image")
    rows = [used[i] for i in chosen(cfg, split, len(used))]
    entries = [listed[i] for i in rows]
    require_unchanged(cfg.root, cfg.dataset, entries)
    stored = files(cfg.root, cfg.dataset, name)._replace(how=how)
    loaded = Split(
        classes,
        [Path(entry.image).name for entry in entries],
        torch.from_numpy(labels_of(entries, classes, cfg.label_source)),
        images_of(stored, rows, side_of(cfg, split), verified=True, lazily=lazily),
        photo=lambda i: decode(root / entries[i].image, how),
        place=str(folder_of(root, cfg.dataset) / name),
        verified=True,
        listed=len(listed),
        rows=rows,
    )
    if split != "train":
        sizes = [(entry.height, entry.width) for entry in entries]
        loaded.mask = lambda i: read_mask(root / entries[i].mask, sizes[i], len(classes), how.max_pixels)
        loaded.truth = lambda i: truth_of(entries[i], classes)
    return loaded


def files(root: str, dataset: str, name: str) -> Files:
    """The photographs of one prepared list, each known by the hash of its contents."""
    entries = entries_of(root, dataset, name)
    return Files(
        [Path(root) / entry.image for entry in entries],
        [f"{entry.image} {entry.image_hash}" for entry in entries],
        place_of(folder_of(root, dataset) / "cache", folder_of(root, dataset), name),
        f"apc data cache {dataset} --root {shlex.quote(root)} --lists {shlex.quote(name)}",
        AS_STORED,
    )


def provenance(cfg: Config, subsets: list[str]) -> dict[str, Any]:
    """Which parts of the data set a run used, the source of its labels, and whether all of it was the whole."""
    complete = manifest(cfg.root, cfg.dataset).whole
    whole = all(complete[subset] for subset in subsets)
    lists = (cfg.train_list, cfg.val_list) == ("train.csv", "val.csv")
    return {"subset": " ".join(subsets), "label_source": cfg.label_source, "whole": whole and lists}
