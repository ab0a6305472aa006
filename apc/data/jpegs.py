"""JPEGs whose picture ends early though the file is closed as if it were whole: decoders fill the rest with grey and
call it a warning, which neither Pillow nor torchvision passes on."""

import io

import numpy as np

from apc.data.headers import opened

END = b"\xff\xd9"
GREYS = (128, 64)
"""What a decoder paints where there is no data, coefficients of 0: in RGB, and in CMYK as it is shown."""
_BYTES = bytes(range(1, 255))
FILLER = 8 * _BYTES + b"".join(bytes([0xFF, 0xD0 + number]) + _BYTES for number in range(8))
"""Data that goes on with a picture that lacks some, at once or behind a restart marker, and that is passed over behind
one that is complete."""


_complete: set[int] = set()
"""Hashes of the files that were looked into and lack nothing: training reads each of them once an epoch."""


def is_cut(data: bytes, pixels: np.ndarray, scans: bool) -> bool:
    """Whether the picture in a JPEG's file, which decodes to `pixels` (H,W,3), lacks its end: more data before the end
    of one that is complete changes no pixel.

    That is looked into where it is sent in several `scans`, and where a corner is grey, whichever way the picture was
    turned.
    """
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    grey = any((abs(corners - level) <= 1).all(1).any() for level in GREYS)
    if not data.startswith(b"\xff\xd8\xff") or not (scans or grey) or hash(data) in _complete:
        return False
    end = data.rfind(END)
    size = pixels.shape[0] * pixels.shape[1]
    if end > 0 and not np.array_equal(_decoded(data, size), _decoded(data[:end] + FILLER + data[end:], size)):
        return True
    _complete.add(hash(data))
    return False


def _decoded(data: bytes, max_pixels: int) -> np.ndarray:
    with opened(io.BytesIO(data), max_pixels) as image:
        return np.asarray(image)
