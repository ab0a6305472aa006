"""`apc report`: the pages from the rows."""

import os
from pathlib import Path
from typing import Annotated

from apc.cli.parsing import parse, positional


def command(words: list[str]) -> None:
    usual = Path(os.environ.get("APC_REPORTS", "reports"))

    def report(reports: Annotated[Path, positional()] = usual) -> Path:
        """Build ablation.md, tables and figures from the rows below REPORTS/results; trains nothing.

        Args:
            reports: Folder of the report (default: $APC_REPORTS, or reports).
        """
        return reports

    folder = parse(report, words, "apc report")
    from apc.files import require_writable
    from apc.reporting.page import build

    if not (folder / "results").is_dir():
        raise ValueError(f"{folder}/results: there is no such folder; run an experiment, or name its --reports folder")
    require_writable(folder)
    print(build(folder))
