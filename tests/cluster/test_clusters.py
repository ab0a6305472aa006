"""The cluster commands on machines of their own: `ray up` and `ray submit` over ssh, and a node that goes dark."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.machine import ROOT, Machine, described, install, missing, wait
from rows import stripped

from apc.config import from_dict
from apc.flags import spelt
from apc.runs.rows import load_rows
from apc.training.run import run
from experiments.table7_pooling import EXPERIMENT

WHY_NOT = missing()
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
]

SMALL = {"num_train": 48, "num_val": 4, "weights": "", "crf": "none", "epochs": 6, "warmup_steps": 0}
QUICK = "RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=5000 RAY_health_check_failure_threshold=4"
"""A node that went dark is noticed after 20 seconds and not a minute."""


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Machine]:
    """A machine that only has its loopback."""
    machine = Machine(tmp_path / "one", "one", {"one": "127.0.0.1"})
    yield machine
    machine.off()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """Two machines and a cable."""
    hosts = {"left": "10.77.0.1", "right": "10.77.0.2"}
    left = Machine(tmp_path / "left", "left", hosts)
    right = Machine(tmp_path / "right", "right", hosts, key=left.home / ".ssh" / "id_ed25519")
    left.join(right, hosts["left"], hosts["right"])
    yield left, right
    right.off()
    left.off()


def test_a_machine_sees_none_of_the_processes_outside(one: Machine) -> None:
    seen = one.shell("ps -e -o comm=; ls /tmp/ray /dev/shm").split()
    assert "sshd" in seen and not {"raylet", "gcs_server", "pytest"} & set(seen)


def test_ray_up_and_ray_submit_bring_the_report_back(one: Machine, tmp_path: Path) -> None:
    install(one)
    cluster = described(tmp_path, "127.0.0.1", "[]")
    one.shell("ray get-auth-token --generate")
    one.shell(f"ray up -y {cluster}")
    told = one.shell(f"ray submit {cluster} experiments/grid_lambda.py -- --smoke --seeds 1")
    assert told.count("done    lambda1") == 4 and "ablation.md: tables and figures" in told
    page = tmp_path / "shared" / "runs" / "smoke" / "reports" / "ablation.md"
    assert "lambda1" in page.read_text()
    code = f"mkdir {tmp_path}/code; cp -r apc experiments search_spaces {tmp_path}/code; cd {tmp_path}/code"
    server = "export RAY_AUTH_MODE=token RAY_API_SERVER_ADDRESS=http://127.0.0.1:8265"
    job = "python experiments/grid_lambda.py --smoke --seeds 1"  # its runs are done, so it writes the report and ends
    told = one.shell(f"{code}; {server}; ray job submit --working-dir . -- {job}")
    assert "4 runs are done already" in told and "ablation.md: tables and figures" in told and "succeeded" in told
    assert one.shell("pgrep -x raylet").strip()
    one.shell(f"ray down -y {cluster}")
    wait(lambda: one.shell("pgrep -cx raylet || true").split() == ["0"], 60, "ray down")


def unfinished(runs: Path) -> set[str]:
    """The runs that have finished an epoch and not the last."""
    return {curve.parent.name for curve in runs.glob("*/curve.jsonl") if not curve.with_name("row.json").exists()}


def test_a_search_that_loses_a_node_leaves_the_table_of_one_that_does_not(
    two: tuple[Machine, Machine], tmp_path: Path
) -> None:
    left, right = two
    token = left.shell("ray get-auth-token --generate").strip().splitlines()[-1]
    login = f"export RAY_AUTH_MODE=token RAY_AUTH_TOKEN={token}"
    start = "--num-cpus=1 --disable-usage-stats"
    left.shell(f"{login} {QUICK}; ray start --head --port=6379 --node-ip-address=10.77.0.1 {start}")
    right.shell(f"{login}; ray start --address=10.77.0.1:6379 --node-ip-address=10.77.0.2 {start}")

    told = left.shell(f"{login}; apc doctor --address auto --cpus 2 --runs /tmp/ray/mine", code=2)
    assert "ok          nodes       2: 10.77.0.1, 10.77.0.2" in told
    assert "ok          torch " in told and "ok          token " in told
    assert "would fail  storage     /tmp/ray/mine: 10.77.0.2 cannot write there" in told
    assert "would fail  resources   a process asks for 2 CPUs and 0 GPUs of one node" in told

    flags = shlex.join(word for name, value in SMALL.items() for word in spelt(name, value))
    script = f"python {ROOT}/experiments/table7_pooling.py {flags} --seeds 1"
    runs = tmp_path / "runs"
    search = left.start(
        f"{login}; {script} --address auto --runs {runs} --reports {runs}/reports", tmp_path / "search.log"
    )
    try:
        wait(lambda: len(unfinished(runs)) == 2 or search.poll() is not None, 400, "a run on each node")
        assert search.poll() is None, (tmp_path / "search.log").read_text()
        begun = unfinished(runs)
        right.off()
        assert search.wait(timeout=600) == 0, (tmp_path / "search.log").read_text()
    finally:
        search.kill()

    rows = load_rows(runs / "reports" / "results" / "table7_pooling" / "pocket.jsonl")
    assert [(row.row, row.error) for row in rows] == [(row, "") for row in EXPERIMENT.rows]
    disturbed = [row for row in rows if row.run in begun]
    assert len(disturbed) == 2  # a run on each node
    plain = [run(from_dict(row.config), runs=tmp_path / "undisturbed") for row in disturbed]
    assert [stripped(row) for row in disturbed] == [stripped(row) for row in plain]
