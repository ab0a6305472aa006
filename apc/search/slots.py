"""How many trials run at once: asked of the cluster again and again while a search goes on."""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from apc.search.ray_session import Resources, fit, nodes, nodes_are_coming, other_versions

ASKED = 2.0  # seconds between looks at the nodes, a call of the cluster's GCS
COMING = 5.0  # seconds between questions to an autoscaler, while a trial waits and none was seen at work


class Slots:
    """How many trials fit the nodes there are now, and how many may be handed out.

    One trial more than fit waits in Ray's queue: a node that joins has work at once, and an autoscaler sees that one is
    wanted. Where an autoscaler is seen to answer, it is shown what is wanted: a waiting trial for each slot up to
    `max_concurrent` or, without it, as many as fit already. Nothing holds a launcher of several processes back in that
    queue: its processes wait in its stead, and only where an autoscaler is at work.
    """

    def __init__(
        self,
        resources: Resources,
        settle: Callable[[], None],
        resized: Callable[[int], None] = lambda slots: None,
        told: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """`resources` are filled in by `fit`, `settle` raises where Ray is dead, `resized` is told a new count, `told`,
        from a thread, what nodes that join a cluster have in other versions: Ray keeps no trial off them.

        ValueError where not one trial fits."""
        self.resources, self.settle, self.resized, self.told = resources, settle, resized, told
        self._joined = (resources.address or "local") != "local"
        self._known = self._nodes()
        self.count = fit(resources)[1]
        self.scales = False
        """Whether an autoscaler was seen at work."""
        self._looked = self._asked = time.monotonic()

    def look(self) -> None:
        """Ask the cluster what it has; ValueError where not one trial fits all the nodes there are."""
        self.settle()
        self._looked = time.monotonic()
        self._ask_the_new()
        before, self.count = self.count, 0
        try:
            self.count = fit(self.resources)[1]
        finally:
            if self.count != before:
                self.resized(self.count)

    def _nodes(self) -> set[str]:
        """Ids of the nodes of a cluster that was joined: on one's own machine there is one."""
        return {node["NodeID"] for node in nodes()} if self._joined else set()

    def _ask_the_new(self) -> None:
        """Have nodes that nobody has asked for their versions asked: their first process takes a while to start."""

        def ask(new: set[str]) -> None:
            for sentence in other_versions(new):
                self.told(sentence)

        if new := self._nodes() - self._known:
            self._known |= new
            Thread(target=ask, args=(new,), daemon=True).start()

    def limit(self, handed_out: int) -> int:
        """How many trials may be handed out in all, those that wait for room included, where so many are."""
        if time.monotonic() - self._looked >= ASKED:
            with suppress(ValueError):  # that nothing fits may pass: callbacks.Watch ends a search where it does not
                self.look()
        most = self.resources.max_concurrent or 10**6
        return min(self.count + self._waiting(handed_out), most)

    def _waiting(self, handed_out: int) -> int:
        """How many trials may wait for room."""
        most, queued = self.resources.max_concurrent, self.resources.num_workers == 1
        if not self.scales and handed_out >= self.count and time.monotonic() - self._asked >= COMING:
            self.settle()
            self._asked = time.monotonic()
            self.scales = nodes_are_coming()
        if not self.scales:
            return int(queued)
        return max(most - self.count if most else self.count, 1)
