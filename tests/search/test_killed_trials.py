"""Trials that lose one of two processes go on from their last epoch; those of one are in tests/chaos/test_kills.py."""

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from notes import Notes
from processes import below, name_of
from safetensors.torch import load_file

from apc.config import Config
from apc.search.plans import points
from apc.training.run import run


def kill_after_three_epochs(run: Path, name: str) -> tuple[list[int], list[dict[str, float]]]:
    """Kill one process of ours whose name begins so, once the run has finished three epochs; the list of the killed,
    and the curve that the run had by then."""
    killed: list[int] = []
    curve_then: list[dict[str, float]] = []

    def kill() -> None:
        curve = run / "curve.jsonl"
        while not (curve.is_file() and len(curve.read_text().splitlines()) >= 3):
            time.sleep(0.02)
        curve_then.extend(json.loads(line) for line in curve.read_text().splitlines())
        # Between two reports an actor is called otherwise for a moment, so one look may miss it.
        while not killed and not (run / "row.json").is_file():
            if found := [pid for pid in below(os.getpid()) if name_of(pid).startswith(name)]:
                os.kill(found[0], signal.SIGKILL)
                killed.append(found[0])

    threading.Thread(target=kill, daemon=True).start()
    return killed, curve_then


@pytest.mark.slow
def test_a_trial_of_two_processes_that_loses_one_goes_on_from_its_last_epoch(
    warm_ray: None, tiny: Config, tmp_path: Path
) -> None:
    from apc.search.driver import search
    from apc.search.ray_session import Resources

    long = replace(tiny, num_train=48, epochs=8)
    undisturbed = run(long, runs=tmp_path / "plain", device="cpu")
    runs, notes = tmp_path / "ray", Notes()
    killed, had = kill_after_three_epochs(runs / undisturbed.run, "ray::RayTrainWorker")
    resources = Resources(num_workers=2)
    plan = points([{"theta": long.theta}])
    ((_, (row,)),) = search(plan, base=long, seeds=[0], runs=runs, resources=resources, view=notes)
    assert killed and row.error == "" and row.stamp["processes"] == 2
    assert row.run == undisturbed.run and 2.0 in notes.epochs
    assert [entry["epoch"] for entry in row.curve] == list(range(1, long.epochs + 1))
    models = [load_file(tmp_path / where / row.run / "model.safetensors") for where in ("plain", "ray")]
    apart = torch.cat([(models[0][name] - models[1][name]).flatten() for name in models[0]]).abs().mean()
    assert apart < 1e-4
    assert len(notes.starts) == 2
    assert row.curve[: len(had) - 1] == had[:-1]  # not trained again: their seconds are those of before
