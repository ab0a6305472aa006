"""What Ray Tune tells while it trains, passed on: to the view, to the study, to MLflow and to W&B."""

import os
import re
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from apc.search import worker
from apc.search.view import View

worker.pin_environment()  # before ray is imported

from ray import tune  # noqa: E402
from ray.tune.experiment import Trial  # noqa: E402
from ray.tune.schedulers import FIFOScheduler  # noqa: E402

if TYPE_CHECKING:
    from ray.tune.logger import LoggerCallback


class Judge(Protocol):
    """The part of a search that looks at trials while they run."""

    def give_up(self, trial_id: str) -> bool:
        """Whether a trial that just reported is to be stopped."""

    def attempt_failed(self, trial_id: str) -> None:
        """An attempt of a trial failed and Tune will try it again; OSError where that is of no use."""


LOOK = 30.0  # seconds between looks at what the cluster has
PATIENCE = 600.0  # seconds for a lost node to come back, or for a cluster that scales to bring another


class Watch(tune.Callback):
    """Passes what trials do on to the view, and failed attempts to the search; ends one that no node can go on with."""

    def __init__(self, view: View, judge: Judge, check_fit: Callable[[], object], check: Callable[[], None]) -> None:
        """`check_fit` raises the ValueError that says why not one trial fits all nodes there are; `check`, asked at
        every step, whatever ends the search."""
        self.view, self.judge, self.check_fit, self.check = view, judge, check_fit, check
        self.last_look = self.last_fit = time.monotonic()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.view.started(trial.trial_id, name_of(trial.config))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "epoch" in result:  # whatever it was that cost it a try, it gets on: nodes may come and go all the while
            trial.run_metadata.num_failures = 0
        self.view.reported(trial.trial_id, result)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.judge.attempt_failed(trial.trial_id)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.check()
        self.view.tick()
        now = time.monotonic()
        if now - self.last_look < LOOK:
            return
        self.last_look = now
        try:
            self.check_fit()
            self.last_fit = now
        except ValueError:  # no trial can be running either: Ray would wait for ever
            if now - self.last_fit > PATIENCE:
                raise

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks for a restore that is never made; a view holds a terminal


class Forget(tune.Callback):
    """Has Tune let go of what it keeps of every trial that ended, for results that nobody asks it for: of a thousand
    trials a hundred MB. The last of the callbacks, for others look at it until then."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        trial.config, trial.evaluated_params = {}, {}
        for kept in ("metric_analysis", "metric_n_steps", "last_result"):
            setattr(trial.run_metadata, kept, {})

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.on_trial_complete(iteration, trials, trial)

    def __getstate__(self) -> dict[str, Any]:
        return {}


class GiveUp(FIFOScheduler):
    """Stops the trials that the study gives up; Tune's own ASHA would forget its rungs when the driver is killed.

    Which trial is next it looks for among those that have not ended: Tune's own goes through all there ever were, some
    four times a trial, which are twenty milliseconds with ten thousand of them.
    """

    def __init__(self, judge: Judge) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.judge = judge
        self.order: dict[str, int] = {}
        """Trial id -> how many came before it, of trials that have not ended."""
        self.added = 0

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self.order[trial.trial_id] = self.added
        self.added += 1

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self.order.pop(trial.trial_id, None)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self.order.pop(trial.trial_id, None)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        live = sorted(tune_controller.get_live_trials(), key=lambda trial: self.order.get(trial.trial_id, 0))
        for status in (Trial.PENDING, Trial.PAUSED):
            if found := next((trial for trial in live if trial.status == status), None):
                return found
        return None

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return self.STOP if self.judge.give_up(trial.trial_id) else self.CONTINUE

    def __getstate__(self) -> dict[str, Any]:
        return {}


def name_of(task: worker.Task) -> str:
    """A trial in words: `lambda1=0.02 lambda2=0.01 seed 0`, and `to epoch 3` where it pauses there."""
    seeds = [config["seed"] for config in task["configs"]]
    until = f" to epoch {task['until']}" if task["until"] else ""
    return f"{task['label']} seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}{until}"


def folder_of(trial: Any) -> str:
    """Name of a trial's folder below `.tune`, which is what TensorBoard calls its curves."""
    return f"{re.sub(r'[^A-Za-z0-9.=+-]+', '_', name_of(trial.config))[:80]}.{trial.trial_id}"


def curves() -> list["LoggerCallback"]:
    """Ray's own writer of TensorBoard files, where tensorboardX is there, with files that cost less; its two others,
    whose files nobody reads, are left out."""
    if not find_spec("tensorboardX"):
        return []
    from ray.tune.logger import TBXLoggerCallback

    from apc.search.event_files import EventFile

    writer = TBXLoggerCallback()  # type: ignore[no-untyped-call]
    vars(writer)["_summary_writer_cls"] = EventFile  # where it is called otherwise, files are tensorboardX's
    return [writer]


def trackers(names: Sequence[str], title: str, runs: Path) -> list["LoggerCallback"]:
    """Ray's own callbacks for MLflow and W&B, a run a trial, with the trained fields as its parameters.

    MLflow writes where MLFLOW_TRACKING_URI says, else into `<runs>/mlflow.db`; W&B takes WANDB_PROJECT, WANDB_MODE and
    the key it was logged in with.
    """
    loggers: list[LoggerCallback] = []
    for name in names:
        assert find_spec(name), "apc.experiment.flags.check_trackers has looked"
        if name == "mlflow":
            from ray.air.integrations.mlflow import MLflowLoggerCallback

            place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs / 'mlflow.db'}"
            loggers.append(_with_fields(MLflowLoggerCallback)(tracking_uri=place, experiment_name=title))
        else:
            from ray.air.integrations.wandb import WandbLoggerCallback

            project = os.environ.get("WANDB_PROJECT") or "apc"
            loggers.append(_with_fields(WandbLoggerCallback)(project=project, group=title))
    return loggers


def _with_fields(callback: type[Any]) -> type[Any]:
    """A tracker that is told the fields of the trial's config instead of the task, which is a list of whole configs."""

    class Tracker(callback):  # type: ignore[misc]
        def log_trial_start(self, trial: Any) -> None:
            task = trial.config
            trial.config = {**task["configs"][0], "label": task["label"], "runs": ", ".join(task["ids"])}
            trial.config["seed"] = ", ".join(str(config["seed"]) for config in task["configs"])
            try:
                super().log_trial_start(trial)
            finally:
                trial.config = task

        def __getstate__(self) -> dict[str, Any]:
            return {}

    return Tracker
