"""Images resized, flipped and recoloured."""

from dataclasses import replace

import numpy as np
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
        made, flips = augment(image, cfg, np.random.default_rng(seed))
        dims = [dim for dim, flipped in zip((2, 1), flips, strict=True) if flipped]
        assert made.dtype == torch.uint8 and torch.equal(made, image.flip(dims))
    strided = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # as resize leaves it
    batch = as_floats(stack([strided, strided]), "cpu")
    assert batch.is_contiguous() and torch.equal(batch, torch.stack([image, image]).float() / 255)


def test_colour_changes_leave_floats_between_0_and_1() -> None:
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    made, _ = augment(image, replace(folder(), jitter=0.5), np.random.default_rng(0))
    assert made.is_floating_point() and 0 <= made.min() and made.max() <= 1
    assert torch.equal(as_floats(made[None], "cpu"), made[None])
