"""A study whose trials train in rungs: `--stop-early halving`, which needs no Ray either.

A trial is handed out once for each rung it trains to, pauses there like a run that was interrupted, and waits until
all others of its bracket have arrived; no epoch is trained twice. Where a bracket is, the journal tells (brackets.py).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from apc.config import to_dict
from apc.runs.compared import END
from apc.runs.folder import WAITS, RunFolder, load_run
from apc.runs.rows import Row
from apc.runs.scores import LOWER_IS_BETTER
from apc.search.brackets import OUTSIDE, Brackets, paused
from apc.search.halving import Rungs, Stand
from apc.search.judging import Known
from apc.search.run_queue import AtRung, Counts
from apc.search.stop_rules import stop_when
from apc.search.study import Study, Trial
from apc.search.study_settings import StudyDefinition


class StudyInRungs(Study):
    """See this module's docstring."""

    def __init__(self, definition: StudyDefinition, runs: Path, *, looked_at: bytes | None = None) -> None:
        settings = definition.settings
        self.rungs = settings.rungs_over(definition.base)._replace(kept=int(bool(definition.first)))
        super().__init__(definition, runs, looked_at=looked_at)
        self.scored = self.rungs.epochs[:-1]
        self.brackets = Brackets(
            self.study,
            self.rungs,
            lower=self.by in LOWER_IS_BETTER,
            run_of=self._first_run,
            votes=self.judge.values if self.judge else None,
        )
        if self.judge:
            self.judge.rungs = self.scored
        self.interrupted = [trial for trial in self.interrupted if "values" not in trial.user_attrs]
        self.trained = 0
        """Epochs that this call has trained to rungs."""
        self._give_up_dropped()  # of which the last call may have told some

    @property
    def budget_spent(self) -> bool:
        """Whether the hours that are left are no more than what the trials there are will need: of closed brackets all
        that is left to train, of the open one its later rungs."""
        if super().budget_spent:
            return True
        hours, gpu_hours = self.settings.hours, self.settings.gpu_hours
        if not (hours or gpu_hours):
            return False
        *closed, begun = self.brackets.stands()
        rungs = self._rungs_of(begun)
        later = rungs.total(rungs.go_on(len(begun.members)), len(self.seeds), begin=2)
        later += sum(self._left(stand, is_open=False) for stand in closed if stand.missing)
        elapsed = (time.monotonic() - self.began) / 3600
        here, ever = (1 + later / epochs if epochs else 1.0 for epochs in (self.trained, self._epochs_trained()))
        return bool((hours and elapsed * here >= hours) or (gpu_hours and self.gpu_hours * ever >= gpu_hours))

    @property
    def enough(self) -> bool:
        """As of every study; `--stop-when` looks at the scores of the first rung, at which all can be compared, and for
        the objective that is reached at any rung; any other score is reached by finished trials alone."""
        if not self.settings.stop_when or self.budget_spent:
            return self.budget_spent
        rule, objective = stop_when(self.settings.stop_when), self.settings.objectives[0]
        if not rule.score:
            values = self.brackets.first_values() | (self.judge.values(self.rungs.epochs[0]) if self.judge else {})
            return rule.met([_as_rows(objective, value) for value in values.values()], objective)
        waiting = [t.intermediate_values for t in self.brackets.trials().values() if paused(t)]
        found = [_as_rows(objective, values[max(values)]) for values in waiting]
        return rule.met([*self.found(), *found], objective)

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of the trials that ended and of those that wait at a rung."""
        waiting = [self._trial_of(trial) for trial in self.brackets.trials().values() if paused(trial)]
        curves = [curve for trial in waiting if (curve := self._curve(trial))]
        return super().gpu_hours + self.gpus * sum(curve[-1].get("seconds", 0.0) for curve in curves) / 3600

    @property
    def through(self) -> bool:
        """Whether nothing is left to train, at no rung."""
        waits = self.brackets.due(()) is not None or self.brackets.open.members
        return not (self.running or waits or self._proposes)

    @property
    def counts(self) -> Counts:
        """Runs by state, and where the rungs are."""
        stands, full = self.brackets.stands(), self.rungs.epochs[-1]
        spared = sum(full * len(self.seeds) - epoch for stand in stands for epoch in stand.dropped.values())
        begun, left = _begun(stands), self.left(stands)
        at = AtRung(self._told(begun[0], stands), self._epochs_trained(), spared, left / full)
        return super().counts._replace(rung=at if left else None)

    def left(self, stands: Sequence[Stand]) -> int:
        """Epochs that are still to train, at most, where brackets stand like this; the way to a rung counts whole."""
        return sum(self._left(stand, stand is stands[-1]) for stand in _begun(stands))

    def take(self) -> Trial | None:
        """The next trial that has epochs to train, for the rung it is at; None while others of it are under way."""
        while True:
            number, until = self.brackets.due([trial.optuna.number for trial in self.running]) or (-1, 0)
            if number >= 0:
                frozen = self.brackets.trials()[number]
                trial = self._trial_of(optuna.trial.Trial(self.study, frozen._trial_id))
            elif self._is_full or not self._proposes:
                if not self.brackets.close():
                    return None
                self._give_up_dropped()
                continue
            else:
                trial, until = self._next_trial(), self.rungs.epochs[0]
            if trial.configs[0].epochs < until:  # a setting that is shorter: it never reaches the rung
                trial.optuna.set_user_attr(OUTSIDE, until)
                until = 0
            trial.until, trial.began_at = until, len(self._curve(trial))
            self.running.append(trial)
            if not self._is_there(trial):
                return trial
            self.finish(trial)

    def requeue(self) -> None:
        """Forget which trials were under way, after the driver lost sight of them: the journal has them."""
        self.running = []

    def should_stop(self, trial: Trial) -> bool:
        """Nothing is given up between rungs."""
        return False

    def finish(self, trial: Trial) -> list[Row]:
        """Take a trial that arrived at its rung, or ended; its rows, none of one that waits."""
        self.trained += max(len(self._curve(trial)) - trial.began_at, 0)
        rows = self._arrive(trial) if trial.until else super().finish(trial)
        self._give_up_dropped()
        return rows

    def known(self, epoch: int) -> list[Known]:
        if epoch == END:
            return super().known(epoch)
        reached = [trial for trial in self.brackets.trials().values() if epoch in trial.intermediate_values]
        runs = [self._first_run(trial) for trial in reached]
        return [
            Known(trial.number, run, {run: trial.intermediate_values[epoch]})
            for trial, run in zip(reached, runs, strict=True)
        ]

    @property
    def _at_rungs(self) -> dict[int, dict[str, float]]:
        trials = self.brackets.trials()
        return {
            epoch: {self._first_run(trials[number]): vote for number, vote in votes.items()}
            for epoch, votes in self.brackets.kept_votes().items()
        }

    @property
    def _proposes(self) -> bool:
        """Whether there are settings still to propose."""
        return len(self.brackets.trials()) < self.settings.trials and not self.enough

    @property
    def _is_full(self) -> bool:
        """Whether the open bracket has all its trials, and further ones are to come."""
        begun = len(self.brackets.open.members)
        return begun >= self._expected(begun, is_open=True) and self._proposes

    def _first_run(self, trial: FrozenTrial) -> str:
        """Id of a trial's first run."""
        return (self.ids.get(trial.number) or self._trial_of(trial).ids)[0]

    def _arrive(self, trial: Trial) -> list[Row]:
        """Tell the study what a trial scored at its rung, or that it failed on the way."""
        self.running.remove(trial)
        if not self._is_there(trial):
            rows = self._rows(trial)
            self._fail(trial, rows)
            return rows
        value = next((e.get(self.by) for e in self._curve(trial) if e["epoch"] == trial.until), None)
        if value is None:  # trained further, earlier, and not scored there
            trial.optuna.set_user_attr(OUTSIDE, trial.until)
        else:
            trial.optuna.report(value, trial.until)
            note = f"{WAITS} at rung epoch {trial.until} of {trial.configs[0].epochs} (halving)"
            folder = RunFolder(self.runs / trial.ids[0])
            folder.write_note(folder.stopped, note)  # for `apc status`
        return []

    def _give_up_dropped(self) -> None:
        """Tell the study of trials that do not go on."""
        dropped = dict(self.brackets.given_up())
        for number, epoch in dropped.items():
            trials = self.brackets.trials()
            trial = self._trial_of(trials[number])
            trial.stopped_epoch = epoch
            others = [t for t in trials.values() if t.number not in dropped and not t.state.is_finished()]
            goes_on = any(self._first_run(other) == trial.ids[0] for other in others)
            finished = load_run(self.runs, trial.ids[0], to_dict(trial.configs[0]))
            self._give_up(trial, note=not goes_on and not finished)

    def _why(self, trial: Trial) -> str:
        """Why a trial was given up."""
        return f"stopped at rung epoch {trial.stopped_epoch} of {trial.configs[0].epochs} (halving)"

    def _is_there(self, trial: Trial) -> bool:
        """Whether a trial has trained to where it pauses or, all its seeds, to the end."""
        runs = list(zip(trial.configs, trial.ids, strict=True))
        if trial.until and any(entry["epoch"] >= trial.until for entry in self._curve(trial)):
            return True
        return all(load_run(self.runs, run, to_dict(cfg)) for cfg, run in (runs[:1] if trial.until else runs))

    def _epochs_trained(self) -> int:
        """Epochs to which the rungs' trials are trained, a run once."""
        reached: dict[str, int] = {}
        for trial in self.brackets.trials().values():
            run, epochs = self._first_run(trial), max(trial.intermediate_values, default=0)
            if trial.state == TrialState.COMPLETE:
                epochs = trial.user_attrs["values"].get("epochs", self.rungs.epochs[-1]) * len(self.seeds)
            reached[run] = max(reached.get(run, 0), epochs)
        return sum(reached.values())

    def _to_come(self) -> int:
        """Trials that are still to be proposed."""
        return 0 if self.enough else max(self.settings.trials - len(self.brackets.trials()), 0)

    def _expected(self, there: int, is_open: bool) -> int:
        """How many trials train to the rung of a bracket that has so many there, those to come included."""
        return self.rungs.brackets(there + self._to_come())[0] if is_open else there

    def _told(self, stand: Stand, stands: Sequence[Stand]) -> str:
        """`bracket 2 of 5, rung 1 of 3: 3 of 8 at epoch 1`"""
        count = self._expected(len(stand.members), stand is stands[-1])
        there = len(stand.members) - len(stand.missing)
        rungs = self.rungs.epochs
        later = len(stands[-1].members) + self._to_come()
        brackets = len(stands) - 1 + (len(self.rungs.brackets(later)) if later else 0)
        bracket = f"bracket {stands.index(stand) + 1} of {brackets}, " if brackets > 1 else ""
        return f"{bracket}rung {stand.rung} of {len(rungs)}: {there} of {count} at epoch {rungs[stand.rung - 1]}"

    def _left(self, stand: Stand, is_open: bool) -> int:
        """Epochs that a bracket still has to train, the open one with those that come after it."""
        count, at = self._expected(len(stand.members), is_open), stand.rung
        there = len(stand.members) - len(stand.missing)
        before, epoch = (0, *self.rungs.epochs)[at - 1 : at + 1]
        if at == len(self.rungs.epochs):
            return (count - there) * (len(self.seeds) * epoch - before)
        rungs = self._rungs_of(stand)
        later = rungs.total(rungs.go_on(count), len(self.seeds), begin=at + 1)
        if is_open and (further := len(stand.members) + self._to_come() - count) > 0:
            later += self.rungs._replace(kept=0).total(further, len(self.seeds))
        return (count - there) * (epoch - before) + later

    def _rungs_of(self, stand: Stand) -> Rungs:
        """The rungs of a bracket: in one that has the kept trial, or will have it, that goes on beside the best."""
        has_it = not self.brackets.trials() or any(member.kept for member in stand.members)
        return self.rungs if has_it else self.rungs._replace(kept=0)


def study_of(definition: StudyDefinition, runs: Path, *, looked_at: bytes | None = None) -> Study:
    """The study that a definition asks for, in rungs or not."""
    kind = StudyInRungs if definition.settings.stop_early == "halving" else Study
    return kind(definition, runs, looked_at=looked_at)


def _begun(stands: Sequence[Stand]) -> list[Stand]:
    """Brackets that have something to train, and the open one."""
    return [stand for stand in stands if stand.missing or stand is stands[-1]]


def _as_rows(objective: str, value: Any) -> list[Row]:
    """A score at a rung as a rule for rows takes it."""
    return [Row(run="", config={}, metrics={} if value is None else {objective: value}, seconds={})]
