"""The journal of a study that lies in a store: brought here, and stored again as it grows.

One driver has it, by a lease. It is stored on condition that it is still the version that this driver stored last, so
that a driver which was away for long and comes back can undo nothing: it finds that it has lost the study.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from apc.escaping import complain
from apc.files import state_of, write_encoded
from apc.runs.copies import store_of
from apc.runs.folder import RunsFolder
from apc.runs.lease import LEASE, Lease
from apc.runs.store import Store, StoreFault

PAUSE = 0.5  # seconds between looks at whether the journal has grown

_open: dict[Path, "JournalCopy"] = {}


@contextmanager
def shared(runs: Path, study: str) -> Iterator[None]:
    """Hold a study in its store, with its journal here; nothing where the runs belong to none.

    ValueError where a search on another machine works on it. One that is dead is waited for, up to a minute.
    """
    if not (store := store_of(runs)):
        yield
        return
    journal = RunsFolder(runs).journal(study)
    lease = Lease(store, RunsFolder(runs).lease(study).name)
    waited: list[str] = []

    def wait(lives: bool, machine: str) -> bool:
        if not waited:
            complain(f"the study was held on {machine}; waiting up to {LEASE:.0f} s for a sign of life from there")
            waited.append(machine)
        return not lives

    if not lease.take(wait):
        where = f"another search, on {waited[0]}, works on this study"
        raise ValueError(f"{store.url}/{journal.name}: {where}; wait for it or give --runs another place")
    copy = JournalCopy(store, journal, lease)
    try:
        copy.begin()
        _open[runs] = copy
        yield
    finally:
        _open.pop(runs, None)
        copy.end()
        lease.release()


def check(runs: Path) -> None:
    """StoreFault where the study that this process works on is another's by now, or cannot be stored any more."""
    if copy := _open.get(runs):
        copy.check()


def content_of(runs: Path, study: str) -> bytes:
    """The journal of a study as it is now, whoever works on it; of runs in a store the one there, with lines behind it
    that are here. Empty where there is none."""
    path = RunsFolder(runs).journal(study)
    here = path.read_bytes() if path.is_file() else b""
    if not (store := store_of(runs)):
        return here
    there, _ = store.read(path.name) or (b"", None)
    return here if there and here.startswith(there) else there


class JournalCopy:
    """A journal here, and the same in a store."""

    def __init__(self, store: Store, path: Path, lease: Lease) -> None:
        self.store, self.path, self.lease = store, path, lease
        self.fault: StoreFault | None = None
        self._tag: dict[str, Any] | None = None
        self._stored: Any = None
        """State of the file whose contents are stored."""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def begin(self) -> None:
        """Have the store's journal here, or go on with the one here where it is that one and lines behind it."""
        stored = self.store.read(self.path.name)
        content, self._tag = stored or (b"", None)
        here = self.path.read_bytes() if self.path.is_file() else b""
        if not stored:
            self.path.unlink(missing_ok=True)  # of a study that was removed
        elif not here.startswith(content):
            write_encoded(self.path, content)
        self._thread.start()

    def check(self) -> None:
        if self.fault:
            raise self.fault
        if self.lease.lost:
            raise StoreFault(self.store.url, "another search has taken the study over")

    def end(self) -> None:
        """Store the last lines."""
        self._end.set()
        if self._thread.ident:
            self._thread.join()
        with suppress(StoreFault):
            self._store()

    def _keep(self) -> None:
        while not self._end.wait(PAUSE):
            try:
                self._store()
            except StoreFault as fault:
                self.fault = fault

    def _store(self) -> None:
        """Store what the journal has become."""
        state = state_of(self.path)
        if state is None or state == self._stored or self.lease.lost:
            return
        content, name = self.path.read_bytes(), self.path.name
        tag = self.store.replace(name, content, self._tag) if self._tag else self.store.create(name, content)
        if tag is None and (there := self.store.read(name)) and content.startswith(there[0]):
            # These may be lines of this driver of which the answer was lost, as long as nobody else has the study.
            tag = self.store.replace(name, content, there[1]) if self.lease.own_version() else None
        if tag is None:
            raise StoreFault(self.store.url, "another search has taken the study over")
        self._tag, self._stored, self.fault = tag, state, None
