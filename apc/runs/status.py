"""What a folder of runs tells by its files alone: `apc status`."""

import json
import math
import time
import warnings
from pathlib import Path

from apc.runs.at_work import at_work
from apc.runs.copies import shown
from apc.runs.folder import WAITS, RunFolder, each_run
from apc.runs.mask_parts import under_way
from apc.runs.rows import Row, row_of
from apc.runs.scores import CHOOSERS

KINDS = ("in progress", "interrupted", "waiting", "stopped", "failed", "damaged")
BY = (CHOOSERS["val"], CHOOSERS["labels"])
"""Scores that the best run of a data set is told by: the first that any of its runs has."""
STALE = 300.0  # seconds without a new epoch after which a run counts as interrupted, at least, where no process tells


def duration(seconds: float) -> str:
    """`42 s`, `3:05 min`, `2:07 h`"""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def between(low: float, high: float) -> str:
    """`40 s to 2 min`, or `about 2 h` where both are as long; of what is only known roughly, two digits are enough."""
    first, last = _roughly(low), _roughly(high)
    return f"about {last}" if first == last else f"{first} to {last}"


def _roughly(seconds: float) -> str:
    """`40 s`, `7 min`, `1:40 h`"""
    if seconds < 55:
        return f"{5 * max(round(seconds / 5), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    tens = round(minutes / 10) * 10
    return f"{tens // 60}:{tens % 60:02d} h" if tens < 600 else f"{round(minutes / 60)} h"


def status(runs: Path) -> str:
    """A folder of runs by its files alone: finished, in progress, interrupted, waiting at a rung, stopped early,
    failed, the best ones: by masks or, of a data set without any, by image labels."""
    if not runs.is_dir():
        raise ValueError(f"{runs}: there is no such folder; name the one that --runs of the search named")
    finished, best = set(), dict[tuple[str, str], Row]()  # scores of different data sets say nothing about each other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a row that cannot be read has its line below
        for row in each_run(runs):
            finished.add(row.run)
            dataset = str(row.config.get("root") or row.config.get("dataset"))
            for metric in BY:
                value, before = row.value(metric), best.get((dataset, metric))
                if math.isfinite(value) and (before is None or value >= before.value(metric)):
                    best[dataset, metric] = row
    lines, counts = [], {"finished": len(finished)} | dict.fromkeys(KINDS, 0)
    for path in sorted(path for path in runs.iterdir() if path.name not in finished and path.is_dir()):
        kind, text = _unfinished(RunFolder(path))
        if kind:
            counts[kind] += 1
            lines.append(f"  {kind:<12}{text}")
    head = f"{shown(runs)}: " + ", ".join(
        f"{count} {kind}" for kind, count in counts.items() if count or kind == "finished"
    )
    for dataset in sorted({dataset for dataset, _ in best}):
        metric = next(metric for metric in BY if (dataset, metric) in best)
        row = best[dataset, metric]
        text = f"{row.run}: {metric} {row.value(metric):.2f} on {dataset}{_setting(RunFolder(runs / row.run))}"
        lines.append(f"  {'best':<12}{text}")
    return "\n".join([head, *lines])


def _unfinished(folder: RunFolder) -> tuple[str, str]:
    """Kind and description of a run that has no row that can be read; an empty kind where it is no run folder."""
    name = folder.path.name
    try:
        if folder.row.is_file():
            row_of(json.loads(folder.row.read_text(encoding="utf-8")))
        return _described(folder)
    except (ValueError, OSError, RecursionError) as error:
        return "damaged", f"{name}: {folder.row.name + ': ' if folder.row.is_file() else ''}{error}"


def _described(folder: RunFolder) -> tuple[str, str]:
    """Kind and description of a run without a row; ValueError names the file that is damaged."""
    name = folder.path.name
    if folder.error.is_file():
        return "failed", f"{name}: {folder.reason() or '?'}{_setting(folder)}"
    if folder.stopped.is_file():
        kind = "waiting" if folder.rule().startswith(WAITS) else "stopped"
        return kind, f"{name}: {folder.rule()}{_setting(folder)}"
    rounds = sorted(folder.path.glob("rounds/*"), key=lambda path: path.stat().st_mtime)
    written = [path for path in (folder.task, folder.curve, folder.state) if path.is_file()] + rounds[-1:]
    if not written:
        return "", ""
    epochs = folder.epochs()
    age = max(time.time() - max(path.stat().st_mtime for path in written), 0.0)  # clocks differ
    pace = epochs[-1].get("seconds", 0.0) / epochs[-1]["epoch"] if epochs else 0.0
    alive = at_work(folder)
    kind = "in progress" if alive or (alive is None and age < max(STALE, 5 * pace)) else "interrupted"
    at = f"epoch {epochs[-1]['epoch']:.0f} ended {duration(age)} ago" if epochs else f"started {duration(age)} ago"
    making = [f", making masks of round {path.name}: {done}" for path in rounds[-1:] if (done := under_way(path))]
    return kind, f"{name}: {at}{''.join(making)}{_setting(folder)}"


def _setting(folder: RunFolder) -> str:
    """The setting a search gave this run, in brackets, where a search started it."""
    setting = folder.setting()
    if setting is None:
        return f" ({folder.task.name} is damaged)" if folder.task.is_file() else ""
    return f" ({setting.label}, seed {setting.seed})"
