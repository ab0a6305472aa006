"""Processes below one of ours, by their names: what a test kills must be its own. And where they listen."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def stat_of(pid: int) -> tuple[int, str] | None:
    """Parent and start time of a process; None where there is none, or a dead one that nobody has buried."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] == "Z" else (int(words[1]), words[19])


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def below(pid: int) -> dict[int, str]:
    """A process and all below it: process id -> start time."""
    stats = {int(path.name): stat_of(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = {pid}
    while more := {child for child, stat in stats.items() if stat and stat[0] in found} - found:
        found |= more
    return {child: stat[1] for child in found if (stat := stats.get(child))}


def listening(pids: Iterable[int]) -> dict[str, str]:
    """Where these processes accept connections: address:port, as Linux writes it -> process."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":  # LISTEN
                sockets[f"socket:[{words[9]}]"] = words[1]
    found = {}
    for pid in pids:
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if (target := os.readlink(link)) in sockets:
                        found[sockets[target]] = name_of(pid)
    return found


def on_loopback(address: str) -> bool:
    """Whether an address of `listening` is 127.x.x.x, as IPv4 or mapped into IPv6, or ::1."""
    host = address.partition(":")[0]
    return host.endswith("7F") and host[:-8] in ("", "0000000000000000FFFF0000") or host == "0" * 24 + "01000000"
