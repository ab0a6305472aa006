"""What a number depends on beside its config: code, versions, machine, data. Imports neither torch nor Ray."""

import functools
import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "ray", "optuna", "pydensecrf2")
DIRTY = "-dirty"
"""Ends a commit in APC_COMMIT from which the Python files differ."""


@functools.cache
def commit() -> tuple[str, bool]:
    """Commit of the code that runs, and whether its Python files differ from it. Where the code lies in no repository
    of its own, what APC_COMMIT says, or ("unknown", False)."""
    root = Path(__file__).resolve().parents[2]
    try:
        top, head = _git(root, "rev-parse", "--show-toplevel", "--short=12", "HEAD").splitlines()
        if Path(top).resolve() == root:  # not somebody's, in whose environment it is installed
            changed = _git(root, "status", "--porcelain", "--", "apc", "search_spaces", "experiments")
            return head, any(line.endswith(".py") for line in changed.splitlines())
    except (OSError, subprocess.CalledProcessError):
        pass
    said = os.environ.get("APC_COMMIT", "unknown")
    return said.removesuffix(DIRTY), said.endswith(DIRTY)


def commit_in_a_word() -> str:
    """The commit as APC_COMMIT has it, for a process whose copy of the code has no repository."""
    head, dirty = commit()
    return f"{head}{DIRTY if dirty else ''}"


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@functools.cache
def processor() -> str:
    """Processor in words."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return model
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)


@functools.cache
def machine() -> str:
    """Processor and memory in words."""
    memory = ""
    with suppress(OSError, ValueError):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    return f"{processor()}, {os.cpu_count()} cores{memory}"


def stamp(**more: Any) -> dict[str, Any]:
    """The stamp of a number produced now; `more` adds what the caller knows: data, weights, device, threads..."""
    head, dirty = commit()
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "commit": head,
        "dirty": dirty,
        "machine": machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **versions,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }
