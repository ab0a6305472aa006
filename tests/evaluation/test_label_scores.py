"""Scores that open no mask, against numbers written out; and what would fool them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fixed_methods import Fixed, halves
from opened import opened_files
from torch import Tensor

from apc import data
from apc.config import Config, folder, pocket
from apc.data import Split
from apc.evaluation.evidence import AfterCRF, Evidence, Looking, gather, label_scores
from apc.evaluation.label_scores import class_agreement, cross_entropy, label_f1, mean_average_precision
from apc.evaluation.miou import score
from apc.evaluation.scoring import LabelMap, Scoring
from apc.methods.registry import build
from apc.runs.protocols import HEADLINE
from apc.runs.scores import LABEL_SCORES, RULES, SCORES

CFG = replace(pocket(), crf="none", image_size=64)


def split_of(labels: list[list[int]], side: int = 64) -> Split:
    """Grey photographs with these image labels and no mask."""
    n, objects = len(labels), len(labels[0])
    return Split(
        ["background", *"abcdefgh"[:objects]],
        [str(i) for i in range(n)],
        torch.tensor(labels, dtype=torch.float32),
        torch.full((n, 3, side, side), 128, dtype=torch.uint8),
        photo=lambda i: np.full((side, side, 3), 128, np.uint8),
    )


def at(side: int, p: Tensor) -> Tensor:
    """Probabilities (1,C,8,8) at the size a method gives, each cell a square."""
    return p.repeat_interleave(side // 8, 2).repeat_interleave(side // 8, 3)


def test_f1_counts_classes_above_one_percent_of_the_pixels_over_all_pairs() -> None:
    found = np.array([[0.5, 0.005, 0.0], [0.02, 0.3, 0.2]])
    labels = np.array([[1, 1, 0], [0, 1, 1]])
    # right: a of 1, b and c of 2; called and not there: a of 2; there and not called: b of 1
    assert label_f1(found, labels) == pytest.approx(100 * 2 * 3 / (4 + 4))
    assert label_f1(np.zeros((2, 3)), np.zeros((2, 3))) == 0


def test_agreement_counts_a_class_that_neither_has_as_zero() -> None:
    assert class_agreement(np.array([[6, 2, 0], [0, 2, 0], [0, 0, 0]])) == pytest.approx(100 * (6 / 8 + 2 / 4 + 0) / 3)


def test_average_precision_by_hand_and_of_level_scores() -> None:
    scores, labels = np.array([[0.9], [0.8], [0.7], [0.1]]), np.array([[1], [0], [1], [0]])
    assert mean_average_precision(scores, labels) == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert mean_average_precision(np.full((4, 1), 0.5), labels) == pytest.approx(50)  # in whatever order they stand
    assert mean_average_precision(np.ones((2, 2)), np.array([[1, 0], [1, 0]])) == 100  # the second class is nowhere


def test_average_precision_agrees_with_torchmetrics() -> None:
    metrics = pytest.importorskip("torchmetrics.classification")
    rng = np.random.default_rng(0)
    scores, true = rng.integers(0, 9, (60, 1)) / 9, rng.integers(0, 2, (60, 1))  # many of them level
    oracle = metrics.BinaryAveragePrecision()(torch.from_numpy(scores.ravel()), torch.from_numpy(true.ravel()))
    assert mean_average_precision(scores, true) == pytest.approx(100 * oracle.item(), abs=1e-4)


def test_cross_entropy_by_hand() -> None:
    expected = -100 * (np.log(0.9) + np.log(0.8)) / 2
    assert cross_entropy(np.array([[0.9, 0.2]]), np.array([[1, 0]])) == pytest.approx(expected)


def test_scores_of_a_method_that_sees_background_left_and_a_right() -> None:
    p = at(64, halves(0, 1))
    scores = label_scores(Fixed(p, p), split_of([[1, 0], [1, 1]]), CFG, Scoring())
    assert scores["label_f1"] == pytest.approx(100 * 2 * 2 / (2 + 3))  # b is labelled once and never found
    assert scores["branch_agreement"] == pytest.approx(100 * 2 / 3)  # b is nowhere
    assert scores["flip_agreement"] == 0  # it says the same of the mirror image, which is wrong
    assert scores["scale_agreement"] == pytest.approx(100 * 2 / 3)
    assert scores["label_rule"] == 0
    assert scores["erasure"] == 0  # and the same of what was erased
    h = -(0.8 * np.log(0.8) + 2 * 0.1 * np.log(0.1)) / np.log(3)
    assert scores["entropy"] == pytest.approx(100 * h, abs=1e-3)


def test_the_rule_is_the_product_of_labels_flip_and_scale() -> None:
    p = at(64, torch.stack([halves(0, 0)[0, :, :4], halves(1, 1)[0, :, 4:]], 1).flatten(1, 2)[None])  # a is below
    scores = label_scores(Fixed(p, p), split_of([[1, 0]]), CFG, Scoring())
    f1, flip, scale = (scores[name] / 100 for name in ("label_f1", "flip_agreement", "scale_agreement"))
    assert (f1, flip, scale) == pytest.approx((1, 2 / 3, 2 / 3))
    assert scores["label_rule"] == pytest.approx(100 * f1 * flip * scale)


@pytest.mark.parametrize("everywhere", [0, 1])
def test_neither_all_background_nor_everything_object_wins(everywhere: int) -> None:
    labels = [[1, 0], [0, 1], [1, 1], [0, 1]]
    same = at(64, halves(everywhere, everywhere))
    below = torch.cat([halves(0, 0)[:, :, :4], halves(1, 1)[:, :, :2], halves(2, 2)[:, :, :2]], 2)  # a, then b
    degenerate = label_scores(Fixed(same, same), split_of(labels), CFG, Scoring())
    honest = label_scores(Fixed(at(64, below), at(64, below)), split_of(labels), CFG, Scoring())
    for rule in RULES:
        assert degenerate[rule] <= 0.5 * honest[rule]
    assert degenerate["label_rule"] < honest["label_rule"]


def test_the_crf_is_listened_to_in_either_order() -> None:
    split = split_of([[1, 0], [0, 1]], 16)
    after = AfterCRF(split)
    before, refined = np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8)
    before[:8], refined[:4] = 1, 1
    for i, order in enumerate([(0, 1), (1, 0)]):
        for which in order:
            protocol = after.keep.protocols[which]
            after.keep.take(LabelMap(i, protocol, (before, refined)[which]))
    assert after.scores("cpu") == {
        "label_f1_crf": pytest.approx(100 * 2 * 1 / (2 + 2)),
        "crf_agreement": pytest.approx(100 * (128 / 192 + 64 / 128) / 3),
    }


def test_photographs_without_masks_are_listened_to() -> None:
    split, cfg = split_of([[1, 0], [0, 1]], 16), replace(CFG, crf="pocket", image_size=16)
    after = AfterCRF(split)
    p = at(16, halves(0, 1))
    counts = score(Fixed(p, p), split, cfg, HEADLINE, Scoring(keep=after.keep))
    assert not counts["miou"].total.any()
    assert after.scores("cpu")["label_f1_crf"] == pytest.approx(50)


def test_no_mask_is_opened(photographs: Path) -> None:
    cfg = replace(folder(), root=str(photographs), image_size=32, crf="none")
    p = at(32, halves(0, 1))
    with opened_files() as opened:
        val = data.load(cfg, "val")
        label_scores(Fixed(p, p), val, cfg, Scoring())
        assert not any("/masks/" in path for path in opened) and any("/images/" in path for path in opened)
        assert val.mask(0) is not None and any("/masks/" in path for path in opened)  # the hook does see one


def test_every_fourth_of_many_photographs_is_asked_again() -> None:
    p = at(64, halves(0, 1))
    for number, again in ((95, 95), (96, 48), (191, 64), (200, 50)):
        evidence = gather(Fixed(p, p), split_of([[1, 0]] * number), CFG, Scoring())
        pixels = {other: matrix.sum() for other, matrix in evidence.agreement.items()}
        assert pixels == {"branch": number * 64**2, "flip": again * 64**2, "scale": again * 64**2}
        assert evidence.scores()["erasure"] == 0  # of those asked again: the others' zeros are no answers


def test_what_a_scoring_shows_is_not_shown_again_and_scores_the_same(tiny: Config) -> None:
    val = data.load(tiny, "val")
    torch.manual_seed(0)
    method = build(tiny, len(val.classes)).eval()
    alone = gather(method, val, tiny, Scoring())
    heard = Evidence(val.labels.numpy())
    score(method, val, tiny, scoring=Scoring(plain=Looking(method, heard, tiny, "cpu")))
    assert heard.seen == {*range(len(val))}
    once = gather(method, val, tiny, Scoring(), heard)
    assert once.scores() == {name: pytest.approx(value, abs=1e-4) for name, value in alone.scores().items()}
    assert once.agreement["branch"].sum() == alone.agreement["branch"].sum()  # nothing is counted twice


def test_scoring_leaves_a_method_as_it_was() -> None:
    p = at(64, halves(0, 1))
    method = Fixed(p, p).train()
    label_scores(method, split_of([[1, 0]]), CFG, Scoring())
    assert method.training


def test_every_photograph_counts_once_whatever_goes_through_together(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    val = data.load(tiny, "val")
    torch.manual_seed(0)
    method = build(tiny, len(val.classes))
    together = label_scores(method, val, tiny, Scoring())
    monkeypatch.setattr("apc.evaluation.evidence.images_at_once", lambda side: 3)
    apart = label_scores(method, val, tiny, Scoring())
    assert apart == {name: pytest.approx(value, abs=0.05) for name, value in together.items()}
    assert set(together) == {name for name in LABEL_SCORES if SCORES[name].in_rows and "crf" not in name}
