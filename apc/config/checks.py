"""What a value of a field must be, by its type; and what `normalization` may say."""

import difflib
from typing import Any, Literal, get_args, get_origin

from apc.escaping import short


def check_type(name: str, value: Any, hint: Any) -> None:
    if get_origin(hint) is tuple:
        one = get_args(hint)[0]
        if not isinstance(value, tuple) or not all(_is_number(v, one) and abs(v) < 10**30 for v in value):
            wanted = "whole numbers, such as 3 6 9 12" if one is int else "numbers, such as 1 0.75"
            raise ValueError(f"{name} is {short(value)}; it must be {wanted}")
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            close = difflib.get_close_matches(short(value, quoted=False), [str(c) for c in get_args(hint)], n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(f"{name} is {short(value)}; choose from {', '.join(map(str, get_args(hint)))}{meant}")
    elif hint is bool or hint is str:
        if not isinstance(value, hint):
            raise ValueError(f"{name} is {short(value)}; it must be a {hint.__name__}")
        if isinstance(value, str) and set(value) & {"\0", "\n", "\r"}:
            raise ValueError(f"{name} is {short(value)}; it must be one line")
    elif hint is int or hint is float:
        if not _is_number(value, hint):
            raise ValueError(f"{name} is {short(value)}; it must be a {'whole ' if hint is int else ''}number")


def _is_number(value: Any, kind: type) -> bool:
    """Whether a value is a whole number, or any number where `kind` is float."""
    return isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool) and value == value


NORMALIZATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Mean and standard deviation of red, green and blue by the names that timm calls them."""


def normalization_of(text: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and standard deviation that a `normalization` names; None where it is empty."""
    if not text or text in NORMALIZATIONS:
        return NORMALIZATIONS.get(text)
    wanted = f"choose from {', '.join(NORMALIZATIONS)}, or give six numbers, mean and standard deviation of each colour"
    try:
        numbers = tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise ValueError(f"normalization is {text!r}; {wanted}") from None
    if len(numbers) != 6 or not all(0 <= n <= 1 for n in numbers) or not all(numbers[3:]):
        raise ValueError(f"normalization is {text!r}; {wanted}, from 0 to 1")
    return numbers[:3], numbers[3:]
