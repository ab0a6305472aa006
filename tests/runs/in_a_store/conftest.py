"""Every test here has an empty store on loopback, and a machine of its own to work on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stores import S3, environment, on, serving


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with serving() as started:
        yield started


@pytest.fixture(autouse=True)
def s3(server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3:
    server.clear()
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    on(monkeypatch, tmp_path, "here")
    return server
