"""Whether Ray is alive is told by its doors, here those of this test."""

import socket
import time
from collections.abc import Callable

import pytest

from apc.search import lifeline
from apc.search.lifeline import Lifeline, RayLost


def door(port: int = 0) -> socket.socket:
    """A socket that accepts connections."""
    return socket.create_server(("127.0.0.1", port))


def until(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifeline, "LOOK", 0.02)


def test_a_door_that_stays_shut_is_told_once_and_ends_the_search() -> None:
    gcs, raylet, told = door(), door(), list[str]()
    line = Lifeline({"its GCS": gcs.getsockname(), "its raylet": raylet.getsockname()}, 0.1, told.append)
    line.settle()
    line.check()
    raylet.close()
    until(lambda: told)
    assert told == ["its raylet"]
    with pytest.raises(RayLost, match="its raylet"):
        line.check()
    with pytest.raises(RayLost, match="its raylet"):
        line.settle()
    line.let_go()
    gcs.close()


def test_a_door_that_opens_again_in_time_is_waited_for() -> None:
    gcs, told = door(), list[str]()
    address = gcs.getsockname()
    line = Lifeline({"its GCS": address}, 5.0, told.append)
    gcs.close()
    time.sleep(0.1)
    gcs = door(address[1])
    line.settle()
    line.check()
    assert told == []
    line.cut()
    gcs.close()


def test_a_trial_lost_with_ray_is_settled_before_the_thread_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifeline, "LOOK", 1.0)
    gcs = door()
    line = Lifeline({"its GCS": gcs.getsockname()}, 0.1, lambda lost: None)
    gcs.close()
    with pytest.raises(RayLost):
        line.settle()
    line.let_go()


@pytest.mark.parametrize("in_time", [True, False])
def test_a_driver_that_a_dead_ray_holds_is_ended(in_time: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, told = list[int](), list[str]()
    monkeypatch.setattr(lifeline.os, "_exit", codes.append)
    monkeypatch.setattr(lifeline, "HELD", 0.3)
    gcs = door()
    line = Lifeline({"its GCS": gcs.getsockname()}, 0.05, told.append)
    gcs.close()
    until(lambda: told)
    line.cut()
    if in_time:
        line.let_go()
        time.sleep(0.6)
    else:
        until(lambda: codes)
    assert codes == ([] if in_time else [3])


def test_doors_that_close_after_the_cut_are_no_death() -> None:
    gcs, told = door(), list[str]()
    line = Lifeline({"its GCS": gcs.getsockname()}, 0.05, told.append)
    line.cut()
    gcs.close()
    time.sleep(0.3)
    assert told == []
    line.check()
