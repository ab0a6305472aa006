"""What a person sees of a search: the live view, plain lines, and `apc status` from another shell."""

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from apc.runs.folder import save_run
from apc.runs.rows import Row
from apc.runs.status import between, status
from apc.search.progress import BEAT, Progress
from apc.search.run_queue import AtRung, Counts


class Page:
    """A file that remembers what was written to it."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


def test_a_search_that_halves_tells_its_rung_what_that_saved_and_the_time_its_epochs_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page, now = Page(), [0.0]
    monkeypatch.setattr("apc.search.progress.time.monotonic", lambda: now[0])
    view = Progress("a search", file=page)  # type: ignore[arg-type]
    view.begin(1, 0.0)
    view.counted(Counts(waiting=9, rung=AtRung("rung 1 of 3: 0 of 9 at epoch 1", 0, 0, 2.2)))
    view.started("t1", "a seed 0 to epoch 1")
    now[0] = 8.0
    view.reported("t1", {"epoch": 1, "epochs": 10, "seconds": 7.0})
    view.ended("t1", "a", [])
    view.counted(Counts(waiting=9, rung=AtRung("rung 1 of 3: 1 of 9 at epoch 1", 1, 0, 2.1)))
    assert view.summary().startswith("0 of 9 runs done, none running yet, rung 1 of 3: 1 of 9 at epoch 1, 8 s so far")
    assert "1 epoch and 0.00 core-hours spent, at most 21 epochs and " in view.summary()
    low, high = view.left() or (0.0, 0.0)
    assert low < 2.1 * 100 < high  # a run takes 100 s where an epoch of ten takes 8, and a fifth of a run is scoring
    view.counted(Counts(stopped=6, waiting=3, rung=AtRung("rung 2 of 3: 0 of 3 at epoch 3", 9, 54, 1.3)))
    assert page.text == "rung 2 of 3: 0 of 3 at epoch 3, 54 epochs saved\n"


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
    view.counted(Counts(done=1, failed=1, waiting=1, perhaps=2))
    view.end()
    assert page.text.splitlines() == ["done    a seed 0: miou 41.23, 0 s", "failed  b seed 0: FloatingPointError: nan"]
    assert view.best() == "best so far a: miou 41.23 (1 seed)"
    assert view.summary().startswith("1 of at most 5 runs done, 1 failed, none running yet, 0 s so far")


def test_the_view_says_when_nodes_came_or_went_and_reckons_with_what_is_there() -> None:
    page = Page()
    view = Progress("title", "miou", file=page)  # type: ignore[arg-type]
    view.begin(4, 0.0)
    view.counted(Counts(waiting=12))
    view.started("t1", "a seed 0")
    view.reported("t1", {"epoch": 1, "epochs": 2, "seconds": 5.0})
    before = view.left()
    view.resized(12)
    after = view.left()
    assert before and after and after[1] < before[1]
    view.resized(0)
    assert view.left()  # what is left with one, where none is there
    told = ["12 trials at a time from now on, 4 before", "0 trials at a time from now on, 12 before"]
    assert page.text.splitlines() == [f"slots   {line}: nodes came or went" for line in told]


def test_of_a_thousand_trials_at_once_a_screenful_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    page, now = Page(), [0.0]
    monkeypatch.setattr("apc.search.progress.time.monotonic", lambda: now[0])
    view = Progress("title", "miou", file=page)  # type: ignore[arg-type]
    for number in range(1000):
        view.started(f"t{number}", f"a={number} seed 0")
    now[0] = 40.0
    view.tick()
    assert page.text.count(" seed 0 at epoch 0, ") == 24 and page.text.endswith("; and 976 more\n")
    view.console.print(view.render())
    assert page.text.count("starting") == 24


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


def test_the_best_by_labels_is_told_to_be_of_the_rule_and_not_of_the_vote() -> None:
    view = Progress("title", "border_rule", file=Page())  # type: ignore[arg-type]
    view.ended("a", "a", [Row(run="a", config={"seed": 0}, metrics={"border_rule": 9.0}, seconds={})])
    assert view.best() == ("best so far a: border_rule 9.00 (1 seed); once 24 settings can vote, their vote decides")


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
    # an hour each: one waits whole, c has not begun, and of b four fifths of three epochs and the scoring are to do
    assert view.summary().startswith("1 of 4 runs done, 2 running, 1:00 h so far, 57 min to 4:00 h left, ")
    assert view.summary().endswith("1 epoch and 1.00 GPU-hours spent, at most 11 epochs and 0.95 to 4.01 left")
    page.text = ""
    view.console.print(view.render())
    lines = page.text.splitlines()
    assert lines[0].startswith("joint on pocket: 1 of 4 runs done") and len(lines) == 4
    assert re.search(r"theta=0.9 seed 0 .*epoch 1 of 4, 0 s ago +loss 0.250", lines[1])
    assert re.search(r"theta=0.7 seed 0 .*starting", lines[2])
    assert lines[3].strip() == "best so far theta=0.5: miou 41.00 (1 seed)"


def test_core_hours_are_said_as_money_too_and_a_crash_of_ray_makes_none_of_it_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("apc.search.progress.time.monotonic", lambda: now[0])
    view = Progress("title", file=Page(), cores=2, price=0.5)  # type: ignore[arg-type]
    view.begin(1, 0.0)
    view.counted(Counts(running=1, waiting=1))
    view.started("a", "a seed 0")
    now[0] = 3600.0
    view.reported("a", {"epoch": 1, "epochs": 4, "seconds": 3600.0})
    told = view.summary().split(" so far, ")[1]
    assert re.fullmatch(
        r".* left, 1 epoch and 2.00 core-hours \(1.00 at 0.5 a core-hour\) spent, "
        r"at most 7 epochs and \d+.\d\d to \d+.\d\d \(\d+.\d\d to \d+.\d\d\) left",
        told,
    )
    view.begin(1, 0.0)
    assert "1 epoch and 2.00 core-hours" in view.summary()
    view.started("a", "a seed 0")
    now[0] = 7200.0
    view.started("a", "a seed 0")  # its process was lost, and Tune tries it again
    assert "1 epoch and 4.00 core-hours" in view.summary()


def test_without_news_for_long_no_time_left_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("apc.search.progress.time.monotonic", lambda: now[0])
    page = Page()
    view = Progress("title", file=page)  # type: ignore[arg-type]
    view.begin(2, 0.5)
    view.counted(Counts(done=3, running=2, waiting=4))
    view.seconds = [50.0, 60.0, 70.0]
    view.started("a", "a seed 0")
    view.started("b", "b seed 0")
    now[0] = 100.0
    view.reported("a", {"epoch": 2, "epochs": 4, "seconds": 30.0})
    assert view.summary().endswith(" left") and view.patience == 300.0  # three times the longest silence so far
    now[0] = 400.0
    view.tick()
    assert page.text.endswith("; a seed 0 at epoch 2, 5:00 min ago; b seed 0 at epoch 0, no news for 6:40 min\n")
    assert view.summary().endswith(" left")  # a may still be at its third epoch
    now[0] = 401.0
    assert view.left() is None
    assert "6:41 min so far, no news for 5:01 min, 1 epoch and 0.11 GPU-hours spent" in view.summary()
    now[0] = 402.0
    view.reported("b", {"epoch": 1, "epochs": 4, "seconds": 400.0})
    assert view.summary().endswith(" left")


def test_a_trial_of_several_seeds_is_as_far_as_the_seeds_that_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("apc.search.progress.time.monotonic", lambda: now[0])
    view = Progress("title", file=Page(), runs_a_trial=3)  # type: ignore[arg-type]
    view.begin(1, 0.0)
    view.counted(Counts(waiting=3))
    view.started("a", "a seeds 0, 1, 2")
    view.counted(Counts(running=3))
    ends = []
    for seed in range(2):
        now[0] += 60.0
        view.reported("a", {"epoch": 4, "epochs": 4, "seconds": 50.0})
        view.reported("a", {"final": 1.0, "epoch": 4, "epochs": 4})
        ends.append(view.left())
        assert view.seconds == [60.0] * (seed + 1)
    assert ends[0] and ends[1] and ends[1][0] < 60 < ends[1][1] < ends[0][1]
    now[0] += 60.0
    view.reported("a", {"final": 1.0, "epoch": 4, "epochs": 4})
    view.ended("a", "a", [Row(run=f"{n}", config={"seed": n}, metrics={"miou": 1.0}, seconds={}) for n in range(3)])
    assert view.seconds == [60.0, 60.0, 60.0]


def test_a_run_that_went_on_where_it_was_killed_took_what_it_took_before_as_well() -> None:
    view = Progress("title", file=Page())  # type: ignore[arg-type]
    view.begin(1, 0.0)
    view.started("a", "a seed 0")
    view.reported("a", {"epoch": 4, "epochs": 4, "seconds": 3600.0})
    view.reported("a", {"final": 1.0, "epoch": 4, "epochs": 4})
    assert view.seconds == [3600.0]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (7.0, 44.0, "5 s to 45 s"),
        (57.0, 150.0, "1 min to 2 min"),
        (3500.0, 3700.0, "58 min to 1:00 h"),
        (61 * 60.0, 62 * 60.0, "about 1:00 h"),
        (5000.0, 50000.0, "1:20 h to 14 h"),
    ],
)
def test_a_time_left_is_said_as_roughly_as_it_is_known(low: float, high: float, text: str) -> None:
    assert between(low, high) == text


def test_names_and_errors_reach_the_view_without_escape_sequences_and_markup() -> None:
    page, name = Page(), "\x1b]0;owned\x07[link=http://there]cat\u202e[/link]\x9b2J"
    view = Progress(f"title {name}", file=page)  # type: ignore[arg-type]
    view.begin(1, 0.0)
    view.started("a", f"{name} seed 0")
    view.started("b", f"{name} seed 1")
    view.console.print(view.render())
    view.beat -= BEAT
    view.tick()
    view.ended("a", name, [Row(run="a", config={"seed": 0}, metrics={"miou": 41.0}, seconds={})])
    view.ended("b", name, [Row(run="b", config={"seed": 1}, metrics={}, seconds={}, error=f"ValueError: {name}")])
    view.console.print(view.render())
    shown = "]0;owned[link=http://there]cat[/link]2J"
    assert page.text.count(shown) == 10 and not set(page.text) & set("\x1b\x07\x9b\u202e")


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
    for name, by_labels in (("e", 30.0), ("f", 20.0)):  # nobody has drawn a mask there
        scored = {"branch_rule": by_labels}
        save_run(tmp_path, Row(run=name, config=photos | {"root": "bare"}, metrics=scored, seconds={}))
    save_run(tmp_path, Row(run="g", config=photos, metrics={"branch_rule": 99.0}, seconds={}))
    assert status(tmp_path).splitlines()[1:] == [
        "  best        e: branch_rule 30.00 on bare",
        "  best        c: miou 60.00 on photos",
        "  best        b: miou 45.00 on pocket",
    ]
