"""Your own photographs: images/, masks/ (for scoring), lists with the columns image,labels, and classes.txt.

`classes.txt` names a foreground class a line; in masks (palette or grey PNG named after the image) 0 is background,
1.. the lines of classes.txt, 255 ignore. Labels of an image are class names separated by spaces. Masks are drawn on
the image as it is seen: turned as its EXIF says.
"""

import csv
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from apc.data.images import decode, size_of
from apc.data.masks import read_mask as read_mask_file

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
    lines = [line.strip() for line in _text(Path(root) / "classes.txt").splitlines()]
    for number, name in enumerate(lines, start=1):
        if len(name.split()) > 1:
            instead = f"write {'_'.join(name.split())}, since labels in the lists are separated by spaces"
            raise ValueError(f"{root}/classes.txt, line {number}: the name {name!r} has a space; {instead}")
    names = [name for name in lines if name]
    if not names or len(set(names)) != len(names) or "background" in names:
        raise ValueError(f"{root}/classes.txt: needs one foreground class a line, no class twice, no `background`")
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
    reader = csv.DictReader(_text(path).splitlines())
    missing = {"image", "labels"} - set(reader.fieldnames or [])
    if missing:
        has = ",".join(reader.fieldnames or []) or "none"
        raise ValueError(f"{path}: needs the columns image,labels; it has {has}")
    listing, problems = Listing(classes), []
    seen: set[str] = set()
    masks: dict[Path, str] = {}
    for row in reader:
        image, found = row["image"] or "", (row["labels"] or "").split()
        unknown = [label for label in found if label not in classes[1:]]
        mask = mask_path(root, image) if image else Path()
        problem = ""
        if unknown:
            problem = f"label {unknown[0]!r} is not in classes.txt; it has {', '.join(classes[1:])}"
        elif not found:
            problem = f"image {image!r} has no label"
        elif not (Path(root) / "images" / image).is_file():
            problem = f"there is no image {root}/images/{image}"
        elif image in seen:
            problem = f"image {image!r} is listed twice"
        elif mask in masks and mask.is_file():
            problem = f"images {masks[mask]!r} and {image!r} would share the mask {mask}; rename one of them"
        seen.add(image)
        masks[mask] = image
        if problem:
            problems.append(f"{path}, line {reader.line_num}: {problem}")
        else:
            listing.names.append(image)
            listing.labels.append([int(c in found) for c in classes[1:]])
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


def fingerprint(root: str, lists: list[str]) -> str:
    """Hash of the lists, the class names, the images they name and the masks of the last list (12 hex digits)."""
    digest = hashlib.sha256("\n".join([READING, *read_classes(root)]).encode())
    for name in lists:
        digest.update((Path(root) / name).read_bytes() if (Path(root) / name).is_file() else b"")
        for image in read_list(root, name).names:
            digest.update((Path(root) / "images" / image).read_bytes())
            mask = mask_path(root, image)
            if name == lists[-1] and mask.is_file():
                digest.update(mask.read_bytes())
    return digest.hexdigest()[:12]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a byte-order mark in front
    except OSError:
        raise ValueError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None
