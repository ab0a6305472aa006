"""What the tests of bad input share: a short training command, and what a refusal looks like."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from apc.cli.main import main


def flags(root: Path, *more: str) -> list[str]:
    """`apc train` on a folder of photographs, in seconds."""
    return [
        "train",
        "folder",
        "--root",
        str(root),
        "--runs",
        str(root.parent / "runs"),
        "--encoder",
        "pocket",
        "--decoder-blocks",
        "1",
        "3",
        "--image-size",
        "48",
        "--batch-size",
        "4",
        "--epochs",
        "1",
        "--frozen-epochs",
        "0",
        "--device",
        "cpu",
        *more,
    ]


def refused(words: list[str], capsys: pytest.CaptureFixture[str], *told: str) -> None:
    """Exit code 2 and one sentence, which contains all of `told`."""
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "Traceback" not in said.err
    for part in told:
        assert part in said.err, f"{part!r} is not in {said.err!r}"


def left_below(runs: Path) -> list[Path]:
    """Files that a refused command has left."""
    return [path for path in runs.rglob("*") if path.is_file()]


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """Files beyond `most` bytes cannot be written, as on a disk that is full; Python caches no module meanwhile, as it
    would not notice that it cut it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = before


def contents(folder: Path) -> dict[Path, bytes]:
    """What a folder holds, without empty files such as locks."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.stat().st_size}
