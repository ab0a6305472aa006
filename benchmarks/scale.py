"""A search at scale, with trials that sleep instead of training: its time over the least, the driver's work and memory.

    python -m benchmarks.scale                              10,000 trials of a second, 16 at a time
    python -m benchmarks.scale --trials 1000 --searcher tpe
    python -m benchmarks.scale --trials 400 --nodes 4 --cpus 4 --churn 20
    python -m benchmarks.scale --trials 1000 --nodes 10 --cpus 100 --seconds 100
    python -m benchmarks.scale --verbs 1000 10000
    python -m benchmarks.scale --study 1000

Driver, plan or study, journal, rows, run folders and the view in a log are the real ones; only `train_one` of a worker
is another: it sleeps, writes a curve and a row as long as real ones, and reports an epoch. The slots are made up: Ray
is told that this machine has so many CPUs, or `ray.cluster_utils` starts so many fake nodes; with --churn some come and
go all the while. Beside the time over the least one (trials / slots × seconds; aim 1.15) stand, after 10, 100, 1,000
... trials, milliseconds of the driver's processor per trial and per report, of the latest half of them, and its memory.
--verbs makes folders of so many finished runs up and times what answers from files alone; --study drives a study of so
many trials without Ray, 16 under way at a time.
"""

import argparse
import contextlib
import json
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from apc.config import pocket
from apc.runs.rows import Row, row_of
from apc.runs.stamp import machine
from apc.search.plans import points
from apc.search.progress import Progress
from apc.search.search_settings import SearchSettings

ROWS = Path(__file__).resolve().parents[1] / "reports" / "reference" / "results" / "table7_pooling" / "pocket.jsonl"
AIM = 1.15
BASE = replace(pocket(), epochs=1)


def asleep(sleep: Callable[[Path], None], row: dict[str, Any]) -> Callable[[Any], None]:
    """What stands in for `worker.in_process`: the same, but for a training that sleeps, by a function of the folder of
    runs, and leaves such a row."""

    def in_process(task: Any) -> None:
        from dataclasses import replace

        from apc.config import to_dict
        from apc.runs.folder import RunFolder, save_run
        from apc.runs.rows import row_of
        from apc.search import worker

        def train_one(cfg: Any, *, runs: Any, report: Any, name: str, **more: Any) -> None:
            began = time.perf_counter()
            sleep(runs)
            took = time.perf_counter() - began
            end = {"epoch": float(cfg.epochs), "epochs": float(cfg.epochs), "seconds": took}
            RunFolder(runs / name).write_epochs([{**end, "loss": 1.0, "process": os.getpid()}])
            report({**end, "loss": 1.0})
            save_run(runs, replace(row_of(row), run=name, config=to_dict(cfg)))
            report({**end, "final": 1.0, **row["metrics"]})

        vars(worker)["train_one"] = train_one
        worker.in_process(task)

    return in_process


@dataclass
class Mark:
    """The driver when so many trials had ended."""

    ended: int
    reports: int
    wall: float
    cpu: float
    memory: float
    """MiB."""


class Watched(Progress):
    """A search's view in a log that also notes what the driver has used."""

    def __init__(self, log: TextIO) -> None:
        super().__init__("scale", file=log)
        self.reports, self.marks = 0, list[Mark]()
        self.at_begin = 0.0
        self.sizes = list[tuple[float, int]]()
        self.at_once = list[tuple[float, int]]()
        """When more ran at once than ever before."""

    def begin(self, slots: int, gpus: float) -> None:
        self.at_begin = self.at_begin or time.perf_counter()
        super().begin(slots, gpus)

    def resized(self, slots: int) -> None:
        self.sizes.append((time.perf_counter(), slots))
        super().resized(slots)

    def started(self, run: str, name: str) -> None:
        super().started(run, name)
        if len(self.running) > (self.at_once[-1][1] if self.at_once else 0):
            self.at_once.append((time.perf_counter(), len(self.running)))

    def reported(self, run: str, metrics: Mapping[str, float]) -> None:
        self.reports += 1
        super().reported(run, metrics)

    def ended(self, run: str, label: str, rows: list[Row]) -> None:
        super().ended(run, label, rows)
        used = time.perf_counter(), time.process_time(), memory()
        self.marks.append(Mark(len(self.marks) + 1, self.reports, *used))


def memory() -> float:
    """MiB that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_below(pid: int) -> float:
    """Seconds of the processor of all processes below one that live, and of theirs that have ended."""
    ticks = 0.0
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                stat = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK") + cpu_below(int(child))
    return ticks


@contextlib.contextmanager
def ray_of(args: argparse.Namespace) -> Iterator[Callable[[], None]]:
    """A Ray with as many CPUs as slots, on so many fake nodes; what stops the coming and going of nodes."""
    import ray

    from apc.search import local_ray

    options = {"include_dashboard": False, "log_to_driver": False}
    if not args.nodes:
        local_ray.start({"num_cpus": args.slots, "num_gpus": 0, **options}, print)
        yield lambda: None
        ray.shutdown()
        return
    from ray._private import utils
    from ray.cluster_utils import Cluster

    vars(utils)["set_sigterm_handler"] = lambda handler: None  # which only the main thread could set, and it is busy
    each = {"num_cpus": args.cpus, "include_dashboard": False, "object_store_memory": 10**8}
    cluster = Cluster(initialize_head=True, head_node_args={**each, "num_cpus": 0})
    nodes = [cluster.add_node(**each) for _ in range(args.nodes)]
    ray.init(address=cluster.address, log_to_driver=False)
    over, chance = threading.Event(), random.Random(0)

    def come_and_go() -> None:
        while not over.wait(args.churn):
            if len(nodes) <= 1 or (len(nodes) < args.nodes + 1 and chance.random() < 0.5):
                nodes.append(cluster.add_node(wait=False, **each))
            else:
                cluster.remove_node(nodes.pop(chance.randrange(len(nodes))), allow_graceful=False)

    thread = threading.Thread(target=come_and_go)
    if args.churn:
        thread.start()

    def stop() -> None:
        over.set()
        if args.churn:
            thread.join()

    yield stop
    stop()
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


def search(args: argparse.Namespace, runs: Path, view: Watched) -> int:
    """Carry the search out; how many rows failed."""
    import search_spaces
    from apc.search.driver import optuna_search
    from apc.search.driver import search as search_plan
    from apc.search.ray_session import Resources
    from apc.search.study_settings import StudyDefinition
    from search_spaces import joint

    resources = Resources(gpus_per_trial=0.0, max_concurrent=args.slots, retries=args.retries)
    if args.searcher == "plan":
        plan = points([{"theta": round(0.5 + 0.4 * i / args.trials, 6)} for i in range(args.trials)])
        found = search_plan(plan, base=BASE, seeds=[0], runs=runs, resources=resources, view=view)
    else:
        settings = SearchSettings(trials=args.trials, sampler=args.searcher)
        draw = search_spaces.draw_of(joint, BASE)
        definition = StudyDefinition(draw, name="scale", base=BASE, seeds=[0], settings=settings)
        found = optuna_search(definition, runs=runs, resources=resources, view=view)
    assert len(found) == args.trials
    return sum(bool(row.error) for _, rows in found for row in rows)


def tell(args: argparse.Namespace, view: Watched, others: float) -> None:
    """Print what was measured."""
    marks = view.marks
    wall, last = marks[-1].wall - view.at_begin, marks[-1]
    least = args.seconds * args.trials / args.slots
    first, most = (at - view.at_begin for at, _ in (view.at_once[0], view.at_once[-1]))
    print(
        f"{args.trials} trials of {args.seconds:g} s over {args.slots} slots ({args.searcher}): {wall:.0f} s, the "
        f"least is {least:.0f} s: {wall / least:.2f} × (aim {AIM})"
    )
    print(f"the first began after {first:.1f} s, {view.at_once[-1][1]} ran at once after {most:.1f} s")
    print(f"all of Ray's other processes together: {1000 * others / args.trials:.0f} ms of processor a trial")
    print("trials   driver ms/trial   ms/report   trials/s   MiB")
    size = 10
    while size <= args.trials:
        before, now = marks[max(size // 2, size - 500) - 1], marks[size - 1]
        count, cpu = now.ended - before.ended, 1000 * (now.cpu - before.cpu)
        rate = count / (now.wall - before.wall)
        each = f"{cpu / count:15.1f}   {cpu / max(now.reports - before.reports, 1):9.1f}   {rate:8.1f}"
        print(f"{size:6}   {each}   {now.memory:4.0f}")
        size *= 10
    if last.ended >= 2000:
        before = marks[999]
        print(f"memory grows by {1000 * (last.memory - before.memory) / (last.ended - 1000):.1f} MiB per 1,000 trials")
    for at, slots in view.sizes:
        print(f"after {at - view.at_begin:.0f} s: {slots} slots")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=16, help="trials at a time, without --nodes")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a trial sleeps")
    parser.add_argument("--searcher", default="plan", help="plan, or a sampler of Optuna's: tpe, random, ...")
    parser.add_argument("--nodes", type=int, default=0, help="fake nodes beside a head without CPUs")
    parser.add_argument("--cpus", type=int, default=4, help="of each fake node")
    parser.add_argument("--churn", type=float, default=0.0, help="seconds between nodes that come or go")
    parser.add_argument("--retries", type=int, default=1, help="of a trial that loses its node")
    parser.add_argument("--verbs", type=int, nargs="*", help="time the light verbs over so many finished runs instead")
    parser.add_argument("--study", type=int, default=0, help="time a study of so many trials without Ray instead")
    args = parser.parse_args()
    args.slots = args.nodes * args.cpus or args.slots
    template = json.loads(ROWS.read_text().splitlines()[0])
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}", flush=True)
    if args.study:
        from benchmarks.scale_study import time_study

        time_study(args.study, row_of(template))
        return 0
    if args.verbs is not None:
        from benchmarks.scale_verbs import time_verbs

        time_verbs(args.verbs or [1000, 10_000], row_of(template))
        return 0
    from apc.search import worker

    vars(worker)["in_process"] = asleep(lambda runs: time.sleep(args.seconds), template)
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log", "w") as log, ray_of(args) as stop:
        view = Watched(log)
        failed = search(args, Path(folder) / "runs", view)
        stop()
        tell(args, view, cpu_below(os.getpid()))
        curves = [json.loads(path.read_text()) for path in Path(folder).glob("runs/*/curve.jsonl")]
        print(f"{len({curve['process'] for curve in curves})} processes trained them, {failed} trials failed")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
