"""Finished runs that stand in no table here, as those of another machine that lie in a store, as rows of one table."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from apc.runs.copies import bring
from apc.runs.folder import RunFolder, each_run
from apc.runs.rows import Row, load_rows, save_rows
from apc.runs.store import TOGETHER

NAME = "runs"
"""The folder below results/ that their rows stand in, made anew each time."""


def gather(runs: Path, reports: Path) -> None:
    """Write the rows of finished runs that no other table of `reports` has, a file a data set, each under the label
    that its search gave it, or else its own name."""
    own = reports / "results" / NAME
    tables = [path for path in (reports / "results").glob("*/*.jsonl") if path.parent != own]
    known = {row.run for path in tables for row in load_rows(path)}
    rows = [row for row in each_run(runs) if row.run not in known]
    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(bring, (RunFolder(runs / row.run).task for row in rows)))
    found = dict[str, list[Row]]()
    for row in rows:
        setting = RunFolder(runs / row.run).setting()
        labelled = replace(row, experiment=NAME, row=setting.label if setting else row.run)
        found.setdefault(row.config["dataset"], []).append(labelled)
    for path in own.glob("*.jsonl"):
        if path.stem not in found:
            path.unlink()
    for dataset, those in found.items():
        save_rows(own / f"{dataset}.jsonl", those)
