"""Images resized, flipped and recoloured."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from apc.config import folder
from apc.data.transforms import as_floats, augment, resize, squash, stack


def test_resizing_is_pillows_to_one_grey_level() -> None:
    rng = np.random.default_rng(0)
    for height, width, size in ((37, 53, 48), (375, 500, 96), (20, 31, 64)):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        theirs = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
        ours = squash(image, size).permute(1, 2, 0).numpy()
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert resize(image, 20, 40).shape == (3, 20, 40)


def test_flips_are_those_of_the_generator_and_bytes_become_the_same_floats() -> None:
    image = torch.arange(3 * 4 * 4, dtype=torch.uint8).reshape(3, 4, 4)
    cfg = replace(folder(), flip="both")
    for seed in range(8):
        made, plain, flips, _ = augment(image, cfg, np.random.default_rng(seed))
        dims = [dim for dim, flipped in zip((2, 1), flips, strict=True) if flipped]
        assert made.dtype == torch.uint8 and torch.equal(made, image.flip(dims)) and plain is made
    strided = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # as resize leaves it
    batch = as_floats(stack([strided, strided]), "cpu")
    assert batch.is_contiguous() and torch.equal(batch, torch.stack([image, image]).float() / 255)


@pytest.mark.parametrize("changes", [{"jitter": 0.5}, {"grey": 1.0}, {"blur": 1.0}], ids=str)
def test_colour_changes_leave_floats_between_0_and_1_and_the_plain_view_as_it_was(changes: dict[str, Any]) -> None:
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    made, plain, _, _ = augment(image, replace(folder(), flip="none", **changes), np.random.default_rng(0))
    assert made.is_floating_point() and 0 <= made.min() and made.max() <= 1
    assert torch.equal(as_floats(made[None], "cpu"), made[None])
    assert torch.equal(plain, image) and not torch.equal(made, image.float() / 255)


def test_a_grey_image_has_three_equal_channels_and_a_blurred_one_its_mean() -> None:
    image = torch.zeros(3, 225, 225, dtype=torch.uint8)
    image[0, 112, 112] = 255
    grey = augment(image, replace(folder(), flip="none", grey=1.0), np.random.default_rng(0)).image
    assert (grey == grey[0]).all() and grey[0, 112, 112] == pytest.approx(0.2989)
    blurred = augment(image, replace(folder(), flip="none", blur=1.0), np.random.default_rng(0)).image
    assert blurred[0].sum() == pytest.approx(1.0, abs=1e-4) and blurred[0, 112, 112] < 0.9 and blurred[1:].sum() == 0


def test_grey_and_blur_are_as_frequent_as_their_probability() -> None:
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    image[0, 1, 1] = 255
    cfg = replace(folder(), flip="none", grey=0.25)
    greys = [augment(image, cfg, np.random.default_rng(seed)).image[1].any().item() for seed in range(400)]
    assert 75 <= sum(greys) <= 125


def test_a_crop_keeps_at_least_the_asked_area_within_the_image_and_is_resized_to_the_whole() -> None:
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    image = torch.stack([2 * rows, 2 * columns, torch.zeros(64, 64)]).to(torch.uint8)  # a pixel's colour is its place
    cfg, areas = replace(folder(), flip="none", crop_scale=0.4), []
    for seed in range(100):
        made, plain, _, _ = augment(image, cfg, np.random.default_rng(seed))
        assert made.shape == image.shape and made.dtype == torch.uint8 and plain is made
        height, width = ((made[c].max() - made[c].min()).item() / 2 + 1 for c in (0, 1))
        assert made[0, -1, 0] > made[0, 0, 0] and made[1, 0, -1] > made[1, 0, 0]  # neither turned nor flipped
        assert 0.70 <= height / width <= 1.43
        areas.append(height * width / 64**2)
    assert min(areas) >= 0.36 and max(areas) > 0.9 and min(areas) < 0.5


def test_a_crop_of_nearly_all_keeps_the_asked_area_too() -> None:
    image, cfg = torch.zeros(3, 400, 400, dtype=torch.uint8), replace(folder(), flip="none", crop_scale=0.95)
    boxes = [augment(image, cfg, np.random.default_rng(seed)).box for seed in range(50)]
    assert min(box.height * box.width for box in boxes) >= 0.949 * 400**2
    assert any(box.height < box.width for box in boxes) and any(box.width < box.height for box in boxes)


def test_without_a_crop_no_number_is_drawn_for_it() -> None:
    image = torch.arange(3 * 4 * 4, dtype=torch.uint8).reshape(3, 4, 4)
    rng = np.random.default_rng(0)
    augment(image, replace(folder(), flip="none"), rng)
    assert rng.random() == np.random.default_rng(0).random()
