"""What several commands share: where things lie where no flag says otherwise, and the least that a count may be."""

import os
from pathlib import Path

from apc.flags.words import flag_of


def at_least(least: int, **counts: float | None) -> None:
    """ValueError where a flag's value is below the least that it may be."""
    for name, value in counts.items():
        if value is not None and value < least:
            raise ValueError(f"{flag_of(name)} is {value:g}; it must be at least {least}")


def runs_folder() -> Path:
    """Folder that keeps the runs where no flag says otherwise: $APC_RUNS, or runs."""
    return Path(os.environ.get("APC_RUNS") or "runs")


def reports_folder() -> Path:
    """Folder of the report where no flag says otherwise: $APC_REPORTS, or reports."""
    return Path(os.environ.get("APC_REPORTS") or "reports")
