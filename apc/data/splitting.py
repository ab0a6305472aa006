"""Training and validation lists: groups kept together, classes in the same shares, from a seed.

Classes are shared out by iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML 2011), with groups in place
of single images: the rarest class first, each of its groups to the list that lacks most of it.
"""

import csv
import io
import itertools
import json
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from apc.data import folder
from apc.data.headers import LIMIT
from apc.data.images import Reading, decode
from apc.data.lists import open_list, same_name
from apc.escaping import counted
from apc.files import write_atomically
from apc.parallel import each


@dataclass(frozen=True)
class Division:
    """How photographs are divided."""

    val: float = 0.2
    """Share of the validation list."""
    group: str = ""
    """Photographs that stay together: "folder", "near" (alike by a perceptual hash), a column, or empty."""
    near: int = 6
    """Bits of 64 in which the perceptual hashes of photographs that are alike may differ."""
    seed: int = 0
    max_pixels: int = LIMIT
    """Pixels a photograph may have."""

    def __post_init__(self) -> None:
        if not 0 < self.val < 1:
            raise ValueError(f"val is {self.val}; it must lie between 0 and 1")
        if not 0 <= self.near < 32:
            raise ValueError(f"near is {self.near}; it must lie between 0 and 31")


@dataclass(frozen=True)
class Member:
    """A photograph to be divided."""

    name: str
    labels: frozenset[str]
    columns: dict[str, str] = field(default_factory=dict)
    masked: bool = False


def divide(members: Sequence[Member], division: Division, images: Path) -> tuple[list[bool], list[str]]:
    """For each photograph whether it is for validation, and notes for a person.

    Where any has a mask, those that are scored are taken from groups that have one.
    """
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(_keys(members, division, images)):
        groups[key].append(index)
    if len(groups) < 2:
        many = counted(len(members), "photograph")
        kept = f", and all are of one group of {division.group!r}" if len(members) > 1 else ""
        raise ValueError(f"{images}: {many} cannot be divided into two lists{kept}")
    labels = [members[i].labels or {""} for i in range(len(members))]  # nothing in it is a class here
    masked = any(member.masked for member in members)
    ids = list(groups.values())
    able = [not masked or any(members[i].masked for i in group) for group in ids]
    chosen = stratified([Counter(name for i in group for name in labels[i]) for group in ids], able, division)
    of_val = [False] * len(members)
    for group, val in zip(ids, chosen, strict=True):
        for i in group:
            of_val[i] = val
    notes = []
    if division.group:
        largest = max(len(group) for group in ids)
        groups_told = f"{counted(len(ids), 'group')} by {division.group}, the largest of {largest}"
        notes.append(f"{counted(len(members), 'photograph')} in {groups_told}")
    if masked and not all(able):
        with_a_mask = counted(sum(member.masked for member in members), "photograph")
        notes.append(f"val is drawn from the {with_a_mask} with a mask")
    everywhere = {name for names in labels for name in names if name}
    for wanted, split in ((True, "val"), (False, "train")):
        there = {name for names, val in zip(labels, of_val, strict=True) if val is wanted for name in names}
        if lacking := sorted(everywhere - there):
            notes.append(f"{split} has no photograph of {', '.join(lacking)}: too few groups show it")
    return of_val, notes


def stratified(groups: Sequence[Counter[str]], able: Sequence[bool], division: Division) -> list[bool]:
    """Which groups are for validation; `groups` counts images by class, `able` says which may be."""
    order = list(range(len(groups)))
    random.Random(division.seed).shuffle(order)
    sums, left = Counter[str](), Counter[str]()
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for g in order:
        sums.update(groups[g])
        left.update(groups[g].keys())
        for c in groups[g]:
            holders[c].append(g)
    shares = {True: division.val, False: 1 - division.val}
    lacks = {val: {c: n * share for c, n in sums.items()} for val, share in shares.items()}
    room = {val: sums.total() * share for val, share in shares.items()}
    chosen: dict[int, bool] = {}

    def choose(g: int, val: bool) -> None:
        chosen[g] = val
        room[val] -= groups[g].total()
        left.subtract(groups[g].keys())
        for c, n in groups[g].items():
            lacks[val][c] -= n

    for g in order:
        if not able[g]:
            choose(g, False)
    while +left:
        rarest = min((count, c) for c, count in left.items() if count)[1]
        for g in sorted((g for g in holders[rarest] if g not in chosen), key=lambda g: -groups[g][rarest]):
            choose(g, (lacks[True][rarest], room[True]) > (lacks[False][rarest], room[False]))
    # too few for a share: each list gets the group that shows the least that is rare

    def spared(g: int) -> tuple[int, int]:
        return min(sums[c] - groups[g][c] for c in groups[g]), -groups[g].total()

    if not any(chosen.values()):
        chosen[max([g for g in order if able[g]] or order, key=spared)] = True
    if all(chosen.values()):
        chosen[max(order, key=spared)] = False
    return [chosen[g] for g in range(len(groups))]


def _keys(members: Sequence[Member], division: Division, images: Path) -> list[Hashable]:
    """What tells the groups apart, for each photograph."""
    group = division.group
    if not group:
        return list(range(len(members)))
    if group == "folder":
        return [member.name.rpartition("/")[0] for member in members]
    if group == "near":
        return list(alike([images / member.name for member in members], division.near, division.max_pixels))
    for member in members:
        if group not in member.columns:
            choices = ", ".join(["folder", "near", *sorted(set().union(*(m.columns for m in members)))])
            raise ValueError(
                f"group is {group!r}; photograph {member.name!r} has no such column; choose from {choices}"
            )
    return [same_name(member.columns[group]) or ("", member.name) for member in members]  # an empty cell is no group


def alike(paths: Sequence[Path], most: int, max_pixels: int = LIMIT) -> list[int]:
    """Number of each photograph's group: in one are those whose hashes differ in at most `most` bits, and theirs."""
    try:
        import imagehash
    except ImportError:
        raise ValueError("group is 'near'; it needs the package imagehash: pip install 'apc-search[split]'") from None
    from PIL import Image

    def hashed(path: Path) -> int:
        return int(str(imagehash.phash(Image.fromarray(decode(path, Reading(max_pixels=max_pixels))))), 16)

    hashes = np.array(each(list(paths), hashed, "comparing"), np.uint64)
    first = list(range(len(paths)))

    def root(i: int) -> int:
        while first[i] != i:
            first[i] = i = first[first[i]]
        return i

    for i in range(len(hashes)):
        for j in np.flatnonzero(np.bitwise_count(hashes[i + 1 :] ^ hashes[i]) <= most):
            first[root(i + 1 + int(j))] = root(i)
    return [root(i) for i in range(len(paths))]


def split(root: Path, lists: Sequence[Path], table: Path | None, division: Division, *, replace: bool) -> list[str]:
    """Write train.csv and val.csv of all photographs that `lists` name; lines for a person about them.

    `table` has further columns by the column `image`. ValueError where a list is there and `replace` does not say so.
    What was ended between the two lists is finished first, so that no photograph is lost that is in neither.
    """
    asked = repr((list(map(str, lists)), str(table), division))
    if (finished := _finish(root)) and finished.asked == asked:
        return finished.lines
    rows: dict[str, dict[str, str]] = {}  # by the photograph's file, however a list spells it
    shown: dict[str, frozenset[str]] = {}
    masked: set[str] = set()
    for name in lists:
        listing = folder.read_list(str(root), str(name))  # which names what is wrong with it
        of_list = zip(open_list(root / name).rows(), listing.names, listing.labels, listing.masks, strict=True)
        for (line, row), image, labels, mask in of_list:
            if image in rows:
                raise ValueError(f"{root / name}, line {line}: image {row['image']!r} is in two of the lists")
            rows[image] = row
            shown[image] = frozenset(itertools.compress(listing.classes[1:], labels))
            masked |= {image} if mask.is_file() else set()
    if table:
        _join(rows, table)
    for target in ("train.csv", "val.csv"):
        if (root / target).exists() and not replace:
            raise ValueError(f"{root / target}: is there; --replace writes a new one in its place")
    members = [Member(name, shown[name], row, name in masked) for name, row in rows.items()]
    of_val, notes = divide(members, division, root / "images")
    columns = list(dict.fromkeys(["image", "labels", *(key for row in rows.values() for key in row if key)]))
    lines, texts = [], {}
    for target, wanted in (("train.csv", False), ("val.csv", True)):
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        mine = [name for name, val in zip(rows, of_val, strict=True) if val is wanted]
        writer.writerows(rows[name] for name in mine)
        texts[target] = text.getvalue()
        counts = Counter(label for name in mine for label in shown[name] or ["nothing"])
        shares = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        lines.append(f"{target}: {counted(len(mine), 'image')}: {shares}")
    lines += [f"note: {note}" for note in notes]
    write_atomically(root / _PENDING, json.dumps(_Pending(asked, texts, lines)._asdict()))
    _finish(root)
    return lines


_PENDING = ".apc-split.json"
"""Both lists in one file, which is there whole or not at all, until both are in their places."""


class _Pending(NamedTuple):
    """Lists that are to be put in their places."""

    asked: str
    """The flags that they were made with."""
    texts: dict[str, str]
    lines: list[str]
    """What is said of them."""


def _finish(root: Path) -> _Pending | None:
    """Put lists in their places that are made and not there yet."""
    path = root / _PENDING
    if not path.is_file():
        return None
    pending = _Pending(**json.loads(path.read_text(encoding="utf-8")))
    for name, text in pending.texts.items():
        write_atomically(root / name, text)
    path.unlink()
    return pending


def _join(rows: dict[str, dict[str, str]], table: Path) -> None:
    """Add the columns of a table to the rows of its images; ValueError where one has no line."""
    listed = open_list(table)
    if "image" not in listed.columns:
        raise ValueError(f"{table}: needs the column image; it has {', '.join(listed.columns) or 'none'}")
    further: dict[str, dict[str, str]] = {}
    places: dict[str, int] = {}
    for line, row in listed.rows():
        if "image" not in row:
            raise ValueError(f"{table}, line {line}: has no cell for image")
        image = same_name(row["image"])
        if places.setdefault(image, line) != line:
            raise ValueError(f"{table}, line {line}: image {image!r} is listed twice; line {places[image]} has it too")
        further[image] = row
    for name, row in rows.items():
        if (more := further.get(same_name(name))) is None:
            raise ValueError(f"{table}: has no line for image {name!r}")
        row |= {key: cell for key, cell in more.items() if key not in row}
