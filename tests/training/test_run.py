"""A run from Config to row: once for each identity, the same numbers for the same seed, scored and loaded again."""

import fcntl
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from fitting import folder_config

from apc import data
from apc.config import Config, to_dict
from apc.evaluation.miou import miou, score
from apc.methods.apc import APC
from apc.methods.checkpoint import load_model
from apc.reporting.model_card import at_best_epoch
from apc.runs.folder import load_run
from apc.runs.rows import run_id
from apc.runs.scores import LABEL_SCORES, SCORES
from apc.training.run import identity, prepare, run


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tiny: Config, tmp_path: Path) -> None:
    first, again = run(tiny, runs=tmp_path / "a"), run(tiny, runs=tmp_path / "b")
    assert first.metrics == again.metrics
    assert [e["loss"] for e in first.curve] == [e["loss"] for e in again.curve]
    assert run(replace(tiny, seed=1), runs=tmp_path / "a").curve[0]["loss"] != first.curve[0]["loss"]


def test_a_finished_run_is_returned_without_training_again(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tiny, runs=tmp_path)
    heard: list[dict[str, float]] = []
    assert run(tiny, runs=tmp_path, report=heard.append) == first
    assert heard == []
    assert not (tmp_path / first.run / "last.pt").exists()
    # Of several processes one may look before another driver has finished the run, and one after.
    met: list[str] = []
    monkeypatch.setattr("apc.training.run.processes", lambda: (1, 2))
    monkeypatch.setattr(torch.distributed, "barrier", lambda: met.append("all"))
    assert run(tiny, runs=tmp_path, report=heard.append) == first
    assert met == ["all"] and heard == []


def test_a_run_is_deterministic_or_not_whatever_the_run_before_it_was(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is what it was when the test is over
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    for wanted in (True, False, True):
        prepare(replace(tiny, deterministic=wanted))
        assert torch.are_deterministic_algorithms_enabled() == wanted
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"  # of either kind: cuBLAS reads it only once
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    prepare(tiny)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"  # the user's own stays


def test_speed_has_no_part_in_a_run_s_identity_until_it_is_asked_for(tiny: Config) -> None:
    older = {k: v for k, v in to_dict(tiny).items() if k not in ("compile", "channels_last")}
    assert run_id(to_dict(tiny), "data", "weights") == run_id(older, "data", "weights")
    for field in ("compile", "channels_last"):
        assert identity(replace(tiny, **{field: True})) != identity(tiny)


def test_compile_is_refused_where_it_cannot_work(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="compile is True; afa"):
        replace(tiny, compile=True, method="afa")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="compile is True; it needs a C.. compiler, and there is no no-such-compiler"):
        prepare(replace(tiny, compile=True))


def test_two_drivers_that_want_a_run_train_it_once(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = mp.get_context("spawn")
    held, waited_for, said = context.Event(), context.Event(), context.Queue()
    other = context.Process(target=_hold_and_count, args=(tiny, tmp_path, held, waited_for, said), daemon=True)
    other.start()
    assert held.wait(120)
    lock = fcntl.flock

    def wait(file: Any, how: int) -> None:
        waited_for.set()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", wait)
    heard: list[dict[str, float]] = []
    row = run(tiny, runs=tmp_path, report=heard.append)
    assert heard == [] and said.get(timeout=60) == tiny.epochs + 1  # the other one reported
    assert row == load_run(tmp_path, row.run)
    other.join()


def _hold_and_count(cfg: Config, runs: Path, held: Any, waited_for: Any, said: Any) -> None:
    """Train a run that somebody else begins to wait for in its first epoch."""
    torch.set_num_threads(1)
    heard: list[dict[str, float]] = []

    def report(numbers: dict[str, float]) -> None:
        heard.append(numbers)
        held.set()
        waited_for.wait(120)

    run(cfg, runs=runs, report=report)
    said.put(len(heard))


def test_photographs_are_trained_on_scored_and_loaded_again(photographs: Path, tmp_path: Path) -> None:
    cfg = folder_config(photographs)
    row = run(cfg, runs=tmp_path)
    assert {
        "miou",
        "miou_crf",
        "patch_miou",
        "patch_miou_crf",
        "labelled_miou",
        "pseudo_miou",
        "pseudo_miou_crf",
    } <= set(row.metrics)
    assert row.classes == ["background", "red", "blue"] and row.config["root"] == "photos"
    method, loaded, classes = load_model(tmp_path / row.run)
    counts = score(method, data.load(loaded, "val"), loaded)
    halved = {"tune_miou", "held_miou"}
    scored = {k: v for k, v in row.metrics.items() if "miou" in k and k not in halved}
    assert {name: miou(c.total) for name, c in counts.items()} == scored
    assert halved <= set(row.metrics)
    with np.load(tmp_path / row.run / "tallies.npz") as tallies, np.load(tmp_path / row.run / "confusion.npz") as sums:
        assert all((tallies[name] == counts[name].images).all() for name in counts)
        assert all((sums[name] == counts[name].total).all() for name in counts)


def test_without_masks_a_run_finishes_and_has_no_score(photographs: Path, tmp_path: Path) -> None:
    for mask in (photographs / "masks").iterdir():
        mask.unlink()
    row = run(replace(folder_config(photographs), eval_every=1), runs=tmp_path)
    assert not any("miou" in name for name in row.metrics) and load_run(tmp_path, row.run) == row
    assert {name for name in LABEL_SCORES if SCORES[name].in_rows} <= set(row.metrics)
    assert "branch_rule" in row.curve[0] and "miou" not in row.curve[0]


@pytest.mark.parametrize(("earlier", "final", "kept"), [(30.0, 20.0, True), (30.0, 30.0, False), (20.0, 30.0, False)])
def test_best_stays_only_where_an_earlier_epoch_beat_the_finished_model(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: float, final: float, kept: bool
) -> None:
    monkeypatch.setattr("apc.training.loop.miou", lambda matrix: earlier)
    monkeypatch.setattr("apc.training.run.miou", lambda matrix: final)
    row = run(replace(tiny, num_train=16, epochs=2, eval_every=1), runs=tmp_path)
    assert (row.metrics["miou"], row.curve[0]["miou"]) == (final, earlier)
    assert (tmp_path / row.run / "best").is_dir() == kept and (tmp_path / row.run / "model.safetensors").is_file()


@pytest.mark.parametrize(("by", "earlier", "final"), [("label_rule", 30.0, 20.0), ("entropy", 20.0, 30.0)])
def test_best_may_be_chosen_by_labels(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, earlier: float, final: float
) -> None:
    scores = iter([earlier, final, earlier, earlier])
    monkeypatch.setattr("apc.evaluation.evidence.Evidence.scores", lambda evidence: {by: next(scores)})
    cfg = replace(tiny, num_train=16, epochs=2, eval_every=1)
    row = run(cfg, runs=tmp_path, by=by)
    assert (tmp_path / row.run / "best").is_dir() and row.stamp["best_by"] == by
    best, epoch = at_best_epoch(row)
    assert (best.metrics, epoch) == ({by: earlier, "miou": row.curve[0]["miou"]}, 1)
    level = run(replace(cfg, seed=1), runs=tmp_path, by=by)
    assert not (tmp_path / level.run / "best").is_dir()


def test_what_a_method_selects_is_asked_of_32_images_shown_no_more_pixels_at_once_than_in_scoring(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []

    def choices(method: APC, parts: Iterable[dict[str, torch.Tensor]]) -> dict[str, float]:
        asked.append([len(part["image"]) for part in parts])
        return {"mean_k": float(len(asked))}

    monkeypatch.setattr(APC, "choices", choices)
    cfg = replace(tiny, num_train=8, num_val=40, epochs=1, crf="none")
    for pixels, expected in ((16 * 384**2, [[32], [8]]), (15 * 96**2, [[15, 15, 2], [8]])):
        monkeypatch.setattr("apc.training.run.BATCH_PIXELS", pixels)
        asked.clear()
        row = run(cfg, runs=tmp_path / str(pixels))
        assert asked == expected and row.metrics["mean_k"] == (1 + 2) / 2
