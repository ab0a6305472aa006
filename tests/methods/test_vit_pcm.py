"""ViT-PCM: the official numbers, views and targets that lie on each other, two stages that resume as one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_files import tensors
from torch.nn import functional as F

from apc import data
from apc.config import Config, folder, pocket
from apc.methods import losses
from apc.methods import vit_pcm as module
from apc.methods.checkpoint import load_model
from apc.methods.pseudo_labels import merge
from apc.methods.published import vit_pcm, vit_pcm_pocket
from apc.methods.registry import build
from apc.methods.vit_pcm import REGULARISATION, ViTPCM, cce, pseudo_masks
from apc.methods.vit_pcm_views import View, cut, draw_view, mosaic, recolour, seen
from apc.training.loop import Prepared, Trained, train
from apc.training.run import run
from apc.training.schedule import rate_share


@pytest.fixture
def staged(tiny: Config) -> Config:
    """Three epochs: frozen, open, DeepLab."""
    return replace(
        tiny,
        method="vit_pcm",
        epochs=3,
        frozen_epochs=1,
        stage2_epochs=1,
        unfreeze_blocks=1,
        dropout=0.1,
        num_train=16,
        num_val=4,
    )


def with_head(classifier: torch.Tensor) -> ViTPCM:
    """A method whose tokens are F_out: without HV-BiLSTM, with this classifier (D,C)."""
    cfg = replace(pocket(), method="vit_pcm", weights="", bilstm=False)
    method = ViTPCM(cfg, classifier.shape[1])
    method.classifier = torch.nn.Linear(*classifier.shape, bias=False)
    method.classifier.weight.data.copy_(classifier.T)
    return method


def test_golden_scores_mce_penalty_merge_and_gradients() -> None:
    g = tensors("vitpcm_hvbilstm")
    method = with_head(g["classifier"])
    scores = method.patch_scores(g["out"].flatten(1, 2), (6, 6))
    torch.testing.assert_close(scores.movedim(1, -1), g["preds"], atol=1e-5, rtol=0)
    pooled = scores.flatten(2).max(2).values
    torch.testing.assert_close(pooled, g["pooled"], atol=1e-5, rtol=0)
    mce = losses.mce_clamped(pooled, g["labels"][:, 1:])
    assert mce.item() == pytest.approx(g["mce"].item(), abs=1e-5)
    mce.backward()
    torch.testing.assert_close(method.classifier.weight.grad, g["grad_classifier"].T, atol=1e-6, rtol=1e-4)
    reg = REGULARISATION * method.classifier.weight.square().sum()
    assert reg.item() == pytest.approx(g["reg"].item(), abs=1e-5)
    merged = merge(scores.detach(), g["labels"])
    torch.testing.assert_close(merged.movedim(1, -1), g["merged"], atol=1e-5, rtol=0)


def test_golden_cross_entropy_of_the_equivariance_branch() -> None:
    g = tensors("vitpcm_hvbilstm")
    ours = torch.stack([cce(t, p) for t, p in zip(g["cce_true"], g["cce_pred"], strict=True)])
    torch.testing.assert_close(ours, g["cce"], atol=1e-5, rtol=1e-5)
    assert cce(g["cce_true"], g["cce_pred"]).item() == pytest.approx(g["cce"].mean().item(), abs=1e-5)


ALL_TURNS = torch.tensor([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]).bool()


def whole(turns: torch.Tensor, side: int) -> View:
    n = len(turns)
    return View(torch.arange(n) % n, torch.zeros(n, 2, dtype=torch.long), torch.full((n,), side), turns, side)


def test_turning_back_gives_the_map_again() -> None:
    x = torch.rand(8, 3, 12, 12)
    turned = seen(x, whole(ALL_TURNS, 12), 12)
    assert [torch.allclose(turned[i], x[i], atol=1e-4) for i in range(8)] == [True] + [False] * 7
    up, left, swap = ALL_TURNS.unbind(1)
    # rows and columns change places last, so on the way back it is the columns' turn that was the rows'
    back = torch.stack([torch.where(swap, left, up), torch.where(swap, up, left), swap], 1)
    torch.testing.assert_close(seen(turned, whole(back, 12), 12), x, atol=1e-4, rtol=0)


def test_turns_are_flips_and_then_a_transposition() -> None:
    x = torch.rand(8, 1, 6, 6)
    turned = seen(x, whole(ALL_TURNS, 6), 6)
    for i, (up, left, swap) in enumerate(ALL_TURNS.tolist()):
        by_hand = x[i].flip([dim for dim, flipped in ((1, up), (2, left)) if flipped])
        by_hand = by_hand.mT if swap else by_hand
        torch.testing.assert_close(turned[i], by_hand, atol=1e-4, rtol=0)


def test_a_crop_is_resized_with_aligned_corners() -> None:
    x = torch.rand(1, 2, 24, 24)
    view = View(torch.zeros(1, dtype=torch.long), torch.tensor([[5, 16]]), torch.tensor([8]), ALL_TURNS[:1], 24)
    by_hand = F.interpolate(x[..., 5:13, 16:24], size=(12, 12), mode="bilinear", align_corners=True)
    torch.testing.assert_close(seen(x, view, 12), by_hand, atol=1e-4, rtol=0)


def test_a_mosaic_cut_up_gives_its_tiles_in_reading_order() -> None:
    tiles = torch.rand(8, 3, 5, 5)
    whole = mosaic(tiles)
    assert whole.shape == (2, 3, 10, 10)
    assert torch.equal(whole[1, :, :5, 5:], tiles[5]) and torch.equal(whole[0, :, 5:, :5], tiles[2])
    assert torch.equal(cut(whole), tiles)


@pytest.mark.parametrize("images", [1, 4, 6])
def test_views_fill_mosaics_and_stay_inside_their_images(images: int) -> None:
    torch.manual_seed(0)
    views = [draw_view(images, 24) for _ in range(200)]
    assert all(len(view.image) % 4 == 0 and set(view.image.tolist()) == set(range(images)) for view in views)
    corner, part = torch.cat([v.corner for v in views]), torch.cat([v.part for v in views])
    assert corner.min() >= 0 and (corner + part[:, None]).max() <= 24
    assert set(part.tolist()) == {8, 24} and (part == 8).float().mean() == pytest.approx(0.3, abs=0.05)
    assert (corner[part == 24] == 0).all() and corner[part == 8].max() == 16  # clipped to fit


class ReadsColours(ViTPCM):
    """A network that is equivariant by construction: a patch's class is its mean colour."""

    def patch_scores(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        return (20 * tokens.transpose(1, 2).unflatten(2, grid)[:, :3]).softmax(1)


def mean_colours(images: torch.Tensor, frozen_features: Any = None) -> list[torch.Tensor]:
    return [F.avg_pool2d(images, 8).flatten(2).transpose(1, 2)]


def test_what_view_2_must_say_is_what_an_equivariant_network_says(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = replace(pocket(), method="vit_pcm", weights="", image_size=192)
    method = ReadsColours(cfg, 3)
    monkeypatch.setattr(method.encoder, "forward", mean_colours)
    coarse = F.one_hot(torch.randint(3, (8, 4, 4), generator=torch.Generator().manual_seed(0)), 3).movedim(-1, 1)
    images = F.interpolate(coarse.float(), size=(192, 192), mode="bilinear", align_corners=True)
    caught: list[torch.Tensor] = []

    def catch(target: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        caught.extend((target.movedim(-1, 1), scores.movedim(-1, 1)))
        return cce(target, scores)

    monkeypatch.setattr(module, "cce", catch)
    monkeypatch.setattr(module, "merge", lambda scores, labels: scores)
    torch.manual_seed(1)
    method.loss_terms({"image": images, "labels": torch.ones(8, 2)}, 0.5)
    recoloured = caught.pop()
    caught.clear()
    monkeypatch.setattr(module, "COLOUR", 0.0)
    torch.manual_seed(1)
    method.loss_terms({"image": images, "labels": torch.ones(8, 2)}, 0.5)
    target, told = caught
    assert not torch.allclose(told, recoloured, atol=0.01)  # else the views differ in colour
    apart = (target - told).abs().mean((1, 2, 3))
    assert apart.max() < 0.08  # aligned corners shift a map by up to half a patch at its border
    for wrong in (target.flip(-1), target.flip(-2), target.mT, target.roll(1, 0)):
        assert ((wrong - told).abs().mean((1, 2, 3)) > 2 * apart).sum() >= 7


def test_the_target_has_no_gradient_and_no_dropout(tiny: Config) -> None:
    torch.manual_seed(0)
    method = ViTPCM(replace(tiny, method="vit_pcm", dropout=0.5), 9).train()
    images, labels = torch.rand(4, 3, 96, 96), torch.ones(4, 8)
    tokens, view = method.encoder(images)[-1], draw_view(4, 12)
    noisy = [method.patch_scores(tokens, (12, 12)) for _ in range(2)]
    first, again = (method.equivariance_target(tokens, scores.detach(), labels, view) for scores in noisy)
    assert not torch.equal(*noisy) and torch.equal(first, again) and not first.requires_grad
    assert method.bilstm.training and method.dropout.training
    torch.testing.assert_close(first.sum(1), torch.ones(4, 6, 6))


def test_recoloured_images_keep_their_range_and_each_has_its_own_colours() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 16, 16).expand(4, -1, -1, -1)
    done = recolour(images, 0.5)
    assert done.min() >= 0 and done.max() <= 1
    assert all(not torch.allclose(done[0], done[i]) for i in range(1, 4))
    torch.testing.assert_close(recolour(images, 0.0), images)


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_any_number_of_images_gives_finite_terms_and_gradients(tiny: Config, batch: int) -> None:
    torch.manual_seed(0)
    method = ViTPCM(replace(tiny, method="vit_pcm", jitter=0.5), 9).train()
    method.encoder.open_last(1)
    terms = method.loss_terms({"image": torch.rand(batch, 3, 96, 96), "labels": torch.zeros(batch, 8)}, 0.5)
    assert set(terms) == {"mce", "et", "reg"} and all(torch.isfinite(term) for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
    assert method.classifier.weight.grad is not None


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
        monkeypatch.setattr(module, "cores", lambda cores=cores: cores)
        found.append(pseudo_masks(method, split, "cpu"))
    assert found[0] == found[1] and len(found[0]) == 64
    masks = [unpacked(mask, 96) for mask in found[0]]
    for mask, labels in zip(masks, split.labels, strict=True):
        assert set(np.unique(mask)) <= {0, *(1 + np.flatnonzero(labels.numpy()))}
    assert len({int(v) for mask in masks for v in np.unique(mask)}) > 4


def unpacked(mask: bytes, side: int) -> np.ndarray:
    import zlib

    return np.frombuffer(zlib.decompress(mask), np.uint8).reshape(side, side)


def test_masks_are_flipped_as_their_images_were(staged: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    import zlib

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


def test_a_run_of_three_epochs_is_scored_stored_and_loaded_again(staged: Config, tmp_path: Path) -> None:
    row = run(replace(staged, eval_every=1), runs=tmp_path)
    assert {"miou", "miou_crf", "patch_miou", "pseudo_miou", "test_miou"} <= set(row.metrics)
    assert [("seg" in e, "mce" in e) for e in row.curve] == [(False, True), (False, True), (True, False)]
    method, cfg, _ = load_model(tmp_path / row.run)
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        branches = method.predict(images)
    assert cfg.method == "vit_pcm" and not torch.equal(branches["decoder"], branches["patch"])
    for branch in branches.values():
        torch.testing.assert_close(branch.sum(1), torch.ones(2, 96, 96))


def test_without_a_second_stage_the_decoder_is_the_patch_branch(tiny: Config, tmp_path: Path) -> None:
    row = run(replace(tiny, method="vit_pcm", epochs=1, num_train=8, num_val=4), runs=tmp_path)
    assert row.metrics["miou"] == row.metrics["patch_miou"]
    assert not any(name.startswith("deeplab") for name in load_model(tmp_path / row.run)[0].state_dict())


def test_deeplab_sees_images_at_the_scale_it_learnt_at(staged: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    method = ViTPCM(replace(staged, eval_size=192), 9).eval()
    method.taught.fill_(1)
    shown: list[torch.Size] = []
    assert method.deeplab
    method.deeplab.register_forward_pre_hook(lambda _, given: shown.append(given[0].shape[-2:]))
    assert method.predict(torch.rand(1, 3, 192, 144))["decoder"].shape == (1, 9, 192, 144)
    assert shown == [(96, 72)]


def test_stages_that_leave_the_first_one_no_open_epoch_are_refused(staged: Config) -> None:
    with pytest.raises(ValueError, match="stage2_epochs is 2; epochs is 3 and 1 of them frozen"):
        ViTPCM(replace(staged, stage2_epochs=2), 9)
    with pytest.raises(ValueError, match="image_size is 40; .* multiple of 16"):
        ViTPCM(replace(staged, image_size=40), 9)


def test_the_presets_are_valid_and_the_first_stage_is_as_long_as_a_method_of_one_stage() -> None:
    published = vit_pcm()
    assert published.epochs - published.stage2_epochs == 80 and published.batch_size == 64
    for base in (pocket(), folder(), replace(pocket(), epochs=4), replace(pocket(), epochs=3)):
        cfg = replace(base, **vit_pcm_pocket(base))
        assert cfg.epochs - cfg.stage2_epochs == base.epochs
        assert cfg.frozen_epochs + cfg.stage2_epochs < cfg.epochs and cfg.stage2_epochs > 0
