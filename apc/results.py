"""Rows: what a run was and what it scored, as plain JSON that needs neither torch nor Ray to read.

Every finished run leaves `<runs>/<id>/row.json`; the file appears whole or not at all, so a run is done exactly
when it is there. An experiment's rows are one JSON line each in `reports/results/<experiment>/<dataset>.jsonl`.
"""

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.config import Config, to_dict

if TYPE_CHECKING:
    from numpy import ndarray

PROTOCOL = 1
"""Version of what training and scoring compute; raise it when either changes, so that old runs are not reused."""

_PATHS = ("root", "weights", "deeplab_weights")  # their contents' fingerprints stand in the identity instead


@dataclass(kw_only=True)
class Row:
    """One run as one row of a table."""

    run: str
    """Identity: hash of config, seed, data, weights and protocol."""
    config: dict[str, Any]
    """Every Config field, the seed included."""
    metrics: dict[str, float]
    """Scores in percent, named after their protocol; see apc/evaluate/protocol.py."""
    seconds: dict[str, float]
    """Wall seconds of `train` and `eval`, CPU seconds of `train_cpu`."""
    per_class: dict[str, list[float | None]] = field(default_factory=dict)
    """IoU in percent of each class, a list a metric; None for a class absent from the ground truth."""
    classes: list[str] = field(default_factory=list)
    """Class names, background first."""
    curve: list[dict[str, float]] = field(default_factory=list)
    """One dict an epoch: epoch, wall and processor seconds of training so far, loss terms, scores where taken."""
    stamp: dict[str, Any] = field(default_factory=dict)
    """What the numbers depend on: commit, versions, machine, data; see apc/stamp.py."""
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
        kind = name.removesuffix("_seconds")
        found = self.metrics.get(name) if kind == name else self.seconds.get(kind)
        return float(found) if isinstance(found, int | float) else math.nan


def run_id(config: dict[str, Any], data: str, weights: str) -> str:
    """Identity of a run: 12 hex digits of the fields that differ from Config's defaults, data, weights and protocol.

    Leaving defaults out keeps finished runs valid when a later version adds a field; `load_run` compares the whole
    config, so a default that changes its value cannot pass for the old one.
    """
    default = to_dict(Config())
    kept = {k: v for k, v in config.items() if k not in _PATHS and v != default.get(k)}
    text = json.dumps([kept, data, weights, PROTOCOL], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` at the end and is removed where anything fails, so that a reader, or a
    crash, sees the old file or the new one and nothing between. Of a full disk the OSError names `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as part, open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def require_writable(folder: Path) -> None:
    """ValueError where files cannot be written below `folder`, before anything long has started."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror})") from None


def save_run(runs: Path, row: Row) -> None:
    """Mark a run as finished by writing its row.json."""
    write_atomically(runs / row.run / "row.json", json.dumps(asdict(row), indent=1))


def load_run(runs: Path, run: str, config: dict[str, Any] | None = None) -> Row | None:
    """Row of a finished run, or None where it is not finished, its file is damaged or its config is not `config`."""
    path = runs / run / "row.json"
    if not path.is_file():
        return None
    try:
        row = Row(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        warnings.warn(f"{path} is damaged and ignored: {error}", stacklevel=2)
        return None
    wanted = {k: v for k, v in (config or {}).items() if k not in _PATHS and k in row.config}
    return row if all(row.config[k] == v for k, v in wanted.items()) else None


def load_runs(runs: Path) -> list[Row]:
    """All finished runs below `runs`, oldest first."""
    paths = sorted(runs.glob("*/row.json"), key=lambda p: p.stat().st_mtime)
    return [row for path in paths if (row := load_run(runs, path.parent.name))]


def load_tallies(folder: Path, protocol: str = "miou") -> "ndarray":
    """What each validation image scored in a finished run: pixels of a class that are right, that the truth has and
    that were called so, (n,3,C). OSError, ValueError or KeyError where that cannot be read.

    Runs of earlier versions have, instead, a confusion matrix an image, (n,C,C), in their confusion.npz.
    """
    import numpy as np

    if (folder / "tallies.npz").is_file():
        with np.load(folder / "tallies.npz") as stored:
            return np.asarray(stored[protocol])
    with np.load(folder / "confusion.npz") as stored:
        matrices = stored[protocol]
    return np.stack([np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(2), matrices.sum(1)], axis=1)


def save_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write an experiment's rows, one JSON line each."""
    write_atomically(path, "".join(json.dumps(asdict(row)) + "\n" for row in rows))


def load_rows(path: Path) -> list[Row]:
    """Rows of one .jsonl file; a damaged line costs that row, named in a warning, and no other."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            rows.append(Row(**json.loads(line)))
        except (ValueError, TypeError) as error:
            warnings.warn(f"{path}, line {number} is damaged and ignored: {error}", stacklevel=2)
    return rows
