"""The loop: same seed same numbers, resumed equals uninterrupted, two processes equal one, masks never matter."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from apc import data
from apc.config import Config, folder, to_dict
from apc.evaluation.miou import miou, score
from apc.methods.checkpoint import load_model, save_model
from apc.methods.registry import build
from apc.runs.folder import load_run
from apc.runs.rows import run_id
from apc.training.loop import Prepared, Trained, train
from apc.training.run import identity, prepare, run


def fit(cfg: Config, where: Path, **more: Any) -> tuple[torch.nn.Module, Trained]:
    torch.manual_seed(cfg.seed)
    split, val = data.load(cfg, "train"), data.load(cfg, "val")
    method = build(cfg, len(split.classes))
    return method, train(Prepared(method, split, val), cfg, folder=where, **more)


def losses_of(trained: Trained) -> list[float]:
    return [epoch["loss"] for epoch in trained.curve]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tiny: Config, tmp_path: Path) -> None:
    first, again = run(tiny, runs=tmp_path / "a"), run(tiny, runs=tmp_path / "b")
    assert first.metrics == again.metrics
    assert [e["loss"] for e in first.curve] == [e["loss"] for e in again.curve]
    assert run(replace(tiny, seed=1), runs=tmp_path / "a").curve[0]["loss"] != first.curve[0]["loss"]


def test_a_finished_run_is_returned_without_training_again(tiny: Config, tmp_path: Path) -> None:
    first = run(tiny, runs=tmp_path)
    heard: list[dict[str, float]] = []
    assert run(tiny, runs=tmp_path, report=heard.append) == first
    assert heard == []
    assert not (tmp_path / first.run / "last.pt").exists()


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


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_compiled_blocks_give_the_losses_of_plain_ones_and_the_names_of_the_weights_stay(
    tiny: Config, tmp_path: Path
) -> None:
    counters = torch._dynamo.utils.counters["stats"]
    cfg = replace(tiny, num_train=16, epochs=1, unfreeze_blocks=3)
    plain, first = fit(cfg, tmp_path / "plain")
    before = counters["unique_graphs"]
    compiled, second = fit(replace(cfg, compile=True), tmp_path / "compiled")
    assert counters["unique_graphs"] > before == 0
    assert losses_of(second) == pytest.approx(losses_of(first), rel=1e-4)
    assert list(compiled.state_dict()) == list(plain.state_dict())


def test_channels_last_gives_the_losses_of_the_usual_order_and_weights_that_load_again(
    tiny: Config, tmp_path: Path
) -> None:
    cfg = replace(tiny, method="toco", num_train=16, epochs=1)
    _, first = fit(cfg, tmp_path / "plain")
    method, second = fit(replace(cfg, channels_last=True), tmp_path / "last")
    assert losses_of(second) == pytest.approx(losses_of(first), rel=1e-4)
    kernels = [p for p in method.parameters() if p.dim() == 4 and p.shape[-1] > 1]
    assert kernels and all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    save_model(tmp_path / "model", method, cfg, [str(c) for c in range(9)])  # type: ignore[arg-type]
    for name, tensor in load_model(tmp_path / "model")[0].state_dict().items():
        assert torch.equal(tensor, method.state_dict()[name]), name


def test_speed_has_no_part_in_a_run_s_identity_until_it_is_asked_for(tiny: Config) -> None:
    older = {k: v for k, v in to_dict(tiny).items() if k not in ("compile", "channels_last")}
    assert run_id(to_dict(tiny), "data", "weights") == run_id(older, "data", "weights")
    for field in ("compile", "channels_last"):
        assert identity(replace(tiny, **{field: True})) != identity(tiny)


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


def test_compile_is_refused_where_it_cannot_work(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="compile is True; afa"):
        replace(tiny, compile=True, method="afa")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="compile is True; it needs a C.. compiler, and there is no no-such-compiler"):
        prepare(replace(tiny, compile=True))


def test_two_drivers_that_want_a_run_train_it_once(tiny: Config, tmp_path: Path) -> None:
    context = mp.get_context("spawn")
    said = context.Queue()
    both = [context.Process(target=_run_and_count, args=(tiny, tmp_path, said)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert sorted(said.get(timeout=5) for _ in both) == [0, tiny.epochs + 1]  # one reported, the other waited


def _run_and_count(cfg: Config, runs: Path, said: Any) -> None:
    torch.set_num_threads(1)
    heard: list[dict[str, float]] = []
    run(cfg, runs=runs, report=heard.append)
    said.put(len(heard))


def test_a_damaged_training_state_starts_the_run_again(tiny: Config, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"torn")
    assert len(losses_of(fit(tiny, tmp_path)[1])) == tiny.epochs


def test_frozen_epochs_leave_the_encoder_alone_and_closed_blocks_never_move(tiny: Config, tmp_path: Path) -> None:
    torch.manual_seed(tiny.seed)
    fresh = build(tiny, 9).encoder.state_dict()
    frozen, _ = fit(replace(tiny, frozen_epochs=2), tmp_path / "frozen")
    opened, _ = fit(replace(tiny, frozen_epochs=1, unfreeze_blocks=1), tmp_path / "opened")
    for name, value in fresh.items():
        assert torch.equal(frozen.encoder.state_dict()[name], value), name
        is_open = name.startswith(("vit.blocks.2", "vit.norm."))
        assert torch.equal(opened.encoder.state_dict()[name], value) != is_open, name


def test_remembered_features_of_closed_blocks_change_no_number(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = replace(tiny, unfreeze_blocks=1)
    remembered = fit(cfg, tmp_path / "a")[1]
    assert remembered.frozen_features is not None
    monkeypatch.setattr("apc.training.loop.FEATURES_GIB", 0.0)
    plain = fit(cfg, tmp_path / "b")[1]
    assert plain.frozen_features is None
    np.testing.assert_allclose(losses_of(remembered), losses_of(plain), rtol=1e-5)


KNOBS: dict[str, Any] = {"lambda1": 0.5, "lambda2": 0.5, "theta": 0.99, "k": 2, "epsilon": 0.55, "pooling": "average"}


@pytest.mark.parametrize("knob", KNOBS)
def test_every_searched_knob_changes_the_model(tiny: Config, tmp_path: Path, knob: str) -> None:
    # a loose classifier, so that some patches pass both values of epsilon from the first step on
    base = replace(tiny, lambda2=0.2, epsilon=0.51, epochs=1, lr=5e-3)
    one, other = fit(base, tmp_path / "one")[0], fit(replace(base, **{knob: KNOBS[knob]}), tmp_path / "other")[0]
    assert identity(base) != identity(replace(base, **{knob: KNOBS[knob]}))
    assert any(
        not torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def folder_config(photographs: Path) -> Config:
    return replace(
        folder(),
        root=str(photographs),
        encoder="pocket",
        decoder_blocks=(1, 3),
        image_size=48,
        batch_size=4,
        epochs=2,
        frozen_epochs=1,
        unfreeze_blocks=1,
        crf="pocket",
        eval_every=0,
    )


def test_garbage_masks_change_nothing_in_training(photographs: Path, tmp_path: Path) -> None:
    cfg = folder_config(photographs)
    before = losses_of(fit(cfg, tmp_path / "a")[1])
    for mask in (photographs / "masks").iterdir():
        mask.write_bytes(b"not a picture")
    assert losses_of(fit(cfg, tmp_path / "b")[1]) == before


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


def test_a_loss_that_is_not_finite_stops_the_run_and_names_its_terms(tiny: Config, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"epoch 1, step \d+: mce .*seg"):
        fit(
            replace(
                tiny,
                lr=100.0,
                lambda1=1e3,
                lambda2=0.0,
                schedule="constant",
                grad_clip=0.0,
                warmup_steps=0,
                optimizer="adam",
                epochs=1,
                num_train=64,
                batch_size=2,
            ),
            tmp_path,
        )


def _worker(rank: int, world: int, cfg: Config, where: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{where}/meet{world}", rank=rank, world_size=world)
    row = run(cfg, runs=Path(where) / f"runs{world}")
    if rank == 0:
        Path(where, f"world{world}.json").write_text(json.dumps([row.metrics, [e["loss"] for e in row.curve]]))
    dist.destroy_process_group()


@pytest.mark.parametrize("lambda1", [0.02, 0.0])
def test_two_processes_train_and_score_as_one(tiny: Config, tmp_path: Path, lambda1: float) -> None:
    # dropout draws from each process's own stream, so it is off; the rest must agree
    cfg = replace(tiny, dropout=0.0, decoder_dropout=0.0, decoder_norm="layer", lambda1=lambda1, frozen_epochs=1)
    for world in (1, 2):
        mp.spawn(_worker, (world, cfg, str(tmp_path)), nprocs=world)
    (one, one_losses), (two, two_losses) = (json.loads((tmp_path / f"world{w}.json").read_text()) for w in (1, 2))
    a, b = (load_model(next((tmp_path / f"runs{w}").glob("*/model.safetensors")).parent)[0] for w in (1, 2))
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-3, atol=2e-5, msg=name)
    np.testing.assert_allclose(one_losses, two_losses, rtol=1e-3)
    assert one["miou"] == pytest.approx(two["miou"], abs=0.2)


@pytest.mark.parametrize("size", [1, 3])
def test_a_batch_in_parts_gives_the_gradients_of_the_whole(tiny: Config, tmp_path: Path, size: int) -> None:
    whole, first = fit(tiny, tmp_path / "whole")
    parts, second = fit(replace(tiny, micro_batch=size), tmp_path / "parts")
    assert losses_of(second) == pytest.approx(losses_of(first), rel=1e-4)
    for name, p in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], p, rtol=1e-2, atol=2e-4, msg=name)


def test_the_best_epoch_that_was_scored_is_kept_beside_the_last(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, weights = iter([30.0, 20.0]), []

    def keep(numbers: dict[str, float]) -> None:
        state = torch.load(tmp_path / "last.pt", weights_only=True)["model"]
        weights.append(state["classifier.weight"].clone())

    monkeypatch.setattr("apc.training.loop.miou", lambda matrix: next(scores))
    fit(replace(tiny, epochs=3, eval_every=1), tmp_path, report=keep)
    best = load_model(tmp_path / "best")[0].state_dict()["classifier.weight"]
    torch.testing.assert_close(best, weights[0], rtol=0, atol=0)
    assert not torch.equal(best, weights[1])


@pytest.mark.parametrize(("earlier", "final", "kept"), [(30.0, 20.0, True), (30.0, 30.0, False), (20.0, 30.0, False)])
def test_best_stays_only_where_an_earlier_epoch_beat_the_finished_model(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: float, final: float, kept: bool
) -> None:
    monkeypatch.setattr("apc.training.loop.miou", lambda matrix: earlier)
    monkeypatch.setattr("apc.training.run.miou", lambda matrix: final)
    row = run(replace(tiny, num_train=16, epochs=2, eval_every=1), runs=tmp_path)
    assert (row.metrics["miou"], row.curve[0]["miou"]) == (final, earlier)
    assert (tmp_path / row.run / "best").is_dir() == kept and (tmp_path / row.run / "model.safetensors").is_file()


def test_a_batch_that_processes_cannot_share_is_refused(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apc.training.loop.processes", lambda: (0, 3))
    with pytest.raises(ValueError, match="batch_size is 8"):
        fit(tiny, tmp_path)
