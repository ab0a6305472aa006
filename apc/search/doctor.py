"""What would fail before a search starts: every node of a cluster is asked, or this machine alone.

One check a line, each with its reason and its remedy. Imports Ray only when it is run.
"""

import os
import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from apc.files import require_writable
from apc.models import feature_store
from apc.runs.copies import copied, require_usable, shown, store_of
from apc.runs.folder import RunFolder, RunsFolder
from apc.search import cluster_nodes
from apc.search.cluster_nodes import Facts

if TYPE_CHECKING:
    from apc.search.ray_session import Resources

ROOM = 2 * 2**30  # bytes for run folders: a checkpoint of the ViT-B/16 with its optimizer takes about one GiB
FULL = 0.95  # share of its disk at which a node of Ray takes no more objects (RAY_local_fs_capacity_threshold)
SEVERAL = 100  # entries of a folder of runs among which one is a run
REMEDY = "give --runs a folder that this user may write, or a store"
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")  # `ray up` leaves cluster.yaml there, on the head


@dataclass(frozen=True)
class Check:
    """One line of the doctor."""

    name: str
    finding: str
    """What was found, or the reason why it would fail."""
    remedy: str = ""
    """What to do about it; empty where it is well."""

    @property
    def line(self) -> str:
        kind = "would fail" if self.remedy else "ok"
        return f"{kind:<11} {self.name:<11} {self.finding}{'; ' + self.remedy if self.remedy else ''}"


def examine(resources: "Resources", runs: Path) -> list[Check]:
    """All checks of a search with these resources whose runs lie below `runs`."""
    try:
        runs = copied(runs)
        require_writable(runs)
        require_usable(runs)
        require_shared(runs)
    except ValueError as error:
        return [Check("storage", str(error), REMEDY)]
    runs, store = runs.resolve(), store_of(runs)
    mark = f".doctor-{uuid.uuid4().hex}"
    try:
        try:
            store.write(mark, mark.encode()) if store else (runs / mark).write_text(mark, encoding="utf-8")
        except OSError as error:
            return [Check("storage", f"{shown(runs)}: cannot be written ({error.strerror})", f"make room, or {REMEDY}")]
        return [*_cluster(resources, runs, mark), space(runs, shutil.disk_usage(runs).free), *features()]
    finally:
        with suppress(OSError):  # a store that has just failed
            if store:
                store.remove(*_marks(runs, mark))
        for path in runs.glob(f"{mark}*"):
            path.unlink(missing_ok=True)


def require_shared(runs: Path) -> None:
    """ValueError where what earlier searches have left below `runs` cannot be written: of several people who share them
    each may make files there, and perhaps none in the folders of the others."""
    tune, found = RunsFolder(runs).tune, [RunFolder(path) for path in islice(runs.iterdir(), SEVERAL)]
    run = next((run for run in found if os.path.isfile(run.lock)), RunFolder(runs))
    for place in (tune, tune / "driver.log", run.path, run.lock):
        if place.exists() and not os.access(place, os.W_OK):
            how = "people who share runs need one group, chmod g+ws on the folder, and umask 002"
            raise ValueError(f"{place}: is another user's and cannot be written ({how})")


def _marks(runs: Path, mark: str) -> set[str]:
    """What this process and the nodes wrote, by name."""
    names = store.names() if (store := store_of(runs)) else [path.name for path in runs.glob(f"{mark}*")]
    return {name for name in names if name.startswith(mark)}


def _cluster(resources: "Resources", runs: Path, mark: str) -> list[Check]:
    """Checks that need Ray: of the nodes, of what they share, and of what a trial asks for."""
    from apc.search.ray_session import ask, available, fit, quiet, session

    on_cluster = (resources.address or "local") != "local"
    try:
        with quiet(resources, Path(os.devnull)), session(resources, same_versions=False):
            answers = ask(cluster_nodes.look, shown(runs), mark)
            facts = {address: node for address, node in answers.items() if isinstance(node, Facts)}
            checks = [present(answers, planned_nodes() if on_cluster else []), *versions(facts if on_cluster else {})]
            checks += [token(facts)] if on_cluster else []
            checks += [
                storage(facts, runs, mark),
                *disks(facts),
                *copies(facts, runs),
                network(facts, resources.num_workers),
            ]
            try:
                asked, slots = fit(resources)
                checks.append(Check("resources", _arithmetic(asked, available(), slots)))
            except ValueError as error:
                reason, _, remedy = str(error).partition("; ")
                checks.append(Check("resources", reason, remedy))
            return checks
    except ValueError as error:
        return [Check("cluster", str(error), "ray up cluster.yaml starts one, ray status on its head shows its nodes")]


def examine_here(runs: Path) -> list[Check]:
    """Checks of this machine alone that need no Ray, in a second: what is installed, and where runs would lie."""
    installed = versions({})
    made: list[Path] = []
    try:
        runs = copied(runs)
        made = [path for path in (runs, *runs.parents) if not path.exists()]
        require_writable(runs)
        require_usable(runs)
        require_shared(runs)
        runs = runs.resolve()
        found = Check("storage", f"{shown(runs)}: can be written here")
        return [*installed, found, space(runs, shutil.disk_usage(runs).free)]
    except ValueError as error:
        return [*installed, Check("storage", str(error), REMEDY)]
    finally:
        for path in made:  # a look leaves no folder behind
            with suppress(OSError):
                path.rmdir()


def present(answers: dict[str, Facts | str], planned: list[str]) -> Check:
    """Whether the nodes answer, and all that cluster.yaml names are there."""
    silent = [f"{address} does not answer ({why})" for address, why in answers.items() if isinstance(why, str)]
    absent = [f"{address} has not joined" for address in planned if address not in answers]
    if silent or absent:
        remedy = (
            "another token, Python or Ray keeps a node out, and one that was just started may be late; "
            f"{cluster_nodes.RAY_FILES}/session_latest/logs/monitor.out on the head says more"
        )
        return Check("nodes", ", ".join([*silent, *absent]), remedy)
    return Check("nodes", f"{len(answers)}: {', '.join(sorted(answers))}")


def planned_nodes() -> list[str]:
    """Addresses that `ray up` was told, where this is the head of machines of one's own; empty elsewhere."""
    import yaml

    with suppress(OSError, yaml.YAMLError, AttributeError):
        provider = yaml.safe_load(BOOTSTRAP.expanduser().read_text(encoding="utf-8")).get("provider", {})
        if provider.get("type") == "local":
            return [provider["head_ip"], *provider.get("worker_ips", [])]
    return []


def versions(facts: dict[str, Facts]) -> list[Check]:
    """One check for Python and for each package that a number depends on."""
    checks = []
    for name, here in cluster_nodes.versions().items():
        there = {address: node.versions.get(name, "none") for address, node in facts.items()}
        other = [f"{address} has {version}" for address, version in there.items() if version != here]
        what = "the sources of apc" if name == "apc" else name
        if other:
            remedy = "install the project there with -c constraints.txt (`ray up cluster.yaml` does)"
            checks.append(Check(name, f"{', '.join(other)}, this process has {here}", remedy))
        elif here == "none":
            checks.append(Check(name, f"{what} is not installed", "install the project with -c constraints.txt"))
        else:
            checks.append(Check(name, f"{here} here and on every node" if len(there) > 1 else here))
    return checks


def token(facts: dict[str, Facts]) -> Check:
    """Whether the cluster asks for a token; a node with another one would not be among `facts`."""
    without = [address for address, node in facts.items() if not node.token]
    if without:
        finding = f"{', '.join(without)} asks for none: whoever reaches its ports may run anything"
        return Check("token", finding, "export RAY_AUTH_MODE=token before ray start, as cluster.yaml does")
    return Check("token", "this process and every node have the same one, and each asks for it")


def storage(facts: dict[str, Facts], runs: Path, mark: str) -> Check:
    """Whether every node reads what is written here, and the other way round."""
    faults, seen = [], _marks(runs, mark)
    for address, node in facts.items():
        if node.why_not:
            faults.append(f"{address} cannot write there ({node.why_not})")
        elif not node.reads:
            faults.append(f"{address} does not see what is written here")
        elif f"{mark}.{node.host}" not in seen:
            faults.append(f"what {address} writes is not seen here")
    if faults:
        remedy = "give --runs a folder that all nodes share, NFS say, or a store that all of them may write"
        return Check("storage", f"{shown(runs)}: {', '.join(faults)}", remedy)
    return Check("storage", f"{shown(runs)}: every node reads what is written here, and the other way round")


def space(folder: Path, free: int) -> Check:
    """Whether there is room for run folders."""
    remedy = "" if free >= ROOM else f"make room for {ROOM / 2**30:g} GiB there"
    return Check("space", f"{free / 2**30:.1f} GiB free in {folder}", remedy)


def features() -> list[Check]:
    """What `--cache-gib` has kept on this machine; nothing where it has kept nothing."""
    if not (held := sum(file.bytes for file in feature_store.stored(feature_store.folder()))):
        return []
    told = f"{held / 2**30:.1f} GiB of outputs of closed blocks in {feature_store.folder()}, which may go at any time"
    return [Check("features", told)]


def disks(facts: dict[str, Facts]) -> list[Check]:
    """Whether Ray has room for its own files on every node."""
    full = [f"{address} is {node.full:.0%} full" for address, node in facts.items() if node.full >= FULL]
    if full:
        remedy = "make room there: Ray stores nothing on a disk that is 95 % full"
        return [Check("space", f"disk of {cluster_nodes.RAY_FILES}: {', '.join(full)}", remedy)]
    least = min((node.free for node in facts.values()), default=0)
    return [Check("space", f"at least {least / 2**30:.1f} GiB free in {cluster_nodes.RAY_FILES} of every node")]


def copies(facts: dict[str, Facts], runs: Path) -> list[Check]:
    """Whether every node has room for its copy of a store; nothing where the runs lie in a folder, which `space` has
    looked at."""
    full = [f"{address} has {node.room / 2**30:.1f} GiB free" for address, node in facts.items() if node.room < ROOM]
    if full and store_of(runs):
        remedy = f"make room for {ROOM / 2**30:g} GiB there, or set APC_CACHE to another folder of the node"
        return [Check("space", f"copies of {shown(runs)}: {', '.join(full)}", remedy)]
    return []


def network(facts: dict[str, Facts], num_workers: int) -> Check:
    """Whether the processes of one trial find each other over machines: gloo between CPUs, NCCL between GPUs."""
    if num_workers == 1 or len(facts) < 2:
        return Check("network", f"{'one process a trial' if num_workers == 1 else 'one node'}: gloo and NCCL need none")
    for address, node in facts.items():
        cards = ", ".join(f"{name} ({at})" for name, at in node.interfaces.items())
        if node.chosen and node.chosen not in node.interfaces:
            why = f"GLOO_SOCKET_IFNAME is {node.chosen}, and {address} has {cards}"
            return Check("network", why, "name one of these before ray start")
        if not node.chosen and (node.resolves.startswith("127.") or not node.resolves):
            resolved = node.resolves or "nothing"
            why = f"on {address} its own name {node.host} resolves to {resolved}, where no other node finds it"
            card = next((name for name, at in node.interfaces.items() if at == address), "eth0")
            return Check("network", why, f"export GLOO_SOCKET_IFNAME={card} NCCL_SOCKET_IFNAME={card} before ray start")
    used = {node.chosen or "the one its name resolves to" for node in facts.values()}
    return Check("network", f"gloo and NCCL take {', '.join(sorted(used))}")


def _arithmetic(asked: "Resources", have: dict[str, float], slots: int) -> str:
    """What a trial asks for, what there is, and how many trials that makes."""
    each = {"CPU": asked.cpus_per_trial, "GPU": asked.gpus_per_trial or 0}
    asks, there = (" and ".join(f"{of[kind]:g} {kind}s" for kind in each) for of in (each, have))
    many = f"{asked.num_workers} processes with " if asked.num_workers > 1 else ""
    return f"a trial asks for {many}{asks}{' each' if many else ''}, there are {there}: {slots} side by side"
