"""Confusion matrices and what is counted of them."""

import numpy as np
import pytest
import torch

from apc.evaluation.miou import confusion, foreground, iou, miou, pixel_accuracy


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


def test_pixel_accuracy_is_the_share_of_pixels_that_are_right() -> None:
    assert pixel_accuracy(np.array([[5, 1, 0], [2, 3, 1], [0, 0, 4]])) == pytest.approx(75)
    assert np.isnan(pixel_accuracy(np.zeros((2, 2), int)))


def test_foreground_precision_and_recall_count_the_right_class_only() -> None:
    matrix = np.array([[5, 1, 0], [2, 3, 1], [0, 0, 4]])
    assert foreground(matrix) == {"precision": pytest.approx(100 * 7 / 9), "recall": pytest.approx(70)}
