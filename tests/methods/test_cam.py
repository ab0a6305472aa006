"""Class activation maps by hand: their levels, their range, and scales and mirror images put together."""

import pytest
import torch
from torch import Tensor

from apc.methods.affinity import Levels
from apc.methods.cam import cam_probabilities, cam_to_label, multi_scale_cam, shares


def test_a_value_at_a_level_lies_below_it() -> None:
    cam = torch.tensor([0.0, 0.25, 0.375, 0.75, 0.875, 1.0]).view(1, 1, 1, 6)
    assert cam_to_label(cam, torch.ones(1, 1), Levels(0.75, 0.25)).tolist() == [[[0, 0, 255, 255, 1, 1]]]


def test_the_strongest_of_the_image_s_own_classes_is_the_label() -> None:
    cam = torch.tensor([[0.9, 0.8], [0.8, 0.9], [1.0, 1.0]]).view(1, 3, 1, 2)
    assert cam_to_label(cam, torch.tensor([[1, 1, 0]]), Levels(0.7, 0.25)).tolist() == [[[1, 2]]]


def test_the_background_is_a_constant_among_the_classes() -> None:
    cam = torch.tensor([[0.0, 0.5], [0.25, 0.25]]).view(1, 2, 1, 2)
    expected = torch.tensor([[0.5, 0.25], [0.0, 0.5], [0.5, 0.25]]).view(1, 3, 1, 2)
    torch.testing.assert_close(cam_probabilities(cam, 0.25), expected)


def test_shares_stand_under_the_high_level_first_and_under_the_low_one_behind() -> None:
    cam = torch.full((1, 1, 4, 4), 0.5)
    made = shares(cam, torch.tensor([[0, 1]]), Levels(0.7, 0.2))
    assert made.shape == (1, 4, 2, 2)
    expected = torch.tensor([[0.7, 0.5], [0.2, 0.5]]).softmax(1).flatten()  # background and class, high and low
    torch.testing.assert_close(made[0, :, 0, 0], expected)


def test_a_map_is_the_larger_of_plain_and_mirrored_without_its_negative_part_and_reaches_from_0_to_1() -> None:
    def sided(shown: Tensor) -> Tensor:
        """Red less a half and green, but blind on the right of what it is shown."""
        made = torch.stack([shown[:, 0] - 0.5, shown[:, 1]], 1)
        made[..., 2:] = -1
        return made

    images = torch.tensor([[0.7, 0.6, 0.2, 0.55], [0.9, 0.1, 0.5, 0.1], [0.0] * 4]).view(1, 3, 1, 4)
    made = multi_scale_cam(sided, images, (1.0,))[0, :, 0]
    # red .2 .1 0 .05, divided by .2; green .9 .1 .5 .1, less .1 and divided by .8
    torch.testing.assert_close(made, torch.tensor([[1.0, 0.5, 0.0, 0.25], [1.0, 0.0, 0.5, 0.0]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("scales", "middle"), [((1.0,), 0.5), ((1.0, 1.0), 0.5), ((1.0, 2.0), 0.6)])
def test_scales_are_added_before_the_range_is_set(scales: tuple[float, ...], middle: float) -> None:
    def by_scale(shown: Tensor) -> Tensor:
        """0, 1/2, 1 at the image's own scale, and 0, 1/2, 2/3 at the double one: together 0, 1, 5/3."""
        p = torch.tensor([0.0, 0.5, 1.0]) if shown.shape[-1] == 3 else torch.tensor([0.0, 0.5, 2 / 3])
        plain = p.view(1, 1, 1, 3)
        return torch.cat([plain, plain.flip(-1)])

    made = multi_scale_cam(by_scale, torch.rand(1, 3, 1, 3), scales)[0, 0, 0]
    torch.testing.assert_close(made, torch.tensor([0.0, middle, 1.0]), atol=1e-4, rtol=0)
