"""Tiny runs of every method, a second or two each, whose losses and scores are recorded in tests/golden/runs.jsonl.

Each is APC or a method of Table 6 on 24 pictures of the embedded data, from random weights, on one thread: three steps
an epoch, four epochs or more. Together they go through every loss term, every pooling, all three schedules, both
optimisers, accumulation, frozen epochs and the second stage.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from apc.config import Config, pocket
from apc.methods.registry import proportioned
from apc.training.run import run

BASE = replace(
    pocket(),
    weights="",
    num_train=24,
    num_val=4,
    batch_size=8,
    bilstm_residual=True,
    epochs=4,
    frozen_epochs=0,
    warmup_steps=0,
    crf="none",
)
AFA = replace(BASE, **proportioned(BASE, "afa"))
TOCO = replace(BASE, **proportioned(BASE, "toco"))

RUNS: dict[str, Config] = {
    "apc, average": replace(BASE, pooling="average"),
    "apc, max": replace(BASE, pooling="max"),
    "apc, top_k": replace(BASE, pooling="top_k"),
    "apc, adaptive_k": replace(BASE, theta=0.999),  # of an untrained network, less would take all k patches
    "apc, accumulated": replace(BASE, theta=0.999, micro_batch=3, seed=1),
    "apc, frozen, warm-up and cosine": replace(BASE, frozen_epochs=2, warmup_steps=2),
    "apc, dropout, jitter and weight decay": replace(
        BASE,
        dropout=0.2,
        decoder_dropout=0.1,
        jitter=0.4,
        optimizer="adamw",
        weight_decay=0.5,
        schedule="constant",
        warmup_steps=4,
        grad_clip=0.0,
        flip="horizontal",
        bilstm_residual=False,
        decoder_norm="batch",
    ),
    "apc, other losses": replace(
        BASE,
        mce="clamped",
        background_label="ignore",
        pce_classes="all",
        pseudo_label="merge",
        seg_stride=1,
        epsilon=0.5,
        lambda1=0.5,
        lambda2=0.1,
        bilstm=False,
        flip="none",
    ),
    "vit_pcm, two stages": replace(
        BASE, **proportioned(BASE, "vit_pcm") | {"epochs": 5, "frozen_epochs": 1, "stage2_epochs": 2}, crf="pocket"
    ),
    "afa": replace(AFA, weight_decay=0.5),
    "afa, energy": replace(AFA, energy_weight=0.05, warmup_steps=3),
    "toco": replace(TOCO, weight_decay=0.5),
    "toco, official slips and energy": replace(TOCO, compat="official", energy_weight=0.05, warmup_steps=3),
}


def digits(number: float) -> float:
    """To six significant digits."""
    return float(f"{number:.6g}")


def measured(name: str) -> list[dict[str, Any]]:
    """What a run of RUNS gives on one thread: a line an epoch with its loss terms, then its identity and its scores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            row = run(RUNS[name], runs=Path(folder))
    finally:
        torch.set_num_threads(threads)
    epochs = [{k: digits(v) for k, v in e.items() if k not in ("epoch", "seconds", "cpu_seconds")} for e in row.curve]
    lines: list[dict[str, Any]] = [{"epoch": number, "losses": e} for number, e in enumerate(epochs, start=1)]
    return [*lines, {"run": row.run, "scores": {k: digits(v) for k, v in row.metrics.items()}}]
