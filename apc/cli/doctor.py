"""`apc doctor`: what would fail, before anything long starts."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from apc.escaping import say
from apc.flags import at_least, parse, runs_folder

if TYPE_CHECKING:
    from apc.search.doctor import Check


@dataclass(frozen=True, kw_only=True)
class DoctorFlags:
    """Ask this machine, or every node of a cluster, what a search would stumble over."""

    address: str = field(default_factory=lambda: os.environ.get("APC_ADDRESS") or "local")
    """Ray cluster, auto on one of its nodes, or local (default: $APC_ADDRESS, or local)."""
    runs: Path = field(default_factory=runs_folder)
    """Folder that keeps the runs, shared by all nodes, or s3://BUCKET/PREFIX (default: $APC_RUNS, or runs)."""
    num_workers: int = 1
    """Processes a trial."""
    cpus: int = 1
    """CPUs of each process."""
    gpus: float | None = None
    """GPUs of each process (default: 1 where there are any)."""
    quick: bool = False
    """Look at this machine alone and start no Ray: a second, for the health check of a container."""
    verbose: bool = False
    """Show Ray's own messages too."""


def command(words: list[str]) -> int:
    flags = parse(DoctorFlags, words, "apc doctor")
    at_least(1, num_workers=flags.num_workers, cpus=flags.cpus)
    at_least(0, gpus=flags.gpus)
    from apc.search.doctor import examine_here

    checks = examine_here(flags.runs) if flags.quick else _every_node(flags)
    say("\n".join(check.line for check in checks))
    return 2 if any(check.remedy for check in checks) else 0


def _every_node(flags: DoctorFlags) -> "list[Check]":
    """All checks: Ray is started, or joined, and asks each of its nodes."""
    from apc.search.doctor import examine
    from apc.search.ray_session import Resources

    resources = Resources(
        address=flags.address,
        num_workers=flags.num_workers,
        cpus_per_trial=flags.cpus,
        gpus_per_trial=flags.gpus,
        verbose=flags.verbose,
    )
    return examine(resources, flags.runs)
