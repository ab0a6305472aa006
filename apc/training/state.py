"""The state of training, from which a run goes on: written whole or not at all."""

import os
from pathlib import Path
from typing import Any

import torch

from apc.files import whole


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state (tensors and plain values) so that a crash leaves the old file or the new one."""
    with whole(path) as part, open(part, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # behind which torch hides a full disk
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        file.flush()
        os.fsync(file.fileno())


def load_state(path: Path) -> dict[str, Any] | None:
    """The training state of a file, or None where there is none; a damaged file counts as none."""
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a torn or foreign file: training starts again, nothing else is lost
        return None
