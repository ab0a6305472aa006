"""What one trial does: the cores it takes, the reason that it leaves where it fails."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from apc.config import Config
from apc.search.worker import reason_of, train_one


@pytest.mark.parametrize(("threads", "workers"), [(1, 0), (2, 2), (4, 4)])
def test_the_crf_has_the_cores_of_its_trial(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, workers: int
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("apc.training.run.run", lambda cfg, **more: given.update(more))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: given.update(threads=count))
    train_one(tiny, runs=tmp_path, device="cpu", report=lambda numbers: None, threads=threads)
    assert (given["crf_workers"], given["threads"]) == (workers, threads)


def test_an_error_in_the_middle_of_a_row_names_the_full_disk() -> None:
    try:
        try:
            raise OSError(28, os.strerror(28))
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904  # as torch.save does
    except RuntimeError as error:
        assert reason_of(error) == "OSError: No space left on device"
    assert reason_of(ValueError("k is 0")) == "ValueError: k is 0"
