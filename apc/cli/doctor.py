"""`apc doctor`: what would fail, before anything long starts."""

import os
from pathlib import Path

from apc.cli.parsing import parse


def command(words: list[str]) -> int:
    cluster, folder = os.environ.get("APC_ADDRESS", "local"), Path(os.environ.get("APC_RUNS", "runs"))

    def doctor(
        *,
        address: str = cluster,
        runs: Path = folder,
        num_workers: int = 1,
        cpus: int = 1,
        gpus: float | None = None,
        verbose: bool = False,
    ) -> tuple[str, Path, int, int, float | None, bool]:
        """Ask this machine, or every node of a cluster, what a search would stumble over.

        Args:
            address: Ray cluster, auto on one of its nodes, or local (default: $APC_ADDRESS, or local).
            runs: Folder that keeps the runs, shared by all nodes (default: $APC_RUNS, or runs).
            num_workers: Processes a trial.
            cpus: CPUs of each process.
            gpus: GPUs of each process (default: 1 where there are any).
            verbose: Show Ray's own messages too.
        """
        return address, runs, num_workers, cpus, gpus, verbose

    address, runs, num_workers, cpus, gpus, verbose = parse(doctor, words, "apc doctor")
    for flag, value in (("num-workers", num_workers), ("cpus", cpus)):
        if value < 1:
            raise ValueError(f"--{flag} is {value}; it must be at least 1")
    from apc.search.doctor import examine
    from apc.search.ray_session import Resources

    checks = examine(
        Resources(address=address, num_workers=num_workers, cpus_per_trial=cpus, gpus_per_trial=gpus, verbose=verbose),
        runs,
    )
    print("\n".join(check.line for check in checks))
    return 2 if any(check.remedy for check in checks) else 0
