"""The folder of one run: which files lie in it, and how they are read and written."""

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.config import PATHS, Config, to_dict
from apc.files import write_atomically
from apc.runs.rows import Row

if TYPE_CHECKING:
    from numpy import ndarray


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
    wanted = {k: v for k, v in (config or {}).items() if k not in PATHS and k in row.config}
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


def note(runs: Path, run: str) -> Path:
    """File that says, in its first line, why a run failed; there is none while it may still go well."""
    return runs / run / "error.txt"


def reason_of(runs: Path, run: str) -> str:
    """Why a run failed, in one line; empty where its folder names no reason."""
    return (note(runs, run).read_text().splitlines() or [""])[0] if note(runs, run).is_file() else ""


def ended_row(runs: Path, run: str, cfg: Config) -> Row:
    """Row of a run that ended: as stored, or, where it is not finished, one that says why it failed."""
    if row := load_run(runs, run, to_dict(cfg)):
        return row
    if not (reason := reason_of(runs, run)):
        reason = "its process was lost before it could say why (killed, out of memory, or with its node)"
        write_atomically(note(runs, run), reason)
    return Row(run=run, config=to_dict(cfg), metrics={}, seconds={}, error=reason)
