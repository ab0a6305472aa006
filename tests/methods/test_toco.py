"""ToCo: when its terms begin, which maps and crops they are given, its training on the embedded data."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apc import data
from apc.config import Config
from apc.methods import toco as module
from apc.methods.base import Workplace
from apc.methods.cam import cam_probabilities, multi_scale_cam
from apc.methods.published import toco, toco_pocket
from apc.methods.registry import build
from apc.methods.toco import MOMENTUM, SCALES, LargeFOV, ToCo
from apc.training.loop import Prepared, train
from apc.training.run import run


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
    with pytest.raises(FloatingPointError, match="not finite in epoch 1, step 1: .*seg nan.*0/0: try 'fixed'"):
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
    method.begin(0, None, Workplace())  # type: ignore[arg-type]
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
