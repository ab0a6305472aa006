"""Rows from Python, as a table; without torch."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from apc.runs.rows import Row


def load_rows(path: str | os.PathLike[str]) -> "DataFrame":
    """Rows as a pandas DataFrame, a line a run: those of a runs folder, or of its store, of one run's folder, of a
    .jsonl file of rows, or of a reports folder.

    Columns: `run`, `experiment`, `row` (label in its table), every Config field under its name, scores in percent,
    seconds as `train_seconds`, `error` and `stopped`. NaN where a run lacks a score. A damaged row is left out and
    named in a warning; ValueError where there is no such file or folder. Needs no torch.

    >>> rows = apc.load_rows("runs")
    >>> best = rows.loc[rows.miou.idxmax(), ["theta", "lambda1", "miou"]]
    >>> list(best.index)
    ['theta', 'lambda1', 'miou']
    """
    import pandas as pd

    lines: list[dict[str, Any]] = []
    for row in _rows(Path(path)):
        seconds = {f"{name}_seconds": value for name, value in row.seconds.items()}
        head = {"run": row.run, "experiment": row.experiment, "row": row.row}
        lines.append(head | row.config | row.metrics | seconds | {"error": row.error, "stopped": row.stopped})
    return pd.DataFrame(lines)


def _rows(path: Path) -> "list[Row]":
    """Rows of a file or a folder; see `load_rows`."""
    from apc.runs import rows
    from apc.runs.copies import address
    from apc.runs.folder import load_run, load_runs
    from apc.runs.mirror import opened

    if address(path):
        return load_runs(opened(path))
    if path.is_file():
        return rows.load_rows(path)
    if not path.is_dir():
        raise ValueError(f"{path}: there is no such file or folder of rows")
    if (path / "results").is_dir():
        return [row for file in sorted(path.glob("results/*/*.jsonl")) for row in rows.load_rows(file)]
    row = load_run(path.resolve().parent, path.resolve().name)
    return [row] if row else load_runs(path)
