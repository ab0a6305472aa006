"""What of a data set a score would never tell: masks held against the image labels beside them, and photographs that
are trained on and scored."""

from collections.abc import Sequence
from typing import NamedTuple

from apc.config import Config
from apc.data.masks import IGNORE, Truth
from apc.data.split import Split
from apc.escaping import say
from apc.parallel import cores, prefetch

FEW = 10
"""Masks, or photographs, that are named; the others are counted."""


class Held(NamedTuple):
    """A mask, and what the line of its image says."""

    name: str
    labels: frozenset[int]
    """Classes of the line."""
    truth: Truth

    @property
    def classes(self) -> frozenset[int]:
        """Classes that have a pixel in the mask."""
        return frozenset(value for value in self.truth.values if value not in (0, IGNORE))


class Agreement(NamedTuple):
    """What masks and labels say of each other."""

    notes: list[str]
    """What differs, in lines for a person; empty where nothing does."""
    refusal: str
    """Why a score would be wrong, in a sentence; empty where it would not."""


def require_scorable(split: Split, cfg: Config) -> list[str]:
    """What masks and labels of a split say of each other, in lines for a person; every mask is read that nothing has
    read before. ValueError where a score would be wrong."""
    held = [
        Held(split.names[i], frozenset(1 + c for c, shown in enumerate(labels) if shown), truth)
        for i, (labels, truth) in enumerate(zip(split.labels.tolist(), _truths(split), strict=True))
        if truth is not None
    ]
    found = compare(held, split.classes, split.place, own=cfg.dataset == "folder")
    if found.refusal:
        raise ValueError(found.refusal)
    return found.notes


def in_both(train: Split, val: Split) -> list[str]:
    """Notes on photographs that both lists of a folder name: what is learned by heart scores well."""
    if not (both := sorted(set(train.names) & set(val.names))):
        return []
    head = (
        f"note: {len(both)} of {len(val)} photographs of {val.place} are in {train.place} too, which flatters a score"
    )
    more = [f"  and {len(both) - FEW} more"] if len(both) > FEW else []
    return [head, *(f"  {name!r}" for name in both[:FEW]), *more]


def tell(notes: Sequence[str]) -> None:
    """Say what a person should know of the data."""
    for note in notes:
        say(note, error=True)


def _truths(split: Split) -> list[Truth | None]:
    """What each mask of a split holds."""
    return list(prefetch(range(len(split)), split.truth, 0 if split.verified else cores()))


def compare(held: Sequence[Held], classes: list[str], place: str, *, own: bool) -> Agreement:
    """Masks of the list at `place` against its labels.

    A score is refused where no mask has a pixel of a class that its own line names: of any one class where the masks
    are one's `own`, else of all of them, since of the objects of VOC and COCO some have no pixel.
    """
    differing = [one for one in held if one.classes != one.labels]
    notes = []
    if differing:
        head = f"note: {len(differing)} of {len(held)} masks of {place} {_what(differing, own)}"
        notes = [head, *(f"  {_line(one, classes)}" for one in differing[:FEW])]
        notes += [f"  and {len(differing) - FEW} more"] if len(differing) > FEW else []
    notes += _palettes(held, classes, place)
    named = frozenset[int]().union(*(one.labels for one in held))
    confirmed = frozenset[int]().union(*(one.labels & one.classes for one in held))
    absent = named - confirmed if own or not confirmed else frozenset()
    return Agreement(notes, _refusal(held, absent, classes, place, own) if absent else "")


def _what(differing: Sequence[Held], own: bool) -> str:
    if own and all(one.truth.values in ([IGNORE], [0, IGNORE]) for one in differing):
        return "hold 0 and 255 only: is 255 your class?"
    lacking, more = (any(a - b for a, b in pairs) for pairs in _both_ways(differing))
    both = "lack a class that their line names, or hold one that it does not"
    return both if lacking and more else both.split(", or ")[0] if lacking else "hold a class that their line does not"


def _both_ways(differing: Sequence[Held]) -> tuple[list[tuple[frozenset[int], frozenset[int]]], ...]:
    return [(one.labels, one.classes) for one in differing], [(one.classes, one.labels) for one in differing]


def _line(one: Held, classes: list[str]) -> str:
    labels = ", ".join(classes[c] for c in sorted(one.labels)) or "nothing"
    return f"{one.name!r}: its line names {labels}, its mask holds {_held(one.truth, classes)}"


def _held(truth: Truth, classes: list[str]) -> str:
    """`0 (background) and 2 (blue)`, of VOC and COCO the classes alone."""
    if not truth.values:
        return "no class"
    *first, last = [f"{value} ({classes[value] if value != IGNORE else 'ignored'})" for value in truth.values]
    return f"{', '.join(first)} and {last}" if first else last


def _palettes(held: Sequence[Held], classes: list[str], place: str) -> list[str]:
    """A note on masks whose colours are VOC's in another order: the numbers may be those of other classes."""
    if not (painted := [one for one in held if one.truth.painted]):
        return []
    one = painted[0]
    number, other = next(iter(one.truth.painted.items()))
    says = f"number {number} ({classes[number]}) has VOC's colour of {other} ({classes[other]})"
    notes = [f"note: the palette of {len(painted)} of {len(held)} masks of {place} suggests another order of classes"]
    return [*notes, f"  {one.name!r}: {says}; the number is what counts"]


def _refusal(held: Sequence[Held], absent: frozenset[int], classes: list[str], place: str, own: bool) -> str:
    names, more = [classes[c] for c in sorted(absent)], ""
    if len(names) > FEW:
        names, more = names[:FEW], f" and {len(names) - FEW} more"
    of = [one for one in held if one.labels & absent]
    first = f"the mask of {of[0].name!r} holds {_held(of[0].truth, classes)}"
    if own and all(one.truth.values in ([IGNORE], [0, IGNORE]) for one in of):
        numbers = ", ".join(f"{classes[c]} is {c}" for c in sorted(absent)[:FEW])
        first = f"{len(of)} of {len(held)} masks hold 0 and 255 only: is 255 your class? ({numbers}, 255 is ignored)"
    elif any(one.truth.painted for one in of):
        first += ", and its palette suggests another order of classes"
    remedy = "mend masks or labels, or move the masks away to train without a score"
    if not own:
        remedy = "outline single objects, since a crowd or a box has no pixels to be scored by"
    return (
        f"{place}: nothing can be scored, since no mask of an image whose line names {', '.join(names)}{more} has a "
        f"pixel of it: {first}; {remedy}"
    )
