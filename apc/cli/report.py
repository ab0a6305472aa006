"""`apc report`: the pages from the rows."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from apc.escaping import say
from apc.flags import POSITIONAL, parse, reports_folder


@dataclass(frozen=True, kw_only=True)
class ReportFlags:
    """Build ablation.md, .html, details/, tables/ and figures/ from the rows below REPORTS/results; trains nothing."""

    reports: Annotated[Path, POSITIONAL] = field(default_factory=reports_folder)
    """Folder of the report (default: $APC_REPORTS, or reports)."""
    runs: Path | None = None
    """Folder of runs, or s3://BUCKET/PREFIX, whose finished runs that stand in no table here are shown as one."""


def command(words: list[str]) -> None:
    flags = parse(ReportFlags, words, "apc report")
    folder = flags.reports
    from apc.files import require_writable
    from apc.reporting.page import build

    if flags.runs:
        _gather(flags.runs, folder)
    if not (folder / "results").is_dir():
        raise ValueError(
            f"{folder}/results: there is no such folder; run an experiment, or name its --reports "
            "folder; reports/reference has the rows that the project ships"
        )
    require_writable(folder)
    say(str(build(folder)))


def _gather(place: Path, reports: Path) -> None:
    """Rows of the finished runs of a place."""
    from apc.files import require_writable
    from apc.reporting.gathered import gather
    from apc.runs.mirror import opened

    if not (runs := opened(place)).is_dir():
        raise ValueError(f"{runs}: there is no such folder; name the one that --runs of the search named")
    require_writable(reports)
    gather(runs, reports)
