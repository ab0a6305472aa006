"""One run, from a config to its row: its identity, what it needs, training, scoring, the files it leaves."""

import fcntl
import math
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist

from apc import data
from apc.config import Config, to_dict, without_paths
from apc.data import Split, agreement
from apc.data.preparing import left_out
from apc.data.transforms import as_floats
from apc.devices import processes
from apc.evaluation.evidence import AfterCRF, Evidence, Looking, gather
from apc.evaluation.miou import Counts, foreground, halves, iou, miou, score
from apc.evaluation.scoring import Scoring
from apc.files import write_arrays
from apc.methods.base import Method
from apc.methods.checkpoint import save_model
from apc.methods.registry import build
from apc.models import weights
from apc.models.build import BATCH_PIXELS
from apc.runs.at_work import signed
from apc.runs.folder import RunFolder, load_run, row_text, save_run
from apc.runs.protocols import HEADLINE
from apc.runs.rows import Row, run_id
from apc.runs.scores import LABEL_SCORES, RECIPE_VERSION
from apc.runs.shared_run import RunHere, run_at
from apc.runs.stamp import commit, stamp
from apc.training.loop import Prepared, Report, Trained, beats, train


def identity(cfg: Config) -> str:
    """Identity of the run a config describes; reads the data's and the weights' fingerprints."""
    return run_id(to_dict(cfg), data.fingerprint(cfg), weights.fingerprint(cfg))


def run(
    cfg: Config,
    *,
    runs: Path,
    device: str = "cpu",
    report: Report | None = None,
    crf_workers: int = 0,
    name: str = "",
    by: str | None = None,
    scored: Collection[int] = (),
    cache_gib: float = 0.0,
) -> Row:
    """Train and score one config below `<runs>/<identity>/`; a finished run is returned as it is stored.

    `best/` stays beside the finished model only where an epoch scored on the way (`eval_every`) beat it in the score
    `by`, one of IN_CURVES, miou where nobody says; a run that is resumed goes on with the one that it began with.
    Reports a flat dict of numbers after every epoch, and the final metrics with `final` = 1. Under torch.distributed
    process 0 writes and every process returns the row. `crf_workers` processes run the CRF of the final scoring. `name`
    is the identity of the run that is wanted; ValueError where the files here give another one, or come to do so.
    Epochs `scored` are scored on the way beside those of `eval_every`. `cache_gib` is as in train().
    """
    asked_by_a_person, name = not name, name or identity(cfg)  # a search knows the name, and has told
    folder = runs / name
    place = run_at(folder)
    place.look()
    one = processes()[1] == 1  # several look once they have met: one may find what another process has just written
    if one and (stored := load_run(runs, name, to_dict(cfg))) and not RunFolder(folder).state.exists():
        return stored
    commit()  # remembered now: the working tree may change while this trains
    prepared = prepare(cfg, tell=asked_by_a_person, lazily=cache_gib > 0)
    if asked_by_a_person and by not in LABEL_SCORES and not prepared.val.masked:
        _without_best(by, prepared.val, cfg)
    _require_unchanged(cfg, name)
    with _alone(folder, place):
        if stored := load_run(runs, name, to_dict(cfg)):  # by another process, while this one waited or before
            RunFolder(folder).state.unlink(missing_ok=True)  # which was killed then
            return stored
        prepared.method.to(device)
        told = place.reporting(report)
        how: dict[str, Any] = {"report": told, "by": by or "miou", "scored": scored, "cache_gib": cache_gib}
        trained = train(prepared, cfg, folder=folder, device=device, **how)
        scores = _scored(prepared, cfg, Scoring(device, crf_workers, trained.frozen_features))
        _require_unchanged(cfg, name)
        row = Row(
            run=name,
            config=without_paths(cfg),
            metrics=scores.metrics,
            seconds=trained.seconds | {"eval": scores.seconds},
            classes=prepared.val.classes,
            curve=trained.curve,
            per_class={protocol: _per_class(sums.total) for protocol, sums in scores.counts.items()},
            stamp=_stamp(cfg, prepared, trained, scores.images, device),
        )
        if processes()[0] == 0:
            row = _write(folder, cfg, prepared, row, scores, place)
    if report:
        report({"final": 1.0, "epoch": float(cfg.epochs), "epochs": float(cfg.epochs), **row.metrics})
    return row


def train_to(
    cfg: Config,
    epoch: int,
    *,
    runs: Path,
    device: str = "cpu",
    report: Report | None = None,
    name: str = "",
    by: str = "miou",
    scored: Collection[int] = (),
    cache_gib: float = 0.0,
) -> None:
    """Train a run up to an epoch and leave it there like one that was interrupted: another call, or run(), goes on to
    the bit. Of one that is as far, or finished, nothing is done. The rest is as in run()."""
    name = name or identity(cfg)
    prepared = prepare(cfg, lazily=cache_gib > 0)
    _require_unchanged(cfg, name)
    folder = runs / name
    place = run_at(folder)
    with _alone(folder, place):
        if not load_run(runs, name, to_dict(cfg)):
            prepared.method.to(device)
            told = place.reporting(report)
            how: dict[str, Any] = {"report": told, "by": by, "scored": scored, "cache_gib": cache_gib}
            train(prepared, cfg, folder=folder, device=device, until=epoch, **how)


def _without_best(by: str | None, val: Split, cfg: Config) -> None:
    """ValueError where the epoch in best/ is to be chosen by masks that are not there; a note where it is by default,
    and epochs are scored."""
    bare = f"{val.place}: no validation image has a mask, so"
    if by:
        raise ValueError(f"{bare} no epoch can be chosen by {by}; --choose labels chooses by image labels")
    if cfg.eval_every:
        agreement.tell([f"note: {bare} best/ keeps no epoch; --choose labels keeps the best by image labels"])


def _require_unchanged(cfg: Config, name: str) -> None:
    """ValueError where the files that a run's identity stands for are others by now: its row would tell of neither."""
    if identity(cfg) != name:
        raise ValueError(f"{cfg.root or cfg.weights}: changed while run {name} was under way; give the command again")


def prepare(cfg: Config, *, tell: bool = False, lazily: bool = False) -> Prepared:
    """Untrained method, training and validation split; ValueError for whatever of them the config cannot have.

    Images and validation masks that nothing has read before are read here, so that a broken one is named before hours
    are spent, but `lazily` training images get a look alone, as those of which their features may be kept; of VOC and
    COCO `apc data prepare` has read all. Masks are held against the image labels; where a score
    would be wrong, that is refused; what else differs, and what is trained on and scored, is told, if `tell` says so.
    """
    if cfg.compile and not shutil.which(compiler := os.environ.get("CXX", "g++")):
        raise ValueError(f"compile is True; it needs a C++ compiler, and there is no {compiler} (CXX names another)")
    if cfg.rounds and cfg.round_refine == "crf" and cfg.crf == "none":  # a trained model is scored without it as well
        raise ValueError("round_refine is crf; it takes the parameters that crf names, which is none")
    train_split, val = data.load(cfg, "train", lazily=lazily), data.load(cfg, "val")
    notes = [*left_out([*train_split.skipped, *val.skipped]), *agreement.require_scorable(val, cfg)]
    if cfg.dataset == "folder":  # drawn pictures are numbered in each split, and COCO's folders may share names
        notes += agreement.in_both(train_split, val)
    if tell:
        agreement.tell(notes)
    _set_deterministic(cfg.deterministic)
    torch.manual_seed(cfg.seed)
    return Prepared(build(cfg, len(val.classes)), train_split, val)


def _set_deterministic(wanted: bool) -> None:
    """Deterministic kernels for this process, or any again: a reused actor trains runs of both kinds."""
    # cuBLAS reads it once, when its first product is computed; a later run of this process may want it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Only a warning where there is none: on a GPU, the cross entropy over pixels has no deterministic kernel.
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # 8 % of a small step


class Found(NamedTuple):
    """What a run finds before it trains."""

    scored: bool
    """Whether any validation image has a mask."""
    images: dict[str, int]
    """Images of each split."""


def preflight(cfg: Config) -> Found:
    """Read and build all that a run needs, train nothing; ValueError as `prepare`."""
    _, train_split, val = prepare(cfg, tell=True)
    images = {"train": len(train_split), "val": len(val)}
    if data.has_test(cfg):
        images["test"] = len(data.load(cfg, "test"))
    return Found(val.masked, images)


@contextmanager
def _alone(folder: Path, place: RunHere) -> Iterator[None]:
    """Hold a run's folder, so that two drivers train a run once. The system frees it when its holder dies."""
    rank, world = processes()
    folder.mkdir(parents=True, exist_ok=True)
    run_folder = RunFolder(folder)
    with open(run_folder.lock, "a", encoding="utf-8") as lock, ExitStack() as held:  # what its holder wrote stays
        if rank == 0:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            run_folder.remove_torn_files()
            held.enter_context(signed(lock))
            held.enter_context(place.held())
        if world > 1:
            dist.barrier()
        if rank:
            place.join()
        yield


class _Scores(NamedTuple):
    """What the finished model scores."""

    metrics: dict[str, float]
    """Scores in percent by name, and what the method selects by itself."""
    counts: dict[str, Counts]
    """What the validation photographs scored under each protocol."""
    ballots: dict[str, np.ndarray]
    """Small label maps of the validation photographs."""
    images: dict[str, int]
    """Images of each split."""
    seconds: float


def _scored(prepared: Prepared, cfg: Config, scoring: Scoring) -> _Scores:
    method, train_split, val = prepared
    start = time.perf_counter()
    after_crf = AfterCRF(val) if cfg.crf != "none" else None
    evidence = Evidence(val.labels.cpu().numpy())
    listening = replace(
        scoring, keep=after_crf.keep if after_crf else None, plain=Looking(method, evidence, cfg, scoring.device)
    )
    counts = score(method, val, cfg, scoring=listening)
    metrics = {protocol: miou(sums.total) for protocol, sums in counts.items() if sums.total.any()}
    metrics |= foreground(counts["miou"].total) | halves(counts["miou"].images) if metrics else {}
    images = {"train": len(train_split), "val": len(val)}
    if data.has_test(cfg):
        test = data.load(cfg, "test")
        metrics["test_miou"] = miou(score(method, test, cfg, HEADLINE, Scoring(scoring.device))["miou"].total)
        images["test"] = len(test)
    evidence = gather(method, val, cfg, scoring, evidence)
    metrics |= evidence.scores() | (after_crf.scores(scoring.device) if after_crf else {})
    metrics |= _choices(method, val, scoring.device)
    return _Scores(metrics, counts, evidence.ballots, images, time.perf_counter() - start)


def _per_class(total: np.ndarray) -> list[float | None]:
    """IoU in percent of each class; None where the truth has none of it."""
    return [None if math.isnan(value) else round(value, 4) for value in iou(total)]


def _stamp(cfg: Config, prepared: Prepared, trained: Trained, images: dict[str, int], device: str) -> dict[str, Any]:
    """Where the numbers come from: data, weights, machine; and by what `best/` is, where that is not miou."""
    return stamp(
        data=data.fingerprint(cfg),
        weights=weights.fingerprint(cfg),
        weights_name=Path(cfg.weights).name,
        weights_contents=weights.contents(cfg),
        mean=prepared.method.encoder.mean.flatten().tolist(),
        std=prepared.method.encoder.std.flatten().tolist(),
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        threads=torch.get_num_threads(),
        processes=processes()[1],
        selection="val",
        images=images,
        protocol=RECIPE_VERSION,
        peak_gib=round(trained.peak_gib, 3),
        **({"best_by": trained.by} if trained.by != "miou" else {}),
        **data.provenance(cfg),
    )


def _write(folder: Path, cfg: Config, prepared: Prepared, row: Row, scores: _Scores, place: RunHere) -> Row:
    """The files of a finished run: tallies, confusion matrices, ballots, model, row; the row that is then there."""
    tallies = {protocol: sums.images for protocol, sums in scores.counts.items()}
    matrices = {protocol: sums.total for protocol, sums in scores.counts.items()}
    run_folder, by = RunFolder(folder), row.stamp.get("best_by", "miou")
    for path, arrays in (
        (run_folder.tallies, tallies),
        (run_folder.confusion, matrices),
        (run_folder.ballots, scores.ballots),
    ):
        write_arrays(path, arrays)
    save_model(folder, prepared.method, cfg, prepared.val.classes)
    if by in row.metrics and not any(beats(line, [row.metrics], by) for line in row.curve):
        shutil.rmtree(run_folder.best.path, ignore_errors=True)  # no earlier epoch beat the finished model

    def stored() -> Row | None:
        return load_run(folder.parent, folder.name, to_dict(cfg))

    if place.publish(row_text(row), lambda: stored() is not None):
        save_run(folder.parent, row)
    else:
        row = stored() or row
    run_folder.state.unlink(missing_ok=True)  # the finished model stays, the optimiser's state does not
    return row


@torch.no_grad()
def _choices(method: Method, split: Split, device: str) -> dict[str, float]:
    """What the method selects on the first 128 images of `split`, mean over batches of 32; see Method.choices. The
    network is shown no more pixels of them at once than in scoring."""
    method.eval()
    chosen = []
    group = min(max(BATCH_PIXELS // method.cfg.scored_size**2, 1), 32)

    def shown(numbers: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"image": as_floats(split.images[numbers], device), "labels": split.labels[numbers].to(device)}

    for numbers in torch.arange(len(split))[:128].split(32):
        chosen.append(method.choices(map(shown, numbers.split(group))))
    chosen = [choice for choice in chosen if choice]  # none of a batch whose images all show nothing
    return {name: float(np.mean([choice[name] for choice in chosen])) for name in chosen[0]} if chosen else {}
