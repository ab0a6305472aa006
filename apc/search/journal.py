"""The journal of a study: opened where there is one, begun where there is none, refused where it is another's.

It holds the trials under way too, and opens in optuna-dashboard.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FrozenTrial

from apc.config import Config
from apc.escaping import short
from apc.runs.folder import RunsFolder
from apc.runs.scores import CHOOSERS, LOWER_IS_BETTER
from apc.search.journal_copy import shared
from apc.search.journal_lines import whole_lines
from apc.search.samplers import PRUNERS
from apc.search.study_settings import StudyDefinition, changes
from apc.search.warm_start import begun_warm, check_folder, earlier_trials
from apc.training.run import identity


def open_study(
    path: Path, definition: StudyDefinition, settings: dict[str, Any], *, looked_at: bytes | None = None
) -> optuna.Study:
    """The study as its journal has it, or a new one; one that was killed while it was created is created anew. Of
    contents that are only `looked_at` it is what it would be, and nothing is written to the journal.

    `settings` are the definition's, as study_settings.journal_settings gives them. ValueError where the journal is
    damaged, where the study in it has other settings or began without the warm start that is asked for, and where
    nothing earlier is left to start warm from.
    """
    if folder := definition.settings.warm_start:
        check_folder(folder)
    lines = _opened(path) if looked_at is None else _copied(path, looked_at)
    pruner = PRUNERS[definition.settings.stop_early](definition.base.epochs)
    try:
        storage = optuna.storages.JournalStorage(lines)
        names = optuna.get_all_study_names(storage)
        exists = definition.name in names
        study = optuna.load_study(study_name=definition.name, storage=storage, pruner=pruner) if exists else None
    except Exception as error:  # Optuna asserts, and looks up, whatever a line may say
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    if study and "settings" in study.user_attrs and len(names) == 1:
        _check_same(path, study, definition.base, settings)
        if folder and not begun_warm(study):
            instead = "give --runs another folder, or leave it out"
            raise ValueError(f"--warm-start {folder}: the study in {path} was begun without one; {instead}")
        return study
    others = [short(name) for name in names if name != definition.name]
    others += [f"{definition.name} of another program"] if study and not _half_begun(study) else []
    if others:
        raise ValueError(
            f"{path}: holds the study {others[0]}, which is none of this search; give --runs another folder"
        )
    warm = earlier_trials(definition)  # refused before anything is written
    if exists:
        optuna.delete_study(study_name=definition.name, storage=storage)
    study = optuna.create_study(
        study_name=definition.name,
        storage=storage,
        pruner=pruner,
        directions=["minimize" if o in LOWER_IS_BETTER else "maximize" for o in definition.settings.objectives],
    )
    _fill(study, definition, warm, settings)
    return study


def _half_begun(study: optuna.Study) -> bool:
    """Whether a study without settings may be one of ours, killed as it was filled: nothing in it was tried."""
    waits = optuna.trial.TrialState.WAITING
    return all(trial.state == waits or "warm" in trial.user_attrs for trial in study.get_trials(deepcopy=False))


def _fill(study: optuna.Study, definition: StudyDefinition, warm: list[FrozenTrial], settings: dict[str, Any]) -> None:
    """What a new study starts with."""
    for trial in warm:
        study.add_trial(trial)
    for values in definition.first:
        study.enqueue_trial(dict(values))
    study.set_user_attr("identity", identity(definition.base))
    study.set_user_attr("settings", settings)  # last: a study that has them is whole


def _check_same(path: Path, study: optuna.Study, base: Config, settings: dict[str, Any]) -> None:
    """A study goes on only with the settings it was begun with: its trials would not be comparable."""
    if not isinstance(study.user_attrs["settings"], dict) or "identity" not in study.user_attrs:
        raise _damaged(path, "what the study was begun with is missing")
    changed = changes(study.user_attrs["settings"], settings)
    if not changed and study.user_attrs["identity"] != identity(base):
        changed = ["the contents of the data or the weights"]
    if changed:
        instead = "give --runs another folder or go back to its settings"
        if study.user_attrs["settings"].get("objectives") == [CHOOSERS["vote"]]:
            instead = "a search by border_rule is one with --choose vote, which takes the runs of this folder"
        raise ValueError(f"{path}: this study was begun with other settings ({'; '.join(changed)}); {instead}")


class _Copy(BaseJournalBackend):
    """The lines of a journal in memory: what is added to them is written nowhere else."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self.lines[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.lines += logs


def _copied(path: Path, content: bytes) -> _Copy:
    """The contents of the journal `path`, without a torn last line; ValueError as _opened."""
    return _Copy([json.loads(line) for line in _whole(path, content).splitlines()])


def _opened(path: Path) -> JournalFileBackend:
    """The journal itself, without the last line that a kill left half-written: whatever is appended behind it would
    damage the journal. ValueError, and nothing is cut, where any other line is not one that this program may have
    written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = path.read_bytes() if path.is_file() else b""
    if len(whole := _whole(path, content)) < len(content):
        with open(path, "r+b") as file:
            file.truncate(len(whole))
    return JournalFileBackend(str(path))


def _whole(path: Path, content: bytes) -> bytes:
    try:
        return whole_lines(content)
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, why: str) -> ValueError:
    instead = "move it away: a new study finds the finished runs and trains none again"
    return ValueError(f"{path}: the journal is damaged ({' '.join(why.split())}); {instead}")


@contextmanager
def exclusive(runs: Path, name: str) -> Iterator[None]:
    """Hold a study: two drivers would take each other's trials up. The system frees it when its holder dies.

    ValueError where another search holds it. Optuna's own lock, which a killed driver may leave behind, would stop the
    next one for half a minute; its holder is known to be dead here.
    """
    runs.mkdir(parents=True, exist_ok=True)
    files = RunsFolder(runs)
    with open(files.lock(name), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                files.journal_lock(name).unlink()
        except BlockingIOError:
            raise ValueError(
                f"{files.journal(name)}: another search works on this study; wait for it or give --runs another folder"
            ) from None
        except OSError:  # a file system without locks
            pass
        with shared(runs, name):
            yield
