"""The state of a training that is to go on: to the bit, and never that of another config."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fitting import fit, losses_of

from apc.config import Config


@pytest.mark.parametrize("stop", [1, 2])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(tiny: Config, tmp_path: Path, stop: int) -> None:
    cfg = replace(tiny, epochs=3, frozen_epochs=1, unfreeze_blocks=1)
    whole, _ = fit(cfg, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(numbers: dict[str, float]) -> None:
        if numbers["epoch"] == stop:
            raise Killed

    with pytest.raises(Killed):
        fit(cfg, tmp_path / "parts", report=kill)
    resumed, trained = fit(cfg, tmp_path / "parts")
    assert [e["epoch"] for e in trained.curve] == [1, 2, 3]
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_the_state_of_another_config_is_not_resumed(tiny: Config, tmp_path: Path) -> None:
    def stop(numbers: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tiny, tmp_path, report=stop)
    other = replace(tiny, lr=tiny.lr / 2)
    assert losses_of(fit(other, tmp_path)[1]) == losses_of(fit(other, tmp_path / "fresh")[1])


def test_a_state_that_lacks_a_new_field_is_resumed(tiny: Config, tmp_path: Path) -> None:
    def stop(numbers: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tiny, tmp_path, report=stop)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    del state["config"]["compile"]
    torch.save(state, tmp_path / "last.pt")
    heard: list[float] = []
    fit(tiny, tmp_path, report=lambda numbers: heard.append(numbers["epoch"]))
    assert heard == [2]


def test_a_damaged_training_state_starts_the_run_again(tiny: Config, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"torn")
    assert len(losses_of(fit(tiny, tmp_path)[1])) == tiny.epochs
