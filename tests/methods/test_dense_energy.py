"""The dense energy against the official numbers and by a loop over pairs of pixels."""

import pytest
import torch
from golden_files import boxed, tensors

from apc.methods.dense_energy import CROP, LATTICE, dense_energy


def test_golden_dense_energy_with_its_gradient() -> None:
    g = tensors("dense_energy_loss")
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    images, logits = g["img_normalised"] * std + mean, g["logits"].requires_grad_()
    inside = boxed(torch.zeros_like(g["label"]), g["img_box"]) == 0
    assert (float(g["sigma_xy"]), float(g["scale"]), float(g["weight"])) == (100, 0.5, 1e-7)
    loss = dense_energy(images, logits.softmax(1) * inside[:, None], g["label"], crop=48)
    loss.backward()
    assert loss.item() == pytest.approx(g["loss"].item(), rel=0.05)
    assert loss.item() / LATTICE == pytest.approx(g["exact_gaussian_loss"].item(), rel=1e-3)
    ours, theirs = logits.grad.flatten(), g["grad_logits"].flatten()  # a lattice's is rough pixel by pixel
    assert torch.cosine_similarity(ours, theirs, 0) > 0.98
    assert ours.norm().item() == pytest.approx(theirs.norm().item(), rel=0.05)


def test_the_dense_energy_of_a_small_image_by_a_loop_over_its_pairs() -> None:
    torch.manual_seed(0)
    images, p = torch.rand(1, 3, 6, 8), torch.rand(1, 3, 3, 4).softmax(1)
    label = torch.zeros(1, 6, 8, dtype=torch.long)
    label[0, 2:4, 4:6] = 255  # the pixel (1, 2) of the half image
    total = 0.0
    for a, b in ((a, b) for a in range(12) for b in range(12)):
        (ya, xa), (yb, xb) = divmod(a, 4), divmod(b, 4)
        colour = 255 * (images[0, :, 2 * ya, 2 * xa] - images[0, :, 2 * yb, 2 * xb]).square().sum().sqrt() / 15
        place = ((CROP / 3 * (ya - yb)) ** 2 + (CROP / 4 * (xa - xb)) ** 2) ** 0.5 / 100
        gate = 1.0 if (ya, xa) == (1, 2) else 1 - p[0, :, ya, xa].max().item()
        near = torch.exp(-0.5 * (colour**2 + place**2)).item()
        total += gate * near * (p[0, :, ya, xa] @ p[0, :, yb, xb]).item()
    expected = -1e-7 * LATTICE * ((CROP / 2) ** 2 / 12) ** 2 * total
    assert dense_energy(images, p, label).item() == pytest.approx(expected, rel=1e-4)


def test_colours_and_labels_of_a_large_image_are_read_in_the_middle_so_a_mirror_image_has_the_same_energy() -> None:
    torch.manual_seed(2)
    # Pixels 1 and 2 are alike, 3 and 4, and so on: the two in the middle of every four, and not the two at its ends.
    images = torch.rand(1, 3, 224, 113).repeat_interleave(2, 3)[..., 1:225]
    label = torch.where(torch.rand(1, 224, 113) < 0.3, 255, 0).repeat_interleave(2, 2)[..., 1:225]
    p = torch.rand(1, 3, 56, 56).softmax(1)
    mirrored = dense_energy(images.flip(-1), p.flip(-1), label.flip(-1)).item()
    assert dense_energy(images, p, label).item() == pytest.approx(mirrored, rel=1e-5)


def test_the_dense_energy_of_a_large_image_is_near_that_of_the_same_image_at_half_the_size() -> None:
    torch.manual_seed(1)
    small = torch.rand(1, 3, 7, 7).repeat_interleave(16, 2).repeat_interleave(16, 3)  # 112 pixels: 56 at half the size
    p = torch.rand(1, 4, 7, 7).softmax(1).repeat_interleave(32, 2).repeat_interleave(32, 3)
    large, label = small.repeat_interleave(2, 2).repeat_interleave(2, 3), torch.zeros(1, 224, 224, dtype=torch.long)
    exact = dense_energy(small, p[..., ::2, ::2], label[:, ::2, ::2]).item()
    assert dense_energy(large, p, label).item() == pytest.approx(exact, rel=1e-3) and exact < 0
