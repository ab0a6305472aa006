"""What a run that is trained here leaves in a store, and takes from there.

    <run>/last.pt, curve.jsonl   after every epoch, in this order, while the next one trains; before them a new best/
                                 and, of a rung, its ballots
    <run>/...                    the finished run's files and, last and on condition that there is none, row.json
    <run>/lease.json             who trains it; removed once it is finished

So a row in a store is whole with all it tells of, and of two that train a run the first to end wins.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from apc.files import State, is_part, state_of
from apc.runs.copies import copy_of, store_of
from apc.runs.folder import RunFolder
from apc.runs.lease import Lease
from apc.runs.store import TOGETHER, StoreFault

Report = Callable[[dict[str, float]], None]


class RunHere:
    """A run in a folder of its own: there is no store to ask, and none to tell."""

    def look(self) -> None:
        """Bring the row, where the store has one."""

    def held(self) -> AbstractContextManager[None]:
        """Hold the run, as a lock of its folder does: wait for whoever trains it, and have what it left."""
        return contextlib.nullcontext()

    def join(self) -> None:
        """Have, beside the process that holds the run, what that one has."""

    def reporting(self, report: Report | None) -> Report | None:
        """`report`, and before it what is to be done after an epoch."""
        return report

    def publish(self, row: str, usable: Callable[[], bool]) -> bool:
        """Store all files and, last, the row; False where there is a row by now, that of another process, which is
        then here, and nothing is stored. One that is there and not `usable` is replaced."""
        return True


class SharedRun(RunHere):
    """A run whose folder is the copy of what a store has."""

    def __init__(self, folder: Path) -> None:
        there = copy_of(RunFolder(folder).row)
        assert there, f"{folder} is no copy"
        self.folder, self.store, self.name = RunFolder(folder), there[0], folder.name
        self.lease = Lease(self.store, f"{self.name}/{self.folder.lease.name}")
        self._uploads = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None
        self._holds = False
        self._stored: dict[Path, State | None] = {}
        """Files of best/, and ballots, as they were when they were stored."""

    def look(self) -> None:
        if not self.folder.row.is_file():
            self.store.fetch(self._object(self.folder.row), self.folder.row)

    @contextmanager
    def held(self) -> Iterator[None]:
        self.lease.take(lambda lives, machine: True)
        try:
            self.look()
            self._bring_state(exactly=False)
            self._holds = True
            yield
            self._wait()
        finally:
            self._uploads.shutdown(cancel_futures=True)
            self.lease.release()
            if self.folder.row.is_file():
                with contextlib.suppress(StoreFault):
                    self.store.remove(self.lease.name, self._object(self.folder.state))

    def join(self) -> None:
        self.look()
        self._bring_state(exactly=True)

    def reporting(self, report: Report | None) -> Report | None:
        if not self._holds:
            return report

        def told(numbers: dict[str, float]) -> None:
            if "final" not in numbers:
                self._saved()
            if report:
                report(numbers)

        return told

    def publish(self, row: str, usable: Callable[[], bool]) -> bool:
        self._wait()
        name, content = self._object(self.folder.row), row.encode()
        if self.store.fetch(name, self.folder.row) and usable():
            return False  # before its files are written over
        self._require_held()
        files = {self._object(path): path for path in self.folder.path.rglob("*") if self._stays(path)}
        with ThreadPoolExecutor(TOGETHER) as pool:
            list(pool.map(self.store.write, files, files.values()))
        if not self.store.create(name, content):
            self.store.fetch(name, self.folder.row)
            if usable():
                return False
            self.store.write(name, content)
        with contextlib.suppress(StoreFault):
            stale = self.store.names(self.name).keys() - {*files, name, self.lease.name}
            # Ballots of a rung that another machine trained it to were never brought here.
            self.store.remove(*(old for old in stale if not self.folder.is_ballots(self.folder.path.parent / old)))
        return True

    def _stays(self, path: Path) -> bool:
        """Whether a file belongs to a finished run."""
        ours = self.folder
        passing = (ours.row, ours.state, ours.lock, ours.lease, ours.error, ours.stopped)
        return path.is_file() and path not in passing and not is_part(path)

    def _object(self, path: Path) -> str:
        return f"{self.name}/{path.relative_to(self.folder.path).as_posix()}"

    def _bring_state(self, *, exactly: bool) -> None:
        """Have the training state of the store where it is further than the one here or, for processes that train
        together, another one."""
        there = (self.store.read(self._object(self.folder.curve)) or [b""])[0]
        here = self.folder.curve.read_bytes() if self._has_state() else b""
        if here == there:
            return
        if exactly or len(there.splitlines()) > len(here.splitlines()):
            for path in (*self.folder.best.needed, self.folder.state, self.folder.curve):
                if not self.store.fetch(self._object(path), path):
                    path.unlink(missing_ok=True)
        else:
            self._upload(here)  # the other processes take it from there

    def _has_state(self) -> bool:
        return self.folder.state.is_file() and self.folder.curve.is_file()

    def _saved(self) -> None:
        """Have the state of an epoch stored while the next one trains; one epoch's at a time."""
        self._wait()
        self._require_held()
        self._last = self._uploads.submit(self._upload, self.folder.curve.read_bytes())

    def _require_held(self) -> None:
        if self.lease.lost:
            raise StoreFault(self.store.url, f"another process has taken run {self.name} over")

    def _upload(self, curve: bytes) -> None:
        for path in (*self.folder.best.needed, *filter(self.folder.is_ballots, self.folder.path.iterdir())):
            if path.is_file() and self._stored.get(path) != (state := state_of(path)):
                self.store.write(self._object(path), path)
                self._stored[path] = state
        self.store.write(self._object(self.folder.state), self.folder.state)
        self.store.write(self._object(self.folder.curve), curve)

    def _wait(self) -> None:
        if self._last:
            self._last.result()


def run_at(folder: Path) -> RunHere:
    """What there is to do about a store for the run in `folder`."""
    return SharedRun(folder) if store_of(folder.parent) else RunHere()
