"""Processes below one of ours, by their names: what a test kills must be its own."""

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
