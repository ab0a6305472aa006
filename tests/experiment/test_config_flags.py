"""The Config that a preset, a file and flags make together."""

from pathlib import Path
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
    assert config_of("pocket", {"plus": True, "rounds": 1}) == config_of("pocket", {"plus": True})
    own = config_of("folder", {"root": "photographs", "rounds": 2, "round_epochs": 6, "frozen_epochs": 3})
    assert (own.epochs, own.first_stage_epochs) == (15, 3)
    assert config_of("pocket", {"epochs": 1}).frozen_epochs == 1


@pytest.mark.parametrize(
    ("given", "epochs"),
    [
        ({}, 15 + 4),
        ({"rounds": 2}, 15 + 2 * 4),
        ({"rounds": 6}, 15 + 6 * 4),
        ({"round_epochs": 5}, 15 + 5),
        ({"rounds": 3, "round_epochs": 2, "frozen_epochs": 12}, 15 + 3 * 2),
        ({"rounds": 0}, 15),
        ({"rounds": 1, "epochs": 23}, 23),
    ],
)
def test_rounds_of_apc_plus_come_behind_the_presets_epochs_unless_epochs_are_said(
    given: dict[str, int], epochs: int, tmp_path: Path
) -> None:
    root: dict[str, Any] = {"root": "photographs", "plus": True}
    file = tmp_path / "best.toml"
    file.write_text("".join(f"{name} = {value}\n" for name, value in given.items()))
    for way in (root | given, root | {"config": file}):
        assert config_of("folder", way).epochs == epochs


def test_rounds_of_apc_plus_that_find_no_place_in_the_epochs_said_are_refused() -> None:
    with pytest.raises(ValueError, match="rounds is 3, of 4 epochs each; epochs is 12"):
        config_of("folder", {"root": "photographs", "plus": True, "rounds": 3, "epochs": 12})


def test_apc_plus_is_of_apc() -> None:
    with pytest.raises(ValueError, match="--plus is APC with further parts; method toco has its own setting"):
        config_of("pocket", {"plus": True, "method": "toco"})
