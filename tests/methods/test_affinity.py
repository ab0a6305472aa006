"""Affinity, propagation and refined scores against the official numbers and by hand."""

import pytest
import torch
from golden_files import tensors
from propagated import label_along
from torch import Tensor, nn
from torch.nn import functional as F

from apc.methods import affinity as pairs
from apc.methods.afa import DILATIONS, LEVELS
from apc.methods.cam import shares
from apc.models.par import PAR


def test_golden_affinity_label_window_and_loss() -> None:
    g = tensors("afa_aff_loss")
    near = pairs.window((10, 10), int(g["radius"]))
    assert torch.equal(near, g["radius_mask"].bool())
    pixels = g["cam_label_small"].long().repeat_interleave(16, 1).repeat_interleave(16, 2)
    assert list(pixels.shape) == g["cam_label_shape"].tolist()
    label = pairs.affinity_label(pixels, (10, 10), near)
    assert torch.equal(label.long(), g["aff_label"].long())
    assert ((label == 1).sum() + 1, (label == 0).sum() + 1) == (g["pos_count"], g["neg_count"])
    affinity = g["aff_pred"].requires_grad_()
    loss = pairs.affinity_loss(affinity, label)
    loss.backward()
    assert loss.item() == pytest.approx(g["loss"].item(), abs=1e-6)
    torch.testing.assert_close(affinity.grad, g["grad"], rtol=1e-5, atol=0)
    everywhere = pairs.affinity_label(pixels, (10, 10), torch.ones_like(near))
    assert pairs.affinity_loss(affinity, everywhere).item() == pytest.approx(g["loss_nomask"].item(), abs=1e-6)


@pytest.mark.parametrize("background", [LEVELS.low, LEVELS.high])
def test_golden_propagation(background: float) -> None:
    g = tensors("afa_propagate")
    cam, (image, foreground) = torch.zeros(2, 20, 10, 10), g["present_fg"].T
    cam[image, foreground] = g["valid_cam_present"]
    flow = pairs.transition(g["aff_pred"], g["radius_mask"].bool())
    made = pairs.propagate(cam, g["cls_label"], flow, background)
    image, channel = g["out_index"].T
    torch.testing.assert_close(made[image, channel], g[f"prop_{background:g}"], rtol=0, atol=1e-6)
    made[image, channel] = 0
    assert not made.any()  # all other classes are absent


def test_golden_refinement_of_propagated_scores() -> None:
    g = tensors("afa_refine_cams_cls")
    top, bottom, left, right = g["img_box"][0].tolist()
    inside = (slice(None), slice(None), slice(top, bottom), slice(left, right))
    made = torch.zeros(1, 3, 48, 40)
    made[inside] = pairs.refine_scores(PAR(DILATIONS, 10), g["images"][inside], g["cams_present"][None][inside])
    torch.testing.assert_close(made[0], g["refined_present"], rtol=0, atol=1e-5)


def test_the_window_is_a_square_around_each_patch_cut_off_at_the_border() -> None:
    near = pairs.window((2, 3), 1).int()
    assert near.tolist() == [
        [1, 1, 0, 1, 1, 0],
        [1, 1, 1, 1, 1, 1],
        [0, 1, 1, 0, 1, 1],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 1, 1, 1, 1],
        [0, 1, 1, 0, 1, 1],
    ]


def test_the_affinity_loss_of_four_known_pairs_by_hand() -> None:
    affinity = torch.tensor([[[0.9, 0.2], [0.4, 0.7]]])
    label = torch.tensor([[[1, 0], [255, 1]]], dtype=torch.uint8)
    expected = 0.5 * (0.1 + 0.3) / 3 + 0.5 * 0.2 / 2  # 2 alike and 1 unlike, one added to both counts
    assert pairs.affinity_loss(affinity, label).item() == pytest.approx(expected)


@pytest.mark.parametrize("value", [0, 3, 255])
def test_a_batch_of_one_label_has_a_finite_loss_and_gradient(value: int) -> None:
    affinity = torch.rand(2, 16, 16, requires_grad=True)
    pixels = torch.full((2, 32, 32), value)
    loss = pairs.affinity_loss(affinity, pairs.affinity_label(pixels, (4, 4), pairs.window((4, 4), 1)))
    loss.backward()
    assert affinity.grad is not None and torch.isfinite(affinity.grad).all() and torch.isfinite(loss)
    assert (loss.item() == 0) == (value == 255)


def test_the_affinity_head_equals_a_convolution_of_the_stacked_symmetric_logits() -> None:
    torch.manual_seed(0)
    head = pairs.AffinityHead(3)
    nn.init.constant_(head.bias, 0.3)
    heard = [torch.randn(2, 3, 7, 5) for _ in range(4)]
    logits = torch.cat([heard[0] @ heard[1].mT, heard[2] @ heard[3].mT], dim=1)[:, :, 1:, 1:]
    expected = F.conv2d(logits + logits.mT, head.weight, head.bias[None])[:, 0].sigmoid()
    made = head(heard, prefix=1)
    torch.testing.assert_close(made, expected)
    torch.testing.assert_close(made, made.mT)


def test_patches_without_neighbours_keep_their_classes_shares() -> None:
    torch.manual_seed(0)
    cam, labels = torch.rand(1, 2, 3, 3), torch.tensor([[1, 0]])
    flow = pairs.transition(torch.ones(1, 9, 9), torch.eye(9).bool())
    made = pairs.propagate(cam, labels, flow, 0.5)
    shares = torch.stack([torch.full((3, 3), 0.5), cam[0, 0]]).softmax(0) / 1.1  # columns are divided by 1 + 0.1
    torch.testing.assert_close(made[0, :2], shares)
    assert not made[0, 2].any()


def test_labels_of_a_batch_equal_those_of_its_images_one_by_one() -> None:
    torch.manual_seed(0)
    par, labels = PAR((1, 2), 3), torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    images, cam = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 4, 4)
    flow = pairs.transition(torch.rand(3, 16, 16), pairs.window((4, 4), 1))
    made = label_along(par, images, cam, labels, flow, LEVELS)
    for i in range(3):
        one = slice(i, i + 1)
        alone = label_along(par, images[one], cam[one], labels[one], flow[one], LEVELS)
        assert torch.equal(made[one], alone)
    assert set(made[0].unique().tolist()) <= {0, 1, 3, 255} and {1, 3} & set(made[0].unique().tolist())
    assert not made[1].any()  # an image without classes is background


def test_objects_are_where_the_strict_level_finds_them_and_background_where_both_do() -> None:
    """A CAM of three plateaus: above both levels, between them, below both; no affinity, a refinement that does
    nothing."""
    cam = torch.tensor([0.9, 0.45, 0.1]).repeat_interleave(4).expand(1, 1, 4, 12)
    flow = pairs.transition(torch.ones(1, 48, 48), torch.eye(48).bool())

    def nothing(images: Tensor, scores: Tensor) -> Tensor:
        return scores

    made = label_along(nothing, torch.rand(1, 3, 16, 48), cam, torch.tensor([[1]]), flow, LEVELS)
    assert [made[0, 8, x].item() for x in (8, 24, 40)] == [1, 255, 0]


def test_plain_and_propagated_scores_refined_at_once_are_those_refined_one_after_the_other() -> None:
    torch.manual_seed(0)
    par, images, cam = PAR((1, 2), 3), torch.rand(2, 3, 32, 40), torch.rand(2, 3, 32, 40)
    classes, along = pairs.own_classes(torch.tensor([[1, 0, 1], [0, 1, 0]])), torch.rand(2, 6, 32, 40)
    plain = shares(cam, classes, LEVELS)
    at_half = F.interpolate(along, size=(16, 20), mode="bilinear", align_corners=True)
    joined = pairs.refine_scores(par, images, torch.cat([plain, at_half], 1))
    parts = [pairs.refine_scores(par, images, scores) for scores in (plain, along)]
    torch.testing.assert_close(joined, torch.cat(parts, 1), rtol=0, atol=1e-6)
