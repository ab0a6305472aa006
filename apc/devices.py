"""Where a process computes: its device, threads, rank and world, and the most memory that a stretch of work held.

Imports torch only where a function needs it.
"""

import ctypes
import gc
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path


def device_of(name: str) -> str:
    """A torch device: `auto` is a GPU where there is one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if name not in ["cpu", *gpus] and not (name == "cuda" and gpus):
        raise ValueError(f"device is {name!r}; choose from {', '.join(['auto', 'cpu', *gpus])}")
    return name


def set_threads(count: int) -> None:
    """Let torch use `count` threads on the CPU; 0 is one a core, or OMP_NUM_THREADS, whatever was set before."""
    import torch

    if not 0 <= count <= 4096:
        raise ValueError(f"threads is {count}; give 1 to 4096, or 0 for a thread a core")
    torch.set_num_threads(count or _a_core_each())


def _a_core_each() -> int:
    """Cores that this process may use, where OMP_NUM_THREADS names no other number."""
    named = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if named.isdecimal() and int(named):
        return int(named)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


PROCESSOR = Path("/proc/cpuinfo")
"""What the system tells of its processor."""


def told(amp: str, device: str) -> str:
    """What to tell of bf16 on a processor that has no instructions for it; empty elsewhere, and where it is not known.

    One with AVX2 alone took 7 to 11 times as long a step as without autocast (DeiT-Tiny at 160 pixels), one with
    AVX-512 for bf16 0.73 of it.
    """
    if amp != "bf16" or device != "cpu":
        return ""
    words: set[str] = set()
    with suppress(OSError):  # no Linux
        words = set(PROCESSOR.read_text(encoding="utf-8").split())
    if not words & {"flags", "Features"} or words & {"avx512_bf16", "amx_bf16", "bf16"}:
        return ""
    return "amp is bf16, for which this processor has no instructions: a step takes several times as long as with none"


def processes() -> tuple[int, int]:
    """Number of this process, and how many train together."""
    import torch.distributed as dist

    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


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
            (_PROCESS / "clear_refs").write_text("5", encoding="utf-8")


def peak_gib(device: str) -> float:
    """The peak since `restart`, in GiB. A process on a CPU holds its libraries too, most of a GiB with torch, and
    what earlier runs in it keep: for numbers to compare, one run a process or a GPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**30
    with suppress(OSError, StopIteration):
        lines = (_PROCESS / "status").read_text(encoding="utf-8").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
