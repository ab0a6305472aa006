"""Epochs of a small folder of photographs: as many as it needs for a least number of steps."""

import math
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from apc.config import Config, folder

LEAST_STEPS = 300
"""Steps of a training whose loss has fallen: of 651 photographs of animals, 40 steps an epoch, the paper's setting
scored 17.7 mIoU after 80 steps, 37.5 after 160, 57.3 after 240, 60.9 after 320 and 64.5 at the end, after 600
(reports/reference/results/paper_setting/voc-animals.jsonl)."""
FOLLOW = ("frozen_epochs", "round_epochs", "eval_every")
"""Numbers of epochs that keep their share of all."""


def enough_steps(cfg: Config, given: Collection[str]) -> Config:
    """The setting with more epochs where a folder's photographs are too few for its steps; the setting itself where
    `given`, the fields that somebody chose, holds epochs."""
    steps = _steps_an_epoch(cfg)
    epochs = math.ceil(LEAST_STEPS / steps) if steps else 0
    before = cfg.first_stage_epochs  # rounds of self-training come on top, as much longer
    if epochs <= before or "epochs" in given:
        return cfg
    follow = [name for name in FOLLOW if name not in given and (cfg.rounds or name != "round_epochs")]
    others = {name: round(getattr(cfg, name) * epochs / before) for name in follow}
    again = cfg.rounds * others.get("round_epochs", cfg.round_epochs)
    return replace(cfg, epochs=epochs + again, **others)


def told(cfg: Config) -> str:
    """What to tell of a setting whose epochs are those of `enough_steps`; empty of any other."""
    steps, epochs = _steps_an_epoch(cfg), cfg.first_stage_epochs - cfg.stage2_epochs
    if not steps or epochs != math.ceil(LEAST_STEPS / steps) or epochs <= folder().epochs:
        return ""
    each = "a step" if steps == 1 else f"{steps} steps"
    return (
        f"few training photographs, {each} an epoch: {epochs} epochs instead of {folder().epochs} make "
        f"{epochs * steps} steps; --epochs chooses another number"
    )


def _steps_an_epoch(cfg: Config) -> int:
    """Steps of an epoch on a folder of photographs; 0 of other data, and where the list cannot be read, of which the
    data set tells."""
    listed = _listed(cfg, cfg.train_list)
    images = min(listed, cfg.num_train or listed)
    return max(images // cfg.batch_size, 1) if images else 0


def within(cfg: Config, given: Collection[str]) -> Config:
    """The setting with no more images than a folder's lists have, but for what is `given`: a smoke run has a number of
    its own."""
    fewer = {}
    for name, path in (("num_train", cfg.train_list), ("num_val", cfg.val_list)):
        if name not in given and (images := _listed(cfg, path)):
            fewer[name] = min(getattr(cfg, name), images)
    return replace(cfg, **fewer)


def _listed(cfg: Config, path: str) -> int:
    """How many photographs a list of a folder has; 0 of other data, and where it cannot be read, of which the data set
    tells."""
    from apc.data.lists import open_list

    with suppress(ValueError):
        if cfg.dataset == "folder" and cfg.root:
            return sum(1 for _ in open_list(Path(cfg.root) / path).rows())
    return 0
