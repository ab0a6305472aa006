"""What a verb has printed, read back."""

import re


def scores_in(text: str) -> dict[str, str]:
    """Name -> score, as printed, of the protocols in the lines of `apc train` or `apc eval`."""
    found = dict(re.findall(r"^  (\w*miou\w*) +([\d.]+)  ", text, re.M))
    return {name: score for name, score in found.items() if not name.startswith(("tune", "held"))}
