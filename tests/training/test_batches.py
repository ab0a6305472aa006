"""The batches of an epoch, of which images that need no pixels are not decoded."""

from dataclasses import replace

import torch

from apc import data
from apc.config import Config
from apc.training.batches import Part, Place, batches, decoded

HERE = Place(0, 1, "cpu")


def test_images_that_are_known_have_no_pixels_and_nothing_else_is_another(tiny: Config) -> None:
    cfg = replace(tiny, num_train=16, micro_batch=4, flip="both")
    split = data.load(cfg, "train")
    whole = [part for parts in batches(split, cfg, 1, HERE) for part in parts]
    some = [part for parts in batches(split, cfg, 1, HERE, lambda key: key[1] % 2 == 0) for part in parts]
    none = [part for parts in batches(split, cfg, 1, HERE, lambda key: True) for part in parts]
    assert len({key[2:] for part in whole for key in part.keys}) > 2
    for full, half, empty in zip(whole, some, none, strict=True):
        assert full.keys == half.keys == empty.keys
        assert torch.equal(full.batch["labels"], empty.batch["labels"])
        assert torch.equal(full.batch["index"], empty.batch["index"])
        for image, own, left, key in zip(*map(pixels, (full, half, empty)), full.keys, strict=True):
            assert torch.equal(image, decoded(split, key))
            assert left.isnan().all()
            assert own.isnan().all() if key[1] % 2 == 0 else torch.equal(own, image)
        assert empty.batch["image"].shape == full.batch["image"].shape
        assert empty.batch["image"].untyped_storage().nbytes() == 4  # a number for all


def pixels(part: Part) -> torch.Tensor:
    return part.batch["image"]
