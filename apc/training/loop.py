"""Training: one loop for a notebook, a test, one process, or several under torch.distributed. It never hears of Ray.

Everything random is drawn from (seed, epoch, image), so a resumed run equals an uninterrupted one, and the number of
processes changes neither the order of the images nor their augmentation.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from apc import data
from apc.config import Config, to_dict, without_paths
from apc.data.transforms import as_floats, augment, stack
from apc.devices import peak_gib, processes, restart
from apc.evaluation.miou import halves, miou, score
from apc.methods.base import Method
from apc.methods.checkpoint import save_model
from apc.models.feature_cache import TRAIN, VAL, FrozenFeatures, gib_needed
from apc.parallel import cores, prefetch
from apc.runs.folder import RunFolder
from apc.runs.scores import HEADLINE
from apc.training.state import load_state, save_state

Report = Callable[[dict[str, float]], None]
FEATURES_GIB = 2.0  # memory a process may spend on the outputs of closed blocks


def check_processes(cfg: Config, world: int, *, gpu: bool) -> None:
    """ValueError where a config cannot be trained by `world` processes."""
    if cfg.batch_size % world:
        raise ValueError(f"batch_size is {cfg.batch_size}; it must be a multiple of the {world} processes")
    if world > 1 and cfg.decoder_norm == "batch" and not gpu:
        raise ValueError("decoder_norm is batch; several processes on CPUs need decoder_norm layer")


def train(
    method: Method,
    cfg: Config,
    split: data.Split,
    val: data.Split,
    *,
    folder: Path,
    device: str = "cpu",
    report: Report | None = None,
) -> dict[str, Any]:
    """Train in place, resuming from the training state in `folder`; returns `curve`, `seconds`, `peak_gib` and
    `frozen_features`.

    The encoder is frozen for `frozen_epochs` at `lr_frozen`; then its last blocks open and the optimiser starts afresh
    at `lr` (method-spec 4, row 7). `best/` holds the best epoch scored so far; run() removes it where the finished
    model is as good. A non-finite loss raises FloatingPointError with its terms.
    """
    rank, world = processes()
    check_processes(cfg, world, gpu=device != "cpu")
    if world > 1 and cfg.decoder_norm == "batch":
        method = nn.SyncBatchNorm.convert_sync_batchnorm(method)
    method.encoder.open_last(cfg.unfreeze_blocks)
    if cfg.channels_last:
        method.to(memory_format=torch.channels_last)
    if cfg.compile:
        torch.compiler.reset()  # graphs of earlier runs in this process would count against the limit of recompilations
        method.encoder.compile_blocks()
    frozen_features = _frozen_features(method, cfg, len(split), len(val), device)
    steps = max(len(split) // cfg.batch_size, 1)
    run_folder = RunFolder(folder)
    state = load_state(run_folder.state)
    if state and to_dict(Config()) | state.get("config", {}) != without_paths(cfg):
        state = None  # of an older version whose defaults were others; a field that it lacked has its default
    first, curve = (int(state["epoch"]) + 1, state["curve"]) if state else (0, [])
    seconds = state["seconds"] if state else {"train": 0.0, "train_cpu": 0.0}
    peak = state.get("peak_gib", 0.0) if state else 0.0
    if state:
        method.load_state_dict(state["model"])

    for epoch in range(first, cfg.epochs):
        wall, cpu = time.perf_counter(), time.process_time()
        restart(device)
        frozen = epoch < cfg.frozen_epochs
        starts = epoch == first or method.stage(epoch) != method.stage(epoch - 1)
        if starts:
            method.encoder.open_last(cfg.unfreeze_blocks, learn=not frozen)
        method.begin(epoch, split, device)
        if starts:
            optimizer = _optimizer(method, cfg)
            if state and epoch == first and method.stage(first) == method.stage(first - 1):
                optimizer.load_state_dict(state["optimizer"])
            step_module = _parallel(_Terms(method), world)
        torch.manual_seed(int(np.random.default_rng([cfg.seed, 2, epoch, rank]).integers(2**31)))
        method.train()
        sums: dict[str, Tensor] = {}
        for step, parts in enumerate(_batches(split, cfg, epoch, rank, world, device)):
            done = epoch * steps + step
            start, end = method.course(epoch)
            lr = (cfg.lr_frozen if frozen else cfg.lr) * _schedule(cfg, done - start * steps, (end - start) * steps)
            for group in optimizer.param_groups:
                group["lr"] = lr * group["scale"]
            optimizer.zero_grad(set_to_none=True)
            terms = _gradients(
                step_module, parts, method.weights, done / (cfg.epochs * steps), cfg, device, frozen_features
            )
            _require_finite(terms, epoch, step)
            if cfg.grad_clip:
                nn.utils.clip_grad_norm_(method.parameters(), cfg.grad_clip)
            optimizer.step()
            method.stepped()
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.double()
        means = _means(sums, steps)
        seconds["train"] += time.perf_counter() - wall
        seconds["train_cpu"] += time.process_time() - cpu
        peak = max(peak, peak_gib(device))

        spent = {"seconds": round(seconds["train"], 3), "cpu_seconds": round(seconds["train_cpu"], 3)}
        entry = {"epoch": epoch + 1} | spent | means
        if cfg.eval_every and (epoch + 1) % cfg.eval_every == 0 and epoch + 1 < cfg.epochs:
            counts = score(method, val, cfg, HEADLINE, device, frozen_features=frozen_features)["miou"]
            entry |= {"miou": miou(counts.total)} | halves(counts.images) if counts.total.any() else {}
            if rank == 0 and entry.get("miou", -1.0) > max((e.get("miou", -1.0) for e in curve), default=-1.0):
                save_model(run_folder.best.path, method, cfg, val.classes)
        curve.append(entry)
        if rank == 0:
            save_state(
                run_folder.state,
                {
                    "config": without_paths(cfg),
                    "epoch": epoch,
                    "model": method.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "curve": curve,
                    "seconds": seconds,
                    "peak_gib": peak,
                },
            )
            run_folder.write_epochs(curve)
        if report:
            report({"epochs": float(cfg.epochs), **entry})
    return {"curve": curve, "seconds": seconds, "peak_gib": peak, "frozen_features": frozen_features}


Part = tuple[dict[str, Tensor], list[tuple[int, ...]]]  # images of a step, and what identifies them after augmentation


def _gradients(
    module: nn.Module,
    parts: list[Part],
    weights: dict[str, float],
    progress: float,
    cfg: Config,
    device: str,
    frozen_features: FrozenFeatures | None,
) -> dict[str, Tensor]:
    """Add the gradients of a step's parts up; the step's loss terms and `loss`, means over its images."""
    images = sum(len(keys) for _, keys in parts)
    sums: dict[str, Tensor] = {}
    for number, (batch, keys) in enumerate(parts):
        last = number + 1 == len(parts)  # processes exchange their gradients once a step
        waiting = nullcontext() if last or not isinstance(module, DistributedDataParallel) else module.no_sync()
        with waiting:
            with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=cfg.amp == "bf16"):
                kept = frozen_features(batch["image"], keys) if frozen_features else None
                terms = module(batch, progress, kept)
            share = len(keys) / images
            loss = share * torch.stack([weights[name] * term for name, term in terms.items()]).sum()
            loss.backward()
        for name, term in (terms | {"loss": loss / share}).items():
            sums[name] = sums.get(name, 0.0) + share * term.detach()
    return sums


class _Terms(nn.Module):
    """The method's loss terms as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(
        self, batch: dict[str, Tensor], progress: float, frozen_features: list[Tensor] | None
    ) -> dict[str, Tensor]:
        return self.method.loss_terms(batch, progress, frozen_features)


def _parallel(module: nn.Module, world: int) -> nn.Module:
    # lambda1 = 0 leaves the decoder without a gradient, which DDP must be told to expect
    return DistributedDataParallel(module, find_unused_parameters=True) if world > 1 else module


def _means(sums: dict[str, Tensor], steps: int) -> dict[str, float]:
    """Mean of each term over an epoch's steps and over all processes, each of which saw its share of every batch."""
    means = torch.stack(list(sums.values())) / steps
    if dist.is_initialized():
        dist.all_reduce(means)
        means = means / dist.get_world_size()
    return dict(zip(sums, means.tolist(), strict=True))


def _optimizer(method: Method, cfg: Config) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if cfg.optimizer == "adamw" else torch.optim.Adam
    return kind(method.groups(), lr=cfg.lr, betas=(0.9, cfg.beta2), weight_decay=cfg.weight_decay, fused=True)


def _schedule(cfg: Config, step: int, steps: int) -> float:
    """Share of the learning rate at a step: warm-up, then constant, a cosine down to 3 %, or a power down to 0."""
    if cfg.schedule == "poly":  # its two pieces do not join (method-spec 0.10)
        if step < cfg.warmup_steps:
            return 1 - (1 - step / cfg.warmup_steps) * (1 - 1e-6)
        return (1 - step / steps) ** cfg.poly_power
    warm = min(1.0, (step + 1) / cfg.warmup_steps) if cfg.warmup_steps else 1.0
    course = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / steps)) if cfg.schedule == "cosine" else 1.0
    return warm * course


def _batches(split: data.Split, cfg: Config, epoch: int, rank: int, world: int, device: str) -> Iterator[list[Part]]:
    """This process's share of every batch of an epoch, in the parts it holds in memory at once."""
    order = np.random.default_rng([cfg.seed, 3, epoch]).permutation(len(split))
    starts = range(0, max(len(split) - cfg.batch_size, 0) + 1, cfg.batch_size)
    shares = [order[start : start + cfg.batch_size][rank::world] for start in starts]
    size = cfg.micro_batch or cfg.batch_size

    def made(share: np.ndarray) -> list[Part]:
        done = [augment(split.images[i], cfg, np.random.default_rng([cfg.seed, 4, epoch, int(i)])) for i in share]
        parts = []
        for at in range(0, len(share), size):
            images, flips = zip(*done[at : at + size], strict=True)
            here = share[at : at + size]
            keys = [(TRAIN, int(i), *flip) for i, flip in zip(here, flips, strict=True)]
            parts.append(({"image": stack(list(images)), "labels": split.labels[here]}, keys))
        return parts

    # Images in memory are ready sooner than a thread; files are decoded while the network computes.
    threads = 0 if device == "cpu" and isinstance(split.images, Tensor) else min(cores(), 8)
    for parts in prefetch(shares, made, threads):
        yield [
            (
                {
                    "image": as_floats(batch["image"], device),
                    "labels": batch["labels"].to(device),
                    "index": torch.tensor([key[1:] for key in keys]),
                },
                keys,
            )
            for batch, keys in parts
        ]


def _frozen_features(method: Method, cfg: Config, num_train: int, num_val: int, device: str) -> FrozenFeatures | None:
    """Remember closed blocks' outputs where that is exact and fits; on a GPU, recomputing in batches is cheaper."""
    capacity = {TRAIN: num_train * {"none": 1, "horizontal": 2, "both": 4}[cfg.flip], VAL: num_val}
    gib = gib_needed(method.encoder, capacity[TRAIN], cfg.image_size)
    gib += gib_needed(method.encoder, num_val, cfg.scored_size)
    exact = method.encoder.open_from > 1 and not cfg.jitter
    return FrozenFeatures(method.encoder, capacity) if device == "cpu" and exact and gib <= FEATURES_GIB else None


def _require_finite(terms: dict[str, Tensor], epoch: int, step: int) -> None:
    """Stop every process at once where any process's loss is not finite."""
    finite = torch.isfinite(terms["loss"]).float()
    if dist.is_initialized():
        dist.all_reduce(finite, dist.ReduceOp.MIN)
    if not finite:
        named = ", ".join(f"{name} {float(term):g}" for name, term in terms.items() if name != "loss")
        raise FloatingPointError(f"the loss is not finite in epoch {epoch + 1}, step {step + 1}: {named}")
