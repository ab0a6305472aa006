"""Machines for the cluster tests: each with its own processes, network, /dev/shm, home and sshd, on this one.

Ray's start commands contain `ray stop`, which ends every Ray process that it can see. In a PID namespace of its own it
sees none but those of the test.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NAMESPACES = ("--net", "--pid", "--mount", "--uts")
BOOT = """
set -e
mount -t tmpfs tmpfs /dev/shm
mkdir -p /tmp/ray /run/sshd
mount -t tmpfs tmpfs /tmp/ray
mount --bind {home}/passwd /etc/passwd
mount --bind {home}/hosts /etc/hosts
hostname {name}
ip link set lo up
/usr/sbin/sshd -D -f {home}/sshd_config &
touch {home}/up
wait
"""
SSHD = """
HostKey {home}/host_key
AuthorizedKeysFile {home}/.ssh/id_ed25519.pub
PidFile none
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
"""


def missing() -> str:
    """Why no such machine can be made here; empty where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux, for namespaces"
    absent = [name for name in ("unshare", "nsenter", "ip", "ssh", "ssh-keygen", "sshd", "rsync") if not _which(name)]
    if absent:
        return f"needs {', '.join(absent)} (Debian: util-linux, iproute2, openssh-client, openssh-server, rsync)"
    tried = subprocess.run(["unshare", *NAMESPACES, "--fork", "--mount-proc", "true"], capture_output=True, text=True)
    return f"no namespaces may be made here: {tried.stderr.strip()}" if tried.returncode else ""


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Machine:
    """One machine; `run` is a shell on it."""

    def __init__(self, home: Path, name: str, hosts: dict[str, str], key: Path | None = None) -> None:
        self.home, self.name = home, name
        (home / ".ssh").mkdir(parents=True)
        self._key(home / "host_key")
        if key is None:
            self._key(home / ".ssh" / "id_ed25519")
        else:
            shutil.copytree(key.parent, home / ".ssh", dirs_exist_ok=True)
        (home / "passwd").write_text(f"root:x:0:0:root:{home}:/bin/bash\nsshd:x:65500:65534::/run/sshd:/bin/false\n")
        lines = ["127.0.0.1 localhost", *(f"{address} {host}" for host, address in hosts.items())]
        (home / "hosts").write_text("\n".join(lines) + "\n")
        (home / "sshd_config").write_text(SSHD.format(home=home))
        boot = BOOT.format(home=home, name=name)
        self.process = subprocess.Popen(
            ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "bash", "-c", boot],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait(lambda: (home / "up").exists(), 20, f"machine {name}")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        self.first = int(children.split()[0])
        assert os.readlink(f"/proc/{self.first}/ns/pid") != os.readlink("/proc/self/ns/pid")  # or `ray stop` kills all

    @staticmethod
    def _key(path: Path) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a login has: nothing of the shell that runs the tests, its virtual environment apart."""
        path = f"{Path(sys.prefix) / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        kept = {name: os.environ[name] for name in ("LANG", "APC_CACHE") if name in os.environ}
        return kept | {"HOME": str(self.home), "PATH": path, "USER": "root", "SHELL": "/bin/bash", "TERM": "dumb"}

    def join(self, other: "Machine", mine: str, theirs: str) -> None:
        """A cable between two machines. An address stays with its machine (on lo) when the other one takes it away."""
        self.shell(f"ip link add eth0 type veth peer name eth0 netns {other.first}", namespaces="-n")
        for machine, address in ((self, mine), (other, theirs)):
            machine.shell(
                f"ip address add {address}/32 dev lo && ip address add {address}/24 dev eth0 && ip link set eth0 up && "
                "ip route add default dev eth0",
                namespaces="-n",
            )

    def command(self, line: str, namespaces: str = "-n -p -m -u") -> list[str]:
        return ["nsenter", "-t", str(self.first), *namespaces.split(), "bash", "-c", f"cd {ROOT}; {line}"]

    def start(self, line: str, log: Path) -> "subprocess.Popen[bytes]":
        """Start a shell line and let it run."""
        with open(log, "wb") as file:
            return subprocess.Popen(
                self.command(line),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def shell(self, line: str, namespaces: str = "-n -p -m -u", timeout: float = 600, code: int = 0) -> str:
        """Run a shell line and return what it printed, both streams; it must end with `code`."""
        done = subprocess.run(
            self.command(line, namespaces),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == code, f"{self.name}$ {line}\nended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def off(self) -> None:
        """Pull the plug: every process of the machine dies at once."""
        self.process.kill()
        self.process.wait()


def wait(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Until `ready`; AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what}: not after {seconds:.0f} s"
        time.sleep(0.1)


def described(room: Path, head: str, workers: str) -> Path:
    """cluster.yaml as a user changes it: addresses, login, shared folder."""
    text = (ROOT / "cluster.yaml").read_text()
    changes = {
        "head_ip: 192.168.1.10": f"head_ip: {head}",
        "worker_ips: [192.168.1.11, 192.168.1.12]": f"worker_ips: {workers}",
        "ssh_user: ubuntu": "ssh_user: root",
        "/mnt/apc/": f"{room}/shared/",
        "cluster_name: apc ": "cluster_name: test ",
    }
    for theirs, ours in changes.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    path = room / "cluster.yaml"
    path.write_text(text)
    return path


def install(machine: Machine) -> None:
    """What cluster.yaml's setup commands would install, from the environment that runs the tests: no network here."""
    (machine.home / "apc-venv").symlink_to(sys.prefix)
    shutil.copy(ROOT / "constraints.txt", machine.home / ".apc-installed")
