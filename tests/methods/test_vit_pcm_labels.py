"""ViT-PCM by hand: the terms of its first stage, and the pseudo masks that its second stage learns from."""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from apc.config import Config
from apc.data import Split
from apc.methods import losses
from apc.methods import vit_pcm as module
from apc.methods.base import Workplace
from apc.methods.vit_pcm import ViTPCM, cce, pseudo_masks
from apc.models.crf import CRF, Contest, CRFParameters, Refined

LABELS = torch.tensor([[1.0, 0.0]] * 4)
"""Four images of the first of two classes."""


def method_of(cfg: Config, **changes: Any) -> ViTPCM:
    torch.manual_seed(0)
    return ViTPCM(replace(cfg, **{"method": "vit_pcm", "dropout": 0.0, **changes}), 3).eval()


def test_images_score_by_their_best_patch_and_the_classifier_pays_a_hundredth_of_its_squares(tiny: Config) -> None:
    method, images = method_of(tiny), torch.rand(4, 3, 96, 96)
    terms = method.loss_terms({"image": images, "labels": LABELS}, 0.5)
    scores = method.patch_scores(method.encoder(images)[-1], (12, 12))
    assert terms["mce"].item() == pytest.approx(losses.mce_clamped(scores.amax((2, 3)), LABELS).item())
    assert terms["reg"].item() == pytest.approx(0.01 * (method.classifier.weight**2).sum().item())
    assert method.weights == {"mce": 1.0, "et": 1.0, "reg": 1.0, "seg": 1.0}


def test_view_2_is_told_the_merged_shares_of_the_image_s_own_classes(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr(module, "cce", lambda target, told: given.append((target, told)) or cce(target, told))
    method_of(tiny).loss_terms({"image": torch.rand(4, 3, 96, 96), "labels": LABELS}, 0.5)
    ((target, told),) = given
    assert target.shape == told.shape == (4, 6, 6, 3)
    assert not target[..., 2].any() and (told[..., 2] > 0).all()
    torch.testing.assert_close(target.sum(-1), torch.ones(4, 6, 6))
    # merged, the weaker class too is best somewhere: where its map is 1, its share is half or more
    assert (target[..., :2].amax((1, 2)) >= 0.5).all()


def test_the_cross_entropy_is_of_the_target_under_what_view_2_says() -> None:
    target, told = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    assert cce(target, told).item() == pytest.approx((np.log(4) + np.log(2)) / 2)


@pytest.fixture
def split() -> Split:
    """Two images of 96 pixels; the first shows class 1, the second class 2."""
    return Split(
        ["background", "a", "b"],
        ["x", "y"],
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        torch.zeros(2, 3, 96, 96, dtype=torch.uint8),
        photo=lambda i: np.zeros((96, 96, 3), np.uint8),
        mask=lambda i: None,
    )


def weak(count: int) -> Tensor:
    """Scores (B,3,12,12) whose left half says 0.9 background and 0.1 class 1, and the right half 0.8 and 0.2."""
    columns = torch.tensor([[0.9, 0.1, 0.0]] * 6 + [[0.8, 0.2, 0.0]] * 6).T
    return columns[None, :, None].expand(count, -1, 12, -1)


def test_pseudo_masks_are_merged_so_that_a_weak_class_keeps_its_best_patches(
    tiny: Config, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = method_of(tiny, crf="none", stage2_epochs=1, epochs=3)
    monkeypatch.setattr(method, "patch_scores", lambda tokens, grid: weak(len(tokens)))
    masks = [
        np.frombuffer(zlib.decompress(m), np.uint8).reshape(96, 96) for m in pseudo_masks(method, split, Workplace())
    ]
    # merged, the left half has 1 and 0.5, the right half 0.89 and 1: class 1 begins with the right half
    assert masks[0][:, :44].max() == 0 and masks[0][:, 52:].min() == 1 == masks[0].max()
    assert not masks[1].any()  # class 2 is not seen anywhere, and class 1 is not in the image


def test_the_runs_own_crf_refines_the_merged_shares_of_the_classes_in_the_image(
    tiny: Config, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[np.ndarray, CRFParameters]] = []

    def refine(image: np.ndarray, contests: Sequence[Contest], parameters: CRFParameters) -> list[Refined]:
        given.extend((contest.probabilities, parameters) for contest in contests)
        return [Refined(np.full((96, 96), len(p) - 1, np.uint8), 0.0) for p, *_ in contests]  # the last of the winners

    monkeypatch.setattr("apc.models.crf.refine", refine)
    method = method_of(tiny, crf="afa", stage2_epochs=1, epochs=3)
    monkeypatch.setattr(method, "patch_scores", lambda tokens, grid: weak(len(tokens)))
    masks = [np.frombuffer(zlib.decompress(mask), np.uint8) for mask in pseudo_masks(method, split, Workplace())]
    assert [parameters for _, parameters in given] == [CRF["afa"]] * 2
    np.testing.assert_allclose(given[0][0][:, 0, 0], [1 / 1.5, 0.5 / 1.5], atol=1e-5)  # background and class 1
    assert [len(p) for p, _ in given] == [2, 1]  # in the second image, class 2 wins no pixel
    assert [set(mask.tolist()) for mask in masks] == [{1}, {0}]
