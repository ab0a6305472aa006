"""Fixtures of the tests of evaluation."""

import numpy as np
import pytest
import torch

from apc.data import Split


@pytest.fixture
def split() -> Split:
    truth = np.zeros((16, 16), np.uint8)
    truth[:, 8:] = 1
    photo = np.where(truth[..., None] == 1, 220, 30).repeat(3, 2).astype(np.uint8)
    return Split(
        ["background", "a", "b"],
        ["x", "y"],
        torch.tensor([[1.0, 0.0], [1.0, 0.0]]),
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        photo=lambda i: photo,
        mask=lambda i: truth if i == 0 else None,
    )
