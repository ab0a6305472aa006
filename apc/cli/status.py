"""`apc status`: what is finished, under way and failed."""

import os
from pathlib import Path
from typing import Annotated

from apc.cli.parsing import parse, positional


def command(words: list[str]) -> None:
    usual = Path(os.environ.get("APC_RUNS", "runs"))

    def status(runs: Annotated[Path, positional()] = usual) -> Path:
        """What is finished, under way and failed below a folder of runs.

        Args:
            runs: Folder that keeps the runs (default: $APC_RUNS, or runs).
        """
        return runs

    folder = parse(status, words, "apc status")
    from apc.runs.status import status as told

    print(told(folder))
