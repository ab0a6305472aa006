"""Our functions against numbers that the official ViT-PCM, AFA and ToCo code returned; every number is the file's.

What concerns one method alone is in its own file: test_token_contrast.py, test_affinity.py, test_vit_pcm.py.
"""

import numpy as np
import pytest
import torch
from golden_files import golden
from torch import nn

from apc.evaluation.miou import confusion, iou, miou, pixel_accuracy
from apc.methods import afa, losses, toco
from apc.methods.pseudo_labels import merge
from apc.methods.published import PUBLISHED
from apc.models.bilstm import HVBiLSTM
from apc.models.crf import CRFParameters, dense_crf
from apc.models.encoder import Encoder, resample_grid
from apc.models.pooling import pool
from apc.training.schedule import rate_share


def test_golden_scores() -> None:
    g = golden("miou_scores")
    total = sum(confusion(g[f"gt{i}"], g[f"pr{i}"], 21) for i in range(4))
    np.testing.assert_array_equal(total, g["hist"])
    np.testing.assert_allclose(iou(total) / 100, np.where(total.sum(1) > 0, g["iou"], np.nan), rtol=1e-12)
    assert miou(total) / 100 == pytest.approx(float(g["miou"]), abs=1e-12)
    assert np.diag(total).sum() / total.sum() == pytest.approx(float(g["pAcc"]), abs=1e-12)
    assert np.nanmean((np.diag(total) / total.sum(1).clip(1))[total.sum(1) > 0]) == pytest.approx(
        float(g["mAcc"]), abs=1e-12
    )


def test_golden_scores_of_pseudo_labels() -> None:
    g = golden("miou_scores")
    # Pixels that a pseudo label leaves unknown are left out of its score there (method-spec 0.1 calls them background,
    # which gives other numbers). Ours are an argmax over classes and leave none, so `confusion` needs no rule for them.
    total = 0
    for i in range(4):
        known = g[f"pr_ign{i}"] != 255
        assert not known.all()
        total = total + confusion(g[f"gt{i}"][known], g[f"pr_ign{i}"][known], 21)
    np.testing.assert_allclose(iou(total) / 100, np.where(total.sum(1) > 0, g["pseudo_iou"], np.nan), rtol=1e-12)
    assert miou(total) / 100 == pytest.approx(float(g["pseudo_miou"]), abs=1e-12)
    assert pixel_accuracy(total) / 100 == pytest.approx(float(g["pseudo_pAcc"]), abs=1e-12)


def keras_lstm(lstm: nn.LSTM, g: dict[str, np.ndarray], side: str) -> None:
    """Keras keeps kernels transposed and one bias; torch has two."""
    for direction, suffix in (("fwd", ""), ("bwd", "_reverse")):
        for ours, theirs in (("weight_ih_l0", "kernel"), ("weight_hh_l0", "recurrent"), ("bias_ih_l0", "bias")):
            value = torch.from_numpy(g[f"{side}_{direction}_{theirs}"])
            getattr(lstm, ours + suffix).data.copy_(value.T if value.ndim == 2 else value)
        getattr(lstm, f"bias_hh_l0{suffix}").data.zero_()


def test_golden_hv_bilstm() -> None:
    g = golden("vitpcm_hvbilstm")
    ours = HVBiLSTM(12, hidden=5)
    keras_lstm(ours.horizontal, g, "h")
    keras_lstm(ours.vertical, g, "v")
    np.testing.assert_allclose(ours(torch.from_numpy(g["x"])).detach().numpy(), g["out"], atol=1e-5)


def test_golden_patch_classifier_max_pooling_and_mce() -> None:
    g = golden("vitpcm_hvbilstm")
    w = torch.from_numpy(g["classifier"]).requires_grad_()
    scores = (torch.from_numpy(g["out"]) @ w).softmax(-1)
    np.testing.assert_allclose(scores.detach().numpy(), g["preds"], atol=1e-5)
    pooled = pool(scores.flatten(1, 2).log(), "max")[0].exp()
    np.testing.assert_allclose(pooled.detach().numpy(), g["pooled"], atol=1e-5)
    assert (g["labels"][:, 0] == 1).all()  # the background stands in every label set, as our losses assume
    ours = losses.mce_clamped(pooled, torch.from_numpy(g["labels"][:, 1:]))
    assert ours.item() == pytest.approx(float(g["mce"]), abs=1e-5)
    ours.backward()
    np.testing.assert_allclose(w.grad.numpy(), g["grad_classifier"], rtol=1e-4, atol=1e-6)


def test_golden_mce_of_extreme_scores() -> None:
    g = golden("vitpcm_hvbilstm")
    p, y = torch.from_numpy(g["bce_extreme_p"]), torch.from_numpy(g["bce_extreme_y"])
    for row in range(len(p)):
        target = y[row : row + 1]
        # our function fixes the background's label to 1; a leading 1 that scores 1 adds a known amount
        padded = losses.mce_clamped(torch.cat([torch.ones(1, 1), p[row : row + 1]], 1), target)
        one = losses.mce_clamped(torch.ones(1, 1), torch.zeros(1, 0))
        ours = (padded * (p.shape[1] + 1) - one) / p.shape[1]
        assert ours.item() == pytest.approx(float(g["bce_extreme"][row]), abs=1e-4)


def test_golden_label_merge() -> None:
    g = golden("vitpcm_hvbilstm")
    scores = torch.from_numpy(g["preds"]).permute(0, 3, 1, 2)
    ours = merge(scores, torch.from_numpy(g["labels"])).permute(0, 2, 3, 1)
    np.testing.assert_allclose(ours.numpy(), g["merged"], atol=1e-5)


@pytest.mark.parametrize("side", [24, 60])
def test_golden_position_embeddings(side: int) -> None:
    g = golden("pos_embed_interp")
    grid = torch.from_numpy(g[f"grid_{side}"])
    plain = resample_grid(grid, (side, side), "torch").numpy()
    keys = resample_grid(grid, (side, side), "keys").numpy()
    np.testing.assert_allclose(plain, g[f"torch_plain_{side}"], atol=1e-5)
    np.testing.assert_allclose(keys, g[f"tf_keys_{side}"], atol=3e-3)
    assert np.abs(plain - keys).max() > 0.01  # the switch matters


def test_golden_vit_of_toco_on_an_oblong_image() -> None:
    from timm.models.vision_transformer import VisionTransformer

    g = golden("toco_vit_tiny")
    state = {k[3:]: torch.from_numpy(v) for k, v in g.items() if k.startswith("sd.")}
    depth = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("blocks."))
    heads = next(h for h in (4, 3, 2, 1) if _toco_matches(VisionTransformer, state, depth, h, g))
    assert heads


def _toco_matches(kind: type, state: dict[str, torch.Tensor], depth: int, heads: int, g: dict[str, np.ndarray]) -> bool:
    """The file does not say how many heads the toy has; exactly one number of heads can reproduce it."""
    vit = kind(
        img_size=64, patch_size=16, embed_dim=24, depth=depth, num_heads=heads, num_classes=0, dynamic_img_size=True
    )
    vit.pretrained_cfg = {"mean": (0, 0, 0), "std": (1, 1, 1)}
    vit.load_state_dict({k: v for k, v in state.items() if not k.startswith("head")}, strict=True)
    encoder = Encoder(vit.eval(), (depth - 2,), "torch")
    with torch.no_grad():
        aux, last = encoder.tokens(torch.from_numpy(g["x"]))
    made = {"cls": last[:, 0], "patch": last[:, 1:], "aux": aux[:, 1:]}
    return all(np.allclose(tokens.numpy(), g[name], atol=1e-5) for name, tokens in made.items())


@pytest.mark.parametrize("name", ["vitpcm", "toco", "afa"])
def test_golden_dense_crf(name: str) -> None:
    g = golden("dense_crf")
    steps, *rest = g[f"cfg_{name}"]
    ours = dense_crf(g["image"], g["prob"], CRFParameters(int(steps), *rest))
    np.testing.assert_allclose(ours, g[f"q_{name}"], atol=1e-6)
    np.testing.assert_array_equal(ours.argmax(0), g[f"q_{name}"].argmax(0))


def test_the_poly_schedule_is_that_of_afa_and_toco() -> None:
    g = golden("poly_lr")
    for name, method in (("toco", toco), ("afa", afa)):
        cfg = PUBLISHED[name]("voc")
        ours = np.array([cfg.lr * rate_share(cfg, int(step), 20000) for step in g["steps"]])
        np.testing.assert_allclose(np.stack([ours, method.HEADS * ours], 1), g[name], rtol=1e-6)
