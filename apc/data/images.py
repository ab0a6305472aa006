"""Photographs from files, whatever camera or program wrote them, and the images a split hands out.

Shapes: B images, S side of the resized image, H,W the photograph's own pixels.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.io import decode_jpeg

from apc.data.headers import LIMIT, opened
from apc.data.jpegs import is_cut
from apc.data.transforms import squash
from apc.parallel import cores, prefetch

IN_MEMORY = 2**30
"""Bytes of resized images a split holds in memory; more are decoded when they are asked for."""


class Reading(NamedTuple):
    """How photographs are read."""

    turned: bool = True
    """Whether they are turned as their EXIF says. VOC and COCO are drawn on the pixels as stored."""
    max_pixels: int = LIMIT
    """Pixels a file may announce; one with more is refused before anything of it is decoded."""


PLAIN = Reading()
"""Photographs of one's own."""


class Undecodable(ValueError):
    """A file that is no whole image; the sentence names it."""


class Images(Protocol):
    """Resized images by number: a tensor in memory, a memory map, or files that are decoded when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: int | list[int] | Tensor, /) -> Tensor:
        """Image `which`, (3,S,S) uint8, or several of them, (B,3,S,S) uint8."""


class Lazy:
    """Images made one by one when they are asked for; several threads may ask at once."""

    def __init__(self, make: Callable[[int], Tensor], count: int) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, which: int | list[int] | Tensor, /) -> Tensor:
        if np.ndim(which) == 0:
            assert 0 <= int(which) < self.count, f"image {which} of {self.count}"  # type: ignore[arg-type]
            return self.make(int(which))  # type: ignore[arg-type]
        numbers = [int(i) for i in which]  # type: ignore[union-attr]
        return torch.stack([self[i] for i in numbers])


class Kept(Lazy):
    """Images (n,3,S,S) uint8 that are made when they are first asked for, and then stay in memory."""

    def __init__(self, make: Callable[[int], Tensor], count: int, size: int) -> None:
        super().__init__(self._once, count)
        self._made, self._there = make, np.zeros(count, bool)
        self._images = torch.empty(count, 3, size, size, dtype=torch.uint8)  # no memory until it is written to

    def _once(self, i: int) -> Tensor:
        if not self._there[i]:  # two threads that ask at once make the same
            self._images[i] = self._made(i)
            self._there[i] = True
        return self._images[i]


def decoded(paths: Sequence[Path], size: int, how: Reading = PLAIN, *, lazily: bool = False) -> Images:
    """Images of files, squashed to S = `size`. Where they fit into IN_MEMORY they are decoded now, or `lazily` once
    each is asked for; more are decoded whenever they are asked for."""
    lazy = Lazy(lambda i: squash(decode(paths[i], how), size), len(paths))
    if len(paths) * 3 * size**2 > IN_MEMORY:
        return lazy
    if lazily:
        return Kept(lazy.make, len(paths), size)
    images = torch.empty(len(paths), 3, size, size, dtype=torch.uint8)
    for i, image in enumerate(prefetch(range(len(paths)), lazy.make, min(cores(), len(paths)))):
        images[i] = image
    return images


def decode(path: Path, how: Reading = PLAIN) -> np.ndarray:
    """A photograph as (H,W,3) uint8; ValueError names the file that is absent or, as Undecodable, cannot be decoded.

    It is turned as its EXIF says, unless `how` leaves it as it is stored. 16-bit grey is scaled to 8 bits, what is
    transparent becomes white, CMYK and the like are converted as Pillow does; of an animation the first picture is
    taken.
    """
    try:
        data = path.read_bytes()
        with opened(io.BytesIO(data), how.max_pixels) as image:
            pixels = _plain_jpeg(image, data, how)
            if pixels is None:
                pixels = np.array(_rgb(ImageOps.exif_transpose(image) if how.turned else _as_stored(image)))
            scans = "progressive" in image.info
        if is_cut(data, pixels, scans):
            raise ValueError("its picture ends before its last rows")
        return pixels
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such image") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like for a damaged file
        raise Undecodable(f"{path}: the image cannot be decoded ({why_unreadable(path, error)})") from None


def why_unreadable(path: Path, error: Exception) -> str:
    """Why Pillow cannot read a file, for a person: what is missing where it is of a kind that needs a package."""
    if not isinstance(error, UnidentifiedImageError):
        return str(error)
    with open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in HEIF:
        return "a HEIC photograph; `pip install pillow-heif` lets it be read"
    return "of none of the formats that are read"


HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
"""What stands in the first bytes of a file that a phone calls .heic."""


def size_of(path: Path, how: Reading = PLAIN) -> tuple[int, int]:
    """Height and width that `decode` gives, from the file's header alone where that tells; ValueError as `decode`."""
    return _header(path, how)[0]


def _header(path: Path, how: Reading) -> tuple[tuple[int, int], bool]:
    """`size_of`, and whether it is a JPEG that is sent in several scans."""
    try:
        with opened(path, how.max_pixels) as image:
            scans = "progressive" in image.info
            if not how.turned:
                return _as_stored(image).size[::-1], scans
            if image.format == "TIFF":  # Pillow turns these itself, when it loads them
                image.load()
            elif _turned(image) >= 5:  # by a quarter
                return image.size, scans
            return image.size[::-1], scans
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such image") from None
    except MemoryError:
        raise
    except Exception as error:
        raise Undecodable(f"{path}: the image cannot be decoded ({why_unreadable(path, error)})") from None


def require_whole(path: Path, how: Reading = PLAIN) -> None:
    """ValueError where a photograph looks truncated: a look at both ends, and decoding where that leaves a doubt."""
    _, scans = _header(path, how)
    with open(path, "rb") as file:
        file.seek(-min(12, path.stat().st_size), 2)
        end = file.read()
    if scans or not end.endswith((b"\xff\xd9", b"IEND\xaeB`\x82")):  # phones write more after a JPEG's end
        decode(path, how)


def _turned(image: Image.Image) -> int:
    """EXIF's orientation, 0 for an image that is upright."""
    orientation = int(image.getexif().get(0x0112, 1))
    return orientation if 2 <= orientation <= 8 else 0


_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What undoes each of EXIF's orientations."""


def _as_stored(image: Image.Image) -> Image.Image:
    """The pixels in the order of the file."""
    if image.format != "TIFF" or not (orientation := _turned(image)):
        return image
    image.load()  # which turns it
    return image.transpose(_BACK[orientation])


def _plain_jpeg(image: Image.Image, data: bytes, how: Reading) -> np.ndarray | None:
    """Pixels of a colour JPEG that is upright, or to be left as it is stored, from torchvision: Pillow's own, by the
    same library and a fifth sooner.

    None where there is any doubt: Pillow knows more formats, and says what is wrong with a file.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    if how.turned and b"Orientation" in data[: 1 << 16] + image.info.get("xmp", b""):  # as XMP says it
        return None
    if "exif" in image.info and (image.format != "JPEG" or (how.turned and _turned(image))):
        return None
    try:
        pixels = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    except RuntimeError:  # built without libjpeg, or a damaged file
        return None
    return pixels.permute(1, 2, 0).numpy() if len(pixels) == 3 else None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):  # Pillow's own conversion would clip at 255
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("its pixels have more than 16 bits; save it with 8 or 16 bits a channel")
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
