"""The loop: frozen blocks, batches in parts and over processes, every knob, and masks that never matter."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from fitting import fit, folder_config, losses_of
from torch import Tensor

from apc import data
from apc.config import Config
from apc.methods import losses, self_training
from apc.methods.checkpoint import load_model, save_model
from apc.methods.registry import build
from apc.runs.rows import Row
from apc.training.batches import Part
from apc.training.loop import Prepared, check_images, check_processes, train
from apc.training.run import identity, run
from apc.training.step import Step, over_processes, require_together


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
    save_model(tmp_path / "model", method, cfg, ["background", *"abcdefgh"])  # type: ignore[arg-type]
    for name, tensor in load_model(tmp_path / "model")[0].state_dict().items():
        assert torch.equal(tensor, method.state_dict()[name]), name


def test_frozen_epochs_leave_the_encoder_alone_and_closed_blocks_never_move(tiny: Config, tmp_path: Path) -> None:
    torch.manual_seed(tiny.seed)
    fresh = build(tiny, 9).encoder.state_dict()
    frozen, _ = fit(replace(tiny, frozen_epochs=2), tmp_path / "frozen")
    opened, _ = fit(replace(tiny, frozen_epochs=1, unfreeze_blocks=1), tmp_path / "opened")
    for name, value in fresh.items():
        assert torch.equal(frozen.encoder.state_dict()[name], value), name
        is_open = name.startswith(("vit.blocks.2", "vit.norm."))
        assert torch.equal(opened.encoder.state_dict()[name], value) != is_open, name


@pytest.mark.parametrize("changes", [{}, {"teacher": 0.2, "jitter": 0.5}], ids=["plain", "taught"])
def test_remembered_features_of_closed_blocks_change_no_number(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    cfg = replace(tiny, unfreeze_blocks=1, **changes)
    remembered = fit(cfg, tmp_path / "a")[1]
    assert remembered.frozen_features is not None
    monkeypatch.setattr("apc.training.loop.FEATURES_GIB", 0.0)
    plain = fit(cfg, tmp_path / "b")[1]
    assert plain.frozen_features is None
    np.testing.assert_allclose(losses_of(remembered), losses_of(plain), rtol=1e-5)


KNOBS: dict[str, Any] = {"lambda1": 0.5, "lambda2": 0.5, "theta": 0.99, "k": 2, "epsilon": 0.55, "pooling": "average"}
KNOBS |= {"k_share": 0.25, "lr_decay": 0.5, "crop_scale": 0.5, "teacher": 0.2, "swap": 0.5, "seg_loss": "balanced"}


@pytest.fixture(scope="module")
def fitted(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, dict[str, Tensor]]:
    """What every knob is held against: its config, and the weights that came of it."""
    # a loose classifier, so that some patches pass both values of epsilon from the first step on
    base = replace(tiny, lambda2=0.2, epsilon=0.51, epochs=1, lr=5e-3)
    return base, fit(base, tmp_path_factory.mktemp("base"))[0].state_dict()


def test_the_same_knobs_give_the_same_model(fitted: tuple[Config, dict[str, Tensor]], tmp_path: Path) -> None:
    base, weights = fitted
    again = fit(base, tmp_path)[0].state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)


@pytest.mark.parametrize("knob", KNOBS)
def test_every_searched_knob_changes_the_model(
    fitted: tuple[Config, dict[str, Tensor]], tmp_path: Path, knob: str
) -> None:
    base, weights = fitted
    cfg = replace(base, **{knob: KNOBS[knob]})
    other = fit(cfg, tmp_path)[0].state_dict()
    assert identity(base) != identity(cfg)
    assert any(not torch.equal(weights[name], other[name]) for name in weights)


def test_garbage_masks_change_nothing_in_training(photographs: Path, tmp_path: Path) -> None:
    cfg = replace(folder_config(photographs), epochs=3, rounds=1, round_epochs=1)  # of masks of its own
    before = losses_of(fit(cfg, tmp_path / "a")[1])
    for mask in (photographs / "masks").iterdir():
        mask.write_bytes(b"not a picture")
    assert losses_of(fit(cfg, tmp_path / "b")[1]) == before


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


def test_a_teacher_whose_weights_are_no_numbers_stops_the_run(tiny: Config, tmp_path: Path) -> None:
    torch.manual_seed(0)
    cfg = replace(tiny, teacher=0.2, num_train=8)
    method = build(cfg, 9)

    def poison(numbers: dict[str, float]) -> None:
        assert method.teacher
        next(p for name, p in method.teacher.average.named_parameters() if "classifier" in name).fill_(float("nan"))

    with pytest.raises(FloatingPointError, match=r"epoch 2, step 1: mce \d.* seg nan"):
        train(Prepared(method, data.load(cfg, "train"), data.load(cfg, "val")), cfg, folder=tmp_path, report=poison)


ALIKE: tuple[dict[str, Any], ...] = (
    {"lambda1": 0.5, "pseudo_threshold": 0.2},
    {"lambda1": 0.1, "epochs": 3, "rounds": 1, "round_epochs": 1},
)
"""Settings under which two processes are held against one."""


def told(row: Row) -> tuple[dict[str, float], list[float]]:
    return row.metrics, [epoch["loss"] for epoch in row.curve]


def _worker(rank: int, world: int, configs: list[Config], where: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{where}/meet", rank=rank, world_size=world)
    self_training.PART = 8  # each process has a share of the masks
    rows = [run(cfg, runs=Path(where) / "runs2") for cfg in configs]
    if rank == 0:
        Path(where, "two.json").write_text(json.dumps([told(row) for row in rows]))
        assert over_processes(0.5, 2.0, "cpu") == (0.5 + 0.25 * (world - 1), 2.0 * world)
    else:
        over_processes(0.25, 4.0, "cpu")
    dist.destroy_process_group()


def test_two_processes_train_and_score_as_one(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # dropout draws from each process's own stream, so it is off; the rest must agree
    base = replace(tiny, dropout=0.0, decoder_dropout=0.0, decoder_norm="layer", frozen_epochs=1)
    configs = [replace(base, **changes) for changes in ALIKE]
    mp.spawn(_worker, (2, configs, str(tmp_path)), nprocs=2)
    monkeypatch.setattr(self_training, "PART", 8)
    rows = [run(cfg, runs=tmp_path / "runs1") for cfg in configs]
    for row, (two, two_losses) in zip(rows, json.loads((tmp_path / "two.json").read_text()), strict=True):
        a, b = (load_model(tmp_path / runs / row.run)[0] for runs in ("runs1", "runs2"))
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            # Adam makes much of the last digits of gradients near 0, so that single weights may part: two of 12,288 on
            # a processor without AVX-512, which sums in another order.
            apart = ~torch.isclose(x, y, rtol=1e-2, atol=2e-4)
            assert apart.float().mean() < 1e-3, name
        one, one_losses = told(row)
        np.testing.assert_allclose(one_losses, two_losses, rtol=1e-3)
        assert one["miou"] == pytest.approx(two["miou"], abs=0.2)


@pytest.mark.parametrize("size", [1, 3])
def test_a_batch_in_parts_gives_the_gradients_of_the_whole(tiny: Config, tmp_path: Path, size: int) -> None:
    whole, first = fit(tiny, tmp_path / "whole")
    parts, second = fit(replace(tiny, micro_batch=size), tmp_path / "parts")
    assert losses_of(second) == pytest.approx(losses_of(first), rel=1e-4)
    for name, p in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], p, rtol=1e-2, atol=2e-4, msg=name)


@pytest.mark.parametrize("sizes", [[2, 2], [3, 1], [1, 1, 1, 1]], ids=str)
def test_pixels_that_pseudo_threshold_leaves_out_are_out_of_one_mean_over_all_parts(
    tiny: Config, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    cfg = replace(tiny, pseudo_threshold=0.18, lambda1=1.0, dropout=0.3)
    method = build(cfg, 9)
    method.encoder.open_last(3)
    images, labels = torch.rand(4, 3, 96, 96), torch.ones(4, 8)
    labels[2], labels[3, 4:] = 0, 0  # fewer classes, of which fewer patches are sure

    def part(of: slice) -> Part:
        batch = {"image": images[of], "labels": labels[of], "index": torch.zeros(len(images[of]), 3)}
        return Part(batch, [(0, 0, 0, 0)] * len(images[of]))

    def gradients(parts: list[Part]) -> tuple[dict[str, float], list[Tensor | None]]:
        method.zero_grad()
        terms = Step.of(method, cfg, "cpu").gradients(parts, 0.5)
        return {name: float(term) for name, term in terms.items()}, [p.grad for p in method.parameters()]

    method.eval()  # without dropout; with it, parts draw other numbers than the whole
    whole, expected = gradients([part(slice(None))])
    ends = np.cumsum([0, *sizes])
    parts = [part(slice(a, b)) for a, b in itertools.pairwise(ends)]
    known = [int(method.known_pixels(one.batch)["seg"]) / len(one.keys) for one in parts]
    assert min(known) < 0.9 * max(known)
    found, grads = gradients(parts)
    assert found == pytest.approx(whole, rel=1e-5)
    for mine, theirs in zip(grads, expected, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    method.train()
    counted, read = [], []
    count, loss = method.known_pixels, losses.segmentation

    def counting(*given: Any) -> dict[str, Tensor]:
        counted.append(int(count(*given)["seg"]))
        return {"seg": torch.tensor(counted[-1])}

    def reading(logits: Tensor, label: Tensor) -> Tensor:
        read.append(int((label != 255).sum()))
        return loss(logits, label)

    monkeypatch.setattr(method, "known_pixels", counting)
    monkeypatch.setattr(losses, "segmentation", reading)
    gradients(parts)
    assert counted == read and len(set(counted)) > 1  # both looks see the same dropout


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


def test_a_batch_that_processes_cannot_share_is_refused(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apc.training.loop.processes", lambda: (0, 3))
    with pytest.raises(ValueError, match="batch_size is 8"):
        fit(tiny, tmp_path)


def test_images_that_processes_cannot_share_are_refused(tiny: Config) -> None:
    cfg = replace(tiny, batch_size=8)
    check_images(cfg, 1, train=5, val=1)
    check_images(cfg, 2, train=8, val=2)
    with pytest.raises(ValueError, match="train.csv has 5 images; 2 processes need a whole batch, batch_size 8"):
        check_images(cfg, 2, train=5, val=2)
    with pytest.raises(ValueError, match="val.csv has 1 image; 2 processes need one each"):
        check_images(cfg, 2, train=8, val=1)


@pytest.mark.parametrize(
    ("batch_size", "micro_batch", "train", "told"),
    [(5, 4, 32, "5 images in parts of 4"), (16, 1, 32, "16 images in parts of 1"), (8, 0, 1, "1 image in parts of 1")],
)
def test_a_resnet_that_would_see_one_image_alone_is_refused_before_anything_is_trained(
    tiny: Config, batch_size: int, micro_batch: int, train: int, told: str
) -> None:
    staged = replace(tiny, method="vit_pcm", epochs=3, stage2_epochs=1, deeplab="resnet50")
    cfg = replace(staged, batch_size=batch_size, micro_batch=micro_batch)
    with pytest.raises(ValueError, match=f"deeplab is resnet50; its norms need two images .* a batch is {told}"):
        check_images(cfg, 1, train, val=8)
    check_images(replace(cfg, deeplab="vit"), 1, train, val=8)
    check_images(replace(staged, batch_size=6, micro_batch=4), 1, 32, val=8)
    check_images(replace(staged, batch_size=2), 2, 32, val=8)  # of one image each: their norms are over both


def test_a_resnet_on_several_processors_is_refused(tiny: Config) -> None:
    cfg = replace(tiny, method="vit_pcm", epochs=3, stage2_epochs=1, deeplab="resnet101")
    check_processes(cfg, 2, gpu=True)
    check_processes(replace(cfg, deeplab="vit"), 2, gpu=False)
    with pytest.raises(ValueError, match="deeplab is resnet101; several processes on CPUs need deeplab small or vit"):
        check_processes(cfg, 2, gpu=False)


def test_the_processor_s_seconds_and_the_memory_are_those_of_all_processes(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apc.training.loop.over_processes", lambda cpu, gib, device: (7.0, 123.0))
    _, trained = fit(replace(tiny, num_train=8), tmp_path)
    assert trained.seconds["train_cpu"] == 14.0 and trained.peak_gib == 123.0
    assert [line["cpu_seconds"] for line in trained.curve] == [7.0, 14.0]


def test_processes_that_would_begin_at_different_epochs_are_refused(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    with monkeypatch.context() as alone:
        alone.setattr("apc.training.loop.require_together", lambda first, device: begun.append(first))
        for until in (1, None):
            fit(replace(tiny, num_train=8), tmp_path, until=until)
    assert begun == [0, 1]

    def with_one_that_begins_at_epoch_2(ends: Tensor, op: object) -> None:
        ends.copy_(torch.maximum(ends, torch.tensor([1, -1])))

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", with_one_that_begins_at_epoch_2)
    require_together(1, "cpu")
    with pytest.raises(ValueError, match="^processes would begin at the epochs 1 to 2; give the command again$"):
        require_together(0, "cpu")


@pytest.mark.parametrize("pooling", ["top_k", "adaptive_k"])
def test_more_patches_for_a_class_than_an_image_has_are_refused(pooling: Any) -> None:
    cfg = Config(encoder="pocket", image_size=64, k=65, pooling=pooling)
    with pytest.raises(ValueError, match=r"^k is 65; an image of 64 pixels has 64 patches$"):
        check_processes(cfg, 1, gpu=False)
    for other in (
        replace(cfg, k=64),
        replace(cfg, pooling="max"),
        replace(cfg, method="afa"),
        replace(cfg, k_share=1.0),
    ):
        check_processes(other, 1, gpu=False)
