"""The Ray that a search starts on this machine: with what this process may use, on loopback only, and tried again where
the machine is too busy."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from apc.search import worker

worker.pin_environment()  # before ray is imported

import ray  # noqa: E402
from ray._private import ray_constants, services  # noqa: E402

WAITS = (5, 15, 45)  # seconds before Ray is tried again
LONGEST = 38  # bytes of a temporary folder: Ray adds 69 to it for its sockets, whose names end at 107


def cpus() -> int:
    """CPUs that this process may use: those it is bound to, and no more than its cgroup's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(bound, int(quota(Path("/sys/fs/cgroup")) or bound)), 1)


def quota(root: Path) -> float | None:
    """CPUs that the cgroup below `root`, of either version, allows; None where it sets no limit."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        most, period = (root / "cpu.max").read_text(encoding="utf-8").split()
        return int(most) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        most, period = (
            (root / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="utf-8") for name in ("quota", "period")
        )
        return int(most) / int(period) if int(most) > 0 else None
    return None


def gpus() -> int:
    """GPUs that torch can use here."""
    import torch

    return torch.cuda.device_count()


def temporary() -> str | None:
    """Folder for Ray's files where its own choice does not do; None where it does."""
    chosen = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if _does(chosen):
        return None
    return next((f"{place}/ray" for place in ("/tmp", "/var/tmp", str(Path.home())) if _does(place)), None)


def _does(place: str) -> bool:
    """Whether Ray's sockets fit below a folder and can be made there."""
    return len(os.fsencode(place)) <= LONGEST and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)


def start(options: dict[str, Any], told: Callable[[str], None]) -> None:
    """Start Ray with these options of ray.init, `include_dashboard` among them, again after longer and longer waits;
    ValueError, in one sentence, where it does not start. `told` is told what is waited for."""
    for wait in (*WAITS, None):
        before = _children()
        try:
            with _private(dashboard=options["include_dashboard"]):
                ray.init(
                    address="local",
                    **{"num_cpus": cpus(), "num_gpus": gpus()} | options,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=temporary(),
                )
            return
        except (ValueError, KeyboardInterrupt):
            _clear(before)
            raise
        except Exception as error:  # Ray has no better name for a machine that is too busy
            reason = " ".join(str(error).split())
            _clear(before)
        if wait is None:
            raise ValueError(f"Ray did not start in {len(WAITS) + 1} tries ({reason}); the same command tries again")
        told(f"Ray did not start ({reason}); this machine may be busy; trying again in {wait} s")
        time.sleep(wait)


def _clear(before: set[int]) -> None:
    """End what Ray had started and leaves where it does not start."""
    ray.shutdown()
    for pid in _children() - before:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def _private(dashboard: bool) -> Iterator[None]:
    """Let Ray listen on 127.0.0.1 alone, which it takes for a mistake on Linux, and start no dashboard unless asked:
    `include_dashboard=False` only hides its pages."""
    before = ray_constants.ENABLE_RAY_CLUSTER, services.start_api_server
    ray_constants.ENABLE_RAY_CLUSTER = False
    if not dashboard:
        services.start_api_server = lambda *where, **how: (None, None)
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER, services.start_api_server = before


def _children() -> set[int]:
    """Processes of Ray's that this one has started; none known where the system is not Linux."""
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread, or a process, that ended meanwhile
            found |= {
                pid
                for pid in path.read_text(encoding="utf-8").split()
                if b"/ray/" in Path(f"/proc/{pid}/cmdline").read_bytes()
            }
    return set(map(int, found))
