"""Fixtures of the methods' tests."""

from dataclasses import replace

import pytest

from apc.config import Config


@pytest.fixture
def staged(tiny: Config) -> Config:
    """Three epochs: frozen, open, DeepLab."""
    return replace(
        tiny,
        method="vit_pcm",
        epochs=3,
        frozen_epochs=1,
        stage2_epochs=1,
        unfreeze_blocks=1,
        dropout=0.1,
        num_train=16,
        num_val=4,
    )
