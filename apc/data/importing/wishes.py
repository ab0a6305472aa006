"""What whoever imports says beside the source."""

from dataclasses import dataclass

from apc.data.headers import LIMIT


@dataclass(frozen=True)
class Wishes:
    """What no file of the source may tell."""

    classes: tuple[str, ...] = ()
    """Class names in the order of the masks' numbers."""
    separator: str = ""
    """What stands between several labels in a cell of a table."""
    labels: str = ""
    """Heading of the column of labels in a table, or names of Label Studio's controls with commas between them."""
    take_unlabelled: bool = False
    """Photographs that no file, line or mask is of show none of the classes."""
    max_pixels: int = LIMIT
    """Pixels a photograph or mask may have."""

    @property
    def of_tables(self) -> str:
        """What is said of tables alone, as an error's sentence begins; empty where nothing is."""
        if self.labels:
            return f"labels is {self.labels!r}"
        return f"separator is {self.separator!r}" if self.separator else ""
