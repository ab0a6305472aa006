"""Kills at random, seeded moments: of the worker process, of the trial, of the driver and of Ray's own processes; a
driver that is held for a while, and two at a time; of a store that goes away; of nodes. The table stays the same."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake_nodes import FakeNodes, fake_nodes
from processes import below, name_of, stat_of
from stores import S3, environment, serving

from apc.experiment.flags import read_flags
from apc.experiment.main import space_experiment
from apc.experiment.outputs import write_trials
from apc.experiment.racing import race_of
from apc.experiment.settings import settings_of
from apc.runs.compared import how_compared
from apc.runs.rows import Row, load_rows
from apc.runs.scores import CHOOSERS, Chooser
from apc.search.halving import Rungs, usual_bracket, usual_rungs
from apc.search.plans import Result, rows_of
from apc.search.run_queue import RunQueue
from apc.search.search_settings import Stopper
from apc.search.study import Study
from apc.search.study_in_rungs import study_of
from apc.search.study_settings import StudyDefinition
from apc.training.run import identity, run, train_to
from search_spaces import joint

ROOT = Path(__file__).resolve().parents[2]
NAME = "space_joint.pocket"
RAYS = {"raylet": "/raylet", "gcs": "/gcs_server", "agent": "ray::DashboardAgent"}
"""Ray's own processes, by a part of their names."""


@dataclass(frozen=True)
class Kill:
    """What is killed, so many seconds after so many epochs in all have begun."""

    kind: str
    epochs: int
    seconds: float


def kills(seed: int, kinds: dict[str, int], epochs: int) -> list[Kill]:
    """Kills at random moments over a search of so many epochs; of the driver, some right after its start."""
    rng = random.Random(seed)
    wanted = [kind for kind, count in kinds.items() for _ in range(count)]
    rng.shuffle(wanted)
    moments = sorted(rng.randint(2, epochs - 4) for _ in wanted)
    found: list[Kill] = []
    for kind, at in zip(wanted, moments, strict=True):
        if kind == "driver" and found and found[-1].kind == "driver":
            found.append(Kill(kind, found[-1].epochs, rng.uniform(0, 15)))  # while it starts
        else:
            found.append(Kill(kind, at, rng.uniform(0, 0.4)))
    return found


@dataclass
class Chaos:
    """A search in a process of its own, and what is done to it."""

    folder: Path
    flags: list[str]
    server: S3 | None = None
    """Where the runs lie; every driver then starts with nothing of them, as on another machine."""
    nodes: FakeNodes | None = None
    """Where trials run, if it is not where the driver does; a node that goes takes along what it had."""
    starts: int = 0
    finished: dict[Path, int] = field(default_factory=dict)
    """row.json files with the time of their first sight."""
    family: dict[int, str] = field(default_factory=dict)
    """Process id -> start time of every process that a driver has had."""

    @property
    def epochs(self) -> list[tuple[str, int]]:
        """(run, epoch) of every epoch that was begun."""
        log = self.folder / "epochs.log"
        words = [line.split() for line in log.read_text().splitlines()] if log.is_file() else []
        return [(name, int(epoch)) for name, epoch in words]

    def start(self) -> "subprocess.Popen[bytes]":
        self.starts += 1
        command = [sys.executable, str(ROOT / "tests" / "chaos" / "driver.py"), "joint", *self.flags]
        with open(self.folder / "said.txt", "a") as said:
            own, machine = os.environ | {"APC_CHAOS": str(self.folder)}, str(self.folder / f"machine{self.starts}")
            if self.server:
                own |= environment(self.server) | {"APC_CACHE": machine}
            if self.nodes:  # whose APC_CACHE would be the driver's
                own.pop("APC_CACHE")
                own |= {"HOME": machine, "RAY_AUTH_TOKEN_PATH": str(Path.home() / ".ray" / "auth_token")}
            return subprocess.Popen(command, cwd=self.folder, env=own, stdout=said, stderr=said)

    def look(self) -> None:
        for path in (self.folder / "runs").glob("*/row.json"):
            self.finished.setdefault(path, path.stat().st_mtime_ns)

    def workers(self, driver: int) -> list[int]:
        """Processes below a driver that train; all below it are remembered."""
        found = below(driver)
        self.family |= found
        if self.nodes:
            return self.nodes.training()
        return [pid for pid in found if name_of(pid).startswith("ray::ImplicitFunc")]

    def wait(self, driver: "subprocess.Popen[bytes]", until: Any, what: str) -> None:
        deadline = time.monotonic() + 300
        while not until():
            self.look()
            assert driver.poll() is None, f"the search ended before {what}: {self.said()}"
            assert time.monotonic() < deadline, f"waited in vain for {what}: {self.said()}"
            time.sleep(0.02)

    def said(self) -> str:
        return (self.folder / "said.txt").read_text()[-3000:]

    def go(self, plan: list[Kill]) -> None:
        driver = self.start()
        try:
            for kill in plan:
                self.wait(driver, lambda at=kill.epochs: len(set(self.epochs)) >= at, f"epoch {kill.epochs}")
                time.sleep(kill.seconds)
                driver = self.kill(kill, driver)
            code = driver.wait(timeout=600)
            assert code == 0, self.said()
        finally:
            self.workers(driver.pid)
            driver.kill()
            driver.wait()
            self.sweep()
        self.look()

    def kill(self, kill: Kill, driver: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
        if kill.kind == "worker":
            found: list[int] = []

            def seen() -> bool:
                found[:] = self.workers(driver.pid)
                return bool(found)

            self.wait(driver, seen, "a worker process to kill")
            os.kill(found[0], signal.SIGKILL)
        elif kill.kind == "node":
            assert self.nodes
            chance = random.Random(kill.epochs)
            self.wait(driver, lambda: self.nodes and self.nodes.lose(chance), "a node that trains")
            self.nodes.add()
        elif kill.kind == "trial":
            order = self.folder / "raise"
            order.touch()
            self.wait(driver, lambda: not order.exists(), "the trial to raise")
        elif kill.kind in RAYS:
            found = []

            def there() -> bool:
                found[:] = [pid for pid in below(driver.pid) if RAYS[kill.kind] in name_of(pid).partition("\0")[0]]
                return bool(found)

            self.wait(driver, there, f"{kill.kind} to kill")
            self.workers(driver.pid)
            os.kill(found[0], signal.SIGKILL)
        elif kill.kind == "hold":
            os.kill(driver.pid, signal.SIGSTOP)
            time.sleep(60)
            os.kill(driver.pid, signal.SIGCONT)
        elif kill.kind == "store":
            assert self.server
            self.server.stop()
            time.sleep(10)
            self.server.start()
        else:
            self.workers(driver.pid)
            driver.kill()
            driver.wait()
            return self.start()
        return driver

    def sweep(self) -> None:
        """End what a killed driver has left behind and Ray has not ended by itself."""
        deadline = time.monotonic() + 20
        while left := [pid for pid, began in self.family.items() if (stat := stat_of(pid)) and stat[1] == began]:
            if time.monotonic() > deadline:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.2)


def undisturbed(runs: Path, flags: list[str]) -> tuple[Study, Result]:
    """The same search, and its race, in plain Python, without Ray."""
    experiment = space_experiment("joint")
    settings = replace(settings_of(experiment, read_flags(experiment, flags)), runs=runs)
    draw = experiment.drawn(settings.base)
    assert draw and settings.search
    definition = StudyDefinition(
        draw, name=NAME, base=settings.base, seeds=[0], settings=settings.search, first=joint.FIRST
    )
    study = study_of(definition, runs)
    while trial := study.take():
        for cfg in trial.configs:
            how: dict[str, Any] = {"runs": runs, "device": "cpu", "scored": study.scored, "by": study.by}
            _ = train_to(cfg, trial.until, **how) if trial.until else run(cfg, **how)
        study.finish(trial)
    if not settings.racing.race:
        return study, []
    race, _ = race_of(study.result(), settings)
    assert race
    queue = RunQueue(race, base=settings.base, seeds=race.seeds[:1], runs=runs, identify=identity)
    while job := queue.take():
        queue.finish(job.run, run(job.config, runs=runs, device="cpu"))
    return study, race.with_scores(queue.result())


def compared(path: Path) -> bytes:
    """The table without its seconds."""
    frame = pd.read_csv(path, dtype=str)
    return frame[[name for name in frame.columns if not name.endswith("_seconds")]].to_csv(index=False).encode()


def survive(
    tmp_path: Path,
    kinds: dict[str, int],
    seed: int,
    trials: int,
    epochs: int,
    images: int,
    stop_early: Stopper = "none",
    race: int = 0,
    server: S3 | None = None,
    nodes: FakeNodes | None = None,
    choose: Chooser = "val",
) -> None:
    """`race` is how many settings race over three further seeds, so that no racer can leave before the last."""
    flags = f"--num-train {images} --num-val 8 --weights= --crf none --epochs {epochs} --warmup-steps 0".split()
    flags += ["--batch-size", "8", "--frozen-epochs", "0"]
    flags += ["--trials", str(trials), "--seeds", "1", "--max-concurrent", "1", "--retries", str(sum(kinds.values()))]
    flags += ["--stop-early", stop_early, "--choose", choose]
    flags += ["--race", str(race), "--race-seeds", "3"] if race else []
    where = "s3://bucket/runs" if server else "runs"
    there = ["--address", nodes.address] if nodes else []
    chaos = Chaos(tmp_path, [*flags, "--runs", where, "--reports", "reports", *there], server, nodes)
    rungs = Rungs(usual_rungs(epochs), bracket=usual_bracket(CHOOSERS[choose]))
    tried = rungs.total(trials) if stop_early == "halving" else trials * epochs
    runs, total = trials + 3 * race, tried + 3 * race * epochs
    plan = kills(seed, kinds, total)
    began = time.monotonic()
    chaos.go(plan)
    took = time.monotonic() - began

    study, raced = undisturbed(tmp_path / "plain", flags)
    write_trials(tmp_path / "plain.jsonl", study.result(), list(joint.FIRST[0]))
    results = tmp_path / "reports" / "results" / ("space_joint" if choose == "val" else f"space_joint_by_{choose}")
    assert compared(results / "pocket.trials.csv") == compared(tmp_path / "plain.trials.csv")
    rows = {row.run: scores(row) for _, (row,) in [*study.result(), *raced]}
    assert {row.run: scores(row) for row in load_rows(results / "pocket.jsonl")} == rows
    assert len(rows) == runs
    stopped = {row.run for _, (row,) in study.result() if row.stopped}
    compared_how = how_compared(rows_of(study.result()))
    assert (compared_how is not None) == (choose == "vote")
    told = f", compared by {compared_how.told}" if compared_how else ""

    begun, again = chaos.epochs, 2 if server else 1  # what is being stored as the next one trains is lost too
    for name, row in rows.items():  # each epoch in turn, one of them again after a kill in its middle
        own = [epoch for run_of, epoch in begun if run_of == name]
        assert own[0] == 0 and own[-1] == len(row["curve"]) - 1
        steps = [later - earlier for earlier, later in zip(own, own[1:], strict=False)]
        assert all(1 - again <= step <= 1 for step in steps), (name, own)
    trained = sum(len(row["curve"]) for row in rows.values())  # the paper's setting goes on with a place or without
    assert len(set(begun)) == trained and len(begun) <= trained + again * len(plan)
    if server:
        stored = {key.split("/")[1] for key in server.keys() if key.endswith("/row.json")}
        assert stored == set(rows) - stopped
        left = [key for key in server.keys() if key.endswith(("last.pt", "lease.json")) and key.split("/")[1] in stored]
        assert left == []
    assert chaos.finished == {path: path.stat().st_mtime_ns for path in chaos.finished}  # none was written again
    assert server or {path.parent.name for path in chaos.finished} == set(rows) - stopped
    counts = Counter(kill.kind for kill in plan)
    print(
        f"{len(plan)} kills ({dict(counts)}), {chaos.starts} starts of the driver, {runs} runs of {epochs} epochs: "
        f"{len(stopped)} given up at rungs, {len(begun) - total} epochs again, tables equal{told}, {took:.0f} s"
    )


def scores(row: Row) -> dict[str, Any]:
    curve = [{name: value for name, value in entry.items() if not name.endswith("seconds")} for entry in row.curve]
    return {"metrics": row.metrics, "per_class": row.per_class, "curve": curve}


@pytest.mark.slow
def test_a_search_survives_a_kill_of_its_worker_of_its_trial_and_of_its_driver(tmp_path: Path) -> None:
    kinds = {"worker": 1, "trial": 1, "driver": 1}
    survive(tmp_path, kinds, seed=0, trials=6, epochs=6, images=32, stop_early="halving")


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("stop_early", "trials", "choose"),
    [("none", 10, "val"), ("halving", 27, "val"), ("halving", 27, "labels"), ("halving", 27, "vote")],
)
def test_a_search_survives_twenty_kills(stop_early: Stopper, trials: int, choose: Chooser, tmp_path: Path) -> None:
    seed, kinds = int(os.environ.get("APC_CHAOS_SEED", "0")), {"worker": 7, "trial": 6, "driver": 7}
    how: dict[str, Any] = {"stop_early": stop_early, "race": 2, "choose": choose}
    survive(tmp_path, kinds, seed=seed, trials=trials, epochs=10, images=48, **how)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("each", "trials"), [(1, 5), (7, 10)])
def test_a_search_whose_runs_lie_in_a_store_survives_kills_on_machine_after_machine(
    each: int, trials: int, tmp_path: Path
) -> None:
    seed, kinds = int(os.environ.get("APC_CHAOS_SEED", "0")), {"driver": each, "trial": each, "store": each}
    with serving() as server:
        server.clear()
        survive(tmp_path, kinds, seed=seed, trials=trials, epochs=6, images=32, server=server)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("each", "trials"), [(1, 4), (5, 10)])
def test_a_search_on_a_cluster_whose_runs_lie_in_a_store_survives_kills_and_nodes_that_go(
    each: int, trials: int, tmp_path: Path
) -> None:
    seed, kinds = int(os.environ.get("APC_CHAOS_SEED", "0")), dict.fromkeys(("driver", "trial", "node", "store"), each)
    with serving() as server:
        server.clear()
        with fake_nodes(tmp_path, 2, environment(server) | {"APC_CHAOS": str(tmp_path)}) as nodes:
            survive(tmp_path, kinds, seed=seed, trials=trials, epochs=6, images=32, server=server, nodes=nodes)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_a_search_survives_the_deaths_of_ray(tmp_path: Path) -> None:
    """Some of them while Ray starts again after the last one, and while runs are proposed or written."""
    seed = int(os.environ.get("APC_CHAOS_SEED", "0"))
    survive(tmp_path, {"raylet": 4, "gcs": 4, "agent": 2, "driver": 2}, seed=seed, trials=8, epochs=8, images=32)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_a_driver_that_is_held_for_a_minute_goes_on(tmp_path: Path) -> None:
    survive(tmp_path, {"hold": 1}, seed=0, trials=3, epochs=6, images=32)


def tables_of_two(tmp_path: Path, runs: str, environments: list[dict[str, str]]) -> dict[str, Any]:
    """Scores by run, the same in the tables of two drivers of one plan."""
    words = f"--num-train 48 --num-val 4 --weights= --crf none --epochs 6 --warmup-steps 0 --seeds 1 --runs {runs}"
    command = [sys.executable, str(ROOT / "experiments" / "table7_pooling.py"), *words.split()]
    names = ("first", "second")
    both = [
        subprocess.Popen([*command, "--reports", name], cwd=tmp_path, env=own, stdout=subprocess.DEVNULL)
        for name, own in zip(names, environments, strict=True)
    ]
    assert [driver.wait(timeout=900) for driver in both] == [0, 0]
    first, second = (
        {row.run: scores(row) for row in load_rows(tmp_path / name / "results" / "table7_pooling" / "pocket.jsonl")}
        for name in names
    )
    assert first == second and len(first) == 4
    return first


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_two_drivers_on_two_machines_share_a_plan_by_its_store(tmp_path: Path) -> None:
    with serving() as server:
        server.clear()
        own = os.environ | environment(server)
        machines = [own | {"APC_CACHE": str(tmp_path / name)} for name in ("here", "there")]
        first = tables_of_two(tmp_path, "s3://bucket/runs", machines)
        stored = [("PUT", f"/bucket/runs/{name}/curve.jsonl") for name in first]
        assert [server.requests.count(put) for put in stored] == [6] * 4  # no epoch twice


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_two_drivers_of_one_plan_train_no_epoch_twice_and_end_with_one_table(tmp_path: Path) -> None:
    first = tables_of_two(tmp_path, "runs", [dict(os.environ)] * 2)
    for name in first:
        curve = (tmp_path / "runs" / name / "curve.jsonl").read_text().splitlines()
        assert len(curve) == 6
