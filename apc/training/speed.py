"""How long a run will take on this machine, from a few steps that are made and thrown away."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from apc.config import Config
from apc.evaluation.evidence import AfterCRF
from apc.evaluation.miou import score
from apc.evaluation.scoring import Scoring
from apc.training.effort import epochs_of_masks
from apc.training.loop import Prepared, train
from apc.training.run import prepare

STEPS = 4  # of the longer of two epochs that are timed: what they differ by is three steps
FEW = 2  # photographs of a step where a whole batch would take long
SCORED = 4  # photographs that are scored
PLAIN = 0.25  # what a scoring costs without CRF and further protocols, as a share of one with them


class Speed(NamedTuple):
    """What was measured."""

    step: float
    """Seconds of a step of the whole batch."""
    beside: float
    """Seconds that an epoch takes beside its steps."""
    photograph: float
    """Seconds to score a photograph under every protocol of a row."""

    def run(self, cfg: Config, images: Mapping[str, int]) -> float:
        """Seconds of a whole run on the `images` of each split, scoring included."""
        epoch = self.step * max(images["train"] // cfg.batch_size, 1) + self.beside
        on_the_way = (cfg.epochs - 1) // cfg.eval_every if cfg.eval_every else 0
        scored = images["val"] * (1 + PLAIN * on_the_way) + images.get("test", 0) * PLAIN
        return (cfg.epochs + cfg.rounds * epochs_of_masks(cfg)) * epoch + scored * self.photograph


def speed(cfg: Config, images: Mapping[str, int], threads: int = 1) -> Speed:
    """Train and score `cfg` for a moment on the CPU, on a few of the `images` that each split has."""
    batch = min(cfg.batch_size if cfg.dataset == "pocket" else FEW, images["train"])
    few = replace(
        cfg,
        num_val=min(SCORED, images["val"]),
        batch_size=batch,
        micro_batch=0,
        epochs=2,
        frozen_epochs=min(cfg.frozen_epochs, 1),
        stage2_epochs=0,
        rounds=0,
        eval_every=0,
    )
    steps = min(STEPS, images["train"] // batch)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        short, _ = _epoch(replace(few, num_train=batch))
        long, prepared = _epoch(replace(few, num_train=steps * batch)) if steps > 1 else (short, _)
        began = time.perf_counter()
        keep = AfterCRF(prepared.val).keep if few.crf != "none" else None  # as a run listens, masks or not
        score(prepared.method, prepared.val, few, scoring=Scoring("cpu", keep=keep))
        photograph = (time.perf_counter() - began) / few.num_val
    finally:
        torch.set_num_threads(before)
    # An epoch takes a while beside its steps, which in one of few steps would pass for theirs.
    step = max((long - short) / (steps - 1), short / 10) if steps > 1 else short
    return Speed(step * cfg.batch_size / batch, max(short - step, 0.0), photograph)


def _epoch(cfg: Config) -> tuple[float, Prepared]:
    """Seconds of the last epoch, in which all learns and what is made once is there."""
    prepared = prepare(cfg)
    with tempfile.TemporaryDirectory() as folder:
        *_, before, last = train(prepared, cfg, folder=Path(folder)).curve
    return last["seconds"] - before["seconds"], prepared
