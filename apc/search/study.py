"""An Optuna study over trained runs that survives whatever is killed. It needs no Ray: driver.py drives it.

The journal `<runs>/<name>.journal` is the study, trials under way included; scores are told from the rows of finished
runs, so a half-trained value never is. Every trial is drawn by a fresh sampler seeded with (search seed, number of the
trial): with one trial at a time a search proposes the same settings with Ray and without, killed in between or not.
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from apc.config import Config, from_dict, to_dict, without_paths
from apc.files import one_look
from apc.runs.compared import END, RULE
from apc.runs.folder import RunFolder, RunsFolder, ended_row, load_run
from apc.runs.rows import Row, score
from apc.runs.scores import curve_score
from apc.search import beliefs
from apc.search.beliefs import Rescored
from apc.search.draws import sample
from apc.search.ended import Ended
from apc.search.journal import open_study
from apc.search.judging import Judge, Known, judged
from apc.search.plans import Point, Result, label_of
from apc.search.run_queue import Counts
from apc.search.samplers import STARTUP, sampler
from apc.search.stop_rules import stop_when
from apc.search.study_settings import StudyDefinition, journal_settings
from apc.search.warm_start import begun_warm
from apc.training.run import identity


@dataclass
class Trial:
    """One setting under way, with all its seeds."""

    point: Point
    configs: list[Config]
    """One a seed."""
    ids: list[str]
    """Of the runs, one a seed."""
    optuna: optuna.Trial
    stopped_epoch: int = 0
    """Epoch at which it was given up; 0 while it was not."""
    until: int = 0
    """Epoch of the rung at which it pauses next; 0: it trains to the end."""
    began_at: int = 0
    """Epochs that its first run had when it was handed out."""
    reported: set[int] = field(default_factory=set)
    """Epochs whose scores the study has."""


class Study:
    """Proposes settings and takes their rows; see this module's docstring."""

    def __init__(self, definition: StudyDefinition, runs: Path, *, looked_at: bytes | None = None) -> None:
        """Open the study below the folder `runs`, or begin it; ValueError where its definition does not fit Config, is
        another than the journal's, or the journal is damaged. Of a journal whose contents are only `looked_at` the
        study is what it would be, and nothing is written."""
        settings = journal_settings(definition)
        self.definition, self.settings, self.runs = definition, definition.settings, runs
        self.base, self.seeds = definition.base, list(definition.seeds)
        self.by = curve_score(definition.settings.objectives[0])  # what the epochs of a run are compared by
        self.scored: tuple[int, ...] = ()
        """Epochs at which a trial's first run is scored on the way, whatever its eval_every is."""
        self.judge = Judge(runs, self.known) if definition.settings.objectives == (RULE,) else None
        """Compares the settings of a search by the vote; None: their scores do."""
        self.gpus = 0.0  # of one trial; the driver knows once it has joined Ray
        self.is_a_look = looked_at is not None
        self.began = time.monotonic()
        self.running: list[Trial] = []
        self.ids: dict[int, list[str]] = {}  # run ids of each trial, by its number
        self.path = RunsFolder(runs).journal(definition.name)
        self.study = open_study(self.path, definition, settings, looked_at=looked_at)
        # What runs of another folder were told with is no vote, and a sampler is told one kind of score.
        self.rescored: Rescored | None = self.judge.values if self.judge and not begun_warm(self.study) else None
        """Values of trials that change as others come in; None: they keep what they were told with."""
        self._ended = Ended(self.study)
        self._briefly: dict[int, list[Row]] = {}  # rows of trials that ended, without what is long
        under_way = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        self.interrupted = [optuna.trial.Trial(self.study, trial._trial_id) for trial in under_way]

    @property
    def ended(self) -> list[FrozenTrial]:
        """Trials of this study that ended, in the order proposed; earlier results that it started with left out."""
        return self._ended.trials()

    def proposed(self) -> list[Trial]:
        """Trials that have their setting, in the order proposed; earlier results that it started with left out."""
        trials = self.study.get_trials(deepcopy=False)
        return [self._trial_of(t) for t in trials if "values" in t.user_attrs and "warm" not in t.user_attrs]

    @property
    def budget_spent(self) -> bool:
        """Whether the hours are used up: what is under way ends, nothing is started."""
        hours, gpu_hours = self.settings.hours, self.settings.gpu_hours
        elapsed = (time.monotonic() - self.began) / 3600
        return bool((hours and elapsed >= hours) or (gpu_hours and self.gpu_hours >= gpu_hours))

    @property
    def enough(self) -> bool:
        """Whether nothing more is started: the hours are used up, or what was found is what `--stop-when` asks for."""
        if self.budget_spent or not (rule := self.settings.stop_when):
            return self.budget_spent
        found, wanted = self.found(), stop_when(rule)
        if self.judge and not wanted.score:
            votes, _ = self.judge.votes(END)
            found = [
                [replace(r, metrics=r.metrics | {RULE: votes.get(r.run, r.value(RULE))}) for r in rows]
                for rows in found
            ]
        return wanted.met(found, self.settings.objectives[0])

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of the trials that ended, as their rows have them."""
        rows = {row.run: row for rows in self.found() for row in rows}  # a setting may be proposed twice
        seconds = (row.seconds.get("train", 0.0) + row.seconds.get("eval", 0.0) for row in rows.values())
        return self.gpus * sum(seconds) / 3600

    @property
    def through(self) -> bool:
        """Whether nothing is left to train."""
        return len(self.ended) >= self.settings.trials or not (self.running or self._cut or not self.enough)

    @property
    def counts(self) -> Counts:
        """Runs by state: each trial is as many as there are seeds."""
        ended, states = len(self.ended), self._ended.states
        failed, stopped = states[TrialState.FAIL], states[TrialState.PRUNED]
        waiting = max(self.settings.trials - ended - len(self.running), 0)
        done = ended - failed - stopped
        each = len(self.seeds)
        return Counts(done * each, failed * each, stopped * each, len(self.running) * each, waiting * each)

    def take(self) -> Trial | None:
        """The next setting that has something to train; None while the last ones are under way or all is done."""
        while len(self.ended) + len(self.running) < self.settings.trials and (self._cut or not self.enough):
            trial = self._next_trial()
            self.running.append(trial)
            if not all(load_run(self.runs, run, to_dict(cfg)) for cfg, run in _runs_of(trial)):
                return trial
            self.finish(trial)  # trained earlier, under another study or in one that was killed
        return None

    def requeue(self) -> None:
        """Put trials that were under way back, after the driver lost sight of them."""
        self.interrupted, self.running = [*self.interrupted, *(trial.optuna for trial in self.running)], []

    def should_stop(self, trial: Trial) -> bool:
        """Tell the study what the trial's first seed scored so far; whether it is to be given up.

        The scores are read from the run's own curve: a trial that was killed and goes on loses none of them, and is
        judged again at the last one that the study has, for its driver may have been killed before it was.
        """
        if self.settings.stop_early == "none" or trial.stopped_epoch or load_run(self.runs, trial.ids[0]):
            return False
        known = self.study.get_trials(deepcopy=False)[trial.optuna.number].intermediate_values
        last = max(known, default=0)
        for entry in RunFolder(self.runs / trial.ids[0]).epochs():
            epoch, value = int(entry["epoch"]), entry.get(self.settings.objectives[0])
            if value is None or epoch in trial.reported or epoch < last:
                continue
            trial.reported.add(epoch)
            if epoch > last:
                trial.optuna.report(value, epoch)
            if trial.optuna.should_prune():
                trial.stopped_epoch = epoch
                return True
        return False

    def finish(self, trial: Trial) -> list[Row]:
        """Tell the study how a trial ended; its rows."""
        self.running.remove(trial)
        if trial.stopped_epoch:
            self._give_up(trial)
            return self._rows(trial)
        rows = self._rows(trial)
        values = [score(rows, name) for name in self.settings.objectives]
        if any(value is None for value in values):
            self._fail(trial, rows)
        else:
            self.study.tell(trial.optuna.number, [value for value in values if value is not None])
        return rows

    def _fail(self, trial: Trial, rows: list[Row]) -> None:
        """Tell the study that a trial failed, and why."""
        trial.optuna.set_user_attr("error", next((row.error for row in rows if row.error), "a score is missing"))
        self.study.tell(trial.optuna.number, state=TrialState.FAIL)

    def result(self) -> Result:
        """Settings of the trials that ended, in the order proposed, with their rows."""
        with one_look():
            trials = [self._trial_of(trial) for trial in self.ended if "values" in trial.user_attrs]
            result = [(trial.point, self._rows(trial)) for trial in trials]
        return self._compared(result)

    def known(self, epoch: int) -> list[Known]:
        """Settings that have a `border_rule` after the epoch of a rung, or at the END; see judging.py."""
        ended = [trial for trial in self.ended if "values" in trial.user_attrs] if epoch == END else []
        found = zip(ended, self.found(), strict=True) if ended else ()
        return [
            Known(trial.number, self.ids[trial.number][0], {row.run: row.metrics[RULE] for row in rows})
            for trial, rows in found
            if trial.state == TrialState.COMPLETE and all(RULE in row.metrics for row in rows)
        ]

    def _compared(self, result: Result) -> Result:
        """A result with what its settings are compared by, where that is not a score of their own."""
        if not self.judge:
            return result
        (votes, compared), at_rungs = self.judge.votes(END), self._at_rungs
        return [(point, [judged(row, votes, compared, at_rungs) for row in rows]) for point, rows in result]

    @property
    def _at_rungs(self) -> dict[int, dict[str, float]]:
        """Votes by which rungs were decided, by epoch and run."""
        return {}

    def found(self) -> list[list[Row]]:
        """Scores and seconds of the trials that ended, in the order proposed: their rows, each read once, without
        configs, curves and classes."""
        ended = [trial for trial in self.ended if "values" in trial.user_attrs]
        with one_look():
            for trial in (trial for trial in ended if trial.number not in self._briefly):
                rows = self._rows(self._trial_of(trial))
                self._briefly[trial.number] = [
                    replace(row, config={}, curve=[], per_class={}, stamp={}) for row in rows
                ]
        return [self._briefly[trial.number] for trial in ended]

    @property
    def _cut(self) -> list[optuna.Trial]:
        """Trials that had their setting when their driver was killed: they are under way, and end however much there
        is."""
        return [trial for trial in self.interrupted if "values" in trial.user_attrs]

    def _next_trial(self) -> Trial:
        """One that was under way when its driver was killed, which may lack its setting, or a new one."""
        interrupted = next(iter(self._cut or self.interrupted), None)
        if interrupted:
            self.interrupted.remove(interrupted)
        number = interrupted.number if interrupted else len(self.study.get_trials(deepcopy=False, states=STARTUP))
        self.study.sampler = sampler(self.settings.sampler, self.settings.search_seed, number)
        trial = interrupted or self.study.ask()
        if "values" not in trial.user_attrs:
            trial.set_user_attr("values", self._drawn(trial, again=interrupted is not None))
        return self._trial_of(trial)

    def _drawn(self, trial: optuna.Trial, again: bool) -> dict[str, Any]:
        """The trial's setting, drawn by the study's sampler of what is known now; `again` where its driver was killed
        before the journal had the setting, though it may have some of its knobs."""

        def suggest(trial: optuna.Trial) -> dict[str, Any]:
            return sample(self.definition.space, trial, self.definition.base, self.definition.source).values

        if not (self.scored or self.rescored or again):
            return suggest(trial)  # the journal says it all
        first, sampler = (self.scored or (0,))[0], self.settings.sampler
        return beliefs.draw(
            self.study, trial, self.study.sampler, suggest, name=sampler, first_rung=first, rescored=self.rescored
        )

    def _trial_of(self, trial: Any) -> Trial:
        """Setting, configs and run ids of one of Optuna's trials."""
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in trial.user_attrs["values"].items()}
        configs = [replace(from_dict(values, self.base), seed=seed) for seed in self.seeds]
        if trial.number not in self.ids:  # of the data as it is now, whatever becomes of it while the trial runs
            self.ids[trial.number] = [identity(cfg) for cfg in configs]
        given_up = getattr(trial, "state", None) == TrialState.PRUNED
        stopped = max(trial.intermediate_values, default=0) if given_up else 0
        return Trial(Point(label_of(values), values), configs, self.ids[trial.number], trial, stopped_epoch=stopped)

    def _give_up(self, trial: Trial, *, note: bool = True) -> None:
        """Tell the study that a trial was given up and, as a `note` in the folder of its first run, why."""
        if note and not self.is_a_look:
            folder = RunFolder(self.runs / trial.ids[0])
            folder.write_note(folder.stopped, self._why(trial))
        self.study.tell(trial.optuna.number, state=TrialState.PRUNED)

    def _why(self, trial: Trial) -> str:
        """Why a trial was given up."""
        return f"stopped early after epoch {trial.stopped_epoch} of {self.base.epochs} ({self.settings.stop_early})"

    def _rows(self, trial: Trial) -> list[Row]:
        """Rows of the seeds that ended, the last of them perhaps failed; of a trial that was given up, what it left,
        whatever has become of its run since: another trial, or another search that chooses by something else, may have
        gone on with it, and what that one saw is not this one's."""
        if trial.stopped_epoch:
            return [self._left_by(trial)]
        rows: list[Row] = []
        for cfg, run in _runs_of(trial):
            if stored := load_run(self.runs, run, to_dict(cfg)):
                rows.append(stored)
            elif not any(row.error for row in rows):  # behind one that failed none was started
                row = self._told_before(trial, run, cfg) or ended_row(self.runs, run, cfg)
                rows.append(replace(row, curve=row.curve or RunFolder(self.runs / run).epochs()))
        return rows

    def _told_before(self, trial: Trial, run: str, cfg: Config) -> Row | None:
        """Row of a run whose trial is known to have failed, and why: its folder may be gone, or another command at work
        there."""
        told = getattr(trial.optuna, "state", None) == TrialState.FAIL and trial.optuna.user_attrs.get("error")
        return Row(run=run, config=without_paths(cfg), metrics={}, seconds={}, error=told) if told else None

    def _left_by(self, trial: Trial) -> Row:
        """Row of a trial that was given up, with its curve: until its rung, for others may train on from there, or
        with the epoch that it was in when it was stopped."""
        curve = [e for e in self._curve(trial) if not self.scored or e["epoch"] <= trial.stopped_epoch]
        seconds, config = ({"train": curve[-1]["seconds"]} if curve else {}), without_paths(trial.configs[0])
        return Row(run=trial.ids[0], config=config, metrics={}, seconds=seconds, curve=curve, stopped=self._why(trial))

    def _curve(self, trial: Trial) -> list[dict[str, float]]:
        """The epochs of a trial's first run."""
        row = load_run(self.runs, trial.ids[0], to_dict(trial.configs[0]))
        return row.curve if row else RunFolder(self.runs / trial.ids[0]).epochs()


def _runs_of(trial: Trial) -> list[tuple[Config, str]]:
    """Config and id of each seed's run."""
    return list(zip(trial.configs, trial.ids, strict=True))
