"""A driver that is stopped at any moment: the same command goes on, and the table is that of an undisturbed one."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rows import stripped

from apc.config import from_dict
from apc.experiment.main import main
from apc.runs.rows import load_rows
from apc.search.interrupts import WAITING
from apc.training.run import run
from experiments.table7_pooling import EXPERIMENT

ROOT = Path(__file__).resolve().parents[2]


def words(runs: Path) -> list[str]:
    """Of a search of some 20 seconds on two cores: 4 settings, 1 seed."""
    flags = "--num-train 32 --num-val 4 --weights= --crf none --epochs 6 --warmup-steps 0".split()
    return [*flags, "--runs", str(runs), "--reports", str(runs / "reports"), "--seeds", "1"]


def curve(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_until(runs: Path, finished: int, stop: signal.Signals) -> tuple[int, str]:
    """Start the search, stop it once `finished` runs are done; exit code and what it said last."""
    command = [sys.executable, str(ROOT / "experiments" / "table7_pooling.py"), *words(runs)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=runs.parent)
    deadline = time.monotonic() + 180
    while len(list(runs.glob("*/row.json"))) < finished:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize(
    "stop",
    [
        signal.SIGINT,
        pytest.param(signal.SIGHUP, marks=pytest.mark.chaos),  # test_interrupts.py has it in the small
        pytest.param(signal.SIGKILL, marks=pytest.mark.chaos),  # as tests/chaos/test_kills.py does
    ],
)
def test_a_stopped_driver_loses_nothing_and_the_same_command_goes_on(
    stop: signal.Signals, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    results = runs / "reports" / "results" / "table7_pooling" / "pocket.jsonl"
    code, errors = run_until(runs, 1, stop)
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*/row.json")}
    assert 1 <= len(before) < 4
    if stop == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 130
        lines = errors.splitlines()
        assert len(lines) == 2 and lines[0] == WAITING
        assert re.fullmatch(r"interrupted: \d finished runs are kept; the same command goes on from there", lines[1])
        assert len(results.read_text().splitlines()) == int(lines[1].split()[1]) >= 1
    begun = {path: curve(path)[:-1] for path in runs.glob("*/curve.jsonl") if path.parent / "row.json" not in before}
    request.getfixturevalue("warm_ray")  # not before: the command that is stopped has a Ray of its own
    monkeypatch.chdir(tmp_path)
    assert main(EXPERIMENT, words(runs)) == 0
    rows = load_rows(results)
    assert [row.row for row in rows] == ["average", "max", "top_k", "adaptive_k"]
    assert {path: path.stat().st_mtime_ns for path in before} == before  # what was finished was not done again
    assert all(curve(path)[: len(epochs)] == epochs for path, epochs in begun.items())  # nor an epoch, to its seconds
    again = [row for row in rows if runs / row.run / "row.json" not in before]
    fresh = [run(from_dict(row.config), runs=tmp_path / "plain", device="cpu") for row in again[:1] + again[1:][-1:]]
    assert [stripped(row) for row in again[:1] + again[1:][-1:]] == [stripped(row) for row in fresh]
