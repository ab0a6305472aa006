"""APC by hand: which settings reach which term, what each branch says, what the report counts of its choices."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from apc.config import Config
from apc.methods import losses
from apc.methods.apc import APC
from apc.methods.pseudo_labels import with_background
from apc.models.bilstm import HVBiLSTM
from apc.models.pooling import pool

LABELS = torch.tensor([[1.0, 0.0], [1.0, 1.0]])


@pytest.fixture
def said() -> tuple[Tensor, Tensor]:
    """Features (2,144,64) and patch log scores (2,144,3) of two images of 12 x 12 patches."""
    torch.manual_seed(0)
    return torch.randn(2, 144, 64), (4 * torch.randn(2, 144, 3)).log_softmax(-1)


def terms_of(
    cfg: Config, said: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], Tensor]:
    """The loss terms of a method that says this of its images, and the labels that its decoder is taught."""
    method, taught = APC(cfg, 3).eval(), []
    blocks = [torch.zeros(2, 12, 12, 64)] * len(cfg.decoder_blocks)
    monkeypatch.setattr(method, "branches", lambda *_: (*said, blocks))
    plain = losses.segmentation
    with monkeypatch.context() as patch:
        patch.setattr(losses, "segmentation", lambda logits, label: taught.append(label) or plain(logits, label))
        terms = method.loss_terms({"image": torch.zeros(2, 3, 96, 96), "labels": LABELS}, 0.5)
    return {name: term.item() for name, term in terms.items()}, taught[0]


def test_a_share_of_the_patches_is_pooled_where_one_is_given_and_not_k(
    tiny: Config, said: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = replace(tiny, pooling="top_k", k=5, k_share=0.25)  # of 144 patches
    expected = losses.mce(*pool(said[1], "top_k", 36), LABELS).item()
    assert terms_of(cfg, said, monkeypatch)[0]["mce"] == pytest.approx(expected)


@pytest.mark.parametrize("background", ["one", "ignore"])
def test_the_classification_term_is_that_of_the_settings(
    tiny: Config, said: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, background: str
) -> None:
    cfg = replace(tiny, background_label=background, pooling="adaptive_k", k=5, theta=0.8)
    log_y, log_rest = pool(said[1], "adaptive_k", 5, 0.8)
    expected = losses.mce(log_y, log_rest, LABELS, background).item()
    assert terms_of(replace(cfg, mce="log_space"), said, monkeypatch)[0]["mce"] == pytest.approx(expected)
    expected = losses.mce_clamped(log_y.exp(), LABELS, background).item()
    assert terms_of(replace(cfg, mce="clamped"), said, monkeypatch)[0]["mce"] == pytest.approx(expected)


def test_the_contrastive_term_is_of_epsilon_and_of_the_classes_of_the_settings(
    tiny: Config, said: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = replace(tiny, epsilon=0.7, theta=0.95)
    expected = {"all": None, "present": with_background(LABELS)}
    values = {}
    for classes, present in expected.items():
        values[classes] = losses.pce(said[0], said[1].exp(), 0.7, present).item()
        made, _ = terms_of(replace(cfg, pce_classes=classes), said, monkeypatch)
        assert made["pce"] == pytest.approx(values[classes])
    assert values["all"] > values["present"] + 0.1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, [0, 0]), ({"pseudo_label": "merge"}, [0, 1]), ({"pseudo_threshold": 0.75}, [0, 255])],
    ids=["argmax", "merge", "threshold"],
)
def test_the_decoder_is_taught_the_pseudo_labels_of_the_settings(
    tiny: Config, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], expected: list[int]
) -> None:
    # class 2, absent from the first image, wins nothing there; class 1 is best at the right half's patches
    scores = torch.tensor([[0.8, 0.1, 0.1], [0.4, 0.2, 0.4]]).repeat_interleave(6, 0).repeat(12, 1).expand(2, -1, -1)
    cfg = replace(tiny, seg_stride=4, pseudo_label="argmax", pseudo_threshold=0.0)
    _, label = terms_of(replace(cfg, **changes), (torch.ones(2, 144, 64), scores.log()), monkeypatch)
    assert label[0].tolist() == [[expected[0]] * 12 + [expected[1]] * 12] * 24


@pytest.mark.parametrize(
    ("low", "high", "middle"),
    [(0.25, 0.7, 255), (0.6, 0.7, 0), (0.25, 0.4, 1)],
    ids=["unknown", "background", "object"],
)
def test_levels_say_what_is_object_and_what_background_and_the_decoder_is_taught_no_more(
    tiny: Config, monkeypatch: pytest.MonkeyPatch, low: float, high: float, middle: int
) -> None:
    # class 1 is .1, .2 and .3 in the three columns of thirds, which is 0, half and all of its way
    scores = torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.4, 0.3, 0.3]]).repeat_interleave(4, 0).repeat(12, 1)
    cfg = replace(tiny, seg_stride=8, pseudo_label="levels", level_low=low, level_high=high)
    _, label = terms_of(cfg, (torch.ones(2, 144, 64), scores.expand(2, -1, -1).log()), monkeypatch)
    assert label[0].tolist() == [[0] * 4 + [middle] * 4 + [1] * 4] * 12


def test_lambda_1_weighs_the_decoder_and_lambda_2_the_contrast(tiny: Config) -> None:
    made = APC(replace(tiny, lambda1=0.03, lambda2=0.07), 3)
    assert made.weights == {"mce": 1.0, "seg": 0.03, "pce": 0.07}


def test_the_decoder_reads_the_bilstm_and_not_the_last_block(tiny: Config) -> None:
    torch.manual_seed(0)
    method, images = APC(tiny, 3).eval(), torch.rand(2, 3, 96, 96)
    f_out, _, inputs = method.branches(images)
    outputs = method.encoder(images)
    assert torch.equal(inputs[-1].flatten(1, 2), f_out) and not torch.allclose(f_out, outputs[-1])
    assert len(inputs) == len(outputs) and torch.equal(inputs[0].flatten(1, 2), outputs[0])


def test_the_residual_adds_what_the_bilstm_reads() -> None:
    torch.manual_seed(0)
    plain, residual, x = HVBiLSTM(8), HVBiLSTM(8, residual=True), torch.randn(1, 2, 3, 8)
    residual.load_state_dict(plain.state_dict())
    torch.testing.assert_close(residual(x), x + plain(x))


def test_the_patch_branch_gives_the_patches_probabilities_and_the_decoder_its_own(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = APC(tiny, 3).eval()
    patch, decoded = torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.6, 0.3, 0.1])
    scores = patch.log().expand(1, 144, 3)
    monkeypatch.setattr(method, "branches", lambda *_: (torch.zeros(1, 144, 64), scores, []))
    monkeypatch.setattr(method.decoder, "forward", lambda blocks: decoded.log().view(1, 3, 1, 1).expand(1, 3, 12, 12))
    found = method.predict(torch.zeros(1, 3, 96, 96))
    torch.testing.assert_close(found["patch"], patch.view(1, 3, 1, 1).expand(1, 3, 96, 96))
    torch.testing.assert_close(found["decoder"], decoded.view(1, 3, 1, 1).expand(1, 3, 96, 96))


def test_choices_count_the_patches_of_the_image_s_own_classes_without_the_background(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    # class 1 has two patches of 0.9, so Algorithm 1 takes 2 of 3; class 2 has one, so it takes 1; the background 3
    scores = torch.tensor([[0.04, 0.9, 0.06], [0.04, 0.9, 0.06], [0.04, 0.06, 0.9], [0.94, 0.03, 0.03]])
    scores = torch.cat([scores, scores[3:].expand(140, 3)])[None]
    method = APC(replace(tiny, k=3, theta=0.9, epsilon=0.85), 3).eval()
    monkeypatch.setattr(method, "branches", lambda *_: (torch.zeros(1, 144, 64), scores.log(), []))
    shown = {"image": torch.zeros(1, 3, 96, 96), "labels": torch.tensor([[1.0, 1.0]])}
    assert method.choices([shown]) == {"mean_k": pytest.approx((2 + 1) / 2), "high_share": pytest.approx(1 / 2)}
    method.cfg = replace(method.cfg, k=1, k_share=3 / 144)  # the same three patches
    assert method.choices([shown])["mean_k"] == pytest.approx((2 + 1) / 2)
    shown["labels"] = torch.tensor([[1.0, 0.0]])
    assert method.choices([shown]) == {"mean_k": 2, "high_share": 1}
    # of two images with three classes together, each counts once: (2 + 2 + 1) / 3
    both = [shown, {"image": shown["image"], "labels": torch.ones(1, 2)}]
    assert method.choices(both) == {"mean_k": pytest.approx(5 / 3), "high_share": pytest.approx(2 / 3)}
