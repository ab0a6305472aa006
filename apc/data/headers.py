"""What stands between an image's file and its decoder: a look at the header, and silence while decoders run.

A kilobyte may announce gigabytes, so no decoder sees a file before its header was read and its pixels were counted.
"""

import ctypes
import io
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

try:  # the extra `heic`
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pass
Image.init()
FORMATS = sorted(
    {"AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"} & Image.OPEN.keys()
)
"""Formats that are read. Pillow knows more, some of which nobody's photographs have, and one starts another program: of
EPS it is Ghostscript."""

_FURTHER = {".avif", ".heic", ".heif", ".hif", ".mpo"}
SUFFIXES = _FURTHER | {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
"""Suffixes of photographs: those of FORMATS, those that Pillow does not connect with one of them, and those of what is
read where a package for it is there."""

LIMIT = 178_956_970
"""Pixels an image may have where nothing else is asked for: those beyond which Pillow, by default, refuses a file
(twice its MAX_IMAGE_PIXELS)."""

# Of what Pillow says only errors count, and these are told in a sentence that names the file.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
logging.getLogger("PIL").propagate = False  # nor to a handler of the root, which experiments have


@contextmanager
def opened(file: Path | io.BytesIO, max_pixels: int = LIMIT) -> Iterator[Image.Image]:
    """An image of which only the header has been read; decoders write nothing to the terminal inside.

    ValueError where the header, or that of an image inside it, announces more than `max_pixels`.
    """
    if (
        max_pixels > LIMIT and Image.MAX_IMAGE_PIXELS is not None
    ):  # Pillow refuses twice as many, and it has one limit for all
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, -(-max_pixels // 2))
    try:
        with silent_decoders(), Image.open(file, formats=FORMATS) as image:
            _require_few(image.width * image.height, max_pixels)
            yield image
    except Image.DecompressionBombError as error:  # "Image size (N pixels) exceeds limit of ..."
        _require_few(int(re.findall(r"\d+", str(error))[0]), max_pixels)
        raise ValueError(error) from None  # Pillow's limit was set lower than ours


def _require_few(pixels: int, most: int) -> None:
    if pixels > most:
        read = f"at most {most / 1e6:.3g} are read; save it smaller, or raise --max-pixels"
        raise ValueError(f"its header says {pixels / 1e6:.0f} megapixels, and {read}")


class _Stderr:
    """The stream that C programs call stderr, which libjpeg and libtiff write their warnings to; Python has its own.

    torchvision and Pillow leave no other way to be rid of them: both link a libjpeg of their own, without a handler.
    """

    def __init__(self) -> None:
        self.lock, self.decoding = threading.Lock(), 0
        try:
            libc = ctypes.CDLL(None)
            libc.fopen.restype = ctypes.c_void_p
            self.stream = ctypes.c_void_p.in_dll(libc, "__stderrp" if sys.platform == "darwin" else "stderr")
            self.nowhere: int | None = libc.fopen(b"/dev/null", b"w")
        except (AttributeError, TypeError, ValueError, OSError):  # no such C library
            self.nowhere = None
        self.terminal = self.stream.value if self.nowhere else None

    def shut(self) -> None:
        """One more thread decodes."""
        with self.lock:
            self.decoding += 1
            if self.nowhere:
                self.stream.value = self.nowhere

    def reopen(self) -> None:
        """One thread less decodes; the last one gives the stream back."""
        with self.lock:
            self.decoding -= 1
            if self.nowhere and not self.decoding:
                self.stream.value = self.terminal


_STDERR = _Stderr()


@contextmanager
def silent_decoders() -> Iterator[None]:
    """Libraries written in C write no warnings while any thread is inside; Python's own stderr is not touched."""
    _STDERR.shut()
    try:
        yield
    finally:
        _STDERR.reopen()
