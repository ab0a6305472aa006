"""ToCo: its contrasts against the official numbers, its crops by what must hold, its training on the embedded data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_files import boxed, tensors

from apc import data
from apc.config import Config
from apc.methods import toco as module
from apc.methods.affinity import affinity_label
from apc.methods.cam import cam_probabilities, multi_scale_cam
from apc.methods.dense_energy import CROP, LATTICE, dense_energy
from apc.methods.published import toco, toco_pocket
from apc.methods.registry import build
from apc.methods.toco import MOMENTUM, SCALES, LargeFOV, ToCo
from apc.methods.token_contrast import (
    ProjectionHead,
    class_contrast,
    cut_out,
    draw_crops,
    object_levels,
    patch_contrast,
    zoomed,
)
from apc.training.loop import Prepared, train
from apc.training.run import run


def test_golden_patch_contrast_with_its_gradient() -> None:
    g = tensors("toco_ptc")
    pairs = affinity_label(g["pseudo_label"], (14, 14), torch.ones(196, 196, dtype=torch.bool))
    theirs = g["aff_mask"].long()
    assert torch.equal(pairs.long()[theirs != 255], theirs[theirs != 255])
    fmap = g["fmap"].requires_grad_()
    loss = patch_contrast(fmap.flatten(2).transpose(1, 2), pairs)
    loss.backward()
    assert loss.item() == pytest.approx(g["ptc_loss"].item(), abs=1e-6)
    torch.testing.assert_close(fmap.grad, g["grad_fmap"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_golden_class_contrast_with_its_gradient(temperature: float) -> None:
    g = tensors("toco_ctc")
    images = len(g["flags"])
    student = g["student_output"].requires_grad_()
    teacher = g["teacher_output"].view(2, images, -1).transpose(0, 1)
    loss = class_contrast(student.view(10, images, -1).transpose(0, 1), teacher, g["flags"] > 0, temperature)
    loss.backward()
    assert loss.item() == pytest.approx(g[f"loss_T{temperature}"].item(), abs=1e-5)
    torch.testing.assert_close(student.grad, g[f"grad_T{temperature}"], rtol=1e-5, atol=1e-7)


def test_golden_levels_of_objects() -> None:
    g = tensors("toco_ptc")
    ours = object_levels(g["cam"], g["cls_label"], float(g["high_thre"]), float(g["low_thre"])).long()
    inside = boxed(torch.zeros_like(ours), g["img_box"]) == 0
    assert torch.equal(ours[inside], g["roi_mask"].long()[inside])


def test_golden_dense_energy_with_its_gradient() -> None:
    g = tensors("dense_energy_loss")
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    images, logits = g["img_normalised"] * std + mean, g["logits"].requires_grad_()
    inside = boxed(torch.zeros_like(g["label"]), g["img_box"]) == 0
    assert (float(g["sigma_xy"]), float(g["scale"]), float(g["weight"])) == (100, 0.5, 1e-7)
    loss = dense_energy(images, logits.softmax(1) * inside[:, None], g["label"], crop=48)
    loss.backward()
    assert loss.item() == pytest.approx(g["loss"].item(), rel=0.05)
    assert loss.item() / LATTICE == pytest.approx(g["exact_gaussian_loss"].item(), rel=1e-3)
    ours, theirs = logits.grad.flatten(), g["grad_logits"].flatten()  # a lattice's is rough pixel by pixel
    assert torch.cosine_similarity(ours, theirs, 0) > 0.98
    assert ours.norm().item() == pytest.approx(theirs.norm().item(), rel=0.05)


def test_the_dense_energy_of_a_small_image_by_a_loop_over_its_pairs() -> None:
    torch.manual_seed(0)
    images, p = torch.rand(1, 3, 6, 8), torch.rand(1, 3, 3, 4).softmax(1)
    label = torch.zeros(1, 6, 8, dtype=torch.long)
    label[0, 2:4, 4:6] = 255  # the pixel (1, 2) of the half image
    total = 0.0
    for a, b in ((a, b) for a in range(12) for b in range(12)):
        (ya, xa), (yb, xb) = divmod(a, 4), divmod(b, 4)
        colour = 255 * (images[0, :, 2 * ya, 2 * xa] - images[0, :, 2 * yb, 2 * xb]).square().sum().sqrt() / 15
        place = ((CROP / 3 * (ya - yb)) ** 2 + (CROP / 4 * (xa - xb)) ** 2) ** 0.5 / 100
        gate = 1.0 if (ya, xa) == (1, 2) else 1 - p[0, :, ya, xa].max().item()
        near = torch.exp(-0.5 * (colour**2 + place**2)).item()
        total += gate * near * (p[0, :, ya, xa] @ p[0, :, yb, xb]).item()
    expected = -1e-7 * LATTICE * ((CROP / 2) ** 2 / 12) ** 2 * total
    assert dense_energy(images, p, label).item() == pytest.approx(expected, rel=1e-4)


def test_the_dense_energy_of_a_large_image_is_near_that_of_the_same_image_at_half_the_size() -> None:
    torch.manual_seed(1)
    small = torch.rand(1, 3, 7, 7).repeat_interleave(16, 2).repeat_interleave(16, 3)  # 112 pixels: 56 at half the size
    p = torch.rand(1, 4, 7, 7).softmax(1).repeat_interleave(32, 2).repeat_interleave(32, 3)
    large, label = small.repeat_interleave(2, 2).repeat_interleave(2, 3), torch.zeros(1, 224, 224, dtype=torch.long)
    exact = dense_energy(small, p[..., ::2, ::2], label[:, ::2, ::2]).item()
    assert dense_energy(large, p, label).item() == pytest.approx(exact, rel=1e-3) and exact < 0


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
        "image": torch.rand(count, 3, cfg.image_size, cfg.image_size),
        "labels": labels,
        "index": torch.zeros(count, 3, dtype=torch.long),
    }


def test_terms_begin_in_their_time_and_are_finite(small: Config) -> None:
    method = build(small, 9)
    early = method.loss_terms(batch(small), 0.05)
    late = method.loss_terms(batch(small), 0.5)
    assert set(early) == set(late) == set(method.weights)
    assert early["seg"] == 0 and early["ptc"] != 0 and early["ctc"] != 0
    assert all(torch.isfinite(term) for term in (*early.values(), *late.values()))


@pytest.mark.parametrize("present", [0.0, 1.0])
def test_images_of_no_class_and_of_all_have_finite_losses_and_gradients(small: Config, present: float) -> None:
    method = build(replace(small, energy_weight=0.05), 9)
    terms = method.loss_terms(batch(small) | {"labels": torch.full((4, 8), present)}, 0.5)
    torch.stack([method.weights[name] * term for name, term in terms.items()]).sum().backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


def watched(monkeypatch: pytest.MonkeyPatch, name: str, argument: int) -> list[torch.Tensor]:
    """What toco.py's `name` is given as one of its arguments, call by call."""
    plain, given = getattr(module, name), []

    def noted(*args: Any) -> Any:
        given.append(args[argument])
        return plain(*args)

    monkeypatch.setattr(module, name, noted)
    return given


def test_on_coco_the_contrasts_begin_late_and_the_first_labels_are_of_the_early_blocks_cam(
    small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = build(replace(small, dataset="coco"), 9)
    assert isinstance(method, ToCo)
    images = batch(small)["image"]
    early, last, _ = method.tokens(images)
    cam, early_cam = method.cams_over_scales(images, early, last).chunk(2, 1)
    taught = watched(monkeypatch, "refined_label", 2)
    steps = {at: method.loss_terms(batch(small), at) for at in (0.1, 0.101, 0.15, 0.151)}  # of 80,000: 8,000, 12,000
    assert {at: [name for name, term in terms.items() if term != 0] for at, terms in steps.items()} == {
        0.1: ["cls", "aux"],
        0.101: ["cls", "aux", "seg"],
        0.15: ["cls", "aux", "seg"],
        0.151: ["cls", "aux", "ptc", "ctc", "seg"],
    }
    for shown, expected in zip(taught, (early_cam, early_cam, cam), strict=True):
        torch.testing.assert_close(shown, expected)
    assert not torch.allclose(cam, early_cam, atol=0.05)


def test_maps_of_a_step_equal_those_that_compute_everything_anew(small: Config) -> None:
    method = build(small, 9)
    assert isinstance(method, ToCo)
    images = batch(small)["image"]
    early, last, _ = method.tokens(images)
    anew = multi_scale_cam(lambda x: method.cams(*method.tokens(x)[:2], x), images, SCALES, 8)
    torch.testing.assert_close(method.cams_over_scales(images, early, last), anew)
    torch.testing.assert_close(method.cams_over_scales(images, early, last, both=False), anew[:, 8:])


def test_the_energy_is_a_term_with_the_decoder_where_it_has_a_weight(small: Config) -> None:
    assert "energy" not in build(small, 9).weights
    method = build(replace(small, energy_weight=0.05), 9)
    early, late = method.loss_terms(batch(small), 0.05), method.loss_terms(batch(small), 0.5)
    assert set(early) == set(late) == set(method.weights) and method.weights["energy"] == 0.05
    assert early["energy"] == 0 and late["energy"] < 0
    late["energy"].backward()
    grads = {name for name, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert "decoder.4.weight" in grads and not any(name.startswith(("classifier", "early", "head")) for name in grads)


def test_officially_crops_are_cut_from_images_mirrored_by_chance_at_places_drawn_on_the_plain_ones(
    small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = batch(small, 16)
    cut = watched(monkeypatch, "cut_out", 0)
    for compat, mirrored in (("fixed", {False}), ("official", {False, True})):
        cut.clear()
        torch.manual_seed(5)
        build(replace(small, compat=compat), 9).loss_terms(shown, 0.05)
        levels, images = sorted(cut, key=lambda x: x.shape[1])  # of the crops' signs, and of the crops
        flips = [torch.equal(made, image.flip(-1)) for made, image in zip(images, shown["image"], strict=True)]
        kept = [torch.equal(made, image) for made, image in zip(images, shown["image"], strict=True)]
        assert levels.shape[1] == 1 and set(flips) == mirrored and [not flip for flip in flips] == kept


@pytest.mark.parametrize("progress", [0.05, 0.5])
def test_officially_a_batch_without_an_object_pixel_has_no_finite_loss_even_in_the_warm_up(
    small: Config, progress: float
) -> None:
    nothing = batch(small) | {"labels": torch.zeros(4, 8)}
    assert torch.isnan(build(replace(small, compat="official"), 9).loss_terms(nothing, progress)["seg"])
    assert torch.isfinite(build(small, 9).loss_terms(nothing, progress)["seg"])


def test_officially_such_a_batch_stops_the_training(small: Config, tmp_path: Path) -> None:
    cfg = replace(small, compat="official")
    split, val = data.load(cfg, "train"), data.load(cfg, "val")
    nothing = replace(split, labels=torch.zeros_like(split.labels))
    with pytest.raises(FloatingPointError, match="not finite in epoch 1, step 1: .*seg nan"):
        train(Prepared(build(cfg, 9), nothing, val), cfg, folder=tmp_path)


def test_officially_terms_that_have_not_begun_are_0_and_the_others_are_the_same(small: Config) -> None:
    shown, terms = batch(small), []
    for compat in ("fixed", "official"):
        torch.manual_seed(6)
        terms.append(build(replace(small, compat=compat), 9).loss_terms(shown, 0.05))
    assert terms[1]["seg"] == 0 and all(torch.equal(terms[0][name], terms[1][name]) for name in ("cls", "aux", "ptc"))


@pytest.mark.parametrize("method", ["apc", "vit_pcm"])
def test_what_is_of_afa_and_toco_is_refused_for_other_methods(tiny: Config, method: str) -> None:
    with pytest.raises(ValueError, match=f"compat is official; .* for method {method} must be fixed"):
        build(replace(tiny, method=method, compat="official"), 9)
    with pytest.raises(ValueError, match=f"energy_weight is 0.05; .* for method {method} must be 0"):
        build(replace(tiny, method=method, energy_weight=0.05), 9)


def test_large_fov_keeps_the_grid_and_sees_two_dilations_far() -> None:
    decoder = LargeFOV(3, 4, 5, rate=2)
    for layer in (decoder[0], decoder[2], decoder[4]):
        torch.nn.init.ones_(layer.weight)
    x = torch.ones(1, 3, 15, 13, requires_grad=True)
    out = decoder(x)
    assert out.shape == (1, 5, 15, 13)
    out[0, 0, 7, 6].backward()
    assert x.grad is not None
    rows, columns = x.grad[0, 0].nonzero().T
    assert set(rows.tolist()) == {3, 5, 7, 9, 11} and set(columns.tolist()) == {2, 4, 6, 8, 10} and len(rows) == 25


def test_prototypes_of_the_projection_have_length_1_and_keep_it() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(24)
    optimizer = torch.optim.SGD([p for p in head.parameters() if p.requires_grad], lr=1.0)
    head(torch.randn(6, 24)).square().sum().backward()
    before = head.last.weight.detach().clone()
    optimizer.step()
    assert head(torch.randn(6, 24)).shape == (6, 32) and not torch.allclose(head.last.weight, before)
    for weight in (before, head.last.weight):
        torch.testing.assert_close(weight.norm(dim=1), torch.ones(32))
    assert head(100 * torch.randn(50, 24)).abs().max() <= 1 + 1e-6  # cosines


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
