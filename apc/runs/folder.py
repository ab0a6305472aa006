"""What lies in the folder of a run, and beside it: every file name once, with who writes the file and when it is whole.

RUNS/<run>/            RunFolder: a run, by its identity
    model.safetensors  ModelFolder: the finished model, with config.toml and classes.txt
    rounds/1/          the masks of the training images that the run made itself, where it has rounds of self-training
    best/              ModelFolder: the best epoch, where one scored on the way beat the finished model
RUNS/<study>.journal   RunsFolder: what belongs to a search
"""

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apc.config import PATHS, Config, to_dict, without_paths
from apc.files import is_part, part_in, sweep, write_atomically
from apc.runs.copies import bring, forget, tell
from apc.runs.rows import NewerVersion, Row, row_of
from apc.runs.scores import with_rules

if TYPE_CHECKING:
    from numpy import ndarray


@dataclass(frozen=True)
class ModelFolder:
    """A trained model: all that scoring and prediction need. Each file is written whole, the config last."""

    path: Path

    @property
    def weights(self) -> Path:
        """Tensors of the method, by name."""
        return self.path / "model.safetensors"

    @property
    def config(self) -> Path:
        """Every field of its Config."""
        return self.path / "config.toml"

    @property
    def classes(self) -> Path:
        """Class names, one a line, background first."""
        return self.path / "classes.txt"

    @property
    def card(self) -> Path:
        """The model card, where `apc export` made the folder."""
        return self.path / "README.md"

    @property
    def needed(self) -> tuple[Path, Path, Path]:
        """The files without which it is no model."""
        return self.config, self.classes, self.weights


UNSEEN = 60.0  # seconds for which NFS may not show what another machine has written (its acdirmax)

WAITS = "waits"
"""First word of the note in the folder of a run that waits for others of its search."""


class Setting(NamedTuple):
    """What a search said of a run when it started it."""

    label: str
    """Label of the point whose setting it has."""
    seed: int


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, `<runs>/<identity>`.

    Every file but the lock appears whole or not at all: under a name that begins with `.apc-` while it is written,
    which the next holder of the lock removes where its writer was killed.
    """

    path: Path

    @property
    def row(self) -> Path:
        """The Row, as JSON. The process that trained writes it last of all: a run is finished exactly when it is
        there."""
        return self.path / "row.json"

    @property
    def curve(self) -> Path:
        """Epochs that are finished, a JSON line each: number, seconds so far, loss terms, scores where taken.

        Written after every epoch, after the training state."""
        return self.path / "curve.jsonl"

    @property
    def state(self) -> Path:
        """The training state after the last epoch, from which a run goes on to the bit; removed once the run is
        finished."""
        return self.path / "last.pt"

    @property
    def model(self) -> ModelFolder:
        """The finished model, in this folder itself; written before the row."""
        return ModelFolder(self.path)

    @property
    def best(self) -> ModelFolder:
        """The model of the best epoch that was scored on the way (`eval_every`); it stays only where it beat the
        finished model in miou."""
        return ModelFolder(self.path / "best")

    @property
    def tallies(self) -> Path:
        """What each validation image scored, an array (n,3,C) a protocol; see load_tallies. Written before the row."""
        return self.path / "tallies.npz"

    @property
    def confusion(self) -> Path:
        """Pixels of the validation images by class and called class, an array (C,C) a protocol; written before the
        row."""
        return self.path / "confusion.npz"

    @property
    def ballots(self) -> Path:
        """Small label maps of the validation images, (n,s,s): `decoder`, and `patch`, restricted by the image labels.
        The runs of a search vote with them (apc/search/vote.py). Written before the row."""
        return self.path / "ballots.npz"

    def ballots_at(self, epoch: int) -> Path:
        """The same of a run that reached a rung of a halving search, after that epoch; written before the training
        state. They stay beside those of the finished run: given up, or trained to the end, it votes at the rung."""
        return self.path / f"ballots.{epoch}.npz"

    def is_ballots(self, path: Path) -> bool:
        """Whether a file of the folder is one of these."""
        return path.parent == self.path and path.match("ballots*.npz")

    def masks_of(self, number: int) -> Path:
        """Folder of the pseudo masks that a round of self-training learns from, some images a file, each written as
        soon as it is made; see apc/runs/mask_parts.py."""
        return self.path / "rounds" / str(number)

    @property
    def error(self) -> Path:
        """Why the run failed: a line, and behind it the traceback. Written by the worker or, of a process that was
        lost, by the driver; removed when the run starts again."""
        return self.path / "error.txt"

    @property
    def stopped(self) -> Path:
        """By which rule and after which epoch a search gave the run up or, if its first word is `waits`, at which one
        the run waits for others, in a line; written by the driver, removed when the run starts again."""
        return self.path / "stopped.txt"

    @property
    def task(self) -> Path:
        """The Setting, as JSON, of a run that a search started; written by the worker before it trains."""
        return self.path / "task.json"

    @property
    def lock(self) -> Path:
        """Held, by flock, by the one process that trains the run, whose machine and number stand in it; it stays."""
        return self.path / ".lock"

    @property
    def lease(self) -> Path:
        """Copy of the lease of whoever trains a run that lies in a store; see apc/runs/lease.py."""
        return self.path / "lease.json"

    def measured(self, name: str) -> Path:
        """What a table measured on the finished run, as JSON; see apc/evaluation/remeasure.py."""
        return self.path / "measured" / f"{name}.json"

    def remove_torn_files(self) -> None:
        """Remove what a process that was killed had half-written; only for the holder of the lock."""
        sweep(self.path, self.best.path, self.path / "measured", *self.path.glob("rounds/*"), abandoned=60)
        for part in self.path.glob(".*.*.*"):
            if not is_part(part):  # but `.last.pt.PID`, of the first edition
                part.unlink(missing_ok=True)

    def write_epochs(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """Write the curve."""
        write_atomically(self.curve, "".join(json.dumps(epoch) + "\n" for epoch in epochs))

    def epochs(self) -> list[dict[str, float]]:
        """The epochs of the curve; none before the first is finished. ValueError names a line that is none."""
        lines = self.curve.read_bytes().splitlines() if self.curve.is_file() else []
        return [_epoch(line, f"{self.curve}, line {number}") for number, line in enumerate(lines, start=1)]

    def write_setting(self, setting: Setting) -> None:
        """Write the task; only `apc status` reads it, of a run that has no row yet."""
        self.write_note(self.task, json.dumps(setting._asdict()))

    def write_note(self, path: Path, text: str) -> None:
        """Write one of the files that say how the run is, in the folder and in its store; there also where nothing more
        can be written here, which then is what it says."""
        try:
            write_atomically(path, text)
        finally:
            tell(path, text)

    def setting(self) -> Setting | None:
        """The setting that a search gave the run; None where no search started it, or its task cannot be read."""
        try:
            task = json.loads(self.task.read_text(encoding="utf-8"))
            setting = Setting(task["label"], task["seed"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return setting if isinstance(setting.label, str) and type(setting.seed) is int else None

    def reason(self) -> str:
        """Why the run failed, in one line; empty where it did not, or may still go well."""
        return _first_line(self.error)

    def rule(self) -> str:
        """By which rule the run was given up, in one line; empty where it was not."""
        return _first_line(self.stopped)

    def forget_the_end(self) -> None:
        """Remove what says how the run ended when it was tried before."""
        forget(self.error, self.stopped)


def _first_line(path: Path) -> str:
    """The first line of a file, whatever its bytes are; empty where there is none."""
    return (path.read_text(encoding="utf-8", errors="replace").splitlines() or [""])[0] if path.is_file() else ""


def _epoch(line: bytes, place: str) -> dict[str, float]:
    """An epoch of a curve; ValueError names the place of what is none."""
    try:
        epoch = json.loads(line)
        if 1 <= epoch["epoch"] < 10**9 and all(isinstance(value, int | float) for value in epoch.values()):
            return with_rules(epoch)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError(f"{place}: damaged; an epoch is its number and its scores by name")


@dataclass(frozen=True)
class RunsFolder:
    """A folder of runs, and what a search keeps beside them."""

    path: Path

    def run(self, name: str) -> RunFolder:
        """The run of an identity, whether it is there or not."""
        return RunFolder(self.path / name)

    def journal(self, study: str) -> Path:
        """Optuna's journal of a study, a line appended an event; see apc/search/study.py."""
        return self.path / f"{study}.journal"

    def journal_lock(self, study: str) -> Path:
        """Optuna's own lock of the journal, which a killed driver may leave behind."""
        return self.path / f"{study}.journal.lock"

    def lock(self, study: str) -> Path:
        """Held, by flock, by the one driver that works on a study."""
        return self.path / f".{study}.lock"

    def lease(self, study: str) -> Path:
        """Name of the lease of a study that lies in a store; see apc/search/journal_copy.py."""
        return self.path / f"{study}.lease"

    @property
    def tune(self) -> Path:
        """Ray Tune's own files and the driver's log; nothing is ever read back from them."""
        return self.path / ".tune"


def save_run(runs: Path, row: Row) -> None:
    """Mark a run as finished by writing its row."""
    write_atomically(RunFolder(runs / row.run).row, row_text(row))


def row_text(row: Row) -> str:
    """A row as its file has it."""
    return json.dumps(asdict(row), indent=1)


def load_run(runs: Path, run: str, config: dict[str, Any] | None = None) -> Row | None:
    """Row of a finished run, or None where it is not finished, its file is damaged or its config is not `config`.

    NewerVersion where a newer version wrote it: trained again, it would be replaced.
    """
    path = RunFolder(runs / run).row
    if not path.is_file():
        return None
    try:
        row = row_of(json.loads(path.read_text(encoding="utf-8")))
    except NewerVersion as error:
        raise NewerVersion(f"{path}: {error}; go on with that, or name another folder with --runs") from None
    except (ValueError, RecursionError) as error:
        warnings.warn(f"{path} is damaged and ignored: {error}", stacklevel=2)
        return None
    row.run = run  # whatever it says: its folder is the run
    wanted = {k: v for k, v in (config or {}).items() if k not in PATHS and k in row.config}
    return row if all(row.config[k] == v for k, v in wanted.items()) else None


def load_runs(runs: Path) -> list[Row]:
    """All finished runs below `runs`, oldest first; a row that cannot be read is named in a warning."""
    return list(each_run(runs))


def each_run(runs: Path) -> Iterator[Row]:
    """The runs of `load_runs` one after the other, for who needs no two at a time: ten thousand are long."""
    found = []
    for path in runs.glob("*"):
        with suppress(OSError):  # no folder, or none of a finished run
            found.append((RunFolder(path).row.stat().st_mtime, path))
    for _, path in sorted(found):
        try:
            row = load_run(runs, path.name)
        except (NewerVersion, OSError) as error:
            warnings.warn(str(error), stacklevel=2)
            continue
        if row:
            yield row


def load_tallies(folder: Path, protocol: str = "miou") -> "ndarray":
    """What each validation image scored in a finished run: pixels of a class that are right, that the truth has and
    that were called so, (n,3,C). One of UNREADABLE where that cannot be read.

    Runs of earlier versions have, instead, a confusion matrix an image, (n,C,C), in their confusion.npz.
    """
    import numpy as np

    run = RunFolder(folder)
    bring(run.tallies)
    if run.tallies.is_file():
        with np.load(run.tallies) as stored:
            return np.asarray(stored[protocol])
    with np.load(run.confusion) as stored:
        matrices = stored[protocol]
    return np.stack([np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(2), matrices.sum(1)], axis=1)


def seen(folder: RunFolder, is_there: Callable[[], bool]) -> bool:
    """Whether `is_there` of a run that ended on some node, asked again for up to UNSEEN seconds.

    NFS remembers for a while that a file was not there, and what a file held that has been replaced. A change that this
    machine makes in the folder has it look anew.
    """
    deadline = time.monotonic() + UNSEEN
    while not (there := is_there()) and time.monotonic() < deadline:
        probe = part_in(folder.path)
        with suppress(OSError):
            probe.touch()
            probe.unlink()
        time.sleep(min(1.0, UNSEEN))
    return there


def ended_row(runs: Path, run: str, cfg: Config) -> Row:
    """Row of a run that ended: as stored, or, where it is not finished, one that says why it failed."""
    if row := load_run(runs, run, to_dict(cfg)):
        return row
    folder = RunFolder(runs / run)
    if not (reason := folder.reason()):
        reason = "its process was lost before it could say why (killed, out of memory, or with its node)"
        folder.write_note(folder.error, reason)
    return Row(run=run, config=without_paths(cfg), metrics={}, seconds={}, error=reason)
