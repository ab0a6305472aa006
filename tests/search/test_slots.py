"""How many trials run at once, on clusters whose nodes come and go: made up here, and a real one of fake nodes."""

import json
import subprocess
import sys
from pathlib import Path
from queue import Queue
from types import SimpleNamespace

import pytest

from apc.search import ray_session, slots
from apc.search.callbacks import Watch
from apc.search.ray_session import Resources
from apc.search.slots import ASKED, COMING, Slots
from apc.search.view import NoView
from benchmarks.scale import ROWS

ROOT = Path(__file__).resolve().parents[2]


class Nodes:
    """What Ray says of a cluster of nodes with two CPUs each."""

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, 0

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0 * self.count}

    def nodes(self) -> list[dict[str, object]]:
        self.asked += 1
        return [{"Alive": True, "NodeID": f"node {n}", "Resources": {"CPU": 2.0}} for n in range(self.count)]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until a test moves it on; no autoscaler is at work."""
    time = [0.0]
    monkeypatch.setattr(slots.time, "monotonic", lambda: time[0])
    monkeypatch.setattr(slots, "nodes_are_coming", lambda: False)
    return time


def of(nodes: Nodes, monkeypatch: pytest.MonkeyPatch, told: list[int], **asked: int) -> Slots:
    monkeypatch.setattr(ray_session, "ray", nodes)
    return Slots(Resources(gpus_per_trial=0.0, **asked), lambda: None, told.append)


def test_slots_follow_the_nodes_and_one_trial_more_waits(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, told = Nodes(2), list[int]()
    counted = of(nodes, monkeypatch, told)
    assert (counted.count, counted.limit(0)) == (4, 5)
    nodes.count, asked = 3, nodes.asked
    assert [counted.limit(n) for n in range(100)] == [5] * 100 and nodes.asked == asked  # no call a proposal
    now[0] += ASKED
    assert counted.limit(5) == 7
    nodes.count = 0
    now[0] += ASKED
    assert counted.limit(7) == 1  # that one waits for a node
    assert told == [6, 0]
    with pytest.raises(ValueError, match="it could never start"):
        counted.look()


def test_a_node_that_joins_a_cluster_later_is_asked_for_its_versions_once(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes, told = Nodes(2), Queue[str]()
    monkeypatch.setattr(slots, "other_versions", lambda new: [f"asked {' '.join(new)}"])
    monkeypatch.setattr(ray_session, "ray", nodes)
    settled = Slots(Resources(address="auto", gpus_per_trial=0.0), lambda: None, told=told.put)
    settled.look()
    nodes.count = 3
    settled.look()
    assert told.get(timeout=60) == "asked node 2"
    nodes.count = 4
    settled.look()
    assert told.get(timeout=60) == "asked node 3" and told.empty()


def test_the_most_at_once_are_not_exceeded_and_several_processes_never_wait(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(2)
    assert of(nodes, monkeypatch, [], max_concurrent=1).limit(0) == 1
    assert of(nodes, monkeypatch, [], max_concurrent=9).limit(0) == 5
    assert of(nodes, monkeypatch, [], num_workers=2).limit(0) == 2


def test_an_autoscaler_that_answers_is_shown_all_that_is_wanted(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(2)
    counted, most = of(nodes, monkeypatch, []), of(nodes, monkeypatch, [], max_concurrent=40)
    wide = of(nodes, monkeypatch, [], max_concurrent=40, num_workers=2)
    monkeypatch.setattr(slots, "nodes_are_coming", lambda: True)
    assert [each.limit(5) for each in (counted, most, wide)] == [5, 5, 2]  # it is not asked at every proposal
    now[0] += COMING
    assert [each.limit(1) for each in (counted, most, wide)] == [5, 5, 2]  # nor where nothing waits
    assert [each.limit(5) for each in (counted, most, wide)] == [8, 40, 40]
    monkeypatch.setattr(slots, "nodes_are_coming", lambda: False)
    nodes.count = 10
    now[0] += COMING
    assert [each.limit(9) for each in (counted, most, wide)] == [40, 40, 40]


def test_a_trial_that_finished_an_epoch_has_all_its_tries_again() -> None:
    class Nobody:
        def give_up(self, trial_id: str) -> bool:
            return False

        def attempt_failed(self, trial_id: str) -> None: ...

    watch = Watch(NoView(), Nobody(), lambda: None, lambda: None)
    trial = SimpleNamespace(trial_id="a", run_metadata=SimpleNamespace(num_failures=1))
    watch.on_trial_recover(0, [], trial)
    assert trial.run_metadata.num_failures == 1
    watch.on_trial_result(0, [], trial, {"epoch": 2.0})
    assert trial.run_metadata.num_failures == 0


GROWING = """
import json, sys, time
from pathlib import Path
from apc.search import worker
from apc.search.driver import search
from apc.search.plans import points
from apc.search.ray_session import Resources, ray
from apc.search.view import NoView
from benchmarks.scale import BASE, asleep
from ray.cluster_utils import Cluster

runs = Path(sys.argv[1])

def sleep(runs):
    while not (runs / "go").exists():
        time.sleep(0.05)
    time.sleep(1.0)

class Node(NoView):
    "Two CPUs join when the first trial runs, and are gone when three do, none of which has ended."
    def __init__(self):
        self.running, self.sizes, self.most, self.starts = set(), [], 0, []
    def resized(self, slots):
        self.sizes.append(slots)
    def started(self, run, name):
        self.running.add(run)
        self.starts.append(name)
        self.most = max(self.most, len(self.running))
        if len(self.starts) == 1:
            self.node = cluster.add_node(num_cpus=2)
        elif len(self.starts) == 3:
            cluster.remove_node(self.node, allow_graceful=False)
            (runs / "go").touch()
    def ended(self, run, label, rows):
        self.running.discard(run)

quickly = {"health_check_period_ms": 500, "health_check_failure_threshold": 4, "health_check_initial_delay_ms": 0}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": quickly})
ray.init(address=cluster.address, log_to_driver=False)
worker.in_process = asleep(sleep, json.loads(Path(sys.argv[2]).read_text().splitlines()[0]))
view, plan = Node(), points([{"theta": 0.5 + i / 100} for i in range(7)])
found = search(plan, base=BASE, seeds=[0], runs=runs, resources=Resources(), view=view)
errors = [row.error for _, rows in found for row in rows]
(runs / "told.json").write_text(json.dumps([view.most, view.sizes, len(view.starts), errors]))  # Ray prints too
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_node_that_joins_is_busy_and_the_trials_of_one_that_leaves_go_on_elsewhere(tmp_path: Path) -> None:
    words = [sys.executable, "-c", GROWING, str(tmp_path), str(ROWS)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    most, sizes, starts, errors = json.loads((tmp_path / "told.json").read_text())
    assert (most, sizes, errors) == (3, [3, 1], [""] * 7)
    assert starts == 9  # two of them twice
