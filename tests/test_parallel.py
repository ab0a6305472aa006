"""Work done ahead, in its order, and how far long work is."""

import threading
import time
from collections.abc import Iterator

import pytest

from apc.parallel import each, prefetch


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_prefetch_keeps_the_order(threads: int) -> None:
    def slow(job: int) -> int:
        time.sleep(0.01 * (job % 3))
        return job * job

    assert list(prefetch(range(20), slow, threads)) == [n * n for n in range(20)]


def test_prefetch_works_ahead_but_not_too_far() -> None:
    started: list[int] = []
    jobs = prefetch(range(100), lambda job: started.append(job), threads=2, ahead=5)
    next(jobs)
    time.sleep(0.05)
    assert len(started) == 6
    jobs.close()  # type: ignore[attr-defined]
    assert len(started) == 6 and not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_an_error_comes_in_its_turn() -> None:
    def broken(job: int) -> int:
        if job == 2:
            raise ValueError("2.jpg: broken")
        return job

    made: Iterator[int] = prefetch(range(9), broken, threads=3)
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ValueError, match=r"2\.jpg"):
        next(made)


def test_long_work_tells_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apc.parallel.BEAT", 0.0)
    assert each([1, 2, 3], lambda job: 2 * job, "doubling") == [2, 4, 6]
    assert "doubling: 2 of 3" in capsys.readouterr().err
