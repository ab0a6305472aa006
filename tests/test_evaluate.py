"""mIoU, protocols and the CRF on cases small enough to work by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from apc.config import Config, pocket
from apc.data import Split
from apc.evaluate.crf import CRF, crf_labels, dense_crf
from apc.evaluate.segmentation import confusion, foreground, iou, miou, score


def test_confusion_counts_truth_by_row_and_drops_ignored_pixels() -> None:
    truth, predicted = np.array([[0, 1], [1, 255]]), np.array([[0, 0], [1, 1]])
    assert confusion(truth, predicted, 3).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_iou_of_a_class_without_truth_is_left_out_of_the_mean() -> None:
    matrix = np.array([[6, 1, 1], [2, 2, 0], [0, 0, 0]])
    # background 6/(8+8-6), class 1 2/(4+3-2); class 2 is predicted once, but has no truth
    assert iou(matrix)[:2] == pytest.approx([60, 40]) and np.isnan(iou(matrix)[2])
    assert miou(matrix) == pytest.approx(50)
    assert np.isnan(miou(np.zeros((3, 3), int)))


def test_miou_agrees_with_torchmetrics() -> None:
    metrics = pytest.importorskip("torchmetrics.classification")
    truth, predicted = torch.randint(0, 5, (4, 30, 30)), torch.randint(0, 5, (4, 30, 30))
    truth[0, :5] = 255
    oracle = metrics.MulticlassJaccardIndex(5, average="macro", ignore_index=255)(predicted, truth)
    total = sum(confusion(t.numpy(), p.numpy(), 5) for t, p in zip(truth, predicted, strict=True))
    assert miou(total) == pytest.approx(100 * oracle.item(), abs=1e-3)


def test_foreground_precision_and_recall_count_the_right_class_only() -> None:
    matrix = np.array([[5, 1, 0], [2, 3, 1], [0, 0, 4]])
    assert foreground(matrix) == {"precision": pytest.approx(100 * 7 / 9), "recall": pytest.approx(70)}


class Fixed(nn.Module):
    """A method that always predicts the same probabilities, another set for each branch."""

    def __init__(self, decoder: Tensor, patch: Tensor) -> None:
        super().__init__()
        self.made = {"decoder": decoder, "patch": patch}

    def predict(self, images: Tensor, closed: None = None) -> dict[str, Tensor]:
        return {b: p.expand(len(images), -1, -1, -1) for b, p in self.made.items()}


def halves(left: int, right: int, classes: int = 3) -> Tensor:
    """Probabilities (1,C,8,8): mostly class `left` on the left half, `right` on the right."""
    p = torch.full((1, classes, 8, 8), 0.1)
    p[:, left, :, :4] = 0.8
    p[:, right, :, 4:] = 0.8
    return p


@pytest.fixture
def split() -> Split:
    truth = np.zeros((16, 16), np.uint8)
    truth[:, 8:] = 1
    photo = np.where(truth[..., None] == 1, 220, 30).repeat(3, 2).astype(np.uint8)
    return Split(
        ["background", "a", "b"],
        ["x", "y"],
        torch.tensor([[1.0, 0.0], [1.0, 0.0]]),
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        photo=lambda i: photo,
        mask=lambda i: truth if i == 0 else None,
    )


def test_each_protocol_scores_its_own_branch_and_image_labels_rule_absent_classes_out(split: Split) -> None:
    cfg: Config = replace(pocket(), crf="none")
    counts = score(Fixed(halves(0, 1), halves(0, 2)), split, cfg)
    assert set(counts) == {"miou", "patch_miou", "labelled_miou", "pseudo_miou"}
    scores = {name: miou(c.sum(0)) for name, c in counts.items()}
    # the mask is scored at its own 16 pixels, so bilinear edges may cost a column
    assert scores["miou"] > 85 and scores["labelled_miou"] > 85
    assert scores["patch_miou"] == pytest.approx(50, abs=6)  # says b where the truth is a
    assert counts["pseudo_miou"][0][:, 2].sum() == 0  # b is not among the image labels


def test_photographs_without_a_mask_count_nothing(split: Split) -> None:
    counts = score(Fixed(halves(0, 1), halves(0, 1)), split, replace(pocket(), crf="none"))
    assert counts["miou"][0].sum() == 256 and counts["miou"][1].sum() == 0


def test_the_crf_moves_a_boundary_to_the_edge_of_the_object() -> None:
    truth = np.zeros((40, 40), int)
    truth[:, 20:] = 1
    image = np.where(truth[..., None] == 1, 200, 40).repeat(3, 2).astype(np.uint8)
    p = np.full((3, 40, 40), 0.05, np.float32)
    p[0, :, :16], p[1, :, 16:] = 0.7, 0.7  # four columns too far
    p /= p.sum(0)
    before = (p.argmax(0) == truth).mean()
    assert before == 0.9 and (crf_labels(image, p, CRF["pocket"]) == truth).mean() > 0.96


def test_the_crf_on_the_winning_classes_gives_the_labels_of_the_crf_on_all() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    p = rng.dirichlet(np.ones(8) * 0.2, (6, 8)).astype(np.float32).repeat(8, 0).repeat(8, 1).transpose(2, 0, 1)
    same = crf_labels(image, p, CRF["vit_pcm"]) == dense_crf(image, p, CRF["vit_pcm"]).argmax(0)
    assert same.mean() >= 0.999


def test_one_winning_class_needs_no_crf() -> None:
    p = np.stack([np.full((5, 5), 0.9), np.full((5, 5), 0.1)]).astype(np.float32)
    assert (crf_labels(np.zeros((5, 5, 3), np.uint8), p, CRF["toco"]) == 0).all()
