"""One run, from a config to its row: its identity, what it needs, training, scoring, the files it leaves."""

import fcntl
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from apc import data
from apc.config import Config, to_dict, without_paths
from apc.data.transforms import as_floats
from apc.devices import processes
from apc.evaluation.miou import foreground, halves, iou, miou, score
from apc.files import whole
from apc.methods.base import Method
from apc.methods.checkpoint import save_model
from apc.methods.registry import build
from apc.models import weights
from apc.runs.folder import RunFolder, load_run, save_run
from apc.runs.rows import Row, run_id
from apc.runs.scores import HEADLINE, RECIPE_VERSION
from apc.runs.stamp import commit, stamp
from apc.training.loop import Report, train


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
) -> Row:
    """Train and score one config below `<runs>/<identity>/`; a finished run is returned as it is stored.

    `best/` stays beside the finished model only where an epoch scored on the way (`eval_every`) beat it in miou.
    Reports a flat dict of numbers after every epoch, and the final metrics with `final` = 1. Under torch.distributed
    process 0 writes and every process returns the row. `crf_workers` processes run the CRF of the final scoring. `name`
    is the identity of the run that is wanted; ValueError where the files here give another one, or come to do so.
    """
    name = name or identity(cfg)
    if stored := load_run(runs, name, to_dict(cfg)):
        return stored
    commit()  # remembered now: the working tree may change while this trains
    method, train_split, val = prepare(cfg)
    _require_unchanged(cfg, name)
    with _alone(runs / name):
        if stored := load_run(runs, name, to_dict(cfg)):  # another process finished it while this one waited
            return stored
        row = _train_and_score(method.to(device), cfg, train_split, val, runs / name, device, report, crf_workers)
    if report:
        report({"final": 1.0, "epoch": float(cfg.epochs), "epochs": float(cfg.epochs), **row.metrics})
    return row


def _require_unchanged(cfg: Config, name: str) -> None:
    """ValueError where the files that a run's identity stands for are others by now: its row would tell of neither."""
    if identity(cfg) != name:
        raise ValueError(f"{cfg.root or cfg.weights}: changed while run {name} was under way; give the command again")


def prepare(cfg: Config) -> tuple[Method, data.Split, data.Split]:
    """Untrained method, training and validation split; ValueError for whatever of them the config cannot have.

    Images and validation masks that nothing has read before are read here, so that a broken one is named before hours
    are spent; of VOC and COCO `apc data prepare` has read all.
    """
    if cfg.compile and not shutil.which(compiler := os.environ.get("CXX", "g++")):
        raise ValueError(f"compile is True; it needs a C++ compiler, and there is no {compiler} (CXX names another)")
    train_split, val = data.load(cfg, "train"), data.load(cfg, "val")
    for i in range(0 if val.verified else len(val)):
        val.mask(i)
    _set_deterministic(cfg.deterministic)
    torch.manual_seed(cfg.seed)
    return build(cfg, len(val.classes)), train_split, val


def _set_deterministic(wanted: bool) -> None:
    """Deterministic kernels for this process, or any again: a reused actor trains runs of both kinds."""
    # cuBLAS reads it once, when its first product is computed; a later run of this process may want it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Only a warning where there is none: on a GPU, the cross entropy over pixels has no deterministic kernel.
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # 8 % of a small step


def preflight(cfg: Config) -> bool:
    """Read and build all that a run needs, train nothing; ValueError as `prepare`. Whether any image can be scored."""
    _, _, val = prepare(cfg)
    return any(val.mask(i) is not None for i in range(len(val)))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder, so that two drivers train a run once. The system frees it when its holder dies."""
    rank, world = processes()
    folder.mkdir(parents=True, exist_ok=True)
    run_folder = RunFolder(folder)
    with open(run_folder.lock, "w") as lock:
        if rank == 0:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            run_folder.remove_torn_files()
        if world > 1:
            dist.barrier()
        yield


def _train_and_score(
    method: Method,
    cfg: Config,
    train_split: data.Split,
    val: data.Split,
    folder: Path,
    device: str,
    report: Report | None,
    crf_workers: int,
) -> Row:
    trained = train(method, cfg, train_split, val, folder=folder, device=device, report=report)
    start = time.perf_counter()
    counts = score(method, val, cfg, device=device, frozen_features=trained["frozen_features"], crf_workers=crf_workers)
    totals = {protocol: sums.total for protocol, sums in counts.items()}
    metrics = {protocol: miou(matrix) for protocol, matrix in totals.items() if matrix.any()}
    metrics |= foreground(totals["miou"]) | halves(counts["miou"].images) if metrics else {}
    images = {"train": len(train_split), "val": len(val)}
    if data.has_test(cfg):
        test = data.load(cfg, "test")
        metrics["test_miou"] = miou(score(method, test, cfg, HEADLINE, device)["miou"].total)
        images["test"] = len(test)
    metrics |= _choices(method, val, device)
    scored = time.perf_counter() - start

    _require_unchanged(cfg, folder.name)
    row = Row(
        run=folder.name,
        config=without_paths(cfg),
        metrics=metrics,
        seconds=trained["seconds"] | {"eval": scored},
        classes=val.classes,
        curve=trained["curve"],
        per_class={p: [None if math.isnan(v) else round(v, 4) for v in iou(m)] for p, m in totals.items()},
        stamp=stamp(
            data=data.fingerprint(cfg),
            weights=weights.fingerprint(cfg),
            weights_name=Path(cfg.weights).name,
            weights_contents=weights.contents(cfg),
            device=torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
            threads=torch.get_num_threads(),
            processes=processes()[1],
            selection="val",
            images=images,
            protocol=RECIPE_VERSION,
            peak_gib=round(trained["peak_gib"], 3),
            **data.provenance(cfg),
        ),
    )
    if processes()[0] == 0:
        tallies: dict[str, Any] = {protocol: sums.images for protocol, sums in counts.items()}
        matrices: dict[str, Any] = totals
        run_folder = RunFolder(folder)
        for path, arrays in ((run_folder.tallies, tallies), (run_folder.confusion, matrices)):
            with whole(path) as part, open(part, "wb") as file:
                np.savez_compressed(file, **arrays)
        save_model(folder, method, cfg, val.classes)
        if "miou" in metrics and metrics["miou"] >= max((e.get("miou", -1.0) for e in row.curve), default=-1.0):
            shutil.rmtree(run_folder.best.path, ignore_errors=True)  # no earlier epoch beat the finished model
        save_run(folder.parent, row)
        run_folder.state.unlink(missing_ok=True)  # the finished model stays, the optimiser's state does not
    return row


@torch.no_grad()
def _choices(method: Method, split: data.Split, device: str) -> dict[str, float]:
    """What the method selects on the first 128 images of `split`, mean over batches; see Method.choices."""
    method.eval()
    found = []
    for part in torch.arange(len(split))[:128].split(32):
        images = as_floats(split.images[part], device)
        found.append(method.choices({"image": images, "labels": split.labels[part].to(device)}))
    return {name: float(np.mean([f[name] for f in found])) for name in found[0]}
