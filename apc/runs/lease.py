"""A lease: who works on a run, or on a study, that lies in a store. It stands for the lock that a folder would have.

The holder renews it. One that was not renewed for LEASE seconds, watched by the clock of who wants it, is nobody's, as
is at once that of a process of this machine that is dead. No clock of another machine is believed. A lease spares work
that would be done twice; that nothing is overwritten, conditional writes of what matters see to.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from apc.files import this_machine
from apc.runs.store import Store, StoreFault

LEASE = 60.0  # seconds without a sign of life after which a lease is nobody's
RENEWAL = 15.0  # seconds between two signs of life
OLD = 10 * LEASE  # seconds by the clocks of two machines, which may differ, after which two renewals are watched for
LOOK = 1.0  # seconds between looks at another's

_held: set[str] = set()
"""Keys of the leases that this process holds; of another one of its own it has lost sight."""


class Lease:
    """One lease, by the name of its object; it may be taken and released once."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.lost = False
        """Whether another process has taken it over."""
        self._key, self._beat = os.urandom(8).hex(), 0
        self._tag: dict[str, Any] | None = None
        self._end = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def take(self, wait: Callable[[bool, str], bool]) -> bool:
        """Take it as soon as it is nobody's; False where `wait`, asked at every look, will not have it any more.

        `wait` is told whether the holder gave a sign of life since the first look, and its machine.
        """
        first = seen = None
        since = time.monotonic()
        while not (taken := self.store.create(self.name, self._content())):
            there = self.store.read(self.name)
            if there is None:
                continue
            content, tag = there
            if seen != content:
                first, seen, since = first or content, content, time.monotonic()
            if _is_free(content) or time.monotonic() - since > _watch(content):
                if taken := self.store.replace(self.name, self._content(), tag):
                    break
                continue
            if not wait(content != first, _holder(content).get("machine", "?")):
                return False
            time.sleep(LOOK)
        self._tag = taken
        _held.add(self._key)
        self._renewing.start()
        return True

    def release(self) -> None:
        """Give it back, if it is still this process's."""
        self._end.set()
        _held.discard(self._key)
        if self._tag is not None:
            self._renewing.join()
        if self._tag is not None and not self.lost:
            with suppress(StoreFault):  # it runs out by itself
                self.store.replace(self.name, self._content(free=True), self._tag)

    def own_version(self) -> dict[str, Any] | None:
        """The version of it that is in the store, where that is this process's; None where it is another's by now."""
        there = self.store.read(self.name)
        return there[1] if there and _holder(there[0]).get("key") == self._key else None

    def _renew(self) -> None:
        while not self._end.wait(RENEWAL):
            self._beat += 1
            try:  # of a sign of life that was stored the answer may have been lost, and then it has another version
                tag = self.store.replace(self.name, self._content(), self._tag or {}) or self.own_version()
            except StoreFault:
                continue
            if tag is None:
                self.lost = True
                return
            self._tag = tag

    def _content(self, free: bool = False) -> bytes:
        holder = {"machine": this_machine(), "process": os.getpid(), "key": self._key, "beat": self._beat}
        return json.dumps(holder | {"time": time.time(), "free": free}).encode()


def alive(content: bytes, stored: float) -> bool:
    """Whether the holder that stands in a lease was heard of lately: `stored` is when, by the clock of the store."""
    return not _is_free(content) and time.time() - stored < LEASE


def _watch(content: bytes) -> float:
    """Seconds for which a lease is watched for a sign of life."""
    return min(2 * RENEWAL, LEASE) if abs(time.time() - _holder(content)["time"]) > OLD else LEASE


def _is_free(content: bytes) -> bool:
    """Whether a lease is nobody's for what stands in it alone."""
    holder = _holder(content)
    if not holder or holder.get("free"):
        return True
    if holder["machine"] != this_machine():
        return False
    if holder["process"] == os.getpid():
        return holder.get("key") not in _held
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _holder(content: bytes) -> dict[str, Any]:
    """What stands in a lease; empty where that cannot be read."""
    try:
        holder = json.loads(content)
        if isinstance(holder["time"], float) and type(holder["process"]) is int and isinstance(holder["machine"], str):
            return dict(holder)
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    return {}
