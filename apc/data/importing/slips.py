"""Classes that look like another one misspelt."""

from collections.abc import Mapping


def misspelt(counts: Mapping[str, int]) -> list[str]:
    """A note for each class that one photograph shows and that is a letter away from one that several show. `counts`
    are photographs by class; digits are not letters, for class_1 and class_2 are two."""
    usual = [name for name, count in counts.items() if count > 1]
    rare = [name for name, count in counts.items() if count == 1]
    return [f"{name} (1): is it {near}?" for name in rare if (near := next((u for u in usual if _near(name, u)), ""))]


def _near(one: str, other: str) -> bool:
    """Whether one letter is changed, left out or too many, or two beside each other are swapped."""
    if min(len(one), len(other)) < 3 or abs(len(one) - len(other)) > 1 or one.casefold() == other.casefold():
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[start:], other[start:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    swapped = len(a) == len(b) == 2 and a == b[::-1]
    return (swapped or max(len(a), len(b)) == 1) and not any(sign.isdigit() for sign in a + b)
