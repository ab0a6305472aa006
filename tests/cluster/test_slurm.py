"""cluster/slurm.sbatch under a real SLURM: a search over two nodes that is told to stop, comes back and ends."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.machine import Machine, missing, wait
from cluster.slurm import absent, job_script, start_slurm

WHY_NOT = missing() or absent()
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.chaos,  # minutes
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
]


SEARCH = "apc search lambdas --smoke --seeds 1 --num-train 16"
QUICK = "RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=5000 RAY_health_check_failure_threshold=4"
"""A node that went dark is noticed after 20 seconds and not a minute."""


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """Two nodes of SLURM; jobs are handed in on the first."""
    hosts = {"left": "10.77.0.1", "right": "10.77.0.2"}
    left = Machine(tmp_path / "left", "left", hosts)
    right = Machine(tmp_path / "right", "right", hosts)
    left.join(right, hosts["left"], hosts["right"])
    start_slurm(tmp_path / "slurm", left, right)
    yield left, right
    right.off()
    left.off()


class Job:
    """The batch script with a search, handed in."""

    def __init__(self, login: Machine, room: Path) -> None:
        self.login, self.runs = login, room / "shared" / "runs" / "smoke"
        script = job_script(room, Path(sys.prefix))
        self.number = login.shell(f"cd {room} && export {QUICK} && sbatch --parsable {script} {SEARCH}").strip()
        self.log = room / f"apc-{self.number}.log"

    def until(self, words: str, times: int = 1, seconds: float = 300) -> None:
        """Wait until the log has the words so often."""
        wait(lambda: self.log.exists() and self.log.read_text().count(words) >= times, seconds, words)

    def completed(self) -> bool:
        state = self.login.shell(f"squeue --noheader --states=all --format=%T --jobs={self.number}").split()
        assert state[0] in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "COMPLETED"), self.log.read_text()
        return state == ["COMPLETED"]

    def has_all(self) -> bool:
        """Whether each of the nine runs was done once, and the page is there."""
        done = re.findall(r"^done +(\S+ \S+) seed", self.log.read_text(), re.M)
        rows = list(self.runs.glob("*/row.json"))
        return len(done) == len(set(done)) == len(rows) == 9 and (self.runs / "reports" / "ablation.md").exists()


def test_a_job_that_is_told_to_stop_comes_back_and_does_nothing_twice(
    two: tuple[Machine, Machine], tmp_path: Path
) -> None:
    job = Job(two[0], tmp_path)
    job.until("2 of 2 nodes are there")
    job.until("done    lambda1")
    two[0].shell(f"scancel --signal=USR1 --batch {job.number}")  # as SLURM does, 120 seconds before the time is over
    job.until("queued again")
    job.until("2 of 2 nodes are there", 2)
    wait(job.completed, 300, "the end")
    assert job.has_all(), job.log.read_text()
    for machine in two:
        assert machine.shell("pgrep -cx raylet || true").split() == ["0"] and not machine.shell("ls /tmp/ray").split()


def test_a_job_that_loses_a_node_goes_on_without(two: tuple[Machine, Machine], tmp_path: Path) -> None:
    job = Job(two[0], tmp_path)
    job.until("2 of 2 nodes are there")
    job.until("done    lambda1")
    two[1].off()
    wait(job.completed, 600, "the end")
    assert job.has_all(), job.log.read_text()
