"""What a verb has printed, read back or read by nobody."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress


def scores_in(text: str) -> dict[str, str]:
    """Name -> score, as printed, of the protocols in the lines of `apc train` or `apc eval`."""
    found = dict(re.findall(r"^  (\w*miou\w*) +([\d.]+)  ", text, re.M))
    return {name: score for name, score in found.items() if not name.startswith(("tune", "held"))}


@contextmanager
def unread() -> Iterator[None]:
    """Inside, standard output is a pipe that nobody reads any more, as behind `head`."""
    reading, writing = os.pipe()
    os.close(reading)
    with suppress(BrokenPipeError), open(writing, "w", encoding="utf-8") as stream, redirect_stdout(stream):
        yield
