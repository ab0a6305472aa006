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


def command(words: list[str]) -> None:
    folder = parse(ReportFlags, words, "apc report").reports
    from apc.files import require_writable
    from apc.reporting.page import build

    if not (folder / "results").is_dir():
        raise ValueError(
            f"{folder}/results: there is no such folder; run an experiment, or name its --reports "
            "folder; reports/reference has the rows that the project ships"
        )
    require_writable(folder)
    say(str(build(folder)))
