"""Short trainings for tests of the loop."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from apc import data
from apc.config import Config, folder
from apc.methods.registry import build
from apc.training.loop import Prepared, Trained, train


def fit(cfg: Config, where: Path, **more: Any) -> tuple[torch.nn.Module, Trained]:
    torch.manual_seed(cfg.seed)
    split, val = data.load(cfg, "train"), data.load(cfg, "val")
    method = build(cfg, len(split.classes))
    return method, train(Prepared(method, split, val), cfg, folder=where, **more)


def losses_of(trained: Trained) -> list[float]:
    return [epoch["loss"] for epoch in trained.curve]


def folder_config(photographs: Path) -> Config:
    return replace(
        folder(),
        root=str(photographs),
        encoder="pocket",
        decoder_blocks=(1, 3),
        image_size=48,
        batch_size=4,
        epochs=2,
        frozen_epochs=1,
        unfreeze_blocks=1,
        crf="pocket",
        eval_every=0,
    )
