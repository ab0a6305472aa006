"""Which files this process opens, by a hook of Python's own, which no function goes around."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def opened_files() -> Iterator[set[str]]:
    """Paths of the files that are opened meanwhile, on whatever thread. A hook cannot be taken away, so it is deaf
    afterwards."""
    paths, listening = set[str](), True
    sys.addaudithook(lambda event, args: paths.add(str(args[0])) if listening and event == "open" else None)
    try:
        yield paths
    finally:
        listening = False
