"""`apc status`: what is finished, under way and failed."""

from pathlib import Path
from typing import Annotated

from apc.verbs import parse, positional


def command(words: list[str]) -> None:
    def status(runs: Annotated[Path, positional()] = Path("runs")) -> Path:
        """What is finished, under way and failed below a folder of runs.

        Args:
            runs: Folder that keeps the runs.
        """
        return runs

    folder = parse(status, words, "apc status")
    from apc import progress

    print(progress.status(folder))
