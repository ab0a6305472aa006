"""Ray's side of a search: started here or joined, kept quiet, asked what it has, ended cleanly."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apc import worker
from apc.flags import check_address

worker.pin_environment()  # before ray is imported

import ray  # noqa: E402

JOIN_SECONDS = 20  # for a cluster to let a process join


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Where trials run and what each takes."""

    address: str | None = None
    """Address of a Ray cluster (`auto` on one of its nodes); None starts Ray on this machine."""
    num_workers: int = 1
    """Processes a trial; one shares warm actors, several train data-parallel."""
    cpus_per_trial: int = 1
    """CPUs, and torch threads, of each process."""
    gpus_per_trial: float | None = None
    """GPUs of each process; None takes one where the cluster has any."""
    max_concurrent: int | None = None
    """Most trials side by side; None is as many as fit."""
    verbose: bool = False
    """Show Ray's own messages."""


def fit(resources: Resources) -> tuple[Resources, int]:
    """Resources with what was left open filled in, and how many trials fit side by side; ValueError where none does."""
    have = ray.cluster_resources()
    if resources.gpus_per_trial is None:
        resources = replace(resources, gpus_per_trial=1.0 if have.get("GPU") else 0.0)
    slots = resources.max_concurrent or 10**6
    for kind, each in (("CPU", resources.cpus_per_trial), ("GPU", resources.gpus_per_trial or 0)):
        asked, there = each * resources.num_workers, have.get(kind, 0)
        if asked > there:
            raise ValueError(
                f"a trial asks for {asked:g} {kind}s ({resources.num_workers} processes with {each:g} each) and there "
                f"are {there:g}: it could never start; lower --num-workers or the {kind}s of each"
            )
        slots = min(slots, int(there / asked)) if asked else slots
    return resources, slots


@contextmanager
def quiet(resources: Resources, log: Path) -> Iterator[None]:
    """Keep Ray's words off the terminal: why a run failed stands in its own folder, the rest in `log`."""
    if resources.verbose:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with open(log, "a", buffering=1) as file, redirect_stdout(file):  # a dead worker is announced by print
        yield


@contextmanager
def session(resources: Resources) -> Iterator[None]:
    """Ray, started here or joined; one that runs already in this process is used and left running."""
    if ray.is_initialized():
        yield
        return
    address = resources.address or "local"
    options: dict[str, Any] = {"log_to_driver": resources.verbose}
    if address == "local":
        # Several processes a trial need the dashboard's State API: without it a killed trial keeps its resources.
        options["include_dashboard"] = resources.num_workers > 1
    else:
        check_address(address)
        _probe(address)
        import apc
        import experiments
        import search_spaces

        names = ("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "RAY_CHDIR_TO_TRIAL_DIR", "APC_CACHE")
        options["runtime_env"] = {
            "py_modules": [apc, search_spaces, experiments],  # `ray submit` copies the script alone
            "env_vars": {name: os.environ[name] for name in names if name in os.environ},
        }
    ray.init(address=address, logging_level=logging.INFO if resources.verbose else logging.CRITICAL, **options)
    try:
        yield
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """ValueError where a process of its own cannot join the cluster; in this one, ray.init would try for minutes."""
    code = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level=50)"
    try:
        child = [sys.executable, "-c", code, address]
        told = subprocess.run(child, capture_output=True, text=True, timeout=JOIN_SECONDS)
        reason = (told.stderr.strip().splitlines() or ["no reason given"])[-1] if told.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"no answer in {JOIN_SECONDS} s"
    if reason:
        raise ValueError(f"--address {address}: no Ray cluster answers there ({reason})")


@contextmanager
def sigterm_as_sigint() -> Iterator[None]:
    """Let SIGTERM (a batch system, a container) end a search as cleanly as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
