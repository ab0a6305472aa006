"""A Ray cluster of nodes that are processes of this machine, each with a disk of its own for what it keeps of runs."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from processes import below, name_of

QUICKLY = {"health_check_period_ms": 500, "health_check_failure_threshold": 4, "health_check_initial_delay_ms": 0}
"""For a node that dies to be missed within seconds."""


class FakeNodes:
    """A head that trains nothing, and nodes of one CPU."""

    def __init__(self, folder: Path, count: int, environment: dict[str, str]) -> None:
        from apc.search.ray_session import ray  # which sets first what Ray reads from the environment

        assert not ray.is_initialized()
        self.folder, self.environment, self.added = folder, environment, 0
        size: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 10**8}
        self._size = size
        self.cluster = import_module("ray.cluster_utils").Cluster(
            True, head_node_args={**size, "num_cpus": 0, "_system_config": QUICKLY}
        )
        self.address = str(self.cluster.address)
        for _ in range(count):
            self.add()

    def add(self) -> None:
        """A node with an empty disk."""
        self.added += 1
        own = {**self.environment, "APC_CACHE": str(self.folder / f"node{self.added}")}
        self.cluster.add_node(**self._size, num_cpus=1, env_vars=own)

    def training(self) -> list[int]:
        """The processes of its nodes that train."""
        return [pid for pid in below(os.getpid()) if name_of(pid).startswith("ray::ImplicitFunc")]

    def lose(self, chance: random.Random) -> bool:
        """Take a node away at once, one that trains; whether there was such a one."""
        nodes = list(self.cluster.worker_nodes)
        raylets = {node: node.all_processes["raylet"][0].process.pid for node in nodes}
        training = set(self.training())
        busy = [node for node in nodes if training & below(raylets[node]).keys()]
        if busy:
            self.cluster.remove_node(chance.choice(sorted(busy, key=id)), allow_graceful=False)
        return bool(busy)


@contextmanager
def fake_nodes(folder: Path, count: int, environment: dict[str, str]) -> Iterator[FakeNodes]:
    """So many nodes, all of them ended at the end."""
    nodes = FakeNodes(folder, count, environment)
    try:
        yield nodes
    finally:
        nodes.cluster.shutdown()
