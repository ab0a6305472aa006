"""Optuna as a Tune searcher whose study survives whatever is killed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from apc import worker
from apc.config import Config, from_dict, to_dict
from apc.plans import Point, Result, Space, draw, label_of, score
from apc.progress import Silent, View
from apc.results import Row, load_run
from apc.run import identity
from apc.worker import ended_row

worker.pin_environment()  # before ray is imported

import optuna  # noqa: E402
from optuna.storages.journal import JournalFileBackend  # noqa: E402
from optuna.trial import TrialState  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402
from ray.tune.search.optuna import OptunaSearch  # noqa: E402


class DurableOptunaSearch(OptunaSearch):
    """OptunaSearch whose study survives: it lives in memory; `<runs>/<name>.journal` mirrors its finished trials.

    With external storage the stock class leaves a killed driver's trials open and cannot go on (ray issue 19274).
    Scores are told from the rows of finished runs, so a half-trained value never is.
    """

    def __init__(
        self, space: Space, *, name: str, base: Config, seeds: Sequence[int], runs: Path, trials: int,
        first: Sequence[Mapping[str, Any]] = (), search_seed: int = 0, metric: str = "miou",
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        for values in (draw(space), *first):
            from_dict(values, base, source=f"search space {name}")
        super().__init__(space=space, metric=metric, mode="max", sampler=_sampler(search_seed, 0), study_name=name)
        self._ot_study: optuna.Study  # type: ignore[assignment]
        self.base, self.seeds, self.runs, self.budget, self.search_seed = base, list(seeds), runs, trials, search_seed
        self.trials: dict[str, optuna.Trial] = {}
        self.again: list[optuna.Trial] = []
        self.task, self.most = worker.Task(), 1  # type: ignore[typeddict-item]
        self.view: View = Silent()
        runs.mkdir(parents=True, exist_ok=True)
        self.mirror = optuna.create_study(
            study_name=name, direction="maximize", load_if_exists=True,
            storage=optuna.storages.JournalStorage(JournalFileBackend(str(runs / f"{name}.journal"))),
        )
        self._check_same()
        self._ot_study.add_trials(self.mirror.trials)
        for values in first:
            self._ot_study.enqueue_trial(dict(values), skip_if_exists=True)

    def attach(self, task: worker.Task, most: int, view: View) -> "DurableOptunaSearch":
        """Give it a Tune run; trials that a crashed one had under way come first."""
        self.task, self.most, self.view = task, most, view
        self.again, self.trials = [*self.again, *self.trials.values()], {}
        return self

    @property
    def ended(self) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in self._ot_study.get_trials(deepcopy=False) if trial.state.is_finished()]

    @property
    def through(self) -> bool:
        return len(self.ended) >= self.budget

    @property
    def counts(self) -> dict[str, int]:
        """Runs done, failed, running and waiting."""
        failed, seeds = sum(trial.state == TrialState.FAIL for trial in self.ended), len(self.seeds)
        waiting = self.budget - len(self.ended) - len(self.trials)
        parts = {"done": len(self.ended) - failed, "failed": failed, "running": len(self.trials), "waiting": waiting}
        return {kind: number * seeds for kind, number in parts.items()}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        while len(self.ended) + len(self.trials) < self.budget:
            if len(self.trials) >= self.most:
                return None
            trial = self.again.pop(0) if self.again else self._ask(trial_id)
            point, jobs = self._jobs(trial.user_attrs["values"])
            if all(load_run(self.runs, run, to_dict(cfg)) for cfg, run in jobs):
                self._tell(trial)  # finished earlier, under another study or in one that was killed
                continue
            self.trials[trial_id] = trial
            self.view.known(self.counts)
            configs, ids = [to_dict(cfg) for cfg, _ in jobs], [run for _, run in jobs]
            return {**self.task, "label": point.label, "configs": configs, "ids": ids}
        return Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        pass  # only finished runs count

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        trial = self.trials.pop(trial_id)
        point, rows = self._tell(trial)
        self.view.ended(trial_id, point.label, rows)
        self.view.known(self.counts)

    def result(self) -> Result:
        """Settings of the finished trials, in the order proposed, with their rows."""
        return [self._rows(trial.user_attrs["values"]) for trial in self.ended]

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()  # the run folders and the journal are the state

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def _ask(self, trial_id: str) -> optuna.Trial:
        # A fresh sampler for every trial: what it proposes then depends on the seed, the trial's number and the
        # history, and a search that was killed goes on as if it had not been.
        self._ot_study.sampler = _sampler(self.search_seed, len(self._ot_study.get_trials(deepcopy=False)))
        self._ot_trials.pop(trial_id, None)
        values = super().suggest(trial_id)
        trial = self._ot_trials.pop(trial_id)
        trial.set_user_attr("values", values)
        trial.set_user_attr("key", trial_id)
        return trial

    def _tell(self, trial: optuna.Trial) -> tuple[Point, list[Row]]:
        point, rows = self._rows(trial.user_attrs["values"])
        value = score(rows, str(self.metric))
        self._ot_study.tell(trial, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)
        kept = {old.user_attrs["key"] for old in self.mirror.get_trials(deepcopy=False)}
        self.mirror.add_trials([new for new in self.ended if new.user_attrs["key"] not in kept])
        return point, rows

    def _jobs(self, values: Mapping[str, Any]) -> tuple[Point, list[tuple[Config, str]]]:
        point = Point(label_of(values), dict(values))
        configs = [replace(from_dict(values, self.base), seed=seed) for seed in self.seeds]
        return point, [(cfg, identity(cfg)) for cfg in configs]

    def _rows(self, values: Mapping[str, Any]) -> tuple[Point, list[Row]]:
        point, jobs = self._jobs(values)
        return point, [ended_row(self.runs, run, cfg) for cfg, run in jobs]

    def _check_same(self) -> None:
        """A study goes on only with the settings it was begun with: its trials would not be comparable."""
        fields = {k: v for k, v in to_dict(self.base).items() if k not in ("root", "weights")}
        now = fields | {"seeds": self.seeds, "metric": self.metric, "search_seed": self.search_seed}
        then = self.mirror.user_attrs.get("settings")
        if then is None:
            self.mirror.set_user_attr("settings", now)
            self.mirror.set_user_attr("identity", identity(self.base))
            return
        changed = [f"{key} was {then.get(key)}, is {value}" for key, value in now.items() if then.get(key) != value]
        if not changed and self.mirror.user_attrs["identity"] != identity(self.base):
            changed = ["the contents of the data or the weights"]
        if changed:
            raise ValueError(
                f"{self.runs / self._study_name}.journal: this study was begun with other settings "
                f"({'; '.join(changed)}); give --runs another folder or go back to its settings"
            )


def _sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=(seed * 1_000_003 + number) % 2**32)
