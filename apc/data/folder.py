"""Your own photographs: images/, masks/ (for scoring), lists with the columns image,labels, and classes.txt.

`classes.txt` names a foreground class a line; in masks (palette or grey PNG named after the image) 0 is background,
1.. the lines of classes.txt, 255 ignore. Labels of an image are class names separated by spaces.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError


@dataclass
class Listing:
    """A list of images with their image labels."""

    classes: list[str]
    names: list[str]
    labels: list[list[int]]
    """A 0/1 list a class an image, background left out."""


def read_classes(root: str) -> list[str]:
    """Class names with `background` first."""
    if not root:
        raise ValueError("root is empty; give the folder of your photographs with --root")
    if not Path(root).is_dir():
        raise ValueError(f"root is {root!r}; there is no such folder")
    names = _text(Path(root) / "classes.txt").split()
    if not names or len(set(names)) != len(names) or "background" in names:
        raise ValueError(f"{root}/classes.txt: needs one foreground class a line, no class twice, no `background`")
    return ["background", *names]


def read_list(root: str, name: str) -> Listing:
    """Names and image labels of one list; ValueError names file, line and choices."""
    classes = read_classes(root)
    path = Path(root) / name
    reader = csv.DictReader(_text(path).splitlines())
    missing = {"image", "labels"} - set(reader.fieldnames or [])
    if missing:
        has = ",".join(reader.fieldnames or []) or "none"
        raise ValueError(f"{path}: needs the columns image,labels; it has {has}")
    names: list[str] = []
    labels: list[list[int]] = []
    for line, row in enumerate(reader, start=2):
        image, found = row["image"] or "", (row["labels"] or "").split()
        unknown = [label for label in found if label not in classes[1:]]
        if unknown:
            has = ", ".join(classes[1:])
            raise ValueError(f"{path}, line {line}: label {unknown[0]!r} is not in classes.txt; it has {has}")
        if not found:
            raise ValueError(f"{path}, line {line}: image {image!r} has no label")
        if not (Path(root) / "images" / image).is_file():
            raise ValueError(f"{path}, line {line}: there is no image {root}/images/{image}")
        names.append(image)
        labels.append([int(c in found) for c in classes[1:]])
    if not names:
        raise ValueError(f"{path}: lists no image")
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ValueError(f"{path}: image {twice!r} is listed twice")
    return Listing(classes, names, labels)


def read_image(root: str, name: str) -> np.ndarray:
    """Photograph as (H,W,3) uint8, turned as its EXIF says."""
    path = Path(root) / "images" / name
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise ValueError(f"{path}: the image cannot be decoded ({error})") from None


def read_mask(root: str, name: str, num_classes: int) -> np.ndarray | None:
    """Mask of a photograph as (H,W) uint8, or None where there is no file for it."""
    path = (Path(root) / "masks" / name).with_suffix(".png")
    if not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            mask = np.asarray(image if image.mode in ("P", "L") else image.convert("L"), dtype=np.uint8)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise ValueError(f"{path}: the mask cannot be decoded ({error})") from None
    with Image.open(Path(root) / "images" / name) as image:
        size = ImageOps.exif_transpose(image).size
    if mask.shape != size[::-1]:
        raise ValueError(f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image {size[0]}x{size[1]}")
    strange = set(np.unique(mask)) - {*range(num_classes), 255}
    if strange:
        known = f"the classes are 0 to {num_classes - 1}, 255 is ignored"
        raise ValueError(f"{path}: the mask has the value {min(strange)}; {known}")
    return mask


def fingerprint(root: str, lists: list[str]) -> str:
    """Hash of the lists, the class names, the images they name and the masks of the last list (12 hex digits)."""
    digest = hashlib.sha256("\n".join(read_classes(root)).encode())
    for name in lists:
        digest.update((Path(root) / name).read_bytes() if (Path(root) / name).is_file() else b"")
        for image in read_list(root, name).names:
            digest.update((Path(root) / "images" / image).read_bytes())
            mask = (Path(root) / "masks" / image).with_suffix(".png")
            if name == lists[-1] and mask.is_file():
                digest.update(mask.read_bytes())
    return digest.hexdigest()[:12]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        raise ValueError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file") from None
