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


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Machine]:
    """Where jobs are handed in; it is a node too."""
    hosts = {"left": "10.77.0.1", "right": "10.77.0.2"}
    left = Machine(tmp_path / "left", "left", hosts)
    right = Machine(tmp_path / "right", "right", hosts)
    left.join(right, hosts["left"], hosts["right"])
    start_slurm(tmp_path / "slurm", left, right)
    yield left
    right.off()
    left.off()


def test_a_job_that_is_told_to_stop_comes_back_and_does_nothing_twice(login: Machine, tmp_path: Path) -> None:
    script = job_script(tmp_path, Path(sys.prefix))
    search = "apc search lambdas --smoke --seeds 1 --num-train 16"
    job = login.shell(f"cd {tmp_path} && sbatch --parsable {script} {search}").strip()
    log = tmp_path / f"apc-{job}.log"

    def said(words: str, times: int = 1) -> bool:
        text = log.read_text() if log.exists() else ""
        assert "error:" not in text.replace("srun: error", ""), text
        return len(re.findall(words, text)) >= times

    wait(lambda: said("2 of 2 nodes are there"), 300, "Ray on both nodes")
    wait(lambda: said("done    lambda1"), 600, "a run that is done")
    login.shell(f"scancel --signal=USR1 --batch {job}")  # as SLURM does, 120 seconds before the time is over
    wait(lambda: said("queued again"), 120, "the job's own request")
    wait(lambda: said("2 of 2 nodes are there", 2), 300, "Ray on both nodes again")
    state = f"squeue --noheader --states=all --format=%T --jobs={job}"
    wait(lambda: login.shell(state).split() == ["COMPLETED"], 600, "the end")
    done = re.findall(r"^done +(\S+ \S+) seed", log.read_text(), re.M)
    assert len(done) == len(set(done)) == 4, log.read_text()
    rows = list((tmp_path / "shared" / "runs" / "smoke").glob("*/row.json"))
    assert len(rows) == 4 and (tmp_path / "shared" / "runs" / "smoke" / "reports" / "ablation.md").exists()
    assert login.shell("pgrep -cx raylet || true").split() == ["0"] and not login.shell("ls /tmp/ray").split()
