"""An Optuna study over trained runs that survives whatever is killed. It needs no Ray: driver.py drives it.

The journal `<runs>/<name>.journal` is the study, trials under way included, and opens in optuna-dashboard; scores are
told from the rows of finished runs, so a half-trained value never is. Every trial is drawn by a fresh sampler seeded
with (search seed, number of the trial): with one trial at a time a search proposes the same settings with Ray and
without, killed in between or not.
"""

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from apc.config import Config, from_dict, to_dict
from apc.files import one_look, write_atomically
from apc.runs.folder import RunFolder, RunsFolder, ended_row, load_run, load_runs
from apc.runs.rows import Row, score
from apc.runs.scores import LOWER_IS_BETTER
from apc.search import spaces
from apc.search.plans import Point, Result, label_of
from apc.search.samplers import PRUNERS, STARTUP, sampler
from apc.search.spaces import SearchSettings
from apc.search.study_settings import changes, settings_of
from apc.training.run import identity


@dataclass
class Trial:
    """One setting under way, with all its seeds."""

    point: Point
    configs: list[Config]
    ids: list[str]
    optuna: optuna.Trial
    stopped: int = 0
    """Epoch at which it was given up; 0 while it was not."""
    known: set[int] = field(default_factory=set)
    """Epochs whose scores the study has."""


class Study:
    """Proposes settings and takes their rows; see this module's docstring."""

    def __init__(
        self,
        space: spaces.Draw,
        *,
        name: str,
        base: Config,
        seeds: Sequence[int],
        runs: Path,
        how: SearchSettings,
        first: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        for values in first:
            from_dict(values, base, source=f"search space {name}")
        begun = settings_of(space, first, base, seeds, how, source=f"search space {name}")
        if how.stop_early != "none" and not base.eval_every:
            raise ValueError(f"--stop-early {how.stop_early} needs scores while training; add --eval-every 1")
        self.space, self.name, self.base, self.seeds, self.runs, self.how = space, name, base, list(seeds), runs, how
        self.gpus = 0.0  # of one trial; the driver knows once it has joined Ray
        self.began = time.monotonic()
        self.running: list[Trial] = []
        self.ids: dict[int, list[str]] = {}  # run ids of each trial, by its number
        self.again: list[optuna.Trial] = []
        self.path = RunsFolder(runs).journal(name)
        runs.mkdir(parents=True, exist_ok=True)
        _drop_torn_line(self.path)
        self.study = self._opened(begun, first)
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.again.append(optuna.trial.Trial(self.study, trial._trial_id))

    def _opened(self, settings: dict[str, Any], first: Sequence[Mapping[str, Any]]) -> optuna.Study:
        """The study as its journal has it, or a new one; one that was killed while it began is begun anew."""
        pruner = PRUNERS[self.how.stop_early](self.base.epochs)
        try:
            storage = optuna.storages.JournalStorage(JournalFileBackend(str(self.path)))
            there = self.name in optuna.get_all_study_names(storage)
            study = optuna.load_study(study_name=self.name, storage=storage, pruner=pruner) if there else None
        except (ValueError, KeyError) as error:
            instead = "move it away: a new study finds the finished runs and trains none again"
            raise ValueError(
                f"{self.path}: the journal is damaged ({type(error).__name__}: {error}); {instead}"
            ) from None
        if study and "settings" in study.user_attrs:
            self._check_same(study, settings)
            return study
        warm = self._warm()  # refused before anything is written
        if there:
            optuna.delete_study(study_name=self.name, storage=storage)
        study = optuna.create_study(
            study_name=self.name,
            storage=storage,
            pruner=pruner,
            directions=["minimize" if o in LOWER_IS_BETTER else "maximize" for o in self.how.objectives],
        )
        for trial in warm:
            study.add_trial(trial)
        for values in first:
            study.enqueue_trial(dict(values))
        study.set_user_attr("identity", identity(self.base))
        study.set_user_attr("settings", settings)  # last: a study that has them is whole
        return study

    def _check_same(self, study: optuna.Study, settings: dict[str, Any]) -> None:
        """A study goes on only with the settings it was begun with: its trials would not be comparable."""
        changed = changes(study.user_attrs["settings"], settings)
        if not changed and study.user_attrs["identity"] != identity(self.base):
            changed = ["the contents of the data or the weights"]
        if changed:
            raise ValueError(
                f"{self.path}: this study was begun with other settings ({'; '.join(changed)}); "
                "give --runs another folder or go back to its settings"
            )

    @property
    def ended(self) -> list[FrozenTrial]:
        """Trials of this study that ended, in the order proposed; earlier results that it started with left out."""
        trials = self.study.get_trials(deepcopy=False)
        return [t for t in trials if t.state.is_finished() and "warm" not in t.user_attrs]

    @property
    def spent(self) -> bool:
        """Whether the hours are used up: what is under way ends, nothing is started."""
        hours = (time.monotonic() - self.began) / 3600
        return bool(
            (self.how.hours and hours >= self.how.hours)
            or (self.how.gpu_hours and self.gpu_hours >= self.how.gpu_hours)
        )

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of the trials that ended, as their rows have them."""
        seconds = [row.seconds for _, rows in self.result() for row in rows]
        return self.gpus * sum(s.get("train", 0.0) + s.get("eval", 0.0) for s in seconds) / 3600

    @property
    def through(self) -> bool:
        return len(self.ended) >= self.how.trials or (self.spent and not self.running)

    @property
    def counts(self) -> dict[str, int]:
        """Runs done, failed, stopped early, running and waiting."""
        states, seeds = [trial.state for trial in self.ended], len(self.seeds)
        failed, stopped = states.count(TrialState.FAIL), states.count(TrialState.PRUNED)
        waiting = max(self.how.trials - len(states) - len(self.running), 0)
        parts = {"done": len(states) - failed - stopped, "failed": failed, "stopped": stopped}
        parts |= {"running": len(self.running), "waiting": waiting}
        return {kind: number * seeds for kind, number in parts.items()}

    def take(self) -> Trial | None:
        """The next setting that has something to train; None while the last ones are under way or all is done."""
        while len(self.ended) + len(self.running) < self.how.trials and not self.spent:
            trial = self._trial(self.again.pop(0) if self.again else None)
            self.running.append(trial)
            if not all(load_run(self.runs, *pair) for pair in self._stored(trial)):
                return trial
            self.finish(trial)  # trained earlier, under another study or in one that was killed
        return None

    def requeue(self) -> None:
        """Put trials that were under way back, after the driver lost sight of them."""
        self.again, self.running = [*self.again, *(trial.optuna for trial in self.running)], []

    def stop(self, trial: Trial) -> bool:
        """Tell the study what the trial's first seed scored so far; whether it is to be given up.

        The scores are read from the run's own curve: a trial that was killed and goes on loses none of them.
        """
        if self.how.stop_early == "none" or trial.stopped or load_run(self.runs, trial.ids[0]):
            return False
        for entry in RunFolder(self.runs / trial.ids[0]).epochs():
            epoch, value = int(entry["epoch"]), entry.get(self.how.objectives[0])
            if value is None or epoch in trial.known:
                continue
            trial.known.add(epoch)
            trial.optuna.report(value, epoch)
            if trial.optuna.should_prune():
                trial.stopped = epoch
                return True
        return False

    def finish(self, trial: Trial) -> list[Row]:
        """Tell the study how a trial ended; its rows."""
        self.running.remove(trial)
        if trial.stopped:
            said = f"stopped early after epoch {trial.stopped} of {self.base.epochs} ({self.how.stop_early})"
            write_atomically(RunFolder(self.runs / trial.ids[0]).stopped, said)
            self.study.tell(trial.optuna, state=TrialState.PRUNED)
            return self._rows(trial)
        rows = self._rows(trial)
        values = [score(rows, name) for name in self.how.objectives]
        if any(value is None for value in values):
            trial.optuna.set_user_attr("error", next((row.error for row in rows if row.error), "a score is missing"))
            self.study.tell(trial.optuna, state=TrialState.FAIL)
        else:
            self.study.tell(trial.optuna, [value for value in values if value is not None])
        return rows

    def result(self) -> Result:
        """Settings of the trials that ended, in the order proposed, with their rows."""
        with one_look():
            found = [self._of(trial) for trial in self.ended if "values" in trial.user_attrs]
        return [(trial.point, self._rows(trial)) for trial in found]

    def _trial(self, begun: optuna.Trial | None) -> Trial:
        """A new trial, or one that was under way when its driver was killed; it may lack its setting."""
        number = begun.number if begun else len(self.study.get_trials(deepcopy=False, states=STARTUP))
        self.study.sampler = sampler(self.how.sampler, self.how.search_seed, number)
        asked = begun or self.study.ask()
        if "values" not in asked.user_attrs:
            asked.set_user_attr("values", self.space(asked))
        return self._of(asked)

    def _of(self, trial: Any) -> Trial:
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in trial.user_attrs["values"].items()}
        configs = [replace(from_dict(values, self.base), seed=seed) for seed in self.seeds]
        if trial.number not in self.ids:  # of the data as it is now, whatever becomes of it while the trial runs
            self.ids[trial.number] = [identity(cfg) for cfg in configs]
        return Trial(Point(label_of(values), values), configs, self.ids[trial.number], trial)

    def _stored(self, trial: Trial) -> list[tuple[str, dict[str, Any]]]:
        return [(run, to_dict(cfg)) for cfg, run in zip(trial.configs, trial.ids, strict=True)]

    def _rows(self, trial: Trial) -> list[Row]:
        """Rows of the seeds that ended; of one that was given up, what it left."""
        folder = RunFolder(self.runs / trial.ids[0])
        if folder.stopped.is_file() and not load_run(self.runs, trial.ids[0]):
            curve = folder.epochs()
            seconds = {"train": curve[-1]["seconds"]} if curve else {}
            config = to_dict(trial.configs[0])
            said = folder.stopped.read_text()
            return [Row(run=trial.ids[0], config=config, metrics={}, seconds=seconds, curve=curve, stopped=said)]
        return [ended_row(self.runs, run, cfg) for cfg, run in zip(trial.configs, trial.ids, strict=True)]

    def _warm(self) -> list[FrozenTrial]:
        """What earlier runs of the same base config say about settings of the space, as trials."""
        if self.how.warm_start is None:
            return []
        settings: dict[str, list[Row]] = {}
        with one_look():
            for row in load_runs(self.how.warm_start):
                if values := self._within(row):
                    settings.setdefault(json.dumps(values, sort_keys=True), []).append(row)
        warm = []
        for text, rows in settings.items():
            values = json.loads(text)
            told = [score(rows, name) for name in self.how.objectives]
            asked = optuna.trial.FixedTrial(values)
            self.space(asked)
            if None not in told:
                warm.append(
                    optuna.trial.create_trial(
                        params=asked.params,
                        distributions=asked.distributions,
                        values=told,  # type: ignore[arg-type]
                        user_attrs={"values": values, "warm": [row.run for row in rows]},
                    )
                )
        if not warm:
            raise ValueError(
                f"--warm-start {self.how.warm_start}: none of its finished runs has this search's base config and data "
                "and a setting of its space"
            )
        return warm

    def _within(self, row: Row) -> dict[str, Any] | None:
        """The row's setting of the space, or None where it is of another base config, of other data or outside."""
        try:
            mine = {name: getattr(self.base, name) for name in ("root", "weights", "deeplab_weights")}
            cfg = replace(from_dict(row.config), **mine)
            if row.error or row.config.get("dataset") != self.base.dataset or identity(cfg) != row.run:
                return None
        except ValueError:  # of another version, or of a data set or weights that are not here
            return None
        config = to_dict(cfg)
        asked = optuna.trial.FixedTrial(config)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a value outside its range is what is looked for
                values = self.space(asked)
        except ValueError:
            return None
        inside = all(
            kind._contains(kind.to_internal_repr(asked.params[name])) for name, kind in asked.distributions.items()
        )
        same = to_dict(replace(from_dict(values, self.base), seed=cfg.seed)) == config
        return values if inside and same else None


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a kill left half-written: whatever is appended behind it would damage the journal."""
    if path.is_file() and not (content := path.read_bytes()).endswith(b"\n"):
        with open(path, "r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
