"""Orientations written into photographs that are left as they are otherwise."""

from pathlib import Path

from PIL import Image


def tagged(path: Path, orientation: int) -> None:
    """Give a JPEG an EXIF orientation; its pixels stay, to the byte."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    told, data = exif.tobytes(), path.read_bytes()
    assert data.startswith(b"\xff\xd8")
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(told) + 2).to_bytes(2, "big") + told + data[2:])
