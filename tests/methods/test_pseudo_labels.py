"""From patch scores and image labels to labels of pixels, patch by patch."""

import pytest
import torch

from apc.methods.pseudo_labels import merge, patches_to_pixels, pseudo_labels, with_background


def test_a_patch_exactly_at_the_threshold_keeps_its_label() -> None:
    scores = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.625, 0.375], [0.5, 0.5]]).T.reshape(1, 2, 2, 2)
    assert pseudo_labels(scores, torch.ones(1, 1), threshold=0.75).tolist() == [[[0, 1], [255, 255]]]
    assert pseudo_labels(scores, torch.ones(1, 1)).tolist() == [[[0, 1], [0, 0]]]  # of equals, the first


def test_the_threshold_is_held_against_the_winner_among_the_image_s_own_classes() -> None:
    scores = torch.tensor([0.25, 0.125, 0.625]).view(1, 3, 1, 1)  # the absent class 2 alone reaches 0.5
    assert pseudo_labels(scores, torch.tensor([[1.0, 0.0]]), threshold=0.5).tolist() == [[[255]]]
    assert pseudo_labels(scores, torch.tensor([[1.0, 0.0]]), threshold=0.25).tolist() == [[[0]]]


def test_the_background_is_class_0_and_present_in_every_image() -> None:
    assert with_background(torch.tensor([[0, 1], [0, 0]])).tolist() == [[1, 0, 1], [1, 0, 0]]
    scores = torch.tensor([0.5, 0.3, 0.2]).view(1, 3, 1, 1)
    assert pseudo_labels(scores, torch.ones(1, 2)).tolist() == [[[0]]]


@pytest.mark.parametrize(("rule", "expected"), [("argmax", [[0, 0]]), ("merge", [[0, 1]])])
def test_the_merge_gives_a_weak_class_its_own_best_patch(rule: str, expected: list[list[int]]) -> None:
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.2]]).T.reshape(1, 2, 1, 2)
    assert pseudo_labels(scores, torch.ones(1, 1), rule).tolist() == [expected]


def test_the_merge_divides_by_the_maximum_of_each_class_and_image_and_makes_patches_sum_to_one() -> None:
    # two images of two patches, both without class 2
    first, second = [[0.8, 0.4], [0.1, 0.2], [0.1, 0.4]], [[0.4, 0.2], [0.4, 0.6], [0.2, 0.2]]
    merged = merge(torch.tensor([first, second])[:, :, None], torch.tensor([[1.0, 1.0, 0.0]] * 2))
    # .8/.8 and .1/.2, .4/.8 and .2/.2: patches of (1, .5) and (.5, 1); then .4/.4 and .4/.6, .2/.4 and .6/.6
    first, second = [[2 / 3, 1 / 3], [1 / 3, 2 / 3], [0.0, 0.0]], [[3 / 5, 1 / 3], [2 / 5, 2 / 3], [0.0, 0.0]]
    torch.testing.assert_close(merged, torch.tensor([first, second])[:, :, None])


def test_a_pixel_of_a_loss_that_reads_fewer_takes_the_label_of_the_patch_that_its_middle_lies_in() -> None:
    label = torch.tensor([[[1, 2, 3, 4]]])  # of 8 pixels each; every 16th is read: their middles are 8 and 24
    assert patches_to_pixels(label, (1, 2)).tolist() == [[[2, 4]]]


def test_pixels_take_the_label_of_the_patch_they_lie_in_and_labels_are_never_mixed() -> None:
    label = torch.tensor([[[0, 7, 255], [3, 0, 1]]])
    assert patches_to_pixels(label, (4, 6)).tolist() == [
        [[0, 0, 7, 7, 255, 255], [0, 0, 7, 7, 255, 255], [3, 3, 0, 0, 1, 1], [3, 3, 0, 0, 1, 1]]
    ]
