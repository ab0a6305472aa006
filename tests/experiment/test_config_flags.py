"""The Config that a preset, a file and flags make together."""

from typing import Any

import pytest

from apc.config import plus, pocket, voc
from apc.experiment.config_flags import config_of


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, 304),
        ({"image_size": 384}, 464),
        ({"image_size": 224, "encoder": "vit_small_patch14_dinov2"}, 266),
        ({"eval_size": 256}, 256),
        ({"plus": False}, 0),
    ],
)
def test_apc_plus_scores_your_photographs_a_fifth_larger_in_whole_patches(given: dict[str, Any], size: int) -> None:
    assert config_of("folder", {"root": "photographs", "plus": True} | given).eval_size == size


def test_apc_plus_leaves_the_sizes_of_other_presets() -> None:
    assert plus(pocket()).eval_size == 0
    assert plus(voc()).eval_size == 960
