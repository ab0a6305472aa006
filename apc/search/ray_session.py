"""Ray's side of a search: started here or joined, kept quiet, asked what it has, ended cleanly."""

import json
import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from apc.models.feature_store import no_room, require_room
from apc.runs.stamp import commit_in_a_word
from apc.search import cluster_nodes, local_ray, worker
from apc.search.cluster_nodes import check_address
from apc.search.interrupts import to_stderr
from apc.search.lifeline import CLUSTERS, OURS, Doors, Lifeline

worker.pin_environment()  # before ray is imported

import ray  # noqa: E402
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS  # noqa: E402
from ray._private.worker import global_worker  # noqa: E402
from ray.core.generated import autoscaler_pb2  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

PACKAGES = ("apc", "search_spaces", "experiments")  # what a cluster's workers import
ANSWER_SECONDS = 60  # for a node to start a process and answer
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Where trials run and what each takes."""

    address: str | None = None
    """Address of a Ray cluster (`auto` on one of its nodes); None or `local` starts Ray on this machine."""
    num_workers: int = 1
    """Processes a trial; one shares warm actors, several train data-parallel."""
    cpus_per_trial: int = 1
    """CPUs, and torch threads, of each process."""
    gpus_per_trial: float | None = None
    """GPUs of each process; None takes one where the cluster has any."""
    max_concurrent: int | None = None
    """Most trials side by side; None is as many as fit."""
    retries: int = 1
    """Times a trial that fails or loses its process is tried again from its last epoch, without finishing another in
    between."""
    cache_gib: float = 0.0
    """GiB of each node's disk for outputs of closed blocks, which its trials then share; 0 is each trial's memory."""
    trackers: tuple[str, ...] = ()
    """Of mlflow and wandb: who is told beside TensorBoard."""
    verbose: bool = False
    """Show Ray's own messages."""


def nodes() -> list[dict[str, Any]]:
    """The live nodes of the cluster, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def available() -> dict[str, float]:
    """CPUs and GPUs of all nodes together."""
    have = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return {kind: have.get(kind, 0.0) for kind in ("CPU", "GPU")}


def nodes_are_coming() -> bool:
    """Whether an autoscaler, of either version, says that it is starting nodes. Ray has no public word for it."""
    worker: Any = global_worker
    gcs = worker.gcs_client
    with suppress(Exception):
        report = json.loads(gcs.internal_kv_get(DEBUG_AUTOSCALING_STATUS.encode(), None))["autoscaler_report"]
        if report["pending_launches"] or report["pending_nodes"]:
            return True
    with suppress(Exception):
        reply: Any = vars(autoscaler_pb2)["GetClusterStatusReply"]  # made as it is imported
        state = reply.FromString(gcs.get_cluster_status(timeout_s=10)).autoscaling_state
        return bool(state.pending_instance_requests or state.pending_instances)
    return False


def fit(resources: Resources) -> tuple[Resources, int]:
    """Resources with what was left open filled in, and how many trials fit side by side; ValueError where none does."""
    resources, slots = _fit_into(resources, available())
    each = {"CPU": float(resources.cpus_per_trial), "GPU": resources.gpus_per_trial or 0.0}
    return resources, min(slots, _places(each, resources.num_workers) // resources.num_workers)


def ours(resources: Resources) -> bool:
    """Whether Ray is to be started here, and may be started again: it is not joined, nor does it run already."""
    return (resources.address or "local") == "local" and not ray.is_initialized()


def running() -> bool:
    """Whether this process is connected to a Ray."""
    return bool(ray.is_initialized())


def require_fit_here(resources: Resources) -> None:
    """ValueError, before Ray is started, where not one trial fits this machine, or what they share does not."""
    if ours(resources):
        require_room(resources.cache_gib)
        _fit_into(resources, {"CPU": float(local_ray.cpus()), "GPU": float(local_ray.gpus())})


def _fit_into(resources: Resources, have: dict[str, float]) -> tuple[Resources, int]:
    """`fit` where all CPUs and GPUs are those of one machine."""
    if resources.gpus_per_trial is None:
        resources = replace(resources, gpus_per_trial=1.0 if have["GPU"] else 0.0)
    each = {"CPU": float(resources.cpus_per_trial), "GPU": resources.gpus_per_trial or 0.0}
    slots = resources.max_concurrent or 10**6
    for kind, part in each.items():
        asked, there = part * resources.num_workers, have[kind]
        if asked > there:
            raise ValueError(
                f"a trial asks for {asked:g} {kind}s ({resources.num_workers} processes with {part:g} each) and there "
                f"are {there:g}: it could never start; lower --num-workers or the {kind}s of each"
            )
        slots = min(slots, int(there / asked)) if asked else slots
    return resources, slots


def _places(each: dict[str, float], wanted: int) -> int:
    """How many processes that need `each` the nodes have room for, none spread over two; ValueError below `wanted`."""
    places = 0
    for node in nodes():
        rooms = [int(node["Resources"].get(kind, 0) / part + 1e-6) for kind, part in each.items() if part]
        places += min(rooms)
    if places < wanted:
        raise ValueError(
            f"a process asks for {each['CPU']:g} CPUs and {each['GPU']:g} GPUs of one node, and of the "
            f"{wanted} that a trial needs the nodes have room for {places}: it could never start; lower "
            "--cpus or --gpus"
        )
    return places


@contextmanager
def quiet(resources: Resources, log: Path) -> Iterator[None]:
    """Keep Ray's words off the terminal: why a run failed stands in its own folder, the rest in `log`."""
    if resources.verbose:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with (
        open(log, "a", buffering=1, encoding="utf-8") as file,
        redirect_stdout(file),
    ):  # a dead worker is announced by print
        yield


@contextmanager
def session(
    resources: Resources,
    same_versions: bool = True,
    told: Callable[[str], None] = to_stderr,
) -> Iterator[Lifeline]:
    """Ray, started here or joined, and what tells whether it is alive; one that runs already in this process is used
    and left running.

    `told` is told what a start waits for and, from a thread, what of Ray has died. ValueError where there is no cluster
    at the address, or a node of it has other versions than this process.
    """

    if ray.is_initialized():
        with _watched(CLUSTERS, told) as line:
            yield line
        return
    address = resources.address or "local"
    options = _options(resources)
    if address == "local":
        local_ray.start(options, told)
    else:
        try:
            ray.init(address=address, **options)
        except ValueError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"--address {address}: the cluster cannot be joined ({reason})") from None
    with _watched(OURS if address == "local" else CLUSTERS, told, leave=ray.shutdown) as line:
        if same_versions and address != "local":
            require_same_versions()
            require_room_there(resources.cache_gib)
        yield line


@contextmanager
def _watched(
    patience: float, told: Callable[[str], None], leave: Callable[[], None] | None = None
) -> Iterator[Lifeline]:
    """A lifeline to the cluster's GCS and to the raylet of this machine; `leave` is the way out of Ray."""
    here = ray.get_runtime_context()
    host, _, port = here.gcs_address.rpartition(":")
    gcs: Doors = {"its GCS": (host.strip("[]"), int(port))}
    line = Lifeline(gcs, patience, lambda door: told(f"Ray has died: {door} does not answer any more"))
    try:
        node = next(node for node in nodes() if node["NodeID"] == here.get_node_id())
        line.doors = gcs | {"its raylet": (node["NodeManagerAddress"], int(node["NodeManagerPort"]))}
        yield line
    finally:
        line.cut()
        if leave:
            leave()
        line.let_go()


def _options(resources: Resources) -> dict[str, Any]:
    """Of ray.init: what this machine's Ray is started with, or what a cluster's workers are given.

    ValueError where there is no cluster at the address.
    """
    level = logging.INFO if resources.verbose else logging.CRITICAL
    options: dict[str, Any] = {"log_to_driver": resources.verbose, "logging_level": level}
    address = resources.address or "local"
    if address == "local":
        # Several processes a trial need the dashboard's State API: without it a killed trial keeps its resources.
        return options | {"include_dashboard": resources.num_workers > 1}
    check_address(address)
    cluster_nodes.probe(address)
    cluster_nodes.versions()  # remembered now: the sources may change while the cluster is joined
    waits = ("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S")
    names = (*waits, "TUNE_FUNCTION_THREAD_TIMEOUT_S", "RAY_CHDIR_TO_TRIAL_DIR", "APC_CACHE")
    options["runtime_env"] = {
        # `ray submit` copies the script alone. Folders by name: within a job Ray refuses modules.
        "py_modules": [str(Path(str(find_spec(name).origin)).parent) for name in PACKAGES],  # type: ignore[union-attr]
        "env_vars": {name: os.environ[name] for name in names if name in os.environ}
        | {"APC_COMMIT": commit_in_a_word()},
    }
    return options


def ask(question: Callable[..., T], *arguments: Any, of: Collection[str] | None = None) -> dict[str, T | str]:
    """What every live node, or those of the ids `of`, answers, by its address; a string says why one did not."""
    remote: Any = ray.remote  # its overloads do not know this strategy
    pending: dict[str, Any] = {}
    for node in (node for node in nodes() if of is None or node["NodeID"] in of):
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(question)
        pending[node["NodeManagerAddress"]] = task.remote(*arguments)
    answers: dict[str, T | str] = {}
    for address, answer in pending.items():
        try:
            answers[address] = ray.get(answer, timeout=ANSWER_SECONDS)
        except Exception as error:
            answers[address] = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return answers


def require_room_there(gib: float) -> None:
    """ValueError where the disk of a node cannot keep `gib` GiB of outputs of closed blocks."""
    for address, fault in ask(no_room, gib).items() if gib else ():
        if fault:
            raise ValueError(f"node {address}: {fault}")


def require_same_versions() -> None:
    """ValueError where a node runs another Python, another package or other sources than this process."""
    here = cluster_nodes.versions()
    for address, there in ask(cluster_nodes.versions).items():
        if isinstance(there, str):
            raise ValueError(f"node {address} of the cluster does not run what it is given ({there}); see apc doctor")
        if other := _other_versions(address, here, there):
            raise ValueError(other)


def other_versions(of: Collection[str]) -> list[str]:
    """A sentence for each of the nodes with the ids `of` that answers and has other versions than this process."""
    here, answers = cluster_nodes.versions(), ask(cluster_nodes.versions, of=of)
    found = [_other_versions(address, here, there) for address, there in answers.items() if not isinstance(there, str)]
    return [sentence for sentence in found if sentence]


def _other_versions(address: str, here: dict[str, str], there: dict[str, str]) -> str:
    """What a node has in other versions than this process, in a sentence; empty where it has none."""
    if not (other := cluster_nodes.differing(here, there)):
        return ""
    versions = ", ".join(f"{name} {there.get(name, 'none')} instead of {here[name]}" for name in other)
    return (
        f"node {address} has {versions}: runs would differ from node to node; install the same on all of them, as "
        "`ray up cluster.yaml` does"
    )
