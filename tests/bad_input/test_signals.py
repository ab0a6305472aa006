"""Ctrl-C and kill -9 of real processes: one sentence, nothing half-written, no process left, and the same row after.

That the processes of a CRF end with a parent that is killed is in tests/models/test_crf.py.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from refusal import flags

from apc.cli.main import main
from apc.config import folder
from apc.methods.checkpoint import save_model
from apc.methods.registry import build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="looks at processes through /proc"),
]
SIDE = 320  # pixels: photographs whose CRFs take the processes a while


@pytest.fixture
def run(photographs: Path) -> Path:
    """An untrained model, as a finished run leaves it, and four larger photographs to score."""
    rng, names = np.random.default_rng(0), [f"large {i}.png" for i in range(4)]
    for name in names:
        image = rng.integers(90, 160, (SIDE, SIDE, 3), dtype=np.uint8)
        image[40:140, 40:140], image[180:280, 180:280] = (220, 20, 20), (20, 20, 220)
        Image.fromarray(image).save(photographs / "images" / name)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[40:140, 40:140] = 1
        Image.fromarray(mask).save(photographs / "masks" / name)
    (photographs / "val.csv").write_text("\n".join(["image,labels", *(f"{name},red" for name in names)]) + "\n")
    cfg = replace(
        folder(),
        root=str(photographs),
        encoder="pocket",
        decoder_blocks=(1, 3),
        image_size=48,
        decoder_width=16,
        crf="vit_pcm",
    )
    torch.manual_seed(0)
    save_model(photographs.parent / "run", build(cfg, 3), cfg, ["background", "red", "blue"])
    return photographs.parent / "run"


class Apc:
    """`apc` in a session of its own, as at a terminal."""

    def __init__(self, words: list[str]) -> None:
        command = [sys.executable, "-m", "apc.cli.main", *words]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def family(self) -> list[Path]:
        """Folders in /proc of its processes that are alive."""
        return [path for path in Path("/proc").iterdir() if path.name.isdigit() and _is_of(path, self.process.pid)]

    def crf_processes(self) -> list[Path]:
        """Those of the family that run CRFs and leave Ctrl-C to their parent."""
        return [path for path in self.family() if b"spawn_main" in _read(path / "cmdline") and _ignores_ctrl_c(path)]

    def wait_for(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + 200
        while not what():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self, how: signal.Signals) -> tuple[int, list[str]]:
        """Send a signal to all of its processes; the exit code, and the lines on stderr but for those of progress."""
        os.killpg(self.process.pid, how)
        _, said = self.process.communicate(timeout=200)
        return self.process.returncode, [line for line in said.splitlines() if not line.startswith("photographs: ")]

    def leaves_nobody(self) -> bool:
        """Whether all of its processes end, if not at once."""
        deadline = time.monotonic() + 60
        while self.family() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.family()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def _is_of(process: Path, session: int) -> bool:
    told = _read(process / "stat").rpartition(b")")[2].split()  # state, parent, group, session, ...
    return bool(told) and told[0] != b"Z" and int(told[3]) == session


def _ignores_ctrl_c(process: Path) -> bool:
    ignored = [line.split()[1] for line in _read(process / "status").splitlines() if line.startswith(b"SigIgn:")]
    return bool(ignored) and bool(int(ignored[0], 16) >> (signal.SIGINT - 1) & 1)


def hidden_below(where: Path) -> list[Path]:
    """Files that were being written."""
    return [path for path in where.rglob(".*") if path.is_file() and path.name != ".lock"]


def test_ctrl_c_while_processes_run_crfs_for_eval(run: Path) -> None:
    out = run.parent / "scores.json"
    apc = Apc(["eval", str(run), "--out", str(out), "--crf-workers", "2", "--device", "cpu"])
    apc.wait_for(lambda: len(apc.crf_processes()) == 2)
    assert apc.end(signal.SIGINT) == (130, ["stopped; nothing was written"])
    assert apc.leaves_nobody() and not list(run.parent.glob("*scores*")) and hidden_below(run.parent) == []


def test_ctrl_c_while_predict_refines(run: Path, photographs: Path) -> None:
    out = run.parent / "out"
    words = ["predict", str(run), *map(str, sorted((photographs / "images").glob("large*"))), "--out", str(out)]
    words += ["--only", "masks", "--device", "cpu"]
    apc = Apc(words)
    apc.wait_for(lambda: len(list(out.glob("masks/large*.png"))) == 2)  # so that the first is in the summary
    assert apc.end(signal.SIGINT) == (130, ["stopped; the same command goes on where it was"])
    first = out / "masks" / "large 0.png"
    before = first.stat().st_mtime_ns
    assert apc.leaves_nobody() and hidden_below(out) == [] and len(list(out.glob("masks/*.png"))) < 4
    assert main(words) == 0
    assert len(list(out.glob("masks/*.png"))) == 4 and first.stat().st_mtime_ns == before  # done once


def begun(words: list[str]) -> int:
    """A process that does a command, forked for what is imported here; a killed one does no more with it."""
    if not (child := os.fork()):
        try:
            main(words)
        finally:
            os._exit(1)
    return child


def test_train_that_is_killed_goes_on_to_the_row_of_an_undisturbed_run(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*flags(photographs, "--crf", "pocket"), "--epochs", "8", "--eval-every", "3"]
    child = begun(words)
    while not list((photographs.parent / "runs").glob("*/last.pt")):
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (killed,) = (photographs.parent / "runs").iterdir()
    assert not (killed / "row.json").exists()
    assert main(words) == 0
    went_on = capsys.readouterr().out
    assert "epoch 8/8" in went_on and "epoch 1/8" not in went_on
    assert main([*words, "--runs", str(photographs.parent / "undisturbed")]) == 0
    rows = [_without_time(photographs.parent / runs / killed.name / "row.json") for runs in ("runs", "undisturbed")]
    assert rows[0] == rows[1] and len(rows[0]["curve"]) == 8 and not list(killed.glob(".last.pt*"))


def _without_time(path: Path) -> dict[str, Any]:
    """A row but for what it took."""
    row: dict[str, Any] = json.loads(path.read_text())
    row["curve"] = [{k: v for k, v in epoch.items() if not k.endswith("seconds")} for epoch in row["curve"]]
    row["stamp"] = {k: v for k, v in row["stamp"].items() if k in ("data", "weights", "images", "protocol", "threads")}
    return {k: v for k, v in row.items() if k != "seconds"}
