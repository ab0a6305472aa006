"""Token contrasts against the official numbers and by hand, crops and the projection by what must hold."""

import pytest
import torch
from golden_files import boxed, tensors

from apc.methods.affinity import Levels, affinity_label
from apc.methods.token_contrast import (
    ProjectionHead,
    class_contrast,
    cut_out,
    draw_crops,
    object_levels,
    patch_contrast,
    zoomed,
)


def test_golden_patch_contrast_with_its_gradient() -> None:
    g = tensors("toco_ptc")
    pairs = affinity_label(g["pseudo_label"], (14, 14), torch.ones(196, 196, dtype=torch.bool))
    theirs = g["aff_mask"].long()
    assert torch.equal(pairs.long()[theirs != 255], theirs[theirs != 255])
    fmap = g["fmap"].requires_grad_()
    loss = patch_contrast(fmap.flatten(2).transpose(1, 2), pairs)
    loss.backward()
    assert loss.item() == pytest.approx(g["ptc_loss"].item(), abs=1e-6)
    torch.testing.assert_close(fmap.grad, g["grad_fmap"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_golden_class_contrast_with_its_gradient(temperature: float) -> None:
    g = tensors("toco_ctc")
    images = len(g["flags"])
    student = g["student_output"].requires_grad_()
    teacher = g["teacher_output"].view(2, images, -1).transpose(0, 1)
    loss = class_contrast(student.view(10, images, -1).transpose(0, 1), teacher, g["flags"] > 0, temperature)
    loss.backward()
    assert loss.item() == pytest.approx(g[f"loss_T{temperature}"].item(), abs=1e-5)
    torch.testing.assert_close(student.grad, g[f"grad_T{temperature}"], rtol=1e-5, atol=1e-7)


def test_golden_levels_of_objects() -> None:
    g = tensors("toco_ptc")
    ours = object_levels(g["cam"], g["cls_label"], Levels(float(g["high_thre"]), float(g["low_thre"]))).long()
    inside = boxed(torch.zeros_like(ours), g["img_box"]) == 0
    assert torch.equal(ours[inside], g["roi_mask"].long()[inside])


def test_crops_lie_in_the_image_and_around_what_is_no_object_for_sure() -> None:
    torch.manual_seed(0)
    levels = torch.full((3, 32, 32), 2.0)
    levels[0, 20:, :8] = 0.0  # one free corner; the second image is all object, the third has it in the middle
    levels[2, 12:20, 12:20] = 1.0
    corners = draw_crops(levels, 8, 50)
    assert corners.min() >= 0 and corners.max() <= 32 - 8
    middle = corners + 4
    assert (middle[0, :, 0] >= 20).all() and (middle[0, :, 1] < 8).all()
    assert ((middle[2] >= 12) & (middle[2] < 20)).all()
    assert len(corners[1].unique(dim=0)) > 30


def test_cut_out_gives_the_pixels_that_are_there() -> None:
    x = torch.arange(2 * 3 * 10 * 12).view(2, 3, 10, 12)
    corners = torch.tensor([[[0, 0], [6, 8]], [[2, 3], [1, 1]]])
    found = cut_out(x, corners, 4)
    assert found.shape == (2, 2, 3, 4, 4)
    assert torch.equal(found[0, 1], x[0, :, 6:10, 8:12]) and torch.equal(found[1, 0], x[1, :, 2:6, 3:7])


def test_a_zoomed_view_stays_within_the_image_and_its_values() -> None:
    torch.manual_seed(1)
    ramp = torch.linspace(0, 1, 32).expand(16, 3, 32, 32).contiguous()
    seen = zoomed(ramp, 0.4)
    assert seen.shape == ramp.shape and seen.min() >= 0 and seen.max() <= 1
    span = (seen[..., -1] - seen[..., 0]).abs().mean((1, 2))
    assert (span > 0.45).all() and (span < 0.99).any()
    assert 0 < ((seen[..., -1] - seen[..., 0]).mean((1, 2)) < 0).sum() < 16  # some are mirrored


def test_prototypes_of_the_projection_have_length_1_and_keep_it() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(24)
    optimizer = torch.optim.SGD([p for p in head.parameters() if p.requires_grad], lr=1.0)
    head(torch.randn(6, 24)).square().sum().backward()
    before = head.last.weight.detach().clone()
    optimizer.step()
    assert head(torch.randn(6, 24)).shape == (6, 32) and not torch.allclose(head.last.weight, before)
    for weight in (before, head.last.weight):
        torch.testing.assert_close(weight.norm(dim=1), torch.ones(32))
    assert head(100 * torch.randn(50, 24)).abs().max() <= 1 + 1e-6  # cosines


def test_a_class_token_is_drawn_to_the_positive_view_and_pushed_from_the_negative_one() -> None:
    # T = 1/2; both teachers lie on the first view: exp(1 / T) = 7.389 for it and exp(0) = 1 for the second
    student, teacher = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    near = class_contrast(student, teacher, torch.tensor([[True, False]]), 0.5).item()
    assert near == pytest.approx(0.8201, abs=1e-4)  # log((7.389 + 1) / 7.389) + log(1 + 1)
    far = class_contrast(student, teacher, torch.tensor([[False, True]]), 0.5).item()
    assert far == pytest.approx(4.2538, abs=2e-3)  # log((1 + 7.389) / 1) + log(1 + 7.389)


def test_alike_patches_are_drawn_together_unlike_ones_apart_and_none_to_itself() -> None:
    features = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]]])  # |cosines|: 0.6, 0 and 0.8
    pairs = torch.tensor([[[1, 1, 0], [1, 1, 255], [0, 255, 1]]])  # the first two are alike, the first and third unlike
    # alike (0.6 + 0.6) / (2 + 1), unlike (0 + 0) / (2 + 1)
    assert patch_contrast(features, pairs).item() == pytest.approx(0.5 * (1 - 0.4))
    exchanged = torch.tensor([[[1, 0, 1], [0, 1, 255], [1, 255, 1]]])
    assert patch_contrast(features, exchanged).item() == pytest.approx(0.5 * 1 + 0.5 * 0.4)


def test_a_pixel_at_the_low_level_is_background_and_one_at_the_high_level_is_an_object() -> None:
    cam = torch.tensor([0.0, 0.25, 0.375, 0.625, 0.75, 1.0]).view(1, 1, 1, 6)
    assert object_levels(cam, torch.ones(1, 1), Levels(0.75, 0.25)).tolist() == [[[0, 0, 1, 1, 2, 2]]]
