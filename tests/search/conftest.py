"""One Ray for the tests of searches, and a run of a second."""

import pytest

from apc.config import Config


@pytest.fixture
def tiny() -> Config:
    """A run of a second or two."""
    return Config(
        num_train=8,
        num_val=4,
        batch_size=4,
        image_size=96,
        encoder="pocket",
        decoder_blocks=(1, 2, 3),
        decoder_width=16,
        decoder_norm="layer",
        epochs=1,
        frozen_epochs=0,
        unfreeze_blocks=3,
        crf="none",
        dropout=0.0,
        decoder_dropout=0.0,
    )
