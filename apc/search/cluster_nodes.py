"""What a node says about itself when a cluster is asked, and whether there is one; imports neither torch nor Ray."""

import functools
import hashlib
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from apc.runs.copies import copied, folder_of, require_usable, store_of

JOIN_SECONDS = 60  # for a cluster to let a process join, on a busy machine
PACKAGES = ("ray", "torch", "torchvision", "timm", "numpy", "pillow", "pydensecrf2")
RAY_FILES = (
    Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray"
)  # where Ray keeps its logs, and objects that do not fit into memory


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One node: what it runs, and what it sees."""

    host: str
    """Name it has for itself."""
    resolves: str
    """Address that this name has there; empty where it has none."""
    versions: dict[str, str]
    """Of Python, of the packages that a number depends on, and a hash of apc's own sources."""
    token: bool
    """Whether it asks for a token."""
    interfaces: dict[str, str]
    """Network interfaces with their addresses, loopback left out."""
    chosen: str
    """Interface that GLOO_SOCKET_IFNAME names; empty where it names none."""
    reads: bool
    """Whether the shared folder holds there what this process wrote into it."""
    why_not: str
    """Why nothing can be written into the shared folder; empty where it can."""
    free: int
    """Bytes free on the disk of Ray's own files."""
    full: float
    """Share of that disk that is taken."""
    room: int
    """Bytes free where it has the folder of runs or its copy of their store."""


def look(runs: str, mark: str) -> Facts:
    """Facts of the node this runs on; `mark` is the name of a file that was written below `runs`, and its contents."""
    host = socket.gethostname()
    try:
        resolves = socket.gethostbyname(host)
    except OSError:
        resolves = ""
    disk = shutil.disk_usage(RAY_FILES if RAY_FILES.is_dir() else RAY_FILES.parent)
    return Facts(
        host=host,
        resolves=resolves,
        versions=versions(),
        token=os.environ.get("RAY_AUTH_MODE", "").lower() == "token",
        interfaces=interfaces(),
        chosen=os.environ.get("GLOO_SOCKET_IFNAME", ""),
        reads=_reads(runs, mark),
        why_not=_write(runs, f"{mark}.{host}", mark),
        free=disk.free,
        full=1 - disk.free / disk.total,
        room=_room(folder_of(runs)),
    )


def _room(folder: Path) -> int:
    """Bytes free where a folder is, or would be."""
    return shutil.disk_usage(next(place for place in (folder, *folder.absolute().parents) if place.exists())).free


def _reads(runs: str, name: str) -> bool:
    """Whether the file, or the object of a store, that holds its own name is seen here."""
    try:
        if store := store_of(copied(runs)):
            return (store.read(name) or [b""])[0] == name.encode()
        return (Path(runs) / name).read_text(encoding="utf-8") == name
    except (OSError, ValueError):
        return False


def _write(runs: str, name: str, text: str) -> str:
    """Write a file or an object; why it cannot be written, empty where it can."""
    try:
        require_usable(copied(runs))
        if store := store_of(copied(runs)):
            store.write(name, text.encode())
        else:
            (Path(runs) / name).write_text(text, encoding="utf-8")
    except ValueError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def versions() -> dict[str, str]:
    """What `versions_now` said when this process first asked."""
    return dict(_remembered_versions())


def versions_now() -> dict[str, str]:
    """Versions here: Python's, those of `PACKAGES` that are installed, and a hash of the sources of apc."""
    here = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            here[name] = version(name).partition("+")[0]  # a CPU node and a GPU node have different builds
        except PackageNotFoundError:
            here[name] = "none"
    digest = hashlib.sha256()
    sources = Path(__file__).resolve().parents[1]
    for path in sorted(sources.rglob("*.py")):
        digest.update(str(path.relative_to(sources)).encode() + path.read_bytes())
    return here | {"apc": digest.hexdigest()[:8]}


_remembered_versions = functools.cache(versions_now)  # beside `versions`: Ray takes no cached function as a task


def differing(here: dict[str, str], there: dict[str, str]) -> list[str]:
    """Names of which two machines have different versions."""
    return [name for name in here if here[name] != there.get(name, "none")]


def interfaces() -> dict[str, str]:
    """Names and IPv4 addresses of the network interfaces, loopback left out; empty where the system is not Linux."""
    addresses: dict[str, str] = {}
    if sys.platform != "linux":
        return addresses
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex():
            try:
                reply = fcntl.ioctl(asker.fileno(), 0x8915, struct.pack("256s", name.encode()[:15]))  # SIOCGIFADDR
            except OSError:  # it has no address
                continue
            addresses[name] = socket.inet_ntoa(reply[20:24])
    return {name: address for name, address in addresses.items() if not address.startswith("127.")}


def check_address(address: str, timeout: float = 3.0) -> None:
    """ValueError, soon, where nothing can be reached at `address`; Ray alone would try for minutes."""
    if address in ("auto", "local"):
        return
    where = address.removeprefix("ray://")
    host, colon, port = where.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"--address {address}: give auto on a node of the cluster, or host:port of its head")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=timeout).close()
    except OSError as error:
        raise ValueError(f"--address {address}: no Ray cluster answers there ({error})") from None
    if where != address:
        raise ValueError(
            f"--address {address}: Ray's client protocol does not carry a search; run this command on a node of the "
            "cluster (ray submit, ray job submit) with --address auto"
        )


def probe(address: str) -> None:
    """ValueError where a process of its own cannot join the cluster; in this one, ray.init would try for minutes."""
    code = """if True:
        import sys, ray
        try:
            ray.init(address=sys.argv[1], log_to_driver=False, logging_level=50)
        except Exception as error:
            sys.exit(" ".join(str(error).split()))
    """
    try:
        command = [sys.executable, "-c", code, address]
        child = subprocess.run(command, capture_output=True, text=True, timeout=JOIN_SECONDS)
        reason = (child.stderr.strip().splitlines() or ["no reason given"])[-1] if child.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"no answer in {JOIN_SECONDS} s"
    if reason:
        token = "; a wrong token looks like this too: see RAY_AUTH_MODE and ~/.ray/auth_token"
        hint = token if "ailed to connect" in reason else ""
        raise ValueError(f"--address {address}: no Ray cluster answers there ({reason}){hint}")
