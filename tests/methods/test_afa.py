"""AFA: its labels against the official numbers and over the training, what its losses teach, its presets."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from golden_files import tensors
from propagated import label_along
from torch import Tensor, nn
from torch.nn import functional as F

from apc import data
from apc.config import Config
from apc.methods import afa as module
from apc.methods import affinity as pairs
from apc.methods.afa import AFA, DILATIONS, LEVELS, SCALES, VOC
from apc.methods.base import Workplace
from apc.methods.cam import multi_scale_cam, refined_label
from apc.methods.published import afa, afa_pocket
from apc.methods.registry import build
from apc.models.par import PAR
from apc.training.run import run
from apc.training.schedule import optimizer_of


def test_golden_refined_label_at_afas_two_levels() -> None:
    g = tensors("refine_label")
    assert g["thre_afa"].tolist() == list(LEVELS)
    cam, (image, foreground) = torch.zeros(2, 20, 64, 64), g["present"].T
    cam[image, foreground] = g["present_cams"]
    made = refined_label(PAR(DILATIONS, 10), g["images"], cam, g["cls_label"], LEVELS)
    for label, expected, (top, bottom, left, right) in zip(made, g["refined_afa"], g["img_box"].tolist(), strict=True):
        boxed = torch.full_like(label, 255)
        boxed[top:bottom, left:right] = label[top:bottom, left:right]
        assert (boxed == expected).float().mean() > 0.999  # but for ties


def test_listening_hears_queries_and_keys_of_the_last_two_blocks_and_leaves_no_trace(tiny: Config) -> None:
    method, images = method_of(tiny).eval(), torch.rand(2, 3, 96, 96)
    before = method.encoder(images)[-1]
    vit, inputs = method.encoder.vit, []
    watch = [b.attn.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for b in vit.blocks]
    with pairs.listening(vit.blocks) as heard:
        assert torch.equal(method.encoder(images)[-1], before)
    for hook in watch:
        hook.remove()
    expected = []
    for block, x in zip(vit.blocks[-2:], inputs[-2:], strict=True):
        qkv = block.attn.qkv(x).view(2, 144, 3, 2, 32).permute(2, 0, 3, 1, 4)
        expected += [qkv[0], qkv[1]]
    for mine, theirs in zip(heard, expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    method.encoder(images)
    assert len(heard) == 4


def method_of(cfg: Config, num_classes: int = 7) -> AFA:
    torch.manual_seed(0)
    method = build(replace(cfg, **afa_pocket(cfg)), num_classes)
    assert isinstance(method, AFA)
    method.encoder.open_last(method.cfg.unfreeze_blocks)
    return method


def shown_batch(size: int = 96) -> dict[str, Tensor]:
    torch.manual_seed(1)
    labels = torch.zeros(2, 6)
    labels[0, 2] = labels[1, 0] = labels[1, 5] = 1
    images = F.interpolate(torch.rand(2, 3, 6, 6), size=(size, size), mode="bilinear")
    return {"image": images, "labels": labels, "index": torch.zeros(2, 3, dtype=torch.long)}


def test_the_classifier_learns_alone_in_the_first_tenth(tiny: Config) -> None:
    method, shown = method_of(tiny), shown_batch()
    early, late = method.loss_terms(shown, 0.1), method.loss_terms(shown, 0.101)
    assert early["seg"] == 0 and early["aff"] == 0 and late["seg"] > 0 and late["aff"] > 0
    pooled = method.encoder(shown["image"])[-1].amax(1) @ method.classifier.weight.T
    expected = F.multilabel_soft_margin_loss(pooled, shown["labels"])
    assert early["cls"].item() == pytest.approx(expected.item()) == late["cls"].item()


def test_the_affinity_loss_teaches_the_attention_of_the_last_two_blocks(tiny: Config) -> None:
    method = method_of(tiny)
    method.loss_terms(shown_batch(), 0.2)["aff"].backward()
    for block in method.encoder.vit.blocks[-2:]:
        q_and_k = block.attn.qkv.weight.grad
        assert q_and_k is not None and q_and_k[:128].abs().sum() > 0
    assert method.encoder.vit.blocks[-1].attn.qkv.weight.grad[128:].abs().sum() == 0  # its values lead nowhere
    assert method.affinity.weight.grad is not None and method.classifier.weight.grad is None


def test_labels_come_from_cams_at_three_scales_and_then_from_propagated_ones(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, shown = method_of(tiny).eval(), shown_batch()
    images, labels = shown["image"], shown["labels"]
    own = method.cam(method.encoder(images)[-1], images)
    with torch.no_grad():
        cams = multi_scale_cam(lambda x: method.cam(method.encoder(x)[-1], x), images, SCALES)
        plain = refined_label(method.par, images, cams, labels, LEVELS)
    decoder, affinity = method.targets(images, labels, own, VOC.decoder)
    assert torch.equal(decoder, plain) and torch.equal(affinity, plain)

    with torch.no_grad(), pairs.listening(method.encoder.vit.blocks) as heard:
        method.encoder(F.interpolate(images, scale_factor=1.5, mode="bilinear", align_corners=False))
    flow = pairs.transition(method.affinity(heard), pairs.window((18, 18), 3))  # 3 of 12 patches, as 8 of 32
    small = F.interpolate(cams, size=(18, 18), mode="bilinear", align_corners=False)
    along = label_along(method.par, images, small, labels, flow, LEVELS)
    decoder, affinity = method.targets(images, labels, own, VOC.decoder + 0.01)
    assert torch.equal(decoder, along) and torch.equal(affinity, plain) and not torch.equal(along, plain)
    monkeypatch.setattr(method, "timing", module.COCO)
    decoder, affinity = method.targets(images, labels, own, module.COCO.affinity + 0.01)
    assert torch.equal(decoder, along) and torch.equal(affinity, along)


def test_par_builds_its_weights_once_a_step(tiny: Config) -> None:
    method, shown = method_of(tiny), shown_batch()
    calls = []
    method.par.register_forward_pre_hook(lambda _, given: calls.append(given[1].shape[1]))
    method.loss_terms(shown, 0.2)
    method.loss_terms(shown, 0.9)
    assert calls == [2 * 3, 4 * 3]  # two levels of background and two classes; then propagated ones beside them


def test_officially_a_batch_without_an_object_pixel_has_no_finite_loss_even_in_the_warm_up(tiny: Config) -> None:
    shown = shown_batch() | {"labels": torch.zeros(2, 6)}
    method = method_of(replace(tiny, compat="official"))
    for progress in (0.05, 0.9):
        terms = method.loss_terms(shown, progress)
        assert torch.isnan(terms["seg"]) and torch.isfinite(terms["aff"])
    early = method.loss_terms(shown_batch(), 0.05)
    assert (early["seg"], early["aff"]) == (0, 0) and early["cls"] > 0


@pytest.mark.parametrize("progress", [0.05, 0.9])
@pytest.mark.parametrize("compat", ["fixed", "official"])
def test_officially_the_decoders_norm_sees_every_pass_of_the_cam_after_the_images(
    tiny: Config, compat: str, progress: float
) -> None:
    cfg = replace(tiny, compat=compat, decoder_norm="batch", decoder_blocks=(3,))
    method, shown, seen = method_of(cfg), shown_batch(), list[Tensor]()
    norm = method.decoder.mix[1]
    norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    method.loss_terms(shown, progress)
    images = {1.0: shown["image"]} | {s: F.interpolate(shown["image"], scale_factor=s, mode="bilinear") for s in SCALES}
    passes = [images[1.0], *(torch.cat([images[s], images[s].flip(-1)]) for s in SCALES)]
    if compat == "fixed":
        passes = passes[:1] if progress > VOC.start else []
    assert [len(x) for x in seen] == [len(x) * x.shape[-1] // 8 * x.shape[-2] // 8 for x in passes]
    mean = torch.zeros(norm.num_features)
    for x in passes:
        mixed = method.decoder.mix[0](method.decoder.projections[0](method.encoder(x)[-1].flatten(0, 1)))
        mean = 0.9 * mean + 0.1 * mixed.mean(0)
    torch.testing.assert_close(norm.running_mean, mean.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("compat", "counted"), [("fixed", 0), ("official", 1)])
def test_officially_adam_counts_the_decoders_steps_from_the_warm_up_on(tiny: Config, compat: str, counted: int) -> None:
    method, shown = method_of(replace(tiny, compat=compat)), shown_batch()
    optimizer = optimizer_of(method, method.cfg)
    torch.stack(list(method.loss_terms(shown, 0.05).values())).sum().backward()
    optimizer.step()
    late = [method.affinity.weight, *method.decoder.parameters()]
    assert {int(optimizer.state[p]["step"]) if p in optimizer.state else 0 for p in late} == {counted}
    assert optimizer.state[method.classifier.weight]["step"] == 1


def test_the_energy_is_a_term_with_the_decoder_where_it_has_a_weight(tiny: Config) -> None:
    assert "energy" not in method_of(tiny).weights
    method = method_of(replace(tiny, energy_weight=0.05))
    early, late = method.loss_terms(shown_batch(), 0.05), method.loss_terms(shown_batch(), 0.9)
    assert set(early) == set(late) == set(method.weights)
    assert early["energy"] == 0 and late["energy"] < 0


@pytest.mark.parametrize("present", [0.0, 1.0])
@pytest.mark.parametrize("progress", [0.2, 0.9])
def test_images_of_no_class_and_of_all_have_finite_losses(tiny: Config, present: float, progress: float) -> None:
    method, shown = method_of(tiny), shown_batch()
    shown["labels"] = torch.full((2, 6), present)
    terms = method.loss_terms(shown, progress)
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


def test_losses_in_bf16_are_near_those_in_float32(tiny: Config) -> None:
    method, shown = method_of(tiny).eval(), shown_batch()
    exact = method.loss_terms(shown, 0.9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = method.loss_terms(shown, 0.9)
    for name, term in exact.items():
        assert rough[name].dtype == torch.float32
        assert rough[name].item() == pytest.approx(term.item(), rel=0.1)


def test_the_encoders_norms_do_not_learn_and_the_heads_learn_ten_times_as_fast(tiny: Config) -> None:
    method, cfg = method_of(tiny), replace(tiny, num_train=16)
    method.begin(0, data.load(cfg, "train"), Workplace())
    encoder, heads = method.groups()
    assert (encoder["scale"], heads["scale"]) == (1.0, 10.0)
    norms = [p for m in method.encoder.modules() if isinstance(m, nn.LayerNorm) for p in m.parameters()]
    assert norms and not any(p.requires_grad for p in norms)
    sizes = [sum(p.numel() for p in group["params"]) for group in (encoder, heads)]
    assert sum(sizes) + sum(p.numel() for p in norms) == sum(p.numel() for p in method.parameters())


def test_both_branches_give_probabilities_of_every_pixel(tiny: Config) -> None:
    branches = method_of(tiny).eval().predict(torch.rand(2, 3, 48, 96))
    assert branches.keys() == {"decoder", "patch"}
    for probabilities in branches.values():
        assert probabilities.shape == (2, 7, 48, 96)
        torch.testing.assert_close(probabilities.sum(1), torch.ones(2, 48, 96))


def test_two_epochs_on_the_embedded_data_train_all_three_losses_and_score_both_branches(
    tiny: Config, tmp_path: Path
) -> None:
    row = run(replace(tiny, **afa_pocket(tiny)), runs=tmp_path)
    first, last = row.curve
    assert first["cls"] > last["cls"] > 0 and last["seg"] > 0 and last["aff"] > 0
    assert {"miou", "pseudo_miou"} <= row.metrics.keys()


def test_the_published_network_computes_its_three_losses_on_mit() -> None:
    cfg = replace(afa(), image_size=64, decoder_width=16, dataset="folder")
    torch.manual_seed(0)
    method = build(cfg, 7)
    method.encoder.open_last(cfg.unfreeze_blocks)
    terms = method.loss_terms(shown_batch(64), 0.9)
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(term) and term > 0 for term in terms.values())
    q = method.encoder.vit.get_submodule("stages.3.blocks.1.attn.q").weight
    assert isinstance(q, Tensor) and q.grad is not None and q.grad.abs().sum() > 0
    with torch.no_grad():
        assert method.eval().predict(torch.rand(1, 3, 64, 96))["decoder"].shape == (1, 7, 64, 96)
        # as a photograph of 64 pixels is shown again for the scores without masks; half of that is too small for it
        assert method.predict(torch.rand(1, 3, 48, 48))["patch"].shape == (1, 7, 48, 48)


def test_presets_hold_the_published_settings_and_their_proportions(tiny: Config) -> None:
    cfg = afa()
    assert (cfg.image_size, cfg.batch_size, cfg.lr, cfg.weight_decay, cfg.poly_power) == (512, 4, 6e-5, 0.01, 1.0)
    assert 7 < 20_000 * 4 / 10_582 <= cfg.epochs == 8 and afa("coco").batch_size == 8
    assert 7 < 80_000 * 8 / 82_081 <= afa("coco").epochs
    base = replace(tiny, num_train=800, batch_size=8, epochs=20)
    assert afa_pocket(base)["warmup_steps"] == 150  # of 2,000 steps, as 1,500 of 20,000
    assert replace(base, **afa_pocket(base)).epochs == 20


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"unfreeze_blocks": 1}, "unfreeze_blocks is 1"),
        ({"image_size": 104, "eval_size": 96}, "a multiple of 16"),
    ],
)
def test_what_afa_cannot_train_is_said_before_it_starts(tiny: Config, changes: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(replace(tiny, **(afa_pocket(tiny) | changes)), 7)
