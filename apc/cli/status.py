"""`apc status`: what is finished, under way and failed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from apc.flags import POSITIONAL, parse, runs_folder


@dataclass(frozen=True, kw_only=True)
class StatusFlags:
    """What is finished, under way and failed below a folder of runs."""

    runs: Annotated[Path, POSITIONAL] = field(default_factory=runs_folder)
    """Folder that keeps the runs, or s3://BUCKET/PREFIX (default: $APC_RUNS, or runs)."""


def command(words: list[str]) -> None:
    folder = parse(StatusFlags, words, "apc status").runs
    from apc.escaping import say
    from apc.runs.mirror import opened
    from apc.runs.status import status

    say(status(opened(folder)))
