"""The masks that `apc predict` writes are, pixel for pixel, the label maps that `apc eval` scores: for every method,
either branch, with image labels and without, with the CRF and without."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from apc import data
from apc.cli.main import main
from apc.config import Config, folder
from apc.evaluation.forward import Network
from apc.evaluation.inference import label_maps
from apc.methods.checkpoint import save_model
from apc.methods.registry import METHODS, build
from apc.methods.vit_pcm import ViTPCM
from apc.runs.protocols import Protocol

CLASSES = ["background", "red", "blue"]


@pytest.fixture
def cfg(photographs: Path) -> Config:
    """The pocket encoder, untrained, at 48 pixels; all twelve photographs are validation images."""
    lines = [(photographs / name).read_text().splitlines()[1:] for name in ("train.csv", "val.csv")]
    (photographs / "all.csv").write_text("\n".join(["image,labels", *lines[0], *lines[1]]) + "\n")
    small = replace(folder(), root=str(photographs), val_list="all.csv", encoder="pocket", decoder_blocks=(1, 3))
    return replace(small, image_size=48, decoder_norm="layer", crf="none", unfreeze_blocks=3, epochs=3, frozen_epochs=1)


def saved(cfg: Config, where: Path) -> torch.nn.Module:
    """An untrained model, sure enough of itself that several classes win somewhere, stored as a finished run's."""
    torch.manual_seed(2)
    method = build(replace(cfg, stage2_epochs=1 if cfg.method == "vit_pcm" else 0), len(CLASSES)).eval()
    with torch.no_grad():
        for name, p in method.named_parameters():
            if name.startswith(("classifier.weight", "decoder", "deeplab.head")) and p.dim() > 1:
                p.mul_(3)
        if isinstance(method, ViTPCM):
            method.taught.fill_(1)
    save_model(where, method, method.cfg, CLASSES)
    return method


def scored(method: torch.nn.Module, cfg: Config, protocol: Protocol) -> dict[str, np.ndarray]:
    """Label maps (H,W) under a protocol, by the photograph's name without its suffix."""
    split = data.load(cfg, "val")
    photographs = [(i, split.photo(i).shape[:2]) for i in range(len(split))]
    with closing(label_maps(Network(method, split, cfg), [protocol], photographs)) as maps:  # type: ignore[arg-type]
        return {Path(split.names[each.i]).stem: each.labels for each in maps}


@pytest.mark.parametrize("branch", ["decoder", "patch"])
@pytest.mark.parametrize("name", METHODS)
def test_a_mask_is_the_label_map_that_is_scored(cfg: Config, tmp_path: Path, name: str, branch: str) -> None:
    method = saved(replace(cfg, method=name), tmp_path / "run")
    maps: dict[tuple[bool, str], dict[str, np.ndarray]] = {}
    for labels in (False, True):
        for crf in ("none", "pocket"):
            out = tmp_path / f"{labels} {crf}"
            words = ["predict", str(tmp_path / "run"), str(Path(cfg.root) / "images"), "--branch", branch]
            words += ["--crf", crf, "--only", "masks", "--out", str(out), "--device", "cpu", "--threads", "1"]
            assert main([*words, *(["--labels", str(Path(cfg.root) / "all.csv")] if labels else [])]) == 0
            protocol = Protocol(branch, labels, crf="" if crf == "none" else crf)
            maps[labels, crf] = scored(method, cfg, protocol)
            assert len(maps[labels, crf]) == 12
            for photograph, label_map in maps[labels, crf].items():
                with Image.open(out / "masks" / f"{photograph}.png") as mask:
                    assert np.array_equal(np.asarray(mask), label_map), (protocol.name, photograph)
    pairs = [
        ((False, "none"), (True, "none")),
        ((False, "none"), (False, "pocket")),
        ((True, "none"), (True, "pocket")),
    ]
    for one, other in pairs:  # neither image labels nor the CRF are without effect
        assert any((maps[one][p] != maps[other][p]).any() for p in maps[one]), (one, other)


def test_image_labels_go_into_vit_pcm_s_patch_branch_by_the_label_merge(cfg: Config, tmp_path: Path) -> None:
    method = saved(replace(cfg, method="vit_pcm"), tmp_path / "run")
    assert isinstance(method, ViTPCM)
    merged = scored(method, cfg, Protocol("patch", True))
    method.merges = False
    plain = scored(method, cfg, Protocol("patch", True))
    assert any((merged[p] != plain[p]).any() for p in merged)
