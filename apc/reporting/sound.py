"""What a row must be for a page to be made of it: checked once, where rows are read.

A row may come from another machine, another version or an editor; whatever is in it, it may cost itself and no other.
"""

import functools
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from apc.config import Config, to_dict
from apc.runs.compared import Compared
from apc.runs.rows import Row

MOST = 1e15
"""Beyond any score, second, seed or count: larger numbers overflow where they are squared or written."""
DEEPEST = 16
"""Lists and mappings within one another, of which a row has five."""


def unsound(row: Row) -> list[str]:
    """Parts of a row that hold something that no run leaves there, by name; empty of a sound one."""
    parts = asdict(row)
    large = [name for name, part in parts.items() if not _is_moderate(part)]
    if large:
        return large
    kinds = {
        **{f"config's {name}": False for name in _wrong_fields(row.config)},
        "metrics": all(map(_is_number, row.metrics.values())),
        "seconds": all(map(_is_number, row.seconds.values())),
        "per_class": all(_is_list(own, int | float | None) for own in row.per_class.values()),
        "classes": _is_list(row.classes, str),
        "curve": all(isinstance(epoch, dict) and all(map(_is_number, epoch.values())) for epoch in row.curve),
        **{f"stamp's {name}": False for name in _wrong_stamps(row.stamp)},
    }
    return [name for name, right in kinds.items() if not right]


def _is_moderate(part: Any) -> bool:
    """Whether all numbers are of a size that can be reckoned with, and nothing lies deeper than in any row."""
    inside = [part]
    for _ in range(DEEPEST):
        if any(isinstance(each, int | float) and MOST < abs(each) for each in inside):
            return False  # NaN is none: a score may be missing
        inside = [value for each in inside for value in _values(each)]
    return not inside


def _values(each: Any) -> list[Any]:
    return list(each.values()) if isinstance(each, dict) else each if isinstance(each, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_list(value: Any, kind: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, kind) for each in value)


@functools.cache
def _fields() -> dict[str, Any]:
    return to_dict(Config())


def _wrong_fields(config: dict[str, Any]) -> Iterator[str]:
    """Fields of a config that are of another kind than Config's; those that it does not know may be anything."""
    for name, usual in _fields().items():
        value = config.get(name, usual)
        kind = int | float if isinstance(usual, float) else list if isinstance(usual, list) else type(usual)
        if not isinstance(value, kind) or (isinstance(value, bool) and not isinstance(usual, bool)):
            yield name


def _wrong_stamps(stamp: dict[str, Any]) -> Iterator[str]:
    """Entries of a stamp that a page reads and that are of another kind; those that are missing may be."""
    images, measured, search = (stamp.get(name) for name in ("images", "measured", "search"))
    if isinstance(images, dict) and not all(map(_is_number, images.values())):
        yield "images"
    if isinstance(measured, dict) and not all(isinstance(value, str | None) for value in measured.values()):
        yield "measured"
    if isinstance(search, dict) and not _is_search(search):
        yield "search"
    if not isinstance(stamp.get("weights_name"), str | None):
        yield "weights_name"
    compared = stamp.get("compared_by")
    if isinstance(compared, dict) and compared.keys() == {*Compared._fields}:
        if not all(isinstance(compared[name], kind) for name, kind in Compared.__annotations__.items()):
            yield "compared_by"


def _is_search(search: dict[str, Any]) -> bool:
    """Whether a stamp tells how a space was searched as a search does: words, numbers, lists of them, and ranges."""
    space = search.get("space") or {}
    plain = [value for name, value in search.items() if name != "space"]
    return (
        isinstance(space, dict)
        and all(_is_list(ends, int | float) and len(ends) == 3 for ends in space.values())
        and all(isinstance(value, str | int | float | None) or _is_list(value, str | int | float) for value in plain)
        and _is_list(search.get("objectives", []), str)
    )
