"""Fixtures of the tests of data."""

from dataclasses import replace
from pathlib import Path

import pytest

from apc.config import Config, folder


@pytest.fixture
def cfg(photographs: Path) -> Config:
    return replace(folder(), root=str(photographs), image_size=48)
