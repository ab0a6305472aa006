"""The state of a training that is to go on: to the bit, and never that of another config."""

import builtins
import errno
import gc
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fitting import fit, folder_config, losses_of

from apc.config import Config
from apc.training.state import State, load_state


@pytest.mark.parametrize(
    ("stop", "changes"),
    [(1, {}), (2, {}), (2, {"teacher": 0.3, "grey": 0.5, "crop_scale": 0.5, "lambda1": 1.0})],
    ids=["frozen", "open", "taught"],
)
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    tiny: Config, tmp_path: Path, stop: int, changes: dict[str, Any]
) -> None:
    cfg = replace(tiny, epochs=3, frozen_epochs=1, unfreeze_blocks=1, **changes)
    whole, _ = fit(cfg, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(numbers: dict[str, float]) -> None:
        if numbers["epoch"] == stop:
            raise Killed

    with pytest.raises(Killed):
        fit(cfg, tmp_path / "parts", report=kill)
    kept: list[object] = []
    resumed, trained = fit(
        cfg, tmp_path / "parts", report=lambda line: kept.extend(o for o in gc.get_objects() if isinstance(o, State))
    )
    assert not kept, "what was resumed from is held no longer"
    assert [e["epoch"] for e in trained.curve] == [1, 2, 3]
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_run_that_paused_at_a_rung_equals_an_uninterrupted_one_and_trains_no_epoch_twice(
    tiny: Config, tmp_path: Path
) -> None:
    cfg, heard = replace(tiny, epochs=3, frozen_epochs=1, unfreeze_blocks=1), list[float]()
    whole, _ = fit(cfg, tmp_path / "whole")
    for until in (1, 2, 2, None):
        paused, trained = fit(
            cfg, tmp_path / "parts", report=lambda line: heard.append(line["epoch"]), until=until, scored=(2, 3)
        )
    assert heard == [1, 2, 3] and ["miou" in entry for entry in trained.curve] == [False, True, False]
    assert ["branch_rule" in entry for entry in trained.curve] == [False, True, False]  # whatever its search goes by
    (ballots,) = (tmp_path / "parts").glob("ballots*")
    with np.load(ballots) as maps:
        assert ballots.name == "ballots.2.npz" and maps["patch"].shape == maps["decoder"].shape == (8, 64, 64)
    for (name, a), b in zip(whole.state_dict().items(), paused.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_the_state_of_another_config_is_not_resumed(tiny: Config, tmp_path: Path) -> None:
    def stop(numbers: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tiny, tmp_path, report=stop)
    other = replace(tiny, lr=tiny.lr / 2)
    assert losses_of(fit(other, tmp_path)[1]) == losses_of(fit(other, tmp_path / "fresh")[1])


def test_a_run_goes_on_though_its_data_were_moved_and_renamed(photographs: Path, tmp_path: Path) -> None:
    heard: list[float] = []
    cfg = replace(folder_config(photographs), epochs=2)
    fit(cfg, tmp_path / "run", until=1)
    moved = replace(cfg, root=str(photographs.rename(tmp_path / "moved")))
    fit(moved, tmp_path / "run", report=lambda line: heard.append(line["epoch"]))
    assert heard == [2]


def test_a_resumed_run_goes_on_choosing_its_best_epoch_as_it_began(tiny: Config, tmp_path: Path) -> None:
    cfg = replace(tiny, epochs=3, eval_every=1)
    _, begun = fit(cfg, tmp_path, by="tune_miou", until=1)
    _, resumed = fit(cfg, tmp_path, by="entropy")
    assert (begun.by, resumed.by) == ("tune_miou", "tune_miou")
    assert ["entropy" in line for line in resumed.curve] == [False, True, False]  # what is asked for now is there too


def test_a_state_that_lacks_a_new_field_is_resumed(tiny: Config, tmp_path: Path) -> None:
    def stop(numbers: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tiny, tmp_path, report=stop)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    del state["config"]["compile"], state["by"]
    torch.save(state, tmp_path / "last.pt")
    heard: list[float] = []
    fit(tiny, tmp_path, report=lambda numbers: heard.append(numbers["epoch"]))
    assert heard == [2]


def test_a_damaged_training_state_starts_the_run_again(tiny: Config, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(b"torn")
    assert len(losses_of(fit(tiny, tmp_path)[1])) == tiny.epochs
    whole = load_state(path)
    assert whole and whole.epoch == tiny.epochs - 1
    content = bytearray(path.read_bytes())
    tensor = whole.model["classifier.weight"].numpy().tobytes()
    content[content.index(tensor) + len(tensor) // 2] ^= 1  # one bit, of which torch takes no notice
    path.write_bytes(content)
    assert load_state(path) is None


def test_a_training_state_that_cannot_be_opened_is_no_damaged_one_and_stays(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(tiny, tmp_path, until=1)
    path, own = tmp_path / "last.pt", builtins.open
    before = path.read_bytes()

    def refused(file: Any, *how: Any, **more: Any) -> Any:
        if file == path:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(file))
        return own(file, *how, **more)

    monkeypatch.setattr(builtins, "open", refused)
    with pytest.raises(PermissionError, match="last.pt"):
        fit(tiny, tmp_path)
    monkeypatch.undo()
    assert path.read_bytes() == before


def _cut(table: dict[str, Any], *names: Any) -> None:
    """Cut a tensor of a nested table to its first row."""
    for name in names[:-1]:
        table = table[name]
    table[names[-1]] = table[names[-1]][:1]


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a tensor of another shape": (
        lambda s: _cut(s, "model", "classifier.weight"),
        r"classifier\.weight is \(1, 64\), not \(9, 64\)",
    ),
    "a tensor that is missing": (
        lambda s: s["model"].pop("classifier.weight"),
        r"classifier\.weight is absent, not \(9, 64\)",
    ),
    "what is no tensor": (lambda s: s["model"].update({"classifier.weight": "x"}), ""),
    "moments of another shape": (lambda s: _cut(s, "optimizer", "state", 0, "exp_avg"), "a exp_avg is"),
    "moments of fewer groups": (lambda s: s["optimizer"]["param_groups"].pop(), "different number of parameter groups"),
    "moments of nothing": (lambda s: s["optimizer"].clear(), ""),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_state_that_does_not_fit_the_model_is_named_with_what_is_wrong(
    tiny: Config, tmp_path: Path, name: str
) -> None:
    def stop(numbers: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(replace(tiny, num_train=8), tmp_path, report=stop)
    spoil, told = SPOILT[name]
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    spoil(state)
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=rf"last\.pt: not of this run's model: .*{told}.*; remove the file") as caught:
        fit(replace(tiny, num_train=8), tmp_path)
    assert "\n" not in str(caught.value)
