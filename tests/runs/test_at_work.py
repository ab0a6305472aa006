"""Who is at work on a run, as `apc status` tells it from another shell."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from apc.files import this_machine
from apc.runs.at_work import announce, at_work, signed
from apc.runs.folder import RunFolder
from apc.runs.status import status

HERE = this_machine()
NUMBER = 2**22 + 1  # above the largest number that Linux gives a process


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of one epoch, which ended a moment ago."""
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "curve.jsonl").write_text('{"epoch": 3, "seconds": 30.0}\n')
    return RunFolder(tmp_path / "abc")


def test_a_run_is_in_progress_while_its_process_lives_and_interrupted_at_once_when_it_is_gone(run: RunFolder) -> None:
    announce(run)
    assert run.lock.read_text() == f"{HERE} {os.getpid()}" and at_work(run) is True
    run.lock.write_text(f"{HERE} {NUMBER}")
    assert at_work(run) is False
    assert status(run.path.parent).splitlines()[0].endswith(": 0 finished, 1 interrupted")
    assert status(run.path.parent).splitlines()[1].startswith("  interrupted abc: epoch 3 ended ")
    os.utime(run.curve, (time.time() + 7200,) * 2)  # by the clock of another machine, or before this one's was set
    assert status(run.path.parent).splitlines()[1] == "  interrupted abc: epoch 3 ended 0 s ago"


def test_a_run_that_its_process_left_is_interrupted_though_the_process_lives(run: RunFolder) -> None:
    with pytest.raises(KeyboardInterrupt), open(run.lock, "a") as lock, signed(lock):
        assert at_work(run) is True
        raise KeyboardInterrupt
    assert at_work(run) is False


def test_a_process_of_that_number_since_the_machine_was_started_again_is_another(run: RunFolder) -> None:
    os.utime(run.curve, (0, 0))
    for started in (os.uname().nodename, f"{os.uname().nodename}-01234567-4026531836"):
        run.lock.write_text(f"{started} {os.getpid()}")
        assert at_work(run) is None
        assert status(run.path.parent).splitlines()[0].endswith(": 0 finished, 1 interrupted")


@pytest.mark.parametrize("text", ["", f"elsewhere {NUMBER}", f"{HERE} {'9' * 30}x", f"{HERE}", "\udcff\x00"])
def test_where_no_process_of_this_machine_is_named_the_last_epoch_tells(run: RunFolder, text: str) -> None:
    run.lock.write_text(text, errors="surrogateescape")
    assert at_work(run) is None
    assert status(run.path.parent).splitlines()[0].endswith(": 0 finished, 1 in progress")
    os.utime(run.curve, (0, 0))
    assert status(run.path.parent).splitlines()[0].endswith(": 0 finished, 1 interrupted")


def test_a_lock_that_is_held_tells_of_a_process_on_another_machine(run: RunFolder) -> None:
    os.utime(run.curve, (0, 0))
    with open(run.lock, "w") as lock:
        lock.write(f"elsewhere {NUMBER}")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert at_work(run) is True
        assert status(run.path.parent).splitlines()[0].endswith(": 0 finished, 1 in progress")
