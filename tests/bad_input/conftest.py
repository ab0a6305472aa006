"""Fixtures of bad input: what must not be reached."""

from pathlib import Path

import pytest


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray would take ten seconds, and none of this may come as far."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("apc.search.ray_session.ray.init", lambda *more, **options: pytest.fail("Ray was started"))
