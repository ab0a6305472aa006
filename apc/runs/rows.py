"""Rows: what a run was and what it scored, as plain JSON that needs neither torch nor Ray to read.

Every finished run leaves `<runs>/<id>/row.json`; the file appears whole or not at all, so a run is done exactly
when it is there. An experiment's rows are one JSON line each in `<reports>/results/<experiment>/<dataset>.jsonl`; those
that the project ships lie below `reports/reference/`.
"""

import hashlib
import json
import math
import statistics
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, get_origin

from apc.config import PATHS, Config, patch_of, to_dict
from apc.files import write_atomically
from apc.runs.scores import LOWER_IS_BETTER, RECIPE_VERSION, with_rules

DECIDE = "decide"
"""In the stamp of a row the most seeds that might have been run for a verdict (`--decide`); absent where their number
was fixed beforehand."""


@dataclass(kw_only=True)
class Row:
    """One run as one row of a table."""

    run: str
    """Identity: hash of config, seed, data, weights and protocol."""
    config: dict[str, Any]
    """Every Config field, the seed included."""
    metrics: dict[str, float]
    """Scores in percent, named after their protocol; see apc/runs/protocols.py."""
    seconds: dict[str, float]
    """Wall seconds of `train` and `eval`, CPU seconds of `train_cpu`."""
    per_class: dict[str, list[float | None]] = field(default_factory=dict)
    """IoU in percent of each class, a list a metric; None for a class absent from the ground truth."""
    classes: list[str] = field(default_factory=list)
    """Class names, background first."""
    curve: list[dict[str, float]] = field(default_factory=list)
    """One dict an epoch: epoch, wall and processor seconds of training so far, loss terms, scores where taken."""
    stamp: dict[str, Any] = field(default_factory=dict)
    """What the numbers depend on: commit, versions, machine, data; see apc/runs/stamp.py."""
    experiment: str = ""
    """Experiment whose table the row stands in; empty for a single run."""
    row: str = ""
    """Label of the row in that table; the seeds of one setting share it."""
    error: str = ""
    """Why a run failed; a failed run has no metrics."""
    stopped: str = ""
    """When and by which rule a run was given up early; such a run has a curve and no metrics."""

    def value(self, name: str) -> float:
        """A score, or seconds as `train_seconds`; NaN where the row lacks it."""
        clock = name.removesuffix("_seconds")
        number = self.metrics.get(name) if clock == name else self.seconds.get(clock)
        return float(number) if isinstance(number, int | float) else math.nan


def row_of(stored: Any) -> Row:
    """The row that was stored as JSON, with products of its scores that are younger than it is; ValueError where it is
    none, or one of a newer version."""
    if not isinstance(stored, dict):
        raise ValueError(f"it is a {type(stored).__name__}, not a row")
    kinds = _kinds()
    if newer := sorted(stored.keys() - kinds.keys()):
        raise NewerVersion(f"it was made by a newer version (it has {newer[0]!r})")
    try:
        row = Row(**stored)
    except TypeError as error:  # a field is missing
        raise ValueError(str(error)) from None
    for name, kind in kinds.items():
        if not isinstance(value := getattr(row, name), kind):
            raise ValueError(f"{name} is a {type(value).__name__}; it must be a {kind.__name__}")
    row.metrics = with_rules(row.metrics)
    row.curve = [with_rules(epoch) if isinstance(epoch, dict) else epoch for epoch in row.curve]
    return row


class NewerVersion(ValueError):
    """A file has fields that this version does not know: it is whole, and never replaced."""


@cache
def _kinds() -> dict[str, type]:
    """The class of each field of Row."""
    hints: dict[str, Any] = {each.name: each.type for each in fields(Row)}
    return {name: get_origin(hint) or hint for name, hint in hints.items()}


def run_id(config: dict[str, Any], data: str, weights: str) -> str:
    """Identity of a run: 12 hex digits of the fields that differ from Config's defaults, data, weights, protocol, and
    what was mended since.

    Leaving defaults out keeps finished runs valid when a later version adds a field; `load_run` compares the whole
    config, so a default that changes its value cannot pass for the old one.
    """
    default = to_dict(Config())
    own = {k: v for k, v in config.items() if k not in PATHS and v != default.get(k)}
    text = json.dumps([own, data, weights, RECIPE_VERSION, *mended(default | config)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def mended(config: dict[str, Any]) -> list[str]:
    """What of a config's training or scoring was mended since RECIPE_VERSION; an older run of it is none of it now."""
    since = {
        "all classes count in IRN's rule": config["crf"] == "irn",
        "the segmentation loss is a mean over all parts and processes": (
            config["method"] == "apc" and config["pseudo_threshold"] > 0 and config["lambda1"] > 0
        ),
        "every pass of the CAM goes through the decoder's norm": (
            config["method"] == "afa" and config["compat"] == "official" and config["decoder_norm"] == "batch"
        ),
        "masks of pixels and logits are read at the same pixels": (
            (config["rounds"] > 0 and (config["seg_stride"] > 1 or config["crop_scale"] < 1))
            or (config["method"] == "vit_pcm" and config["stage2_epochs"] > 0 and config["seg_stride"] > 1)
        ),
        "each block of DeepLab's encoder has its own rate": (
            config["method"] == "vit_pcm"
            and config["stage2_epochs"] > 0
            and config["deeplab"] == "vit"
            and config["lr_decay"] < 1
        ),
        "the rate of a round is not warmed up": config["rounds"] > 0 and config["warmup_steps"] > 0,
        "every pixel of the segmentation loss takes the label of the patch that its middle lies in": (
            config["method"] == "apc"
            and config["lambda1"] > 0
            and config["pseudo_label"] != "levels"
            and patch_of(config["encoder"]) % config["seg_stride"] > 0
        ),
        "the dense energy's colours and labels lie where its probabilities do": (
            config["method"] in ("afa", "toco") and config["energy_weight"] > 0 and config["image_size"] // 2 > 56
        ),
        "a crop keeps the least share of its image": 0.75 < config["crop_scale"] < 1,
    }
    return [what for what, concerned in since.items() if concerned]


def save_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write an experiment's rows, one JSON line each."""
    write_atomically(path, "".join(json.dumps(asdict(row)) + "\n" for row in rows))


def load_rows(path: Path) -> list[Row]:
    """Rows of one .jsonl file; a damaged line costs that row, named in a warning, and no other."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        stored: Any = None
        try:
            stored = json.loads(line)
            rows.append(row_of(stored))
        except (ValueError, RecursionError) as error:
            run = f"run {stored['run']}: " if isinstance(stored, dict) and "run" in stored else ""
            warnings.warn(f"{path}, line {number} is damaged and ignored: {run}{error}", stacklevel=2)
    return rows


def unbeaten(scores: Sequence[Sequence[float]], metrics: Sequence[str]) -> list[bool]:
    """Which settings lie on the Pareto front, by their scores in `metrics`; none with a score that is missing (NaN)."""
    signs = [-1 if metric in LOWER_IS_BETTER else 1 for metric in metrics]
    gains = [[sign * value for sign, value in zip(signs, own, strict=True)] for own in scores]
    return [
        all(map(math.isfinite, own))
        and not any(other != own and all(b >= a for a, b in zip(own, other, strict=True)) for other in gains)
        for own in gains
    ]


def score(rows: Sequence[Row], metric: str) -> float | None:
    """Mean of `metric` over a point's seeds; None where a run failed, since such a setting cannot be recommended."""
    values = [row.value(metric) for row in rows]
    return statistics.fmean(values) if values and all(math.isfinite(v) for v in values) else None
