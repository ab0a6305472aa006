"""Masks of photographs that EXIF turns: whether the tool that drew them showed the photographs turned.

Shapes: H,W pixels.
"""

from collections.abc import Iterable
from pathlib import Path

from apc.data.headers import opened
from apc.data.images import Reading, size_of
from apc.escaping import are, counted


def stored(photograph: Path, max_pixels: int) -> tuple[tuple[int, int], int]:
    """Height and width of a photograph as its file has it, and EXIF's number of how it is turned: 1 not at all, 2..4
    mirrored or upside down, 5..8 by a quarter."""
    size = size_of(photograph, Reading(turned=False, max_pixels=max_pixels))  # Pillow opens a TIFF as if it was turned
    with opened(photograph, max_pixels) as image:
        return size, int(image.getexif().get(0x0112, 1))


def drawn_as_stored(drawn: Iterable[tuple[Path, tuple[int, int] | None]], max_pixels: int) -> tuple[bool, int]:
    """Whether a tool drew on photographs before EXIF turns them, by the height and width that it says of each; and of
    how many photographs that cannot be told, where none tells it of all.

    Those that are turned by a quarter tell it: a single size as seen, and the tool showed all of them turned.
    """
    untold, told = 0, False
    for photograph, size in drawn:
        try:
            own, turn = stored(photograph, max_pixels)
        except (ValueError, OSError):  # it is told when the photograph is taken
            continue
        if 2 <= turn <= 4 or (5 <= turn <= 8 and own[0] == own[1]):
            untold += 1
        elif 5 <= turn <= 8 and size == own[::-1]:
            return False, 0
        elif 5 <= turn <= 8 and size == own:
            told = True
    return True, 0 if told else untold


def note_of(untold: int) -> str:
    """What to say of photographs of which it cannot be told."""
    turned = f"{counted(untold, 'photograph')} {are(untold)} turned by EXIF"
    taken = "they are taken as drawn on the pixels of the file; look at some of them"
    return f"{turned}, and nothing tells whether masks of such photographs are too: {taken}"
