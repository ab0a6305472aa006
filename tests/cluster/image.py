"""The image of cluster/Dockerfile, built by buildah: no daemon, no registry of images, its base made by debootstrap."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("buildah", "debootstrap", "unshare", "ip")
ROOM = 40 * 2**30  # bytes: two stages, their layers and a copy on the way
BASE = "localhost/python:3.11-slim-bookworm"
PACKAGES = "ca-certificates,netbase,python3,python3-dev,python3-venv"
OURS = ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt", "etc/apt/sources.list.d/debian.sources")
"""How this machine reaches its registries of packages."""
ALONE = "unshare --net --pid --mount --fork --kill-child --mount-proc".split()
"""No process of the machine is seen from there, none is reached, and all end with it."""


def missing(room: Path) -> str:
    """Why no image can be built here; empty where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    if absent := [name for name in NEEDED if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]:
        return f"needs {', '.join(absent)} (Debian: buildah, debootstrap, util-linux, iproute2)"
    free = shutil.disk_usage(room).free
    return "" if free >= ROOM else f"needs {ROOM / 2**30:.0f} GiB of disk, there are {free / 2**30:.0f} in {room}"


class Image:
    """A built image; `shell` is one inside it."""

    name = "localhost/apc"

    def __init__(self, room: Path) -> None:
        self.room = room
        self._base(room / "base")
        told = self.buildah(
            *("bud", "--format", "docker", "--build-arg", f"BASE={BASE}", "--build-arg", "COMMIT=0123456789ab"),
            *("-f", "cluster/Dockerfile", "-t", self.name, "."),
        )
        (room / "build.log").write_text(told)
        self.container = self.buildah("from", self.name).strip()

    def buildah(self, *words: str) -> str:
        """Standard output of a buildah command."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, f"buildah {' '.join(words)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def command(self, *words: str) -> list[str]:
        """Words of a buildah command whose images lie below the room."""
        isolation = ["--isolation", "chroot"] if words[0] in ("bud", "from", "run") else []
        places = ["--storage-driver", "overlay", "--root", f"{self.room}/store", "--runroot", f"{self.room}/run"]
        return ["buildah", *places, words[0], *isolation, *words[1:]]

    def _base(self, root: Path) -> None:
        """What stands for the official image of Python: Debian with Python, under the name of the Dockerfile."""
        made = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        for name in ("python", "python3"):  # where the official image has it
            (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
        for name in OURS:
            if (Path("/") / name).exists():
                shutil.copy(Path("/") / name, root / name)
        container = self.buildah("from", "scratch").strip()
        self.buildah("add", container, str(root), "/")
        self.buildah("commit", container, BASE)
        self.buildah("rm", container)
        shutil.rmtree(root)

    def config(self) -> dict[str, Any]:
        """Docker's view of it: User, Env, Cmd, Healthcheck, Labels."""
        inspected = json.loads(self.buildah("inspect", "--type", "image", self.name))
        found: dict[str, Any] = inspected["Docker"]["config"]
        return found

    def shell(self, line: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a shell line inside, as the image's user, alone in its namespaces."""
        inside = self.command("run", *words, self.container, "--", "bash", "-c", line)
        return subprocess.run(
            [*ALONE, "bash", "-c", 'ip link set lo up; exec "$@"', "-", *inside],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def remove(self) -> None:
        self.buildah("rm", "--all")
        self.buildah("rmi", "--all", "--force")
        shutil.rmtree(self.room)
