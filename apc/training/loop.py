"""Training: one loop for a notebook, a test, one process, or several under torch.distributed. It never hears of Ray.

Everything random is drawn from (seed, epoch, image), so a resumed run equals an uninterrupted one, and the number of
processes changes neither the order of the images nor their augmentation.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from apc.config import PATHS, Config, to_dict, without_paths
from apc.data import Split, fingerprint
from apc.data.transforms import recolours
from apc.devices import peak_gib, processes, restart
from apc.escaping import counted
from apc.evaluation.evidence import Evidence, Looking, gather
from apc.evaluation.miou import halves, miou, score
from apc.evaluation.scoring import Scoring
from apc.files import write_arrays
from apc.methods.base import Method, Workplace
from apc.methods.checkpoint import save_model
from apc.models.feature_cache import TRAIN, VAL, FrozenFeatures, SharedFeatures, Shown, gib_needed
from apc.models.feature_store import FeatureStore
from apc.runs.folder import RunFolder
from apc.runs.protocols import HEADLINE
from apc.runs.scores import LABEL_SCORES, LOWER_IS_BETTER
from apc.training.batches import Place, batches, decoded
from apc.training.schedule import optimizer_of, rate_share
from apc.training.state import State, joined, load_state, parted, restore_model, restore_optimizer, save_state
from apc.training.step import Step, means, over_processes, require_finite, require_together

Report = Callable[[dict[str, float]], None]
FEATURES_GIB = 2.0  # memory a process may spend on the outputs of closed blocks


class Prepared(NamedTuple):
    """What a run needs: its untrained method, and the splits that it learns from and is scored on."""

    method: Method
    train: Split
    val: Split


class Trained(NamedTuple):
    """What training leaves beside the method, which is trained in place."""

    curve: list[dict[str, float]]
    """A line an epoch: its number, seconds, mean loss terms and, where it was scored, its scores."""
    seconds: dict[str, float]
    """`train` by the clock and `train_cpu` of all cores of all processes, over all starts of the run."""
    peak_gib: float
    """Most memory that a process held: torch's on a GPU, its own on a CPU."""
    frozen_features: FrozenFeatures | None
    """Outputs of closed blocks, where they were kept; scoring may use them."""
    by: str
    """Score by which `best/` was chosen: that of the run's first start."""


def check_processes(cfg: Config, world: int, *, gpu: bool) -> None:
    """ValueError where a config cannot be trained by `world` processes, or with more patches for a class than an image
    has."""
    if cfg.method == "apc" and cfg.pooling in ("top_k", "adaptive_k") and not cfg.k_share and cfg.k > cfg.patches:
        raise ValueError(f"k is {cfg.k}; an image of {cfg.image_size} pixels has {cfg.patches} patches")
    if cfg.batch_size % world:
        raise ValueError(f"batch_size is {cfg.batch_size}; it must be a multiple of the {world} processes")
    if world > 1 and cfg.decoder_norm == "batch" and not gpu:
        raise ValueError("decoder_norm is batch; several processes on CPUs need decoder_norm layer")
    if world > 1 and _has_resnet(cfg) and not gpu:
        raise ValueError(f"deeplab is {cfg.deeplab}; several processes on CPUs need deeplab small or vit")


def check_images(cfg: Config, world: int, train: int, val: int) -> None:
    """ValueError where `world` processes cannot share so many images: a batch that is not full would weigh each
    process's part alike, and leave some without any. The same where a process alone holds one image at once and a
    ResNet learns, of whose norms one is over a number an image; several on GPUs take theirs together."""
    if world > 1 and train < cfg.batch_size:
        told = f"--train-list {cfg.train_list} has {train} images"
        raise ValueError(f"{told}; {world} processes need a whole batch, batch_size {cfg.batch_size}, or give fewer")
    if val < world:
        few = f"--val-list {cfg.val_list} has {counted(val, 'image')}"
        raise ValueError(f"{few}; {world} processes need one each, or give fewer")
    batch = min(train, cfg.batch_size)
    part = min(cfg.micro_batch or batch, batch)
    if world == 1 and _has_resnet(cfg) and (batch % part or part) == 1:
        parts = f"{counted(batch, 'image')} in parts of {part}"
        raise ValueError(f"deeplab is {cfg.deeplab}; its norms need two images at once, but a batch is {parts}")


def _has_resnet(cfg: Config) -> bool:
    """Whether a network learns whose norms are over batches whatever `decoder_norm` says."""
    return cfg.stage2_epochs > 0 and cfg.deeplab.startswith("resnet")


def train(
    prepared: Prepared,
    cfg: Config,
    *,
    folder: Path,
    device: str = "cpu",
    report: Report | None = None,
    by: str = "miou",
    until: int | None = None,
    scored: Collection[int] = (),
    cache_gib: float = 0.0,
) -> Trained:
    """Train in place, resuming from the training state in `folder`; `report` is given a line after every epoch.

    The encoder is frozen for `frozen_epochs` at `lr_frozen`; then its last blocks open and the optimiser starts afresh
    at `lr` (method-spec 4, row 7). `best/` holds the best epoch scored so far, by the score `by` (of a run that is
    resumed by the one that it began with); run() removes it where the finished model is as good. After the epoch
    `until` it ends as if it had been interrupted there. The epochs `scored`, the rungs of a search, are scored beside
    those of `eval_every`, by masks and by labels, for searches that choose by either share their runs, and leave
    ballots. Outputs of closed blocks are kept in a store of `cache_gib` GiB that all runs of this machine share or,
    where that is 0, in the memory of this process. A non-finite loss raises FloatingPointError with its terms.
    """
    method, split, val = prepared
    place = Place(*processes(), device)
    check_processes(cfg, place.world, gpu=device != "cpu")
    check_images(cfg, place.world, len(split), len(val))
    method = _laid_out(method, cfg, place)
    frozen_features = _frozen_features(Prepared(method, split, val), cfg, device, cache_gib)
    run_folder = RunFolder(folder)
    state = _resumable(run_folder.state, cfg)
    first, curve = (state.epoch + 1, state.curve) if state else (0, [])
    seconds, peak = (state.seconds, state.peak_gib) if state else ({"train": 0.0, "train_cpu": 0.0}, 0.0)
    labels_asked = by in LABEL_SCORES
    if state:
        by = state.by  # earlier epochs were kept, or not, by this one
        restore_model(run_folder.state, method, state.model)
        method.masks = parted(state.masks)
        if place.rank == 0:
            run_folder.write_epochs(curve)  # which a process that was killed may have left an epoch behind
    require_together(first, device)

    at = Workplace(device, run_folder, frozen_features)
    for epoch in range(first, min(until or cfg.epochs, cfg.epochs)):
        wall, cpu = time.perf_counter(), time.process_time() + at.elsewhere
        restart(device)
        new_stage = epoch == 0 or method.stage(epoch) != method.stage(epoch - 1)
        if new_stage or epoch == first:
            method.encoder.open_last(cfg.unfreeze_blocks, learn=epoch >= cfg.frozen_epochs)
        method.begin(epoch, split, at)
        if state and method.teacher:
            restore_model(run_folder.state, method.teacher.average, state.teacher)
        if new_stage or epoch == first:
            optimizer, step = optimizer_of(method, cfg), Step.of(method, cfg, device, frozen_features)
            if state and not new_stage:
                restore_optimizer(run_folder.state, optimizer, state)
        state = None  # a model's memory, and its moments'
        terms = _epoch(step, optimizer, split, epoch, place)
        seconds["train"] += time.perf_counter() - wall
        cpu_of_all, most_held = over_processes(time.process_time() + at.elsewhere - cpu, peak_gib(device), device)
        seconds["train_cpu"] += cpu_of_all
        peak = max(peak, most_held)

        spent = {"seconds": round(seconds["train"], 3), "cpu_seconds": round(seconds["train_cpu"], 3)}
        line = {"epoch": epoch + 1} | method.notes(epoch) | spent | terms
        rung, due = epoch + 1 in scored, cfg.eval_every and (epoch + 1) % cfg.eval_every == 0
        if (rung or due) and epoch + 1 < cfg.epochs:
            scoring, by_labels = (
                Scoring(device, frozen_features=frozen_features),
                rung or labels_asked or by in LABEL_SCORES,
            )
            scores, ballots = _scores(method, val, cfg, scoring, by_labels=by_labels)
            line |= scores
            if place.rank == 0 and rung and ballots:
                write_arrays(run_folder.ballots_at(epoch + 1), ballots)
            if place.rank == 0 and beats(line, curve, by):
                save_model(run_folder.best.path, method, cfg, val.classes)
        curve.append(line)
        if place.rank == 0:
            weights, moments = method.state_dict(), optimizer.state_dict()
            teacher = method.teacher.average.state_dict() if method.teacher else {}
            kept = (weights, moments, curve, seconds, without_paths(cfg), peak, teacher, joined(method.masks), by)
            save_state(run_folder.state, State(epoch, *kept))
            run_folder.write_epochs(curve)
        if report:
            report({"epochs": float(cfg.epochs), **line})
    return Trained(curve, seconds, peak, frozen_features, by)


def _laid_out(method: Method, cfg: Config, place: Place) -> Method:
    """The method as it is trained: its last blocks open, norms over all processes, memory and blocks as configured."""
    if place.world > 1 and place.device != "cpu":  # which torch shares no statistics between
        method = nn.SyncBatchNorm.convert_sync_batchnorm(method)
    method.encoder.open_last(cfg.unfreeze_blocks)
    if cfg.channels_last:
        method.to(memory_format=torch.channels_last)
    if cfg.compile:
        torch.compiler.reset()  # graphs of earlier runs in this process would count against the limit of recompilations
        method.encoder.compile_blocks()
    return method


def _resumable(path: Path, cfg: Config) -> State | None:
    """The state to go on from; None for that of an older version whose defaults were others. A field that it lacked has
    its default. Where data and weights lie, and how they are named, is no part of it: the run's identity has what is
    in them."""
    state = load_state(path)
    if state is None:
        return None
    own, stored = to_dict(cfg), to_dict(Config()) | state.config
    return state if all(own[name] == stored[name] for name in own if name not in PATHS) else None


def _epoch(step: Step, optimizer: torch.optim.Optimizer, split: Split, epoch: int, place: Place) -> dict[str, float]:
    """Train for one epoch; the means of its loss terms."""
    method, cfg = step.method, step.cfg
    rates = method.rates(epoch)
    torch.manual_seed(int(np.random.default_rng([cfg.seed, 2, epoch, place.rank]).integers(2**31)))
    method.train()
    steps = max(len(split) // cfg.batch_size, 1)
    start, end = (steps * bound for bound in method.course(epoch))
    rate = cfg.lr_frozen if epoch < cfg.frozen_epochs else rates.lr
    sums: dict[str, Tensor] = {}
    for number, parts in enumerate(batches(split, cfg, epoch, place, step.needs_no_pixels)):
        done = epoch * steps + number
        lr = rate * rate_share(rates, done - start, end - start)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["scale"]
        optimizer.zero_grad(set_to_none=True)
        terms = step.gradients(parts, done / (cfg.epochs * steps))
        require_finite(terms, epoch, number, cfg.compat)
        if cfg.grad_clip:
            nn.utils.clip_grad_norm_(method.parameters(), cfg.grad_clip)
        optimizer.step()
        method.stepped()
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + term.double()
    return means(sums, steps)


def beats(scores: dict[str, float], earlier: list[dict[str, float]], by: str) -> bool:
    """Whether an epoch, or the finished run, is better in `by` than all scored before it; not where it lacks it."""
    sign = -1 if by in LOWER_IS_BETTER else 1
    return by in scores and all(sign * scores[by] > sign * line[by] for line in earlier if by in line)


def _scores(
    method: Method, val: Split, cfg: Config, scoring: Scoring, *, by_labels: bool
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Scores on the way: `miou` and its halves where there are masks; `by_labels`, or where there are none, the scores
    that open no mask, and the ballots of that pass."""
    evidence = Evidence(val.labels.cpu().numpy())
    looking = Looking(method, evidence, cfg, scoring.device) if by_labels else None
    counts = score(method, val, cfg, HEADLINE, replace(scoring, plain=looking))["miou"]
    scores = {"miou": miou(counts.total)} | halves(counts.images) if counts.total.any() else {}
    if scores and not by_labels:
        return scores, {}
    evidence = gather(method, val, cfg, scoring, evidence)
    return scores | evidence.scores(), evidence.ballots


def _frozen_features(prepared: Prepared, cfg: Config, device: str, cache_gib: float) -> FrozenFeatures | None:
    """Remember closed blocks' outputs where that is exact: in the store that was asked for, or else in memory where
    they fit; on a GPU, which has none, recomputing in batches is cheaper than going through one by one in each run."""
    encoder, num_val = prepared.method.encoder, len(prepared.val)
    if encoder.open_from == 1 or cfg.crop_scale < 1 or (recolours(cfg) and not cfg.teacher):
        return None
    if cache_gib:
        return SharedFeatures(encoder, FeatureStore(cache_gib), cfg, device, _shown(prepared, cfg))
    capacity = {TRAIN: len(prepared.train) * {"none": 1, "horizontal": 2, "both": 4}[cfg.flip], VAL: num_val}
    gib = gib_needed(encoder, capacity[TRAIN], cfg.image_size) + gib_needed(encoder, num_val, cfg.scored_size)
    return FrozenFeatures(encoder, capacity) if device == "cpu" and gib <= FEATURES_GIB else None


def _shown(prepared: Prepared, cfg: Config) -> Shown:
    """The images of a run, in the lists that they are from."""
    _, train, val = prepared
    for split in (train, val):
        assert len(split.rows) == len(split), f"data set {cfg.dataset} must say which images of its lists it loads"
    listed = {TRAIN: train.listed, VAL: val.listed}
    return Shown(fingerprint(cfg), listed, {TRAIN: train.rows, VAL: val.rows}, lambda key: decoded(train, key))
