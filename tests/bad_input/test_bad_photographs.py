"""Bad photographs of your own: one sentence that names file and field, exit code 2, and nothing half-written."""

from pathlib import Path

import pytest
from refusal import flags, left_below, refused
from spoilt import FOLDER


@pytest.mark.parametrize("name", ["a truncated JPEG", "a broken JPEG", "an image that is text", "no label"])
def test_photographs_that_cannot_be_cached(photographs: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, told = FOLDER[name]
    spoil(photographs)
    refused(["data", "cache", "folder", "--root", str(photographs), "--lists", "train.csv"], capsys, *told)
    assert left_below(photographs / "apc") == []


@pytest.mark.parametrize("name", FOLDER)
def test_photographs(photographs: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, told = FOLDER[name]
    spoil(photographs)
    refused(flags(photographs), capsys, *told)
    assert left_below(photographs.parent / "runs") == []
    refused(["data", "check", "folder", "--root", str(photographs)], capsys, *told)
