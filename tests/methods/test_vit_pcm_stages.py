"""ViT-PCM's two stages: they resume as one, and the second learns from pseudo masks alone."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apc import data
from apc.config import Config, folder
from apc.methods import losses
from apc.methods import pseudo_masks as pseudo_masks_module
from apc.methods.base import Workplace
from apc.methods.pseudo_masks import packed
from apc.methods.registry import build
from apc.methods.vit_pcm import ViTPCM, pseudo_masks
from apc.training.loop import Prepared, Trained, train
from apc.training.schedule import rate_share


def fit(cfg: Config, where: Path, **more: Any) -> tuple[ViTPCM, Trained]:
    torch.manual_seed(cfg.seed)
    split, val = data.load(cfg, "train"), data.load(cfg, "val")
    method = build(cfg, len(split.classes))
    assert isinstance(method, ViTPCM)
    return method, train(Prepared(method, split, val), cfg, folder=where, **more)


class Killed(Exception):
    pass


@pytest.mark.parametrize("deeplab", ["small", "vit"])
def test_a_run_resumed_in_either_stage_equals_an_uninterrupted_one(
    staged: Config, tmp_path: Path, deeplab: str
) -> None:
    cfg = replace(staged, deeplab=deeplab, epochs=4, stage2_epochs=2)
    whole, trained = fit(cfg, tmp_path / "whole")
    terms = [set(e) - {"epoch", "seconds", "cpu_seconds", "loss"} for e in trained.curve]
    assert terms == 2 * [{"mce", "et", "reg"}] + 2 * [{"seg"}]
    for stop in (2, 3):  # before the second stage, so that it starts in the new process, and in its midst

        def kill(numbers: dict[str, float], stop: int = stop) -> None:
            if numbers["epoch"] == stop:
                raise Killed

        with pytest.raises(Killed):
            fit(cfg, tmp_path / str(stop), report=kill)
        resumed, _ = fit(cfg, tmp_path / str(stop))
        assert resumed.masks == whole.masks
        for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
            assert torch.equal(a, b), (stop, name)


def test_the_second_stage_moves_the_deeplab_alone(staged: Config, tmp_path: Path) -> None:
    kept: dict[float, dict[str, torch.Tensor]] = {}

    def keep(numbers: dict[str, float]) -> None:
        state = torch.load(tmp_path / "last.pt", weights_only=True)["model"]
        kept[numbers["epoch"]] = {k: v.clone() for k, v in state.items()}

    fit(staged, tmp_path, report=keep)
    moved = [{k for k in kept[1] if not torch.equal(kept[a][k], kept[a + 1][k])} for a in (1, 2)]
    assert {"classifier.weight", "encoder.vit.norm.weight"} <= moved[0]
    assert not any(k.startswith("deeplab.") for k in moved[0])
    assert moved[1] - {"taught"} == {k for k in kept[1] if k.startswith("deeplab.")}


class Ramp(torch.nn.Module):
    """A DeepLab that is surer of class 1 the farther a pixel lies above an edge."""

    edge = 0

    def forward(self, images: torch.Tensor, frozen_features: Any) -> torch.Tensor:
        above = self.edge - (8 * torch.arange(12.0) + 4)  # pixels, of the middle of each cell
        return torch.stack([torch.zeros(12, 12), above[:, None].expand(12, 12)])[None]


def test_pseudo_masks_are_learnt_where_they_lie(staged: Config) -> None:
    method, ramp = ViTPCM(replace(staged, seg_stride=4), 1), Ramp()
    method.deeplab = ramp  # type: ignore[assignment]
    batch = {"image": torch.rand(1, 3, 96, 96), "index": torch.zeros(1, 3, dtype=torch.int)}
    loss = dict.fromkeys((-2, 2), 0.0)
    for shift in loss:
        for ramp.edge in range(48, 52):
            mask = np.zeros((96, 96), np.uint8)
            mask[: ramp.edge + shift] = 1
            method.masks = [packed(mask)]
            loss[shift] += float(method.loss_terms(batch, 0.5)["seg"])
    assert loss[2] == pytest.approx(loss[-2], rel=1e-3)


def test_the_learning_rate_runs_its_course_once_a_stage(staged: Config) -> None:
    cfg = replace(staged, epochs=10, frozen_epochs=1, stage2_epochs=3, schedule="cosine")
    method = ViTPCM(cfg, 9)
    assert [method.course(e) for e in (0, 6, 7, 9)] == [(0, 7), (0, 7), (7, 10), (7, 10)]
    assert [method.stage(e) for e in (0, 1, 6, 7, 9)] == [0, 1, 1, 2, 2]
    assert rate_share(cfg, 0, 30) == 1.0
    assert ViTPCM(replace(cfg, stage2_epochs=0), 9).course(9) == (0, 10)


def test_masks_hold_the_image_s_own_classes_and_the_crf_runs_on_many_cores_as_on_one(
    staged: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = replace(staged, num_train=64)
    method, split = ViTPCM(cfg, 9), data.load(cfg, "train")
    method.classifier.weight.data.normal_(std=2.0)
    found = []
    for cores in (1, 2):
        monkeypatch.setattr(pseudo_masks_module, "cores", lambda cores=cores: cores)
        monkeypatch.setattr(torch, "get_num_threads", lambda cores=cores: cores)
        found.append(pseudo_masks(method, split, Workplace()))
    assert found[0] == found[1] and len(found[0]) == 64
    masks = [unpacked(mask, 96) for mask in found[0]]
    for mask, labels in zip(masks, split.labels, strict=True):
        assert set(np.unique(mask)) <= {0, *(1 + np.flatnonzero(labels.numpy()))}
    assert len({int(v) for mask in masks for v in np.unique(mask)}) > 4


def unpacked(mask: bytes, side: int) -> np.ndarray:
    return np.frombuffer(zlib.decompress(mask), np.uint8).reshape(side, side)


def test_masks_are_flipped_as_their_images_were(staged: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = replace(staged, image_size=16, seg_stride=1)
    method = ViTPCM(cfg, 9)
    mask = torch.arange(256).view(16, 16).to(torch.uint8)
    method.masks = [b"", zlib.compress(mask.numpy().tobytes())]
    wanted: list[torch.Tensor] = []

    def catch(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        wanted.append(target)
        return logits.mean()

    monkeypatch.setattr(losses, "segmentation", catch)
    index = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]])
    method.loss_terms({"image": torch.rand(4, 3, 16, 16), "labels": torch.zeros(4, 8), "index": index}, 0.9)
    # as apc.data.transforms.augment flips: left to right is the last dimension
    by_hand = torch.stack([mask, mask.flip(1), mask.flip(0), mask.flip(0, 1)]).long()
    assert torch.equal(wanted[0], by_hand)


def test_training_masks_are_never_opened(photographs: Path, tmp_path: Path) -> None:
    cfg = replace(
        folder(),
        method="vit_pcm",
        root=str(photographs),
        encoder="pocket",
        decoder_blocks=(1, 3),
        image_size=48,
        batch_size=4,
        epochs=3,
        frozen_epochs=1,
        stage2_epochs=1,
        unfreeze_blocks=1,
        crf="pocket",
        eval_every=0,
        decoder_norm="layer",
    )
    curves = []
    for name in ("a", "b"):
        curves.append([e["loss"] for e in fit(cfg, tmp_path / name)[1].curve])
        for mask in (photographs / "masks").iterdir():
            mask.write_bytes(b"not a picture")
    assert curves[0] == curves[1]
    assert data.load(cfg, "train").mask(0) is None


def test_a_resnet_that_gets_one_image_of_a_batch_alone_is_refused_before_the_first_epoch(
    staged: Config, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="deeplab is resnet50; .* a batch is 5 images in parts of 4"):
        fit(replace(staged, deeplab="resnet50", batch_size=5, micro_batch=4), tmp_path)
    assert not (tmp_path / "epochs.jsonl").exists() and list(tmp_path.iterdir()) == []


def test_stages_that_leave_the_first_one_no_open_epoch_are_refused(staged: Config) -> None:
    with pytest.raises(ValueError, match="stage2_epochs is 2; epochs is 3, of both stages together, and 1 of them"):
        ViTPCM(replace(staged, stage2_epochs=2), 9)
    with pytest.raises(ValueError, match="image_size is 40; .* multiple of 16"):
        ViTPCM(replace(staged, image_size=40), 9)
