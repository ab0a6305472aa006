"""Finished runs measured again, from their checkpoints and without training: Table 1's sizes, Table 2's pseudo masks,
Table 6's scales, Table 9's distances. What is measured once is kept in the run's folder.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

from apc import data
from apc.config import Config, from_dict
from apc.data import Split, agreement
from apc.devices import device_of, peak_gib, restart
from apc.escaping import complain, say
from apc.evaluation.miou import Counts, halves, iou, miou, score
from apc.evaluation.scoring import Cost, Scoring
from apc.files import write_atomically
from apc.methods.base import Method
from apc.methods.checkpoint import load_model
from apc.parallel import cores
from apc.runs.folder import RunFolder
from apc.runs.protocols import DEFAULT_SCALES, Protocol
from apc.runs.rows import Row
from apc.runs.scores import RECIPE_VERSION
from apc.runs.stamp import commit

Measure = Callable[[Method, Config, str], dict[str, Any]]
"""What is measured of a trained model, from its config and the device: plain values, such as {"metrics": {...}}."""

Read = Callable[[Config], str]
"""The fingerprint of what a measure reads."""

_known_only: ContextVar[bool] = ContextVar("_known_only", default=False)


@contextmanager
def known_only() -> Iterator[None]:
    """Within it nothing is measured, for somebody waits: what is not known stays so, and nothing is said of it."""
    token = _known_only.set(True)
    try:
        yield
    finally:
        _known_only.reset(token)


def measured_once(
    row: Row, runs: Path, root: str, name: str, measure: Measure, read: Read | None = None
) -> dict[str, Any]:
    """What `measure` tells of a finished run on the photographs below `root`, from its file where it was measured
    before; empty, and said, where the run has no checkpoint here.

    `read` is the fingerprint of what is read besides what the run's identity holds: with another one than that of the
    file the run is measured again.
    """
    folder = runs / row.run
    origin: dict[str, Any] = {"protocol": RECIPE_VERSION}
    if read:
        origin["read"] = read(replace(from_dict(row.config), root=root))
    path = RunFolder(folder).measured(name)
    with suppress(OSError, ValueError):  # not measured yet, or a damaged file
        measurement: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if all(measurement.get(key) == value for key, value in origin.items()):
            return measurement
    if _known_only.get():
        return {}
    device = device_of("auto")
    try:
        method, cfg, _ = load_model(folder, device)
    except ValueError as error:
        complain(f"not measured: {error}")
        return {}
    start = time.perf_counter()
    head, dirty = commit()
    origin |= {"commit": head, "dirty": dirty, "device": device}
    measurement = measure(method, replace(cfg, root=root), device) | origin  # its own may have moved since
    write_atomically(path, json.dumps(measurement) + "\n")
    say(f"measured {name} of run {row.run} in {time.perf_counter() - start:.0f} s")
    return measurement


def with_measurement(row: Row, measurement: dict[str, Any]) -> Row:
    """The row with what was measured of its run laid over its metrics, seconds and IoU of the classes."""
    if not measurement:
        return row
    by = {name: measurement[name] for name in ("commit", "device")}
    return replace(
        row,
        metrics=row.metrics | measurement.get("metrics", {}),
        seconds=row.seconds | measurement.get("seconds", {}),
        per_class=row.per_class | measurement.get("per_class", {}),
        stamp=row.stamp | {"measured": by},
    )


def at_size(size: int, *more: Protocol, scales: tuple[float, ...] = ()) -> Measure:
    """Scores with and without the CRF, and of `more` protocols, seconds a photograph and memory (GiB) of images shown
    at `size` pixels (Table 1); with `scales`, by the same names, of the mean over these multiples of it and flips."""

    def measure(method: Method, trained: Config, device: str) -> dict[str, Any]:
        cfg, cost = replace(trained, eval_size=size), Cost()
        crfs = ["", "own"] if cfg.crf != "none" else [""]
        restart(device)
        val = data.load(cfg, "val")
        scoring = Scoring(device, cores(), cost=cost)
        asked = {p.name: replace(p, scales=scales) for p in (*(Protocol(crf=crf) for crf in crfs), *more)}
        scored = score(method, val, cfg, list(asked.values()), scoring)
        counts = {name: scored[protocol.name] for name, protocol in asked.items()}
        crf = [seconds for each in cost.crf_seconds.values() for seconds in each]
        network = sum(cost.seconds.values()) / max(cost.images.values(), default=1)
        return {
            "metrics": _scores(counts)
            | halves(counts["miou"].images)
            | {"peak_gib": max(cost.peak_gib.values(), default=peak_gib(device))},
            "seconds": {"network": network} | ({"crf": sum(crf) / len(crf)} if crf else {}),
            "per_class": {name: _classes(sums.total) for name, sums in counts.items()},
        }

    return measure


def shown_at(row: Row, size: int, scores: dict[str, Any], how: str = "") -> Row:
    """A run as a row of its own, with what `at_size` measured: nothing of the run's scores and times is left, which
    are of another size; `how` tells it from other rows of that size."""
    by = {name: scores[name] for name in ("commit", "device")}
    return replace(
        row,
        run=f"{row.run}@{size}{how}",
        config=row.config | {"eval_size": size},
        metrics=scores["metrics"],
        seconds=scores["seconds"],
        per_class=scores["per_class"],
        curve=[],
        stamp=row.stamp | {"measured": by},
    )


def multi_scale(method: Method, cfg: Config, device: str) -> dict[str, Any]:
    """Scores of the decoder as the mean over scales and flips, with and without the CRF (Table 6)."""
    crfs = ["", "own"] if cfg.crf != "none" else [""]
    protocols = [Protocol(scales=DEFAULT_SCALES, crf=crf) for crf in crfs]
    return {"metrics": _scores(score(method, data.load(cfg, "val"), cfg, protocols, Scoring(device, cores())))}


def pseudo_masks_of_train(method: Method, cfg: Config, device: str) -> dict[str, Any]:
    """Scores of the pseudo masks of the training images (Table 2): `train_pseudo_miou` from the patch branch,
    `train_labelled_miou` from the decoder, both given the image labels, and after the CRF.

    Here, after all training, the masks of the training images are opened; no training ever does.
    """
    split, crfs = with_masks(cfg), ["", "own"] if cfg.crf != "none" else [""]
    protocols = [Protocol(branch, True, crf=crf) for branch in ("patch", "decoder") for crf in crfs]
    counts = score(method, split, cfg, protocols, Scoring(device, cores()))
    return {"metrics": {f"train_{name}": value for name, value in _scores(counts).items()}}


def masks_of_train(cfg: Config) -> str:
    """Fingerprint of the training images with their masks, which no run's identity holds: training reads none."""
    return data.fingerprint(replace(cfg, val_list=cfg.train_list))


def with_masks(cfg: Config) -> Split:
    """The training images of a run at the size it is scored at, with their masks."""
    split = data.load(replace(cfg, image_size=cfg.scored_size), "train")
    if cfg.dataset == "pocket":
        drawn = [data.pocket.draw("train", int(name), cfg.data_seed)[1] for name in split.names]
        split.mask = lambda i: drawn[i]
        return split
    of_train = replace(cfg, val_list=cfg.train_list, num_val=0)
    scored = data.load(of_train, "val", lazily=True)  # the list, read as one to be scored: its masks are wanted alone
    agreement.tell(agreement.require_scorable(scored, cfg))
    number = {name: i for i, name in enumerate(scored.names)}
    split.mask = lambda i: scored.mask(number[split.names[i]])
    return split


def _scores(counts: dict[str, Counts]) -> dict[str, float]:
    return {name: miou(sums.total) for name, sums in counts.items() if sums.total.any()}


def _classes(total: Any) -> list[float | None]:
    return [None if value != value else round(float(value), 4) for value in iou(total)]
