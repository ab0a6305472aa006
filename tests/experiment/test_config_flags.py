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


def test_what_apc_plus_has_may_be_said_and_changed() -> None:
    assert config_of("pocket", {"plus": True, "rounds": 2}) == config_of("pocket", {"plus": True})
    more = config_of("folder", {"root": "photographs", "plus": True, "rounds": 3})
    assert (more.epochs, more.rounds, more.round_epochs) == (23, 3, 4)
    own = config_of("folder", {"root": "photographs", "rounds": 2, "round_epochs": 6, "frozen_epochs": 3})
    assert (own.epochs, own.first_stage_epochs) == (15, 3)
    assert config_of("pocket", {"epochs": 1}).frozen_epochs == 1


def test_apc_plus_is_of_apc() -> None:
    with pytest.raises(ValueError, match="--plus is APC with further parts; method toco has its own setting"):
        config_of("pocket", {"plus": True, "method": "toco"})
