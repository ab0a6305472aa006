"""How far a study has come, by its journal and the folders of its runs, for whoever only asks: nothing is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from apc.config import Config, to_dict
from apc.escaping import are, counted
from apc.files import one_look
from apc.runs.folder import RunFolder, load_run
from apc.search.journal_copy import content_of
from apc.search.study import Study, Trial
from apc.search.study_in_rungs import StudyInRungs, study_of
from apc.search.study_settings import StudyDefinition


class SoFar(NamedTuple):
    """How far a study has come."""

    trials: int
    """Trials that are wanted in all."""
    ended: int
    """Those that ended, given up and failed ones too."""
    trained: int
    """Epochs that runs have trained, each run counted once."""
    left: int
    """Epochs that are still to train, at most."""

    @property
    def told(self) -> str:
        """`2 of 4 trials are done, 5 epochs trained`"""
        nothing = "" if self.left else ": nothing is left to train"
        done = f"{self.ended} of {counted(self.trials, 'trial')} {are(self.ended)} done"
        return f"{done}, {counted(self.trained, 'epoch')} trained{nothing}"


def so_far(definition: StudyDefinition, runs: Path) -> SoFar | None:
    """How far a study has come; None where nothing of it is trained.

    ValueError where a search with this definition would refuse to go on with what is there.
    """
    study = study_of(definition, runs, looked_at=content_of(runs, definition.name))
    with one_look():
        proposed = study.proposed()
        trained = {run: _trained(runs, run, cfg) for trial in proposed for run, cfg in _runs_of(trial)}
        found = SoFar(study.settings.trials, len(study.ended), sum(trained.values()), _left(study, proposed, trained))
    return found if found.ended or found.trained else None


def _left(study: Study, proposed: Sequence[Trial], trained: Mapping[str, int]) -> int:
    """Epochs that are still to train at most, those taken off that trials under way have trained on theirs."""
    if isinstance(study, StudyInRungs):
        return _left_in_rungs(study, proposed, trained)
    ended = {trial.number for trial in study.ended}
    cut = [trial for trial in proposed if trial.optuna.number not in ended]
    new = 0 if study.enough else max(study.settings.trials - len(ended) - len(cut), 0)
    of_cut = sum(cfg.epochs - trained[run] for trial in cut for run, cfg in _runs_of(trial))
    return new * len(study.seeds) * study.base.epochs + of_cut


def _left_in_rungs(study: StudyInRungs, proposed: Sequence[Trial], trained: Mapping[str, int]) -> int:
    """The same where trials wait at rungs."""
    stands, runs = study.brackets.stands(), {trial.optuna.number: list(_runs_of(trial)) for trial in proposed}
    on_the_way = 0
    for stand in stands:
        before, until = (0, *study.rungs.epochs)[stand.rung - 1 : stand.rung + 1]
        for member in stand.missing:
            (first, _), *others = runs[member.number]
            on_the_way += min(max(trained[first], before), until) - before
            on_the_way += sum(trained[run] for run, _ in others) if stand.rung == len(study.rungs.epochs) else 0
    return study.left(stands) - on_the_way


def _trained(runs: Path, run: str, cfg: Config) -> int:
    """Epochs that a run has trained."""
    row = load_run(runs, run, to_dict(cfg))
    return cfg.epochs if row else len(RunFolder(runs / run).epochs())


def _runs_of(trial: Trial) -> list[tuple[str, Config]]:
    return list(zip(trial.ids, trial.configs, strict=True))
