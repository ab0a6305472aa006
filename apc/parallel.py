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
from contextlib import contextmanager
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
BEAT = 30.0  # seconds between lines of progress where there is no terminal


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prefetch(jobs: Iterable[Job], make: Callable[[Job], Result], threads: int = 0, ahead: int = 0) -> Iterator[Result]:
    """`make` of every job, in order, made up to `ahead` jobs (default: two a thread) before they are asked for.

    Without threads each is made when it is asked for. An error of `make` is raised in its turn; whoever stops early
    waits for the jobs under way and no others.
    """
    if not threads:
        yield from map(make, jobs)
        return
    waiting: deque[Future[Result]] = deque()
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


def each(jobs: list[Job], make: Callable[[Job], Result], label: str) -> list[Result]:
    """`make` of every job over all cores, with a progress bar, or a line now and then where there is no terminal."""
    results: list[Result] = []
    with progress(label, len(jobs)) as done:
        for result in prefetch(jobs, make, cores()):
            results.append(result)
            done(len(results))
    return results


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """`with progress(label, total) as done`, and `done(n)` now and then: a bar on stderr, or a line every BEAT."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    start = last = time.monotonic()

    def line(done: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > BEAT and done:
            last, left = now, (now - start) * (total - done) / done
            print(f"{label}: {done} of {total}, about {left:.0f} s left", file=sys.stderr, flush=True)

    yield line
