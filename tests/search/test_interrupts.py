"""Ctrl-C and its like: the first is answered at once and ends a search cleanly, a second ends it at once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apc.search.interrupts import WAITING, interrupts

ROOT = Path(__file__).resolve().parents[2]
HELD = """
import time
from apc.search.interrupts import interrupts
with interrupts() as asked, asked.held():
    print("held", flush=True)
    time.sleep(100)  # whatever it is busy with: the signal does not end it
    raise AssertionError
"""


@pytest.fixture(autouse=True)
def as_from_a_terminal() -> Iterator[None]:
    """Whoever starts the tests in the background has a shell ignore Ctrl-C for them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_is_answered_and_ends_what_is_not_held(
    number: signal.Signals, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "isatty", lambda stream: False)  # a hang-up would leave the terminal of these tests
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupts() as asked:
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert asked.stopped and signal.getsignal(number) == before
    deadline = time.monotonic() + 5
    said = ""
    while not said.endswith("\n") and time.monotonic() < deadline:  # a line may come in two pieces
        time.sleep(0.01)
        said += capfd.readouterr().err
    assert said == WAITING + "\n"


def test_what_holds_a_signal_looks_for_itself_and_an_inner_one_is_the_outer() -> None:
    said: list[str] = []
    with interrupts() as asked, interrupts() as inner:
        assert inner is asked
        asked.say = said.append
        with asked.held():
            os.kill(os.getpid(), signal.SIGINT)
            deadline = time.monotonic() + 5
            while not (said and asked.stopped) and time.monotonic() < deadline:
                time.sleep(0.01)
    assert asked.stopped and said == [WAITING]


def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not asked.stopped
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_ends_a_process_that_is_busy_and_a_hang_up_is_never_the_second() -> None:
    search = subprocess.Popen(
        [sys.executable, "-c", HELD], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert search.stdout and search.stderr and search.stdout.readline() == "held\n"
    search.send_signal(signal.SIGINT)
    assert search.stderr.readline() == WAITING + "\n"
    search.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert search.poll() is None
    search.send_signal(signal.SIGINT)
    _, said = search.communicate(timeout=5)
    assert (search.returncode, said) == (130, "ended at once; the same command goes on\n")
