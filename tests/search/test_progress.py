"""What a person sees of a search: the live view, plain lines, and `apc status` from another shell."""

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from apc.runs.folder import save_run
from apc.runs.rows import Row
from apc.runs.status import duration, status
from apc.search.progress import Progress
from apc.search.run_queue import Counts


class Page:
    """A file that remembers what was written to it."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


def test_the_view_prints_one_line_a_finished_run_and_knows_the_best() -> None:
    page = Page()
    view = Progress("title", "miou", file=page)  # type: ignore[arg-type]
    view.counted(Counts(running=2, waiting=1))
    view.begin(2, 0.0)
    view.started("t1", "a seed 0")
    view.started("t2", "b seed 0")
    view.reported("t1", {"epoch": 1, "epochs": 4, "loss": 0.5})
    view.ended("t1", "a", [Row(run="x", config={"seed": 0}, metrics={"miou": 41.234}, seconds={})])
    view.ended("t2", "b", [Row(run="y", config={"seed": 0}, metrics={}, seconds={}, error="FloatingPointError: nan")])
    view.counted(Counts(done=1, failed=1, waiting=1, later=2))
    view.end()
    assert page.text.splitlines() == ["done    a seed 0: miou 41.23, 0 s", "failed  b seed 0: FloatingPointError: nan"]
    assert view.best() == "best so far a: miou 41.23 (1 seed)"
    assert view.summary().startswith("1 of at most 5 runs done, 1 failed, none running yet, 0 s so far")


def test_the_view_lowers_seconds_and_raises_scores() -> None:
    page = Page()
    view = Progress("title", "train_seconds", file=page)  # type: ignore[arg-type]
    for label, seconds in (("slow", {"train": 90.0}), ("quick", {"train": 30.0}), ("unmeasured", {})):
        row = Row(run=label, config={"seed": 0}, metrics={"miou": 50.0}, seconds=seconds)
        view.ended(label, label, [row])
    assert page.text.splitlines() == [
        "done    slow seed 0: train_seconds 90.00, 0 s",
        "done    quick seed 0: train_seconds 30.00, 0 s",
        "done    unmeasured seed 0: no train_seconds, 0 s",
    ]
    assert view.best() == "best so far quick: train_seconds 30.00 (1 seed)"


def test_the_live_view_shows_running_trials_the_best_and_the_gpu_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("apc.search.progress.time.monotonic", lambda: now[0])
    page = Page()
    view = Progress("joint on pocket", file=page)  # type: ignore[arg-type]
    view.counted(Counts(running=3, waiting=1))
    view.begin(2, 0.5)  # two at once, each on half a GPU
    view.started("a", "theta=0.5 seed 0")
    view.started("b", "theta=0.9 seed 0")
    now[0] = 3600.0
    view.ended("a", "theta=0.5", [Row(run="a", config={"seed": 0}, metrics={"miou": 41.0}, seconds={})])
    view.reported("b", {"epoch": 1.0, "epochs": 4.0, "loss": 0.25})
    view.started("c", "theta=0.7 seed 0")
    view.counted(Counts(done=1, running=2, waiting=1))
    # an hour each: one waits whole, c has not begun, and of b, an hour old, at least a fiftieth is left, on two places
    assert "1 of 4 runs done, 2 running, 1:00 h so far, about 1:00 h left" in view.summary()
    assert view.summary().endswith("0.50 GPU-hours spent, 1.01 to 1.01 left")
    page.text = ""
    view.console.print(view.render())
    lines = page.text.splitlines()
    assert lines[0].startswith("joint on pocket: 1 of 4 runs done") and len(lines) == 4
    assert re.search(r"theta=0.9 seed 0 .*epoch 1 of 4 +loss 0.250", lines[1])
    assert re.search(r"theta=0.7 seed 0 .*starting", lines[2])
    assert lines[3].strip() == "best so far theta=0.5: miou 41.00 (1 seed)"


def test_the_time_left_is_an_interval_from_the_durations_so_far() -> None:
    view = Progress("title", file=Page())  # type: ignore[arg-type]
    view.begin(2, 0.0)
    view.seconds = [50.0, 60.0, 70.0]
    view.counted(Counts(done=3, waiting=4, later=2))
    # known: 4 runs, 240 s of work +- 1.96 * 10 * sqrt(4 + 16/3); most: 6 runs, 360 s +- 1.96 * 10 * sqrt(6 + 36/3)
    left = view.left()
    assert left and (duration(left[0]), duration(left[1])) == ("1:30 min", "3:42 min")
    assert view.summary().endswith("1:30 min to 3:42 min left")


def test_status_tells_runs_in_progress_from_interrupted_ones(tmp_path: Path) -> None:
    for name, age in (("new", 10.0), ("old", 4000.0)):
        (tmp_path / name).mkdir()
        curve = tmp_path / name / "curve.jsonl"
        curve.write_text('{"epoch": 3, "seconds": 30.0}\n')
        os.utime(curve, (time.time() - age,) * 2)
    (tmp_path / "reports").mkdir()
    lines = status(tmp_path).splitlines()
    assert lines[0].endswith(": 0 finished, 1 in progress, 1 interrupted")
    assert re.search(r"in progress new: epoch 3 ended \d+ s ago", lines[1])
    assert re.search(r"interrupted old: epoch 3 ended 1:06 h ago", lines[2])


def test_status_names_the_best_of_each_data_set(tmp_path: Path) -> None:
    drawn, photos = {"dataset": "pocket", "root": ""}, {"dataset": "folder", "root": "photos"}
    scores: list[tuple[str, dict[str, Any], float]] = [("a", drawn, 40.0), ("b", drawn, 45.0), ("c", photos, 60.0)]
    for name, config, miou in scores:
        save_run(tmp_path, Row(run=name, config=config, metrics={"miou": miou}, seconds={}))
    save_run(tmp_path, Row(run="d", config=photos | {"root": "unscored"}, metrics={}, seconds={}))
    assert status(tmp_path).splitlines()[1:] == [
        "  best        c: miou 60.00 on photos",
        "  best        b: miou 45.00 on pocket",
    ]
