"""Whether the Ray that a search goes on with is alive: a thread asks its doors.

Ray does not tell. Without its raylet a search waits for ever, and without its GCS Ray ends the driver's own process
after a minute.
"""

import os
import socket
import threading
import time
from collections.abc import Callable

from apc.search.interrupts import to_stderr

LOOK = 1.0  # seconds between looks
OURS = 1.5  # seconds for which a door of this machine's own Ray refuses until Ray counts as dead
CLUSTERS = 20.0  # the same of a cluster's, whose network may be away for a moment
ANSWER = 3.0  # seconds for a door to open
HELD = 75.0  # seconds for a dead Ray to let go of its driver; twice its time-out of most calls, and its end

Doors = dict[str, tuple[str, int]]
"""What a search cannot go on without, by name: where each of them listens."""


class RayLost(BaseException):
    """Ray is dead, or the cluster is gone. No Exception: Tune would answer one by asking the dead Ray to clean up."""


class Lifeline:
    """Asks `doors` until it is cut; `told` is called once, from its thread, when one has been shut for `patience`.

    Some of Ray's calls wait for a dead GCS without end, and no exception reaches whoever is in one. So where Ray is not
    let go of in time, the process ends with exit code 3, as if it had been killed.
    """

    def __init__(self, doors: Doors, patience: float, told: Callable[[str], None]) -> None:
        self.doors, self.patience, self.told = doors, patience, told
        self.lost = ""
        """What does not answer any more; empty while all do."""
        self._shut: dict[str, float] = {}
        self._looking, self._cut, self._let_go = threading.Lock(), threading.Event(), threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def check(self) -> None:
        """RayLost where the thread has found so."""
        if self.lost:
            raise RayLost(self.lost)

    def settle(self) -> None:
        """Look now, and return once all doors are open: a trial that lost its process with Ray has not failed. RayLost
        where one stays shut."""
        while self._look():
            self.check()
            time.sleep(LOOK / 2)

    def cut(self) -> None:
        """Look no more: Ray is about to be left."""
        self._cut.set()

    def let_go(self) -> None:
        """Ray has been left."""
        self._let_go.set()

    def _watch(self) -> None:
        while not (self.lost or self._cut.wait(LOOK)):
            self._look()
        if self.lost:
            self.told(self.lost)
            if not self._let_go.wait(HELD):
                to_stderr(f"Ray has died ({self.lost}) and holds this process: it ends; the same command goes on")
                os._exit(3)

    def _look(self) -> bool:
        """Whether a door is shut now."""
        with self._looking:
            for name, (host, port) in self.doors.items():
                began = time.monotonic()
                try:
                    socket.create_connection((host, port), timeout=ANSWER).close()
                    self._shut.pop(name, None)
                except OSError:
                    since = self._shut.setdefault(name, began)
                    if began - since >= self.patience:
                        self.lost = self.lost or name
            return bool(self._shut)
