"""ViT-PCM: the official numbers, its terms and branches, what is stored and loaded again, its presets."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from golden_files import tensors

from apc.config import Config, folder, pocket
from apc.methods import losses
from apc.methods.checkpoint import load_model
from apc.methods.pseudo_labels import merge
from apc.methods.published import vit_pcm, vit_pcm_pocket
from apc.methods.vit_pcm import REGULARISATION, ViTPCM, cce
from apc.training.run import run


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


def test_the_presets_are_valid_and_the_first_stage_is_as_long_as_a_method_of_one_stage() -> None:
    published = vit_pcm()
    assert published.epochs - published.stage2_epochs == 80 and published.batch_size == 64
    for base in (pocket(), folder(), replace(pocket(), epochs=4), replace(pocket(), epochs=3)):
        cfg = replace(base, **vit_pcm_pocket(base))
        assert cfg.epochs - cfg.stage2_epochs == base.epochs
        assert cfg.frozen_epochs + cfg.stage2_epochs < cfg.epochs and cfg.stage2_epochs > 0
