"""The most memory that a stretch of work held: torch's on a GPU, the whole process's on a CPU. Imports no torch."""

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

_PROCESS = Path("/proc/self")


def restart(device: str) -> None:
    """Forget earlier peaks. Where the system cannot, which is outside Linux, a CPU's peak stays that of the process."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    else:
        gc.collect()
        with suppress(OSError, AttributeError):  # what earlier runs of this process freed goes back to the system
            ctypes.CDLL(None).malloc_trim(0)
        with suppress(OSError):
            (_PROCESS / "clear_refs").write_text("5")


def peak_gib(device: str) -> float:
    """The peak since `restart`, in GiB. A process on a CPU holds its libraries too, most of a GiB with torch, and
    what earlier runs in it keep: for numbers to compare, one run a process or a GPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**30
    with suppress(OSError, StopIteration):
        lines = (_PROCESS / "status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
