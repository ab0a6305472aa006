"""Scores that see where a mask ends, and what spoiled masks do to every score that settings may be chosen by."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixed_methods import SPOILED, ByColour
from torch import Tensor

from apc.config import pocket
from apc.data import Split
from apc.evaluation.borders import border_contrast
from apc.evaluation.evidence import label_scores
from apc.evaluation.scoring import Scoring
from apc.runs.scores import CHOOSERS, SCORES
from apc.search.vote import Ballot, vote

CFG = replace(pocket(), crf="none", image_size=64)
COLOURS = torch.tensor([[0.35, 0.5, 0.3], [0.8, 0.2, 0.2], [0.2, 0.3, 0.8], [0.9, 0.8, 0.2]])
"""Of background and three classes."""


def photographs() -> tuple[Split, Tensor]:
    """Twelve photographs of one or two things on a noisy ground, and their true masks (12,64,64)."""
    rng = torch.Generator().manual_seed(0)
    masks = torch.zeros(12, 64, 64, dtype=torch.long)
    for i, mask in enumerate(masks):
        top, left = (int(v) for v in torch.randint(2, 20, (2,), generator=rng))
        mask[top : top + 34, left : left + 30] = 1 + i % 3
        if i % 2:
            mask[4:26, 40:62] = 1 + (i + 1) % 3
    images = COLOURS[masks].permute(0, 3, 1, 2) + 0.05 * torch.randn(12, 3, 64, 64, generator=rng)
    labels = torch.stack([torch.tensor([float((mask == c).any()) for c in (1, 2, 3)]) for mask in masks])
    bytes_ = (255 * images).round().clip(0, 255).byte()
    split = Split(
        ["background", *"abc"],
        [str(i) for i in range(12)],
        labels,
        bytes_,
        photo=lambda i: bytes_[i].permute(1, 2, 0).numpy(),
    )
    return split, masks


def votes_for(candidate: Tensor, truth: Tensor) -> float:
    """What five settings that each err in their own way vote of a sixth one."""
    rng = np.random.default_rng(0)
    ballots = []
    for number in range(5):
        wrong = np.where(rng.random(truth.shape) < 0.1 + 0.05 * number, rng.integers(0, 4, truth.shape), truth)
        ballots.append(Ballot(number, 0.6, wrong.astype(np.uint8), wrong.astype(np.uint8)))
    judged = candidate.numpy().astype(np.uint8)
    return vote([*ballots, Ballot("judged", 0.3, judged, judged)])[-1]


@pytest.mark.parametrize("spoiled", SPOILED)
def test_spoiled_masks_score_lower_than_those_they_were_made_of(spoiled: str) -> None:
    split, truth = photographs()
    honest, fooled = (
        label_scores(ByColour(COLOURS, spoil), split, CFG, Scoring()) for spoil in (lambda m: m, SPOILED[spoiled])
    )
    assert honest["border_contrast"] > 60
    assert fooled[CHOOSERS["labels"]] < 0.75 * honest[CHOOSERS["labels"]]
    assert votes_for(SPOILED[spoiled](truth), truth) < 0.75 * votes_for(truth, truth)


def test_the_labels_alone_do_not_see_that_masks_are_grown() -> None:
    """Why label_rule is not what settings are chosen by."""
    split, _ = photographs()
    honest, grown = (
        label_scores(ByColour(COLOURS, spoil), split, CFG, Scoring())
        for spoil in (lambda m: m, SPOILED["grown by 8 pixels"])
    )
    assert grown["label_rule"] > 0.8 * honest["label_rule"]


def test_the_contrast_of_a_border_by_hand() -> None:
    images = torch.zeros(1, 3, 32, 32)
    images[..., 16:] = 1
    right = torch.zeros(1, 32, 32, dtype=torch.long)
    right[..., 16:] = 1
    # smoothed, the colour changes from columns 14, 15 and 16 to the next; seven columns lie within 2 pixels of that
    assert border_contrast(images, right).item() == pytest.approx(1 - 7 / 32, abs=1 / 32)  # a third has no last digit
    assert border_contrast(images, right.roll(-10, 2)).item() == 0
    assert border_contrast(torch.full((1, 3, 32, 32), 0.4), right).item() == pytest.approx(0)
    assert border_contrast(images, torch.zeros_like(right)).item() == 0
    assert border_contrast(images, torch.ones_like(right)).item() == 0


def test_every_photograph_counts_by_its_own_contrast() -> None:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.rand(4, 3, 32, 32, generator=generator), torch.zeros(4, 32, 32, dtype=torch.long)
    labels[:, 8:20, 8:20] = 1
    images[:, :, 8:20, 8:20] += 2
    alone = torch.cat([border_contrast(images[i : i + 1], labels[i : i + 1]) for i in range(4)])
    assert border_contrast(images, labels) == pytest.approx(alone)
    assert border_contrast(0.1 * images, labels) == pytest.approx(alone)  # a pale one
    assert border_contrast(images.flip(-1), labels.flip(-1)) == pytest.approx(alone, abs=0.1)


def test_the_rule_is_the_product_of_its_parts() -> None:
    split, _ = photographs()
    scores = label_scores(ByColour(COLOURS), split, CFG, Scoring())
    assert scores["border_rule"] == pytest.approx(scores["label_rule"] * scores["border_contrast"] / 100)
    twice = scores["label_f1"] * scores["branch_agreement"] / 100**2
    assert scores["branch_rule"] == pytest.approx(scores["border_rule"] * twice) and scores["branch_rule"] > 0
    assert not SCORES["border_rule"].needs_masks and SCORES["border_rule"].in_curves
