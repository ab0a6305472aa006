"""ToCo: its contrasts against the official numbers, its crops by what must hold, its training on the embedded data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_refine import boxed, tensors

from apc.baselines.affinity import affinity_label
from apc.baselines.cam import cam_probabilities, multi_scale_cam
from apc.baselines.contrast import class_contrast, cut_out, draw_crops, object_levels, patch_contrast, zoomed
from apc.baselines.toco import MOMENTUM, SCALES, ToCo, toco, toco_pocket
from apc.config import Config
from apc.methods import build
from apc.run import run


def test_golden_patch_contrast_with_its_gradient(reference: Path) -> None:
    g = tensors(reference, "toco_ptc")
    pairs = affinity_label(g["pseudo_label"], (14, 14), torch.ones(196, 196, dtype=torch.bool))
    theirs = g["aff_mask"].long()
    assert torch.equal(pairs.long()[theirs != 255], theirs[theirs != 255])
    fmap = g["fmap"].requires_grad_()
    loss = patch_contrast(fmap.flatten(2).transpose(1, 2), pairs)
    loss.backward()
    assert loss.item() == pytest.approx(g["ptc_loss"].item(), abs=1e-6)
    torch.testing.assert_close(fmap.grad, g["grad_fmap"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_golden_class_contrast_with_its_gradient(reference: Path, temperature: float) -> None:
    g = tensors(reference, "toco_ctc")
    images = len(g["flags"])
    student = g["student_output"].requires_grad_()
    teacher = g["teacher_output"].view(2, images, -1).transpose(0, 1)
    loss = class_contrast(student.view(10, images, -1).transpose(0, 1), teacher, g["flags"] > 0, temperature)
    loss.backward()
    assert loss.item() == pytest.approx(g[f"loss_T{temperature}"].item(), abs=1e-5)
    torch.testing.assert_close(student.grad, g[f"grad_T{temperature}"], rtol=1e-5, atol=1e-7)


def test_golden_levels_of_objects(reference: Path) -> None:
    g = tensors(reference, "toco_ptc")
    ours = object_levels(g["cam"], g["cls_label"], float(g["high_thre"]), float(g["low_thre"])).long()
    inside = boxed(torch.zeros_like(ours), g["img_box"]) == 0
    assert torch.equal(ours[inside], g["roi_mask"].long()[inside])


def test_crops_lie_in_the_image_and_around_what_is_no_object_for_sure() -> None:
    torch.manual_seed(0)
    levels = torch.full((3, 32, 32), 2.0)
    levels[0, 20:, :8] = 0.0  # one free corner; the second image is all object, the third has it in the middle
    levels[2, 12:20, 12:20] = 1.0
    corners = draw_crops(levels, 8, 50)
    assert corners.min() >= 0 and corners.max() <= 32 - 8
    middle = corners + 4
    assert (middle[0, :, 0] >= 20).all() and (middle[0, :, 1] < 8).all()
    assert ((middle[2] >= 12) & (middle[2] < 20)).all()
    assert len(corners[1].unique(dim=0)) > 30


def test_cut_out_gives_the_pixels_that_are_there() -> None:
    x = torch.arange(2 * 3 * 10 * 12).view(2, 3, 10, 12)
    corners = torch.tensor([[[0, 0], [6, 8]], [[2, 3], [1, 1]]])
    found = cut_out(x, corners, 4)
    assert found.shape == (2, 2, 3, 4, 4)
    assert torch.equal(found[0, 1], x[0, :, 6:10, 8:12]) and torch.equal(found[1, 0], x[1, :, 2:6, 3:7])


def test_a_zoomed_view_stays_within_the_image_and_its_values() -> None:
    torch.manual_seed(1)
    ramp = torch.linspace(0, 1, 32).expand(16, 3, 32, 32).contiguous()
    seen = zoomed(ramp, 0.4)
    assert seen.shape == ramp.shape and seen.min() >= 0 and seen.max() <= 1
    span = (seen[..., -1] - seen[..., 0]).abs().mean((1, 2))
    assert (span > 0.45).all() and (span < 0.99).any()
    assert 0 < ((seen[..., -1] - seen[..., 0]).mean((1, 2)) < 0).sum() < 16  # some are mirrored


@pytest.fixture
def small(tiny: Config) -> Config:
    return replace(tiny, **toco_pocket(tiny))


def batch(cfg: Config, count: int = 4) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    labels = (torch.rand(count, 8) < 0.3).float()
    labels[0] = 0  # an image without any object
    return {
        "image": torch.rand(count, 3, cfg.image_size, cfg.image_size), "labels": labels,
        "index": torch.zeros(count, 3, dtype=torch.long),
    }


def test_terms_begin_in_their_time_and_are_finite(small: Config) -> None:
    method = build(small, 9)
    early = method.loss_terms(batch(small), 0.05)
    late = method.loss_terms(batch(small), 0.5)
    assert set(early) == set(late) == set(method.weights)
    assert early["seg"] == 0 and early["ptc"] != 0 and early["ctc"] != 0
    assert all(torch.isfinite(term) for term in (*early.values(), *late.values()))
    nothing = batch(small) | {"labels": torch.zeros(4, 8)}
    assert all(torch.isfinite(term) for term in method.loss_terms(nothing, 0.5).values())


def test_no_gradient_reaches_the_averaged_head_and_it_follows_the_learning_one(small: Config) -> None:
    method = build(small, 9)
    assert isinstance(method, ToCo)
    sum(method.loss_terms(batch(small), 0.5).values(), torch.zeros(())).backward()
    assert all(p.grad is None for p in method.slow.parameters())
    assert method.head.last.parametrizations.weight.original1.grad is not None  # type: ignore[union-attr]
    before = [p.clone() for p in method.slow.parameters()]
    with torch.no_grad():
        for p in method.head.parameters():
            p.add_(1.0)
    method.stepped()
    moved = [(now - was).mean().item() for now, was in zip(method.slow.parameters(), before, strict=True)]
    assert np.allclose(moved, 1 - MOMENTUM, atol=1e-5)


def test_heads_learn_ten_times_as_fast_and_every_weight_is_in_one_group(small: Config) -> None:
    method = build(small, 9)
    method.encoder.open_last(small.unfreeze_blocks)
    method.begin(0, None, "cpu")  # type: ignore[arg-type]
    groups = method.groups()
    assert [group["scale"] for group in groups] == [1.0, 10.0]
    listed = [id(p) for group in groups for p in group["params"]]
    assert len(listed) == len(set(listed)) and set(listed) == {id(p) for p in method.parameters() if p.requires_grad}
    assert id(method.encoder.vit.pos_embed) not in listed


def test_its_maps_are_those_over_scales_and_made_only_where_they_are_wanted(small: Config) -> None:
    method = build(small, 9).eval()
    assert isinstance(method, ToCo) and small.pos_embed == "torch"
    with torch.no_grad():
        images = torch.rand(2, 3, 40, 56)  # 5 and 7 patches: half of them is no whole number
        found = method.predict(images)
        cam = multi_scale_cam(lambda x: method.cams(*method.tokens(x)[:2], x)[:, :8], images, SCALES, 8)
        assert set(method.predict(images, wanted=("decoder",))) == {"decoder"}
    torch.testing.assert_close(found["patch"], cam_probabilities(cam, 0.5))


def test_the_published_settings_are_a_config_and_an_odd_size_is_refused() -> None:
    assert toco().image_size == 448 and toco("coco").batch_size == 8
    published = ToCo(replace(toco(), encoder="pocket", weights="", decoder_blocks=(1, 2, 3)), 21)
    assert published.par.reach == 24
    with pytest.raises(ValueError, match="image_size is 72; toco sees images at half their size"):
        ToCo(Config(method="toco", encoder="pocket", decoder_blocks=(1, 2, 3), image_size=72), 9)


def test_toco_is_trained_scored_and_resumed_by_the_same_loop(small: Config, tmp_path: Path) -> None:
    row = run(small, runs=tmp_path)
    assert {"miou", "pseudo_miou"} <= set(row.metrics) and len(row.curve) == small.epochs
    assert all(np.isfinite(entry["loss"]) for entry in row.curve)
