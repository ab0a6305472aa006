"""Tiny files of many formats whose headers announce 65500 x 65500 pixels, or what the format has at most."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

SIDE = 65500


def saved(kind: str, **options: object) -> bytes:
    """An image of 16 x 16 pixels of one format."""
    out = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(out, kind, **options)
    return out.getvalue()


def replaced(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def jpeg(frame: bytes = b"\xff\xc0", **options: object) -> bytes:
    data = saved("JPEG", **options)
    return replaced(data, data.index(frame) + 5, struct.pack(">HH", SIDE, SIDE))


def png(data: bytes = b"") -> bytes:
    data = data or saved("PNG")
    at = data.index(b"IHDR")
    header = b"IHDR" + struct.pack(">II", SIDE, SIDE) + data[at + 12 : at + 17]
    return replaced(data, at, header + struct.pack(">I", zlib.crc32(header)))


def gif() -> bytes:
    return replaced(saved("GIF"), 6, struct.pack("<HH", SIDE, SIDE))


def gif_frame() -> bytes:
    """The screen is small, the picture on it is not."""
    data = saved("GIF")
    return replaced(data, data.index(b",\0\0\0\0\x10\0\x10\0") + 5, struct.pack("<HH", SIDE, SIDE))


def bmp() -> bytes:
    return replaced(saved("BMP"), 18, struct.pack("<ii", SIDE, SIDE))


def tiff(**options: object) -> bytes:
    data = saved("TIFF", **options)
    for tag in (256, 257, 278):  # width, height, rows of a strip
        for kind in (3, 4):
            data = data.replace(struct.pack("<HHII", tag, kind, 1, 16), struct.pack("<HHII", tag, 4, 1, SIDE))
    return data


def webp() -> bytes:
    data = saved("WEBP", lossless=True)
    return replaced(data, 21, struct.pack("<I", 0x0FFFFFFF))  # 16384 x 16384


def ico() -> bytes:
    """The folder of icons says 16 x 16, the PNG inside does not."""
    return png(saved("ICO", sizes=[(16, 16)]))


HUGE: dict[str, Callable[[], bytes]] = {
    "a.jpg": jpeg,
    "exif.jpg": lambda: jpeg(exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0"),
    "scans.jpg": lambda: jpeg(b"\xff\xc2", progressive=True),
    "a.png": png,
    "a.gif": gif,
    "frame.gif": gif_frame,
    "a.bmp": bmp,
    "a.tif": tiff,
    "deflated.tif": lambda: tiff(compression="tiff_deflate"),
    "a.webp": webp,
    "a.ppm": lambda: b"P6 65500 65500 255\n" + bytes(99),
}
