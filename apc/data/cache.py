"""Decoded images in one file, so that training waits for no JPEG: `apc data cache`. It changes no number.

`<list>-<side>.npy` holds the squashed images of a list, (n,S,S,3) uint8, and is read as a memory map. A JSON file
beside it says what it was made of (the hashes of the contents; for photographs of your own name, size and time of each
file), has a checksum for each image and names those that cannot be decoded, which are left out.

Shapes: S side of the resized image.
"""

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from apc.data.images import PLAIN, Images, Lazy, Reading, Undecodable, decode, decoded, require_whole
from apc.data.transforms import squash
from apc.files import hash_of, require_writable, sweep, whole, write_atomically
from apc.parallel import each

VERSION = 1
"""Raise it when decoding or resizing changes a pixel."""
SAMPLED = 16  # images whose checksum is compared when a cache is opened; `apc data check` compares all


class Files(NamedTuple):
    """The images of one list, and where their cache stands."""

    paths: list[Path]
    keys: list[str]
    """What identifies each image's contents."""
    cache: Path
    """Folder and first part of the name."""
    command: str
    """What makes the cache, on a command line."""
    how: Reading = PLAIN
    """How the photographs are read."""

    def file(self, size: int) -> Path:
        """The cache at one size."""
        return self.cache.with_name(f"{self.cache.name}-{size}.npy")

    def key(self, size: int) -> str:
        """What a cache of these images at one size is made of."""
        how = [] if self.how.turned else ["as stored"]  # of VOC and COCO earlier versions turned what EXIF turns
        return hash_of(json.dumps([VERSION, size, self.keys, *how]).encode())


def build(files: Files, size: int, *, skip_broken: bool = False) -> Path:
    """Decode a list's images over all cores into its cache; what is there already stays if it is whole.

    ValueError names an image that cannot be decoded, unless `skip_broken` leaves those out, and where all are such.
    """
    file = files.file(size)
    try:
        there = lacking(files, size)
    except ValueError:
        there = None  # stale or damaged: made again
    if there is not None and (not there or (skip_broken and not any(_is_whole(files, i) for i in there))):
        return file
    require_writable(file.parent)
    file.with_suffix(".json").unlink(missing_ok=True)
    sweep(file.parent)  # gigabytes of a build that was killed
    with whole(file) as part:
        images = open_memmap(part, mode="w+", dtype=np.uint8, shape=(len(files.paths), size, size, 3))
        _take_room(part)

        broken: dict[int, str] = {}

        def make(i: int) -> int:
            try:
                images[i] = squash(decode(files.paths[i], files.how), size).permute(1, 2, 0).numpy()
            except Undecodable as error:
                if not skip_broken:
                    raise
                broken[i], images[i] = str(error), 0
            return zlib.crc32(images[i])

        sums = each(list(range(len(files.paths))), make, f"{file.name}, {images.nbytes / 2**30:.1f} GiB")
        if len(broken) == len(sums):
            raise ValueError(f"none of the {len(sums)} photographs can be decoded; {broken[0]}")
        images.flush()
    described = {"key": files.key(size), "sums": sums} | ({"broken": broken} if broken else {})
    write_atomically(file.with_suffix(".json"), json.dumps(described))
    return file


def lacking(files: Files, size: int) -> dict[int, str] | None:
    """Images that the cache lacks since they cannot be decoded, by number, each with the sentence that names it; None
    where there is no cache, ValueError as `find`."""
    if find(files, size) is None:
        return None
    described = json.loads(files.file(size).with_suffix(".json").read_text(encoding="utf-8"))
    return {int(number): sentence for number, sentence in sorted(described.get("broken", {}).items())}


def _is_whole(files: Files, i: int) -> bool:
    """Whether an image can be decoded now, as it may after a package is installed or `max_pixels` is raised."""
    try:
        decode(files.paths[i], files.how)
    except Undecodable:
        return False
    return True


def made_too_early(files: Files, size: int, path: Path) -> str:
    """What to say of a cache that lacks an image which can be decoded now."""
    pixels = f" --max-pixels {files.how.max_pixels}" if files.how.max_pixels != PLAIN.max_pixels else ""
    command = f"{files.command} --image-size {size} --skip-broken{pixels}"
    return f"{files.file(size)}: leaves out {path}, which can be decoded now; make the cache again with `{command}`"


def place_of(caches: Path, top: Path, name: str) -> Path:
    """Folder and first part of the name of a list's caches: its path below `top` without suffix. A list from elsewhere
    is told from others of its name by the folder it lies in."""
    path = Path(os.path.normpath(top / name))
    inside = Path(os.path.normpath(top))
    if path.is_relative_to(inside):
        return caches / path.relative_to(inside).with_suffix("")
    return caches / f"{path.stem}-{hash_of(str(path.parent.absolute()).encode())}"


def _take_room(path: Path) -> None:
    """Fill a file of holes with blocks of the disk: on a full one that is an OSError here, but a bus error later."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def find(files: Files, size: int) -> np.ndarray | None:
    """The cached images (n,S,S,3), None where there is no cache; ValueError where it is stale or damaged."""
    file = files.file(size)
    if not file.is_file() or not file.with_suffix(".json").is_file():
        return None
    remedy = f"make it again with `{files.command} --image-size {size}`, or delete it"
    try:
        described = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        key, sums = described["key"], described["sums"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{file.with_suffix('.json')}: damaged; {remedy}") from None
    if key != files.key(size):
        raise ValueError(f"{file}: made of other images than those of the list; {remedy}")
    count = len(files.paths)
    try:
        images: np.ndarray = np.load(file, mmap_mode="r")
        fits = images.shape == (count, size, size, 3) and images.dtype == np.uint8 and len(sums) == count
    except (OSError, ValueError, EOFError):
        fits = False
    if not fits or broken(images, sums, range(0, count, max(count // SAMPLED, 1))):
        raise ValueError(f"{file}: damaged; {remedy}")
    return images


def broken(images: np.ndarray, sums: list[int], which: Sequence[int]) -> list[int]:
    """Those of the images `which` whose pixels are not those that were written."""
    return [i for i in which if zlib.crc32(images[i]) != sums[i]]


def cached(images: np.ndarray, rows: list[int]) -> Lazy:
    """The images `rows` of a cache."""

    def read(i: int) -> Tensor:
        return torch.from_numpy(np.array(images[rows[i]])).permute(2, 0, 1)

    return Lazy(read, len(rows))


def images_of(files: Files, rows: list[int], size: int, *, verified: bool, lazily: bool = False) -> Images:
    """The images `rows` of a list, squashed to S = `size`: from its cache where there is one, else from their files,
    which are decoded as `decoded` says.

    Files that are decoded only when asked for are looked at now, unless they are `verified`; ValueError names one that
    is truncated, or that its cache leaves out.
    """
    stored = find(files, size)
    if stored is not None:
        broken = lacking(files, size) or {}
        if (i := next((i for i in rows if i in broken), None)) is not None:
            whole_now = _is_whole(files, i) and made_too_early(files, size, files.paths[i])
            raise ValueError(whole_now or f"{broken[i]}; --skip-broken leaves it out")
        return cached(stored, rows)
    images = decoded([files.paths[i] for i in rows], size, files.how, lazily=lazily)
    if isinstance(images, Lazy) and not verified:
        for i in rows:
            require_whole(files.paths[i], files.how)
    return images
