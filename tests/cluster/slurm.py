"""SLURM over two machines in namespaces: a controller and a node on the left one, a node on the right one."""

import os
import shutil
from pathlib import Path

from cluster.machine import ROOT, Machine, wait

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")
CONFIG = """
ClusterName=apc
SlurmctldHost=left(10.77.0.1)
SlurmUser=root
AuthInfo=socket=/run/munge/munge.socket.2,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
StateSaveLocation={room}/state
SlurmdSpoolDir={room}/spool-%n
SlurmctldPidFile={room}/slurmctld.pid
SlurmdPidFile={room}/slurmd-%n.pid
SlurmctldLogFile={room}/slurmctld.log
SlurmdLogFile={room}/slurmd-%n.log
ReturnToService=2
SlurmdTimeout=20
SchedulerParameters=sched_interval=2
MpiDefault=none
NodeName=left NodeAddr=10.77.0.1 CPUs=1 RealMemory=8000
NodeName=right NodeAddr=10.77.0.2 CPUs=1 RealMemory=8000
PartitionName=all Nodes=ALL Default=YES State=UP
"""
# cred_expire: a job that is queued again waits until its old credential is void, two minutes as a rule; SlurmdTimeout:
# seconds until a node that does not answer is down, five minutes as a rule


def absent() -> str:
    """What of SLURM is not installed; empty where all is."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    not_there = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    return f"needs {', '.join(not_there)} (Debian: slurmctld, slurmd, slurm-client, munge)" if not_there else ""


def start_slurm(room: Path, left: Machine, right: Machine) -> None:
    """Until both nodes are idle; every shell on the machines then finds the configuration."""
    (room / "state").mkdir(parents=True)
    (room / "slurm.conf").write_text(CONFIG.format(room=room))
    key = room / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    for machine in (left, right):
        machine.shell(
            "mkdir -p /run/munge && mount -t tmpfs tmpfs /run/munge && chmod 755 /run/munge && munged --force "
            f"--key-file={key} --pid-file=/run/munge/pid --seed-file=/run/munge/seed --log-file=/run/munge/log"
        )
        machine.shell(f"mkdir -p /etc/slurm && mount --bind {room} /etc/slurm")
    left.shell("slurmctld")
    for machine in (left, right):
        machine.shell(f"slurmd -N {machine.name}")
    wait(lambda: left.shell("sinfo --noheader --format=%D --states=idle").split() == ["2"], 60, "two idle nodes")


def job_script(room: Path, venv: Path) -> Path:
    """cluster/slurm.sbatch as a user changes it: environment, shared folder, no GPUs."""
    text = (ROOT / "cluster" / "slurm.sbatch").read_text()
    changes = {
        "#SBATCH --gpus-per-node=4 ": "# ",
        "$HOME/apc-venv/bin": f"{venv}/bin",
        "/shared/apc/": f"{room}/shared/",
        "/tmp/apc-": "/tmp/ray/apc-",  # two machines share the one's /tmp
    }
    for theirs, ours in changes.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    path = room / "slurm.sbatch"
    path.write_text(text)
    return path
