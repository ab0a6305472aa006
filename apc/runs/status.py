"""What a folder of runs tells by its files alone: `apc status`."""

import math
import time
from pathlib import Path

from apc.runs.folder import RunFolder, load_runs
from apc.runs.rows import Row

STALE = 300.0  # seconds without a new epoch after which `status` calls a run interrupted, at least


def duration(seconds: float) -> str:
    """`42 s`, `3:05 min`, `2:07 h`"""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def status(runs: Path, metric: str = "miou") -> str:
    """A folder of runs by its files alone: finished, in progress, interrupted, stopped early, failed, the best ones."""
    if not runs.is_dir():
        raise ValueError(f"{runs}: there is no such folder; name the one that --runs of the search named")
    rows = load_runs(runs)
    finished = {row.run for row in rows}
    lines, counts = [], {"finished": len(rows), "in progress": 0, "interrupted": 0, "stopped": 0, "failed": 0}
    for path in sorted(path for path in runs.iterdir() if path.is_dir() and path.name not in finished):
        kind, text = _unfinished(RunFolder(path))
        if kind:
            counts[kind] += 1
            lines.append(f"  {kind:<12}{text}")
    head = f"{runs}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items() if count or kind == "finished")
    best: dict[str, Row] = {}  # scores of different data sets say nothing about each other
    for row in sorted(rows, key=lambda row: row.metrics.get(metric, -math.inf)):
        if metric in row.metrics:
            best[row.config.get("root") or row.config["dataset"]] = row
    for dataset, row in sorted(best.items()):
        text = f"{row.run}: {metric} {row.metrics[metric]:.2f} on {dataset}{_setting(RunFolder(runs / row.run))}"
        lines.append(f"  {'best':<12}{text}")
    return "\n".join([head, *lines])


def _unfinished(folder: RunFolder) -> tuple[str, str]:
    """Kind and description of a run that has no row; an empty kind where it is no run folder."""
    name = folder.path.name
    if folder.error.is_file():
        return "failed", f"{name}: {folder.reason() or '?'}{_setting(folder)}"
    if folder.stopped.is_file():
        return "stopped", f"{name}: {folder.stopped.read_text()}{_setting(folder)}"
    written = [path for path in (folder.task, folder.curve, folder.state) if path.is_file()]
    if not written:
        return "", ""
    epochs = folder.epochs()
    age = time.time() - max(path.stat().st_mtime for path in written)
    pace = epochs[-1]["seconds"] / epochs[-1]["epoch"] if epochs else 0.0
    kind = "in progress" if age < max(STALE, 5 * pace) else "interrupted"
    at = f"epoch {epochs[-1]['epoch']:.0f} ended {duration(age)} ago" if epochs else f"started {duration(age)} ago"
    return kind, f"{name}: {at}{_setting(folder)}"


def _setting(folder: RunFolder) -> str:
    """The setting a search gave this run, in brackets, where a search started it."""
    setting = folder.setting()
    return f" ({setting.label}, seed {setting.seed})" if setting else ""
