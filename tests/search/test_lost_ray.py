"""Ray dies under its driver: it is noticed, started again where it was ours, and no epoch is lost or trained again; a
cluster that is gone ends the search in one sentence."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from processes import below, name_of

from apc.config import Config, to_dict
from apc.runs.folder import load_runs

ROOT = Path(__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="finds processes through /proc")
DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from untrained import untrained
from apc.config import from_dict
from apc.search import worker
from apc.search.driver import search
from apc.search.plans import points
from apc.search.progress import Progress
from apc.search.ray_session import Resources
worker.in_process = untrained(pause=0.5)
base, runs = from_dict({base!r}), Path(sys.argv[1])
plan = points([{{"theta": 0.5}}, {{"theta": 0.9}}])
search(plan, base=base, seeds=[0], runs=runs, resources=Resources(max_concurrent=1, retries=0), view=Progress("x"))
"""
HEAD = """
import time
from apc.search.ray_session import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
time.sleep(600)
"""


def wait(ready: Callable[[], object], search: "subprocess.Popen[str]", seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert search.poll() is None and time.monotonic() < deadline, search.communicate()
        time.sleep(0.02)


def epochs(runs: Path) -> int:
    """Epochs that the runs have finished."""
    return sum(len(path.read_text().splitlines()) for path in runs.glob("*/curve.jsonl"))


def kill(driver: int, name: str) -> None:
    """Kill the one process below a driver whose program is called so."""
    (pid,) = [pid for pid in below(driver) if name_of(pid).partition("\0")[0].endswith(f"/{name}")]
    os.kill(pid, signal.SIGKILL)


@LINUX
@pytest.mark.slow
def test_a_search_whose_raylet_and_then_gcs_are_killed_starts_ray_again_and_loses_nothing(
    tiny: Config, tmp_path: Path
) -> None:
    """Its epochs are made up, each at a moment of its own."""
    base, runs = replace(tiny, epochs=6), tmp_path / "runs"
    code = DRIVER.format(base=to_dict(base))
    search = subprocess.Popen(
        [sys.executable, "-c", code, str(runs)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait(lambda: epochs(runs) >= 2, search)
    had = {path: path.read_text() for path in runs.glob("*/curve.jsonl")}
    kill(search.pid, "raylet")
    wait(lambda: epochs(runs) >= 8, search)  # in the middle of the second run
    then = {path: path.read_text() for path in runs.glob("*/curve.jsonl")}
    assert len(then) == 2 and all(then[path].startswith(lines) for path, lines in had.items())
    kill(search.pid, "gcs_server")
    _, said = search.communicate(timeout=200)
    assert search.returncode == 0, said
    again = "Ray is started again, and runs go on from their last epoch"
    assert [line for line in said.splitlines() if "Ray" in line] == [
        "Ray has died: its raylet does not answer any more",
        again,
        "Ray has died: its GCS does not answer any more",
        again,
    ]
    assert all(path.read_text().startswith(lines) for path, lines in then.items())  # no epoch again
    rows = {row.config["theta"]: [epoch["epoch"] for epoch in row.curve] for row in load_runs(runs)}
    assert rows == {0.5: [1, 2, 3, 4, 5, 6], 0.9: [1, 2, 3, 4, 5, 6]}


@LINUX
@pytest.mark.slow
def test_a_cluster_that_is_gone_ends_the_search_with_its_report_one_sentence_and_exit_code_3(tmp_path: Path) -> None:
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    head = subprocess.Popen([sys.executable, "-c", HEAD], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert head.stdout
    runs, words = tmp_path / "runs", "--num-train 16 --num-val 4 --weights= --crf none --warmup-steps 0 --epochs 3"
    words += f" --seeds 1 --address {head.stdout.readline().strip()} --runs {runs} --reports {tmp_path / 'reports'}"
    search = subprocess.Popen(
        [sys.executable, str(ROOT / "experiments" / "table7_pooling.py"), *words.split()],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait(lambda: epochs(runs) >= 4, search)  # the first of its four runs is through
        for pid in below(head.pid):
            os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        _, said = search.communicate(timeout=200)
    finally:
        search.kill()
        head.kill()
        head.wait()
    lines = said.splitlines()
    assert search.returncode == 3, said
    lost = lines[0].removeprefix("Ray has died: ")
    kept = "1 finished runs are kept; the same command goes on from there"
    assert lines[0] != lost and lines[1] == f"the Ray cluster is gone ({lost}): {kept}"
    assert len(lines) == 2 and time.monotonic() - killed < 90
    results = tmp_path / "reports" / "results" / "table7_pooling" / "pocket.jsonl"
    assert len(results.read_text().splitlines()) == len(load_runs(runs)) == 1
    assert (tmp_path / "reports" / "ablation.md").is_file()
