"""Your own photographs: images/, masks/ (for scoring), lists with the columns image,labels, and classes.txt.

`classes.txt` names a foreground class a line; in masks (palette or grey PNG named after the image) 0 is background,
1.. the lines of classes.txt, 255 ignore. Labels of an image are class names separated by spaces. Masks are drawn on
the image as it is seen: turned as its EXIF says.
"""

import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apc.config import Config
from apc.data.cache import Files, images_of
from apc.data.images import decode, size_of
from apc.data.lists import open_list, read_text
from apc.data.masks import read_mask as read_mask_file
from apc.data.prepared import folder_of
from apc.data.split import Split, chosen, list_of, side_of
from apc.files import fingerprint_unless_known

SPLITS = ("train", "val")
MOST_CLASSES = 254
"""Foreground classes that a mask of bytes can tell from background and from what is ignored."""

READING = "2"
"""How files become pixels; another one where decoding or resizing changes any. 2: torch resizes, no longer Pillow."""


@dataclass
class Listing:
    """A list of images with their image labels."""

    classes: list[str]
    names: list[str] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    """A 0/1 list a class an image, background left out."""


def read_classes(root: str) -> list[str]:
    """Class names with `background` first."""
    if not root:
        raise ValueError("root is empty; give the folder of your photographs with --root")
    if not Path(root).is_dir():
        raise ValueError(f"root is {root!r}; there is no such folder")
    lines = [line.strip() for line in read_text(Path(root) / "classes.txt").splitlines()]
    for number, name in enumerate(lines, start=1):
        if len(name.split()) > 1:
            instead = f"write {'_'.join(name.split())}, since labels in the lists are separated by spaces"
            raise ValueError(f"{root}/classes.txt, line {number}: the name {name!r} has a space; {instead}")
    names = [name for name in lines if name]
    if not names or len(set(names)) != len(names) or "background" in names:
        raise ValueError(f"{root}/classes.txt: needs one foreground class a line, no class twice, no `background`")
    if len(names) > MOST_CLASSES:
        most = f"{MOST_CLASSES} are the most, since masks are 8-bit: 0 is background and 255 is ignored"
        raise ValueError(f"{root}/classes.txt: names {len(names):,} classes; {most}")
    return ["background", *names]


def read_list(root: str, name: str) -> Listing:
    """Names and image labels of one list; ValueError names file, line and choices."""
    listing, problems = scan(root, name)
    if problems:
        raise ValueError(problems[0])
    return listing


def scan(root: str, name: str) -> tuple[Listing, list[str]]:
    """The good lines of one list, and a sentence for each other one; ValueError where it is no list at all."""
    classes = read_classes(root)
    path = Path(root) / name
    listed = open_list(path)
    if {"image", "labels"} - set(listed.columns):
        raise ValueError(f"{path}: needs the columns image,labels; it has {','.join(listed.columns) or 'none'}")
    listing, problems = Listing(classes), []
    seen: set[str] = set()
    masks: dict[Path, str] = {}
    for line, row in listed.rows():
        image, labels = row["image"], row["labels"].split()
        unknown = [label for label in labels if label not in classes[1:]]
        file, problem = Path(root) / "images" / image, ""
        if unknown:
            problem = f"label {unknown[0]!r} is not in classes.txt; it has {', '.join(classes[1:])}"
        elif not labels:
            problem = f"image {image!r} has no label"
        elif not os.path.isfile(file):  # which, unlike Path.is_file, also holds of a name too long for any file
            problem = f"there is no image {root}/images/{image}"
        elif image in seen:
            problem = f"image {image!r} is listed twice"
        elif (mask := mask_path(root, image)) in masks and mask.is_file():
            problem = f"images {masks[mask]!r} and {image!r} would share the mask {mask}; rename one of them"
        else:
            masks[mask] = image
        seen.add(image)
        if problem:
            problems.append(f"{path}, line {line}: {problem}")
        else:
            listing.names.append(image)
            listing.labels.append([int(c in labels) for c in classes[1:]])
    if not seen:
        raise ValueError(f"{path}: lists no image")
    return listing, problems


def mask_path(root: str, name: str) -> Path:
    """Where the mask of image `name` stands, if there is one."""
    return (Path(root) / "masks" / name).with_suffix(".png")


def read_image(root: str, name: str) -> np.ndarray:
    """Photograph as (H,W,3) uint8; see images.decode."""
    return decode(Path(root) / "images" / name)


def read_mask(root: str, name: str, num_classes: int) -> np.ndarray | None:
    """Mask of a photograph as (H,W) uint8, or None where there is no file for it."""
    path = mask_path(root, name)
    return read_mask_file(path, size_of(Path(root) / "images" / name), num_classes) if path.is_file() else None


def load(cfg: Config, split: str) -> Split:
    """Split `train` or `val` of the photographs below `root`; see data.load."""
    name = list_of(cfg, split)
    listing = read_list(cfg.root, name)
    rows = chosen(cfg, split, len(listing.names))
    names = [listing.names[i] for i in rows]
    loaded = Split(
        listing.classes,
        names,
        torch.tensor([listing.labels[i] for i in rows], dtype=torch.float32),
        images_of(files(cfg.root, name), rows, side_of(cfg, split), verified=False),
        photo=lambda i: read_image(cfg.root, names[i]),
    )
    if split != "train":
        loaded.mask = lambda i: read_mask(cfg.root, names[i], len(listing.classes))
    return loaded


def files(root: str, name: str) -> Files:
    """The photographs of one list; each is known by its name, size and time of last change."""
    names = read_list(root, name).names
    paths = [Path(root) / "images" / image for image in names]
    stats = [path.stat() for path in paths]
    keys = [f"{image} {s.st_size} {s.st_mtime_ns}" for image, s in zip(names, stats, strict=True)]
    command = f"apc data cache folder --root {root} --lists {name}"
    return Files(paths, keys, folder_of(root, "folder") / "cache" / Path(name).stem, command)


def fingerprint(cfg: Config) -> str:
    """Hash of the lists, the class names, the images they name and the validation images' masks (12 hex digits)."""
    lists = [cfg.train_list, cfg.val_list]
    return fingerprint_unless_known(("folder", cfg.root, *lists), functools.partial(_hash_of_contents, cfg.root, lists))


def _hash_of_contents(root: str, lists: list[str], depends_on: Callable[[Path], Path]) -> str:
    """`fingerprint`, read anew; `depends_on` is told of every file."""
    if root:
        depends_on(Path(root) / "classes.txt")
    digest = hashlib.sha256("\n".join([READING, *read_classes(root)]).encode())
    for name in lists:
        path = depends_on(Path(root) / name)
        digest.update(path.read_bytes() if path.is_file() else b"")
        for image in read_list(root, name).names:
            digest.update(depends_on(Path(root) / "images" / image).read_bytes())
            mask = mask_path(root, image)
            if name == lists[-1] and depends_on(mask).is_file():
                digest.update(mask.read_bytes())
    return digest.hexdigest()[:12]


def provenance(cfg: Config) -> dict[str, Any]:
    """Nothing: the fingerprint says all."""
    return {}
