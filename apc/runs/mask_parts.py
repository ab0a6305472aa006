"""Pseudo masks of the training images in a run's folder, a file for some images at a time, so that making them goes on
where it was when its process was killed. What lies there of another model, or damaged, is made again."""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apc.files import write_encoded

if TYPE_CHECKING:
    from numpy import ndarray

_NAME = re.compile(r"(\d{6,})-(\d{6,})-of-(\d{6,})\.npz")


class Part(NamedTuple):
    """What a file holds."""

    masks: "ndarray"
    """(n,S,S) uint8, 255 unknown."""
    cpu_seconds: float
    """Seconds of processors that they took."""


@dataclass(frozen=True)
class MaskParts:
    """The masks of a round of self-training."""

    folder: Path
    total: int
    """Images of all parts."""
    side: int
    """S."""
    made_by: str
    """Fingerprint of the model that makes them."""

    def load(self, part: range) -> Part | None:
        """The masks of the images `part`; None where they are not there, damaged or of another model."""
        import numpy as np

        try:
            with np.load(self._path(part)) as stored:
                found = Part(stored["masks"], float(stored["cpu_seconds"]))
                same = str(stored["made_by"]) == self.made_by
        except Exception:  # there may be anything in the file
            return None
        fits = found.masks.shape == (len(part), self.side, self.side) and found.masks.dtype == np.uint8
        return found if same and fits else None

    def save(self, part: range, made: Part) -> None:
        """Write the masks of the images `part`, whole or not at all."""
        import numpy as np

        encoded = io.BytesIO()
        np.savez_compressed(encoded, **made._asdict(), made_by=self.made_by)
        write_encoded(self._path(part), encoded.getvalue())

    def _path(self, part: range) -> Path:
        return self.folder / f"{part.start:06}-{part.stop - 1:06}-of-{self.total:06}.npz"


def under_way(folder: Path) -> str:
    """`128 of 651` where a folder has some of its masks and not yet all; else empty."""
    names = [_NAME.fullmatch(path.name) for path in folder.iterdir()] if folder.is_dir() else []
    parts = [tuple(map(int, name.groups())) for name in names if name]
    done, total = sum(last - first + 1 for first, last, _ in parts), max((total for *_, total in parts), default=0)
    return f"{done} of {total}" if done < total else ""
