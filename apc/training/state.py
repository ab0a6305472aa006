"""The state of training, from which a run goes on: written whole or not at all."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import torch
from torch import Tensor, nn

from apc.config import types
from apc.files import whole
from apc.models.weights import misfits


class State(NamedTuple):
    """Where a run stands after an epoch. A file holds it as a dict; one that lacks a later field has its default."""

    epoch: int
    """The epoch that is finished, counted from 0."""
    model: dict[str, Any]
    optimizer: dict[str, Any]
    curve: list[dict[str, float]]
    """A line an epoch: its number, seconds, mean loss terms and, where it was scored, its scores."""
    seconds: dict[str, float]
    """`train` by the clock and `train_cpu` of all cores, so far."""
    config: dict[str, Any] = {}
    """Fields of the config, without paths."""
    peak_gib: float = 0.0
    """Most memory held so far."""
    teacher: dict[str, Any] = {}
    """The averaged weights that teach, where there are some."""
    masks: dict[str, Tensor] = {}
    """Pseudo masks that the method learns from, as `joined` has them; empty where it learns from none."""
    by: str = "miou"
    """Score by which `best/` was chosen so far."""


def joined(masks: Sequence[bytes]) -> dict[str, Tensor]:
    """Many small pieces of bytes as two tensors."""
    if not masks:
        return {}
    lengths = torch.tensor([len(mask) for mask in masks])
    return {"bytes": torch.frombuffer(bytearray(b"".join(masks)), dtype=torch.uint8), "lengths": lengths}


def parted(stored: dict[str, Tensor]) -> list[bytes]:
    """What `joined` was given."""
    return [piece.numpy().tobytes() for piece in stored["bytes"].split(stored["lengths"].tolist())] if stored else []


def save_state(path: Path, state: State) -> None:
    """Write a training state (tensors and plain values) so that a crash leaves the old file or the new one."""
    with whole(path) as part, open(part, "wb") as file:
        try:
            torch.save(state._asdict(), file)
        except RuntimeError as error:  # behind which torch hides a full disk
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        file.flush()
        os.fsync(file.fileno())


def load_state(path: Path) -> State | None:
    """The training state of a file, or None where there is none; a damaged file counts as none.

    ValueError where a newer version wrote it, OSError where it cannot be opened: trained again, it would be replaced.
    """
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        try:
            if ZipFile(file).testzip():  # torch writes checksums and compares none
                return None
            stored = torch.load(path, map_location="cpu", weights_only=True)
            state = State(**{name: stored[name] for name in State._fields if name in stored})
            newer = sorted({*stored} - {*State._fields}) + sorted({*state.config} - {*types()})
            sound = _is_sound(state)
        except Exception:  # a torn or foreign file: training starts again, nothing else is lost
            return None
    if newer:
        raise ValueError(f"{path}: made by a newer version (it has {newer[0]!r}); go on with that, or remove the file")
    return state if sound else None


def restore_model(path: Path, model: nn.Module, tensors: dict[str, Any]) -> None:
    """Give a model the tensors of a state, or its teacher those of its own; ValueError names the file and one that does
    not fit."""
    own = model.state_dict()
    with _of_this_run(path):
        if wrong := misfits(tensors, own):
            sizes = [tuple(of[wrong[0]].shape) if wrong[0] in of else "absent" for of in (tensors, own)]
            raise ValueError(f"{wrong[0]} is {sizes[0]}, not {sizes[1]}")
        model.load_state_dict(tensors)


def restore_optimizer(path: Path, optimizer: torch.optim.Optimizer, state: State) -> None:
    """Give an optimiser the moments of a state; ValueError names the file where they do not fit."""
    with _of_this_run(path):
        optimizer.load_state_dict(state.optimizer)
        for parameter, moments in optimizer.state.items():
            for name, moment in moments.items():
                if isinstance(moment, Tensor) and moment.dim() and moment.shape != parameter.shape:
                    raise ValueError(f"a {name} is {tuple(moment.shape)}, not {tuple(parameter.shape)}")


@contextmanager
def _of_this_run(path: Path) -> Iterator[None]:
    """Whatever does not fit inside is a ValueError that names the file and the remedy."""
    try:
        yield
    except Exception as error:  # a file of the right fields may hold anything
        why = f"{str(error) or type(error).__name__}; remove the file, and the run starts again"
        raise ValueError(f"{path}: not of this run's model: {why}") from None


def _is_sound(state: State) -> bool:
    """Whether each field is of its type."""
    numbers = [state.peak_gib, state.seconds["train"], state.seconds["train_cpu"]]
    numbers += [value for line in state.curve for value in line.values()]
    tables = all(isinstance(table, dict) for table in (state.model, state.optimizer, state.teacher, state.masks))
    tables = tables and set(state.masks) in (set(), set(joined([b"a mask"])))
    return (
        tables
        and type(state.epoch) is int
        and type(state.by) is str
        and all(isinstance(number, int | float) for number in numbers)
    )
