"""TensorBoard's files, written otherwise than tensorboardX writes them, with the same in them."""

import struct
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorboardX")

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from apc.search.callbacks import curves


class Trial:
    """Of Tune's trial what a writer asks for."""

    def __init__(self, local_path: Path, params: dict[str, Any]) -> None:
        self.local_path, self.evaluated_params = str(local_path), params

    def init_local_path(self) -> None:
        pass


def events(folder: Path) -> list[Any]:
    """The events of a folder's only file, whose checksums hold."""
    (path,) = folder.glob("events.out.tfevents.*")
    content, found = path.read_bytes(), []
    while content:
        (size,) = struct.unpack("<Q", content[:8])
        assert content[8:12] == struct.pack("<I", masked_crc32c(content[:8]))
        own, content = content[12 : 12 + size], content[12 + size :]
        assert content[:4] == struct.pack("<I", masked_crc32c(own))
        found.append(Event.FromString(own))
        content = content[4:]
    return found


def told(callback: Any, folder: Path) -> list[Any]:
    """What a callback writes of a trial of two epochs."""
    folder.mkdir()
    params = {"theta": 0.5, "pooling": "max"}
    trial = Trial(folder, params)
    for epoch in (1, 2):
        result = {"training_iteration": epoch, "loss": 1 / epoch, "epoch": float(epoch), "config": params, "pid": 7}
        callback.log_trial_result(epoch, trial, result | {"miou": float("nan"), "nested": {"a": 1}, "text": "x"})
    callback.log_trial_end(trial)
    return events(folder)


def test_numbers_steps_and_settings_of_a_trial_are_those_of_tunes_own_writer(tmp_path: Path) -> None:
    from ray.tune.logger import TBXLoggerCallback

    ours, theirs = told(*curves(), tmp_path / "ours"), told(TBXLoggerCallback(), tmp_path / "theirs")
    assert ours[0].file_version == theirs[0].file_version == "brain.Event:2"

    def numbers(written: list[Any]) -> list[tuple[int, str, float, str]]:
        return [
            (event.step, value.tag, value.simple_value, str(value.metadata))
            for event in written
            for value in event.summary.value
        ]

    assert numbers(ours) == numbers(theirs)
    assert (2, "ray/tune/loss", 0.5, "") in numbers(ours)
    assert len(ours) == 1 + 2 + 3  # its version, two results, and three events of settings
    assert all(event.wall_time > 1e9 for event in ours)


def test_where_nothing_can_be_written_a_curve_is_missing_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    callback: Any = curves()[0]
    trial = Trial(tmp_path / "file" / "trial", {})
    callback.log_trial_result(1, trial, {"training_iteration": 1, "loss": 1.0})
    callback.log_trial_end(trial)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
