"""Benchmarks that need a GPU run here at small shapes, so that they work the day there is one."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from apc.config import Config, voc
from apc.models.bilstm import HVBiLSTM

TINY = ["--encoder", "pocket", "--size", "64", "--eval-size", "96", "--batch", "2", "--matrix", "64", "--rounds", "1"]


def script(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks.{name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gpu_s_benchmark_runs_on_a_cpu_and_prints_its_ratios_last(capsys: pytest.CaptureFixture[str]) -> None:
    script("gpu").main(["--device", "cpu", *TINY])
    lines = capsys.readouterr().out.splitlines()
    memory, step = (re.match(r"ratio (memory|step) (\d+\.\d+) of", line) for line in lines[-2:])
    assert memory and step and (memory[1], step[1]) == ("memory", "step")
    assert float(memory[2]) > 0 and re.search(r"floor \S+ ms at the matrix rate", "".join(lines))


def test_the_flops_of_a_step_are_those_of_its_products() -> None:
    gpu = script("gpu")
    cfg = replace(voc(), encoder="pocket", weights="", decoder_blocks=(1, 2, 3), image_size=64, batch_size=2)
    n, d, c = 64, 64, 21  # patches, features, classes
    patches = 2 * n * ((192 + 4) * 128 + 128 * d)
    block = 2 * n * (4 + 2 * 2) * d * d + 4 * n * n * d  # of its attention, queries with keys and weights with values
    decoder = 2 * n * (3 * d * 256 + 3 * 256 * 256 + 256 * c)
    forward = patches + 3 * block + 2 * n * d * c + decoder + n * gpu.lstm_flops(d)
    # the backward pass takes twice as much, but for the gradient of the pixels, which nobody needs
    assert gpu.step_flops(cfg, "cpu") == 2 * (3 * forward - 2 * n * (192 + 4) * 128 + pce(gpu, cfg))


def pce(gpu: ModuleType, cfg: Config) -> float:
    """What the losses add: the step of both terms less that of none."""
    without = replace(cfg, lambda2=0.0)
    return (gpu.step_flops(cfg, "cpu") - gpu.step_flops(without, "cpu")) / cfg.batch_size


def test_the_lstm_s_formula_is_that_of_its_gates() -> None:
    lstm = HVBiLSTM(16)
    weights = sum(p.numel() for name, p in lstm.named_parameters() if "weight" in name)
    assert script("gpu").lstm_flops(16) == 2 * weights  # each weight is multiplied and added once a patch
