"""Training: one loop for a notebook, a test, one process, or several under torch.distributed. It never hears of Ray.

Everything random is drawn from (seed, epoch, image), so a resumed run equals an uninterrupted one, and the number of
processes changes neither the order of the images nor their augmentation.
"""

import fcntl
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from apc import data
from apc.checkpoint import load_state, save_model, save_state
from apc.config import Config, to_dict
from apc.data.transforms import augment
from apc.evaluate.protocol import HEADLINE
from apc.evaluate.segmentation import foreground, iou, miou, score
from apc.features import TRAIN, VAL, ClosedFeatures, gib_needed
from apc.methods import build
from apc.model.method import Method
from apc.results import PROTOCOL, Row, load_run, run_id, save_run, write_atomically
from apc.stamp import commit, file_fingerprint, stamp

Report = Callable[[dict[str, float]], None]
FEATURES_GIB = 2.0  # memory a process may spend on the outputs of closed blocks


def check_processes(cfg: Config, world: int, *, gpu: bool) -> None:
    """ValueError where a config cannot be trained by `world` processes."""
    if cfg.batch_size % world:
        raise ValueError(f"batch_size is {cfg.batch_size}; it must be a multiple of the {world} processes")
    if world > 1 and cfg.decoder_norm == "batch" and not gpu:
        raise ValueError("decoder_norm is batch; several processes on CPUs need decoder_norm layer")


def identity(cfg: Config) -> str:
    """Identity of the run a config describes; reads the data's and the weights' fingerprints."""
    return run_id(to_dict(cfg), data.fingerprint(cfg), weights_fingerprint(cfg))


def weights_fingerprint(cfg: Config) -> str:
    """Hash of the encoder's weights; ValueError where the file is not there."""
    if cfg.weights == "pocket":
        from apc import pretrain

        return pretrain.fingerprint()
    if cfg.weights and not Path(cfg.weights).is_file():
        raise ValueError(f"weights: there is no file {cfg.weights}; give a local .safetensors or .pth file")
    return file_fingerprint(cfg.weights) if cfg.weights else ""


def _contents(cfg: Config) -> str:
    """Hash of the weights' file; the embedded pre-training may differ in its last digits between machines."""
    if cfg.weights == "pocket":
        from apc import pretrain

        return file_fingerprint(str(pretrain.path()))
    return weights_fingerprint(cfg)


def run(cfg: Config, *, runs: Path, device: str = "cpu", report: Report | None = None) -> Row:
    """Train and score one config below `<runs>/<identity>/`; a finished run is returned as it is stored.

    Reports a flat dict of numbers after every epoch, and the final metrics with `final` = 1. Under torch.distributed
    process 0 writes and every process returns the row.
    """
    name = identity(cfg)
    if stored := load_run(runs, name, to_dict(cfg)):
        return stored
    commit()  # remembered now: the working tree may change while this trains
    method, train_split, val = prepare(cfg)
    with _alone(runs / name):
        if stored := load_run(runs, name, to_dict(cfg)):  # another process finished it while this one waited
            return stored
        row = _train_and_score(method.to(device), cfg, train_split, val, runs / name, device, report)
    if report:
        report({"final": 1.0, "epoch": float(cfg.epochs), "epochs": float(cfg.epochs), **row.metrics})
    return row


def prepare(cfg: Config) -> tuple[Method, data.Split, data.Split]:
    """Untrained method, training and validation split; ValueError for whatever of them the config cannot have.

    Every image and every validation mask is read here, so that a broken one is named before hours are spent.
    """
    train_split, val = data.load(cfg, "train"), data.load(cfg, "val")
    for i in range(len(val)):
        val.mask(i)
    if cfg.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # 8 % of a small step
    torch.manual_seed(cfg.seed)
    return build(cfg, len(val.classes)), train_split, val


def preflight(cfg: Config) -> bool:
    """Read and build all that a run needs, train nothing; ValueError as `prepare`. Whether any image can be scored."""
    _, _, val = prepare(cfg)
    return any(val.mask(i) is not None for i in range(len(val)))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder, so that two drivers train a run once. The system frees it when its holder dies."""
    rank, world = _world()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        if rank == 0:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
        if world > 1:
            dist.barrier()
        yield


def _train_and_score(
    method: Method, cfg: Config, train_split: data.Split, val: data.Split, folder: Path, device: str,
    report: Report | None,
) -> Row:
    trained = train(method, cfg, train_split, val, folder=folder, device=device, report=report)
    start = time.perf_counter()
    counts = score(method, val, cfg, device=device, closed=trained["closed"])
    totals = {protocol: matrices.sum(0) for protocol, matrices in counts.items()}
    metrics = {protocol: miou(matrix) for protocol, matrix in totals.items() if matrix.any()}
    metrics |= foreground(totals["miou"]) if metrics else {}
    images = {"train": len(train_split), "val": len(val)}
    if data.has_test(cfg):
        test = data.load(cfg, "test")
        metrics["test_miou"] = miou(score(method, test, cfg, HEADLINE, device)["miou"].sum(0))
        images["test"] = len(test)
    metrics |= choices(method, val, device)
    scored = time.perf_counter() - start

    row = Row(
        run=folder.name, config=_without_paths(cfg), metrics=metrics,
        seconds=trained["seconds"] | {"eval": scored}, classes=val.classes, curve=trained["curve"],
        per_class={p: [None if math.isnan(v) else round(v, 4) for v in iou(m)] for p, m in totals.items()},
        stamp=stamp(
            data=data.fingerprint(cfg), weights=weights_fingerprint(cfg), weights_name=Path(cfg.weights).name,
            weights_contents=_contents(cfg),
            device=torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
            threads=torch.get_num_threads(), processes=_world()[1], selection="val",
            images=images, protocol=PROTOCOL,
        ),
    )
    if _world()[0] == 0:
        kept: dict[str, Any] = {protocol: matrices.astype(np.int32) for protocol, matrices in counts.items()}
        np.savez_compressed(folder / "confusion.npz", **kept)
        save_model(folder, method, cfg, val.classes)
        save_run(folder.parent, row)
        (folder / "last.pt").unlink(missing_ok=True)  # the finished model stays, the optimiser's state does not
    return row


def train(
    method: Method, cfg: Config, split: data.Split, val: data.Split, *, folder: Path, device: str = "cpu",
    report: Report | None = None,
) -> dict[str, Any]:
    """Train in place, resuming from `<folder>/last.pt`; returns `curve`, `seconds` and the `closed` features.

    The encoder is frozen for `frozen_epochs` at `lr_frozen`; then its last blocks open and the optimiser starts afresh
    at `lr` (method-spec 4, row 7). A non-finite loss raises FloatingPointError with its terms.
    """
    rank, world = _world()
    check_processes(cfg, world, gpu=device != "cpu")
    if world > 1 and cfg.decoder_norm == "batch":
        method = nn.SyncBatchNorm.convert_sync_batchnorm(method)
    method.encoder.open_last(cfg.unfreeze_blocks)
    closed = _closed_features(method, cfg, len(split), len(val), device)
    steps = max(len(split) // cfg.batch_size, 1)
    state = load_state(folder / "last.pt")
    if state and state.get("config") != _without_paths(cfg):
        state = None  # of an older version whose defaults were others
    first, curve = (int(state["epoch"]) + 1, state["curve"]) if state else (0, [])
    seconds = state["seconds"] if state else {"train": 0.0, "train_cpu": 0.0}
    if state:
        method.load_state_dict(state["model"])

    optimizer: torch.optim.Optimizer | None = None
    for epoch in range(first, cfg.epochs):
        frozen = epoch < cfg.frozen_epochs
        if optimizer is None or epoch == cfg.frozen_epochs:
            method.encoder.open_last(cfg.unfreeze_blocks, learn=not frozen)
            optimizer = _optimizer(method, cfg)
            if state and epoch == first and first != cfg.frozen_epochs:
                optimizer.load_state_dict(state["optimizer"])
            step_module = _parallel(_Terms(method), world)
        torch.manual_seed(int(np.random.default_rng([cfg.seed, 2, epoch, rank]).integers(2**31)))
        method.train()
        wall, cpu = time.perf_counter(), time.process_time()
        sums: dict[str, float] = {}
        for step, (batch, keys) in enumerate(_batches(split, cfg, epoch, rank, world, device)):
            done = epoch * steps + step
            for group in optimizer.param_groups:
                group["lr"] = (cfg.lr_frozen if frozen else cfg.lr) * _schedule(cfg, done, cfg.epochs * steps)
            with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=cfg.amp == "bf16"):
                kept = closed(batch["image"], keys) if closed else None
                terms = step_module(batch, done / (cfg.epochs * steps), kept)
            loss = torch.stack([method.weights[name] * term for name, term in terms.items()]).sum()
            _require_finite(loss, terms, epoch, step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if cfg.grad_clip:
                nn.utils.clip_grad_norm_(method.parameters(), cfg.grad_clip)
            optimizer.step()
            for name, term in (terms | {"loss": loss}).items():
                sums[name] = sums.get(name, 0.0) + float(term.detach())
        seconds["train"] += time.perf_counter() - wall
        seconds["train_cpu"] += time.process_time() - cpu

        entry = {"epoch": epoch + 1, "seconds": round(seconds["train"], 3)} | _means(sums, steps)
        if cfg.eval_every and (epoch + 1) % cfg.eval_every == 0 and epoch + 1 < cfg.epochs:
            total = score(method, val, cfg, HEADLINE, device, closed=closed)["miou"].sum(0)
            entry |= {"miou": miou(total)} if total.any() else {}
        curve.append(entry)
        if rank == 0:
            save_state(folder / "last.pt", {
                "config": _without_paths(cfg), "epoch": epoch, "model": method.state_dict(),
                "optimizer": optimizer.state_dict(), "curve": curve, "seconds": seconds,
            })
            write_atomically(folder / "curve.jsonl", "".join(json.dumps(e) + "\n" for e in curve))
        if report:
            report({"epochs": float(cfg.epochs), **entry})
    return {"curve": curve, "seconds": seconds, "closed": closed}


@torch.no_grad()
def choices(method: Method, split: data.Split, device: str) -> dict[str, float]:
    """What the method selects on the first 128 images of `split`, mean over batches; see Method.choices."""
    method.eval()
    found = []
    for part in torch.arange(len(split))[:128].split(32):
        images = split.images[part].to(device).float() / 255
        found.append(method.choices({"image": images, "labels": split.labels[part].to(device)}))
    return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


class _Terms(nn.Module):
    """The method's loss terms as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: dict[str, Tensor], progress: float, closed: list[Tensor] | None) -> dict[str, Tensor]:
        return self.method.loss_terms(batch, progress, closed)


def _parallel(module: nn.Module, world: int) -> nn.Module:
    # lambda1 = 0 leaves the decoder without a gradient, which DDP must be told to expect
    return DistributedDataParallel(module, find_unused_parameters=True) if world > 1 else module


def _world() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def _means(sums: dict[str, float], steps: int) -> dict[str, float]:
    """Mean of each term over an epoch's steps and over all processes, each of which saw its share of every batch."""
    means = torch.tensor([value / steps for value in sums.values()], dtype=torch.float64)
    if dist.is_initialized():
        means = means.to("cuda") if dist.get_backend() == "nccl" else means
        dist.all_reduce(means)
        means = means.cpu() / dist.get_world_size()
    return dict(zip(sums, means.tolist(), strict=True))


def _optimizer(method: Method, cfg: Config) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if cfg.optimizer == "adamw" else torch.optim.Adam
    learning = [p for p in method.parameters() if p.requires_grad]
    return kind(learning, lr=cfg.lr, betas=(0.9, cfg.beta2), weight_decay=cfg.weight_decay, fused=True)


def _schedule(cfg: Config, step: int, steps: int) -> float:
    """Share of the learning rate at a step: warm-up, then constant or a cosine down to 3 %."""
    warm = min(1.0, (step + 1) / cfg.warmup_steps) if cfg.warmup_steps else 1.0
    course = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / steps)) if cfg.schedule == "cosine" else 1.0
    return warm * course


def _batches(
    split: data.Split, cfg: Config, epoch: int, rank: int, world: int, device: str
) -> Iterator[tuple[dict[str, Tensor], list[tuple[int, ...]]]]:
    """This process's share of every batch of an epoch, and what identifies its images after augmentation."""
    order = np.random.default_rng([cfg.seed, 3, epoch]).permutation(len(split))
    for start in range(0, max(len(split) - cfg.batch_size, 0) + 1, cfg.batch_size):
        mine = order[start : start + cfg.batch_size][rank::world]
        made = [augment(split.images[i], cfg, np.random.default_rng([cfg.seed, 4, epoch, int(i)])) for i in mine]
        batch = {"image": torch.stack([image for image, _ in made]), "labels": split.labels[mine]}
        keys: list[tuple[int, ...]] = [(TRAIN, int(i), *flips) for i, (_, flips) in zip(mine, made, strict=True)]
        yield {k: v.to(device) for k, v in batch.items()}, keys


def _closed_features(
    method: Method, cfg: Config, num_train: int, num_val: int, device: str
) -> ClosedFeatures | None:
    """Remember closed blocks' outputs where that is exact and fits; on a GPU, recomputing in batches is cheaper."""
    capacity = {TRAIN: num_train * {"none": 1, "horizontal": 2, "both": 4}[cfg.flip], VAL: num_val}
    gib = gib_needed(method.encoder, capacity[TRAIN], cfg.image_size)
    gib += gib_needed(method.encoder, num_val, cfg.scored_size)
    exact = method.encoder.open_from > 1 and not cfg.jitter
    return ClosedFeatures(method.encoder, capacity) if device == "cpu" and exact and gib <= FEATURES_GIB else None


def _require_finite(loss: Tensor, terms: dict[str, Tensor], epoch: int, step: int) -> None:
    """Stop every process at once where any process's loss is not finite."""
    finite = torch.isfinite(loss.detach()).float()
    if dist.is_initialized():
        dist.all_reduce(finite, dist.ReduceOp.MIN)
    if not finite:
        named = ", ".join(f"{name} {float(term.detach()):g}" for name, term in terms.items())
        raise FloatingPointError(f"the loss is not finite in epoch {epoch + 1}, step {step + 1}: {named}")


def _without_paths(cfg: Config) -> dict[str, Any]:
    """Config as a row keeps it: folders and files by their last name only."""
    return to_dict(cfg) | {"root": Path(cfg.root).name, "weights": Path(cfg.weights).name}
