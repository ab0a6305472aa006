"""Pseudo masks of the training images, scored by masks that training never sees."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apc import data
from apc.config import Config, from_dict, to_dict
from apc.data.images import decode
from apc.evaluation import remeasure
from apc.methods.base import Method
from apc.methods.checkpoint import save_model
from apc.methods.registry import build
from apc.runs.folder import RunFolder
from apc.runs.rows import Row
from apc.training.run import identity


def test_pseudo_masks_of_train_are_scored_by_masks_that_training_never_sees(trained: tuple[Path, Row]) -> None:
    runs, row = trained
    cfg = from_dict({**row.config, "weights": ""})
    assert data.load(cfg, "train").mask(0) is None
    split = remeasure.with_masks(cfg)
    assert len(split) == cfg.num_train
    for i in range(len(split)):
        mask = split.mask(i)
        assert mask is not None
        assert set(np.unique(mask)) - {0, 255} == set((np.flatnonzero(split.labels[i]) + 1).tolist())
    metrics = remeasure.measured_once(row, runs, "", "pseudo_masks", remeasure.pseudo_masks_of_train)["metrics"]
    assert set(metrics) == {"train_pseudo_miou", "train_labelled_miou"} and metrics["train_pseudo_miou"] > 0


def test_runs_are_measured_on_the_photographs_that_are_named_now(
    photographs: Path, trained: tuple[Path, Row], tmp_path: Path
) -> None:
    cfg = Config(
        dataset="folder", root=str(photographs), image_size=48, encoder="pocket", decoder_blocks=(1, 3), crf="none"
    )
    save_model(tmp_path / "runs" / trained[1].run, build(cfg, 3), cfg, ["background", "red", "blue"])
    moved = photographs.rename(tmp_path / "moved")
    measures = {
        "size_32": remeasure.at_size(32),
        "multi_scale": remeasure.multi_scale,
        "pseudo_masks": remeasure.pseudo_masks_of_train,
    }
    for name, measure in measures.items():
        metrics = remeasure.measured_once(trained[1], tmp_path / "runs", str(moved), name, measure)["metrics"]
        assert any(score > 0 for score in metrics.values()), name


def test_photographs_are_decoded_once_though_their_list_is_read_twice(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def noting(path: Path, *how: Any) -> np.ndarray:
        read.append(path)
        return decode(path, *how)

    monkeypatch.setattr("apc.data.images.decode", noting)
    cfg = Config(dataset="folder", root=str(photographs), image_size=48)
    assert len(remeasure.with_masks(cfg)) == len(read) == len({*read}) == 8


def test_masks_that_are_corrected_later_are_measured_again_and_old_measurements_too(
    photographs: Path, trained: tuple[Path, Row], tmp_path: Path
) -> None:
    cfg = Config(dataset="folder", root=str(photographs), image_size=48, encoder="pocket", decoder_blocks=(1, 3))
    row = replace(trained[1], config=to_dict(cfg))
    save_model(tmp_path / row.run, build(cfg, 3), cfg, ["background", "red", "blue"])
    counted: list[str] = []

    def measure(method: Method, cfg: Config, device: str) -> dict[str, Any]:
        counted.append(cfg.root)
        return {"metrics": {"train_pseudo_miou": float(len(counted))}}

    def score() -> float:
        told = remeasure.measured_once(
            row, tmp_path, str(photographs), "pseudo_masks", measure, remeasure.masks_of_train
        )
        return float(told["metrics"]["train_pseudo_miou"])

    assert (score(), score()) == (1, 1)
    mask = photographs / "masks" / "photo 0.png"  # of a training image: the run stays the same
    same = identity(cfg)
    kept = mask.read_bytes()
    mask.write_bytes((photographs / "masks" / "photo 3.png").read_bytes())
    assert (score(), score()) == (2, 2) and identity(cfg) == same
    mask.write_bytes(kept)
    assert score() == 3
    path = RunFolder(tmp_path / row.run).measured("pseudo_masks")
    old = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in old.items() if key != "read"}))
    assert score() == 4


def test_photographs_find_their_own_masks_in_a_part_of_their_list(photographs: Path) -> None:
    cfg = Config(dataset="folder", root=str(photographs), image_size=48, num_train=5, seed=3)
    split = remeasure.with_masks(replace(cfg, eval_size=64))
    assert split.images[torch.arange(5)].shape == (5, 3, 64, 64)
    for i, name in enumerate(split.names):
        mask = split.mask(i)
        assert mask is not None and mask.shape == split.photo(i).shape[:2]
        assert mask.shape == (40 + int(name.split()[1].split(".")[0]), 60 - int(name.split()[1].split(".")[0]))
