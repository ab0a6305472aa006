"""Work on many files: in order, ahead of whoever asks, on threads. Pillow and torch let other threads run meanwhile.

Imports neither torch nor Pillow. Nothing here is random and results come in the order of their jobs, so the number of
threads changes no number.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Made = TypeVar("Made")
BEAT = 30.0  # seconds between lines of progress where there is no terminal


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prefetch(
    jobs: Iterable[Job], make: Callable[[Job], Made], threads: int = 0, ahead: int = 0
) -> Iterator[Made]:
    """`make` of every job, in order, made up to `ahead` jobs (default: two a thread) before they are asked for.

    Without threads each is made when it is asked for. An error of `make` is raised in its turn; whoever stops early
    waits for the jobs under way and no others.
    """
    if not threads:
        yield from map(make, jobs)
        return
    waiting: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch")
    try:
        for job in jobs:
            waiting.append(pool.submit(make, job))
            if len(waiting) > (ahead or 2 * threads):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def each(jobs: list[Job], make: Callable[[Job], Made], label: str) -> list[Made]:
    """`make` of every job over all cores, with a progress bar, or a line now and then where there is no terminal."""
    made = []
    with _progress(label, len(jobs)) as advance:
        for result in prefetch(jobs, make, cores()):
            made.append(result)
            advance()
    return made


class _progress:
    """`with _progress(label, total) as advance`: a bar on stderr, or plain lines."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.done, self.told = label, total, 0, time.monotonic()

    def __enter__(self) -> Callable[[], None]:
        self.bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task(self.label, total=self.total)
        return self._advance

    def _advance(self) -> None:
        self.done += 1
        if self.bar:
            self.bar.advance(self.task)
        elif time.monotonic() - self.told > BEAT:
            self.told = time.monotonic()
            print(f"{self.label}: {self.done} of {self.total}", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
