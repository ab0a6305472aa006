"""Your own photographs: images/, masks/ (for scoring), lists with the columns image,labels, and classes.txt.

`classes.txt` names a foreground class a line; in masks (palette or grey PNG named after the image) 0 is background,
1.. the lines of classes.txt, 255 ignore. Labels of an image are class names separated by spaces; none, or `background`,
where it shows nothing of them. Masks are drawn on the image as it is seen: turned as its EXIF says.
"""

import functools
import hashlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch

from apc.config import Config
from apc.data.cache import Files, images_of, lacking, made_too_early, place_of
from apc.data.images import PLAIN, Reading, Undecodable, decode, size_of
from apc.data.lists import Folder, ListFile, leaves, open_list, read_text, same_name
from apc.data.masks import Truth, WrongSize, read_mask, truth_in
from apc.data.prepared import folder_of
from apc.data.split import Split, chosen, list_of, side_of
from apc.files import fingerprint_unless_known
from apc.parallel import each

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
    """Files below images/, spelt as they are there."""
    labels: list[list[int]] = field(default_factory=list)
    """A 0/1 list a class an image, background left out."""
    masks: list[Path] = field(default_factory=list)
    """Where the mask of each image stands, if there is one."""
    unsure: set[str] = field(default_factory=set)
    """Images of lines with a slip behind the image, as `scan` lists them, without a label."""


def read_classes(root: str) -> list[str]:
    """Class names with `background` first."""
    if not root:
        raise ValueError("root is empty; give the folder of your photographs with --root")
    if not Path(root).is_dir():
        raise ValueError(f"root is {root!r}; there is no such folder")
    path = Path(root) / "classes.txt"
    names = [line.strip() for line in read_text(path).rstrip().splitlines()]
    require_classes(path, names)
    return ["background", *names]


def require_classes(path: Path, names: list[str]) -> None:
    """ValueError where classes.txt cannot have these lines."""
    for number, name in enumerate(names, start=1):
        if reason := _no_class(name):
            raise ValueError(f"{path}, line {number}: {reason}")
    if not names or len({same_name(name) for name in names}) != len(names):
        raise ValueError(f"{path}: needs one foreground class a line, no class twice, no `background`")
    if len(names) > MOST_CLASSES:
        most = f"{MOST_CLASSES} are the most, since masks are 8-bit: 0 is background and 255 is ignored"
        raise ValueError(f"{path}: names {len(names):,} classes; {most}")


def _no_class(name: str) -> str:
    """Why a line of classes.txt names no foreground class; empty where it does."""
    if not name:
        return "is empty; the classes are numbered by their lines, so an empty one would shift all behind it"
    if len(name.split()) > 1:
        instead = f"write {'_'.join(name.split())}, since labels in the lists are separated by spaces"
        return f"the name {name!r} has a space; {instead}"
    bare = name.casefold().strip("_")
    if bare == "background" or (bare == "ignore" and name.startswith("_")):
        why = "0 is the background and 255 is ignored in every mask, so the first line is class 1"
        return f"{name!r} is no class of its own ({why}); remove the line, and no `background` is missed"
    return ""


def read_list(root: str, name: str) -> Listing:
    """Names and image labels of one list; ValueError names file, line and choices."""
    listing, problems = scan(root, name)
    if problems:
        raise ValueError(problems[0])
    return listing


def scan(root: str, name: str) -> tuple[Listing, list[str]]:
    """The lines of one list whose image is there, and a sentence for each slip; ValueError where it is no list."""
    classes = read_classes(root)
    path = Path(root) / name
    listed = open_list(path) if path.is_file() else _none_there(root, name)
    if {"image", "labels"} - set(listed.columns):
        raise ValueError(f"{path}: {_no_columns(root, listed)}")
    listing, problems, lines = Listing(classes), [], 0
    folders = _Folders(root)
    taken: dict[Path, str] = {}
    numbers = {same_name(label): c for c, label in enumerate(classes[1:])}
    for line, row in listed.rows():
        lines += 1
        try:
            image, mask = folders.find(row.get("image", ""))
        except ValueError as error:
            problems.append(f"{path}, line {line}: {error}")
            continue
        labels = [0] * len(numbers)
        try:
            labels = _labels(row, numbers, classes)
            if mask in taken and mask.is_file():
                both = f"images {taken[mask]!r} and {image!r}"
                raise ValueError(f"{both} would share the mask {mask}; rename one of them")
        except ValueError as error:
            problems.append(f"{path}, line {line}: {error}")
            listing.unsure.add(image)
        taken[mask] = image
        listing.names.append(image)
        listing.labels.append(labels)
        listing.masks.append(mask)
    if not lines:
        raise ValueError(f"{path}: lists no image")
    if not problems and not any(map(any, listing.labels)):
        raise ValueError(f"{path}: no image has a label; name the classes of {root}/classes.txt that each one shows")
    return listing, problems


def _none_there(root: str, name: str) -> NoReturn:
    """ValueError for a list that is not there; where one for validation alone is missing, with what makes it."""
    lacks = f"{Path(root) / name}: there is no such file"
    if name == "val.csv" and (Path(root) / "train.csv").is_file():
        command = shlex.join(["apc", "data", "split", "--root", root, "--lists", "train.csv", "--replace"])
        lacks += f"; `{command}` draws it from train.csv"
    raise ValueError(lacks)


def _no_columns(root: str, listed: ListFile) -> str:
    """What is to be said of a list without the columns image,labels."""
    heading = listed.columns[0] if len(listed.columns) == 1 else ""
    for sign, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if {"image", "labels"} <= {part.strip() for part in heading.split(sign)}:
            images = str(Path(root) / "images")
            command = shlex.join(["apc", "data", "import", "csv", str(listed.path), "--images", images, "--out", "NEW"])
            remedy = f"save it with commas, or have it read with `{command}`"
            return f"needs the columns image,labels; it has {heading}, separated by {word}: {remedy}"
    return f"needs the columns image,labels; it has {','.join(listed.columns) or 'none'}"


class _Folders:
    """images/ and masks/ of a data set."""

    def __init__(self, root: str) -> None:
        self.root, self.images, self.masks = root, Folder(Path(root) / "images"), Folder(Path(root) / "masks")
        self.seen: set[str] = set()

    def find(self, name: str) -> tuple[str, Path]:
        """The file of an image, below images/, and where its mask stands; ValueError where there is no such image."""
        if reason := leaves(name.strip()):
            raise ValueError(f"image {name!r} {reason}")
        image = self.images.find(name)
        if image is None:
            raise ValueError(f"there is no image {f'{self.root}/images/{name}'!r}")
        if image in self.seen:
            raise ValueError(f"image {image!r} is listed twice")
        self.seen.add(image)
        mask = mask_path(self.root, image)
        return image, self.masks.path / (self.masks.find(mask.relative_to(self.masks.path).as_posix()) or mask)


def _labels(row: dict[str, str], numbers: dict[str, int], classes: list[str]) -> list[int]:
    """A 0/1 list of the classes that a line names; ValueError for other names."""
    if "labels" not in row:
        raise ValueError(
            f"image {row['image']!r} has no cell for its labels; write a comma behind it if it shows nothing"
        )
    labels = [0] * len(numbers)
    for label in row["labels"].split():
        if label != "background":
            if (number := numbers.get(same_name(label))) is None:
                raise ValueError(f"label {label!r} is not in classes.txt; it has {', '.join(classes[1:])}")
            labels[number] = 1
    return labels


def mask_path(root: str, name: str) -> Path:
    """Where the mask of image `name` stands, if there is one of that very spelling."""
    return (Path(root) / "masks" / name).with_suffix(".png")


def truth_of(image: Path, mask: Path, num_classes: int, how: Reading = PLAIN) -> Truth | None:
    """What the mask of a photograph holds, None where there is no file for it; ValueError where they do not fit."""
    return _fitting(truth_in, image, mask, num_classes, how) if mask.is_file() else None


def _fitting(read: Callable[..., Any], image: Path, mask: Path, num_classes: int, how: Reading) -> Any:
    """`read` of a mask, at the size of its photograph."""
    try:
        return read(mask, size_of(image, how), num_classes, how.max_pixels)
    except WrongSize as error:
        if error.mask != size_of(image, how._replace(turned=False)):
            raise
        why = "it fits the photograph as it is stored, before its EXIF turns it: turn the mask, or save the photograph"
        raise ValueError(f"{error} ({why} without that tag)") from None


def load(cfg: Config, split: str, *, lazily: bool = False) -> Split:
    """Split `train` or `val` of the photographs below `root`; see data.load."""
    root, name, how = Path(cfg.root), list_of(cfg, split), Reading(max_pixels=cfg.max_pixels)
    listing, stored = read_list(cfg.root, name), files(cfg.root, name)._replace(how=how)
    broken = _broken(stored, side_of(cfg, split)) if cfg.skip_broken else {}
    whole = [i for i in range(len(listing.names)) if i not in broken]
    if not whole:
        raise ValueError(f"{root / name}: none of its {len(listing.names)} photographs can be decoded")
    rows = [whole[i] for i in chosen(cfg, split, len(whole))]
    paths, masks = [stored.paths[i] for i in rows], [listing.masks[i] for i in rows]
    num_classes = len(listing.classes)
    loaded = Split(
        listing.classes,
        [listing.names[i] for i in rows],
        torch.tensor([listing.labels[i] for i in rows], dtype=torch.float32),
        images_of(stored, rows, side_of(cfg, split), verified=cfg.skip_broken, lazily=lazily),
        photo=lambda i: decode(paths[i], how),
        place=str(root / name),
        skipped=list(broken.values()),
        listed=len(listing.names),
        rows=rows,
    )
    if split != "train":
        loaded.mask = lambda i: (
            _fitting(read_mask, paths[i], masks[i], num_classes, how) if masks[i].is_file() else None
        )
        loaded.truth = lambda i: truth_of(paths[i], masks[i], num_classes, how)
    return loaded


def _broken(stored: Files, size: int) -> dict[int, str]:
    """Photographs of a list that cannot be decoded, by number, each with the sentence that names it."""
    known = lacking(stored, size)
    if known is None:
        return _broken_at(stored.key(0), tuple(stored.paths), stored.how)
    left_out = tuple(stored.paths[i] for i in known)
    still = _broken_at(stored.key(0), left_out, stored.how) if left_out else {}
    if whole := [path for i, path in enumerate(left_out) if i not in still]:
        raise ValueError(made_too_early(stored, size, whole[0]))
    return known


@functools.lru_cache(maxsize=8)
def _broken_at(key: str, paths: tuple[Path, ...], how: Reading) -> dict[int, str]:
    """`_broken`, found by decoding all; remembered for files of one `key`."""

    def look(path: Path) -> str:
        try:
            decode(path, how)
        except Undecodable as error:
            return str(error)
        return ""

    return {i: reason for i, reason in enumerate(each(list(paths), look, "looking for broken photographs")) if reason}


def files(root: str, name: str) -> Files:
    """The photographs of one list; each is known by its name, size and time of last change."""
    names = read_list(root, name).names
    paths = [Path(root) / "images" / image for image in names]
    stats = [path.stat() for path in paths]
    keys = [f"{image} {s.st_size} {s.st_mtime_ns}" for image, s in zip(names, stats, strict=True)]
    command = f"apc data cache folder --root {shlex.quote(root)} --lists {shlex.quote(name)}"
    return Files(paths, keys, place_of(folder_of(root, "folder") / "cache", Path(root), name), command)


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
        listing = read_list(root, name)
        for image, mask in zip(listing.names, listing.masks, strict=True):
            digest.update(depends_on(Path(root) / "images" / image).read_bytes())
            if name == lists[-1] and depends_on(mask).is_file():
                digest.update(mask.read_bytes())
    return digest.hexdigest()[:12]


def provenance(cfg: Config) -> dict[str, Any]:
    """The photographs that `skip_broken` left out; the fingerprint says all else."""
    if not cfg.skip_broken:
        return {}
    skipped = {}
    for split in SPLITS:
        stored = files(cfg.root, list_of(cfg, split))._replace(how=Reading(max_pixels=cfg.max_pixels))
        skipped[split] = [stored.paths[i].name for i in _broken(stored, side_of(cfg, split))]
    return {"skipped": skipped}
