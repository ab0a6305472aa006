"""The driver: a plan or an Optuna space through Ray Tune, on this machine or on a cluster.

The run folders are the only state that matters. A run that is finished there is never started, an interrupted one goes
on from its last epoch, and a plan proposes from rows alone; so whatever was killed, the same command goes on, and no
snapshot of Ray's is ever read back.
"""

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from apc.config import Config, to_dict
from apc.files import STORAGE, StorageFault, storage_fault
from apc.runs.folder import RunFolder, RunsFolder, ended_row
from apc.runs.rows import Row
from apc.search import callbacks, spaces, worker
from apc.search.plans import Interrupted, Job, Plan, Result, Schedule
from apc.search.progress import NoView, View
from apc.search.ray_session import Resources, alone, fit, quiet, session, sigterm_as_sigint
from apc.search.spaces import Draw, SearchSettings
from apc.search.study import Study, Trial
from apc.training.loop import check_processes
from apc.training.run import identity

worker.pin_environment()  # before ray is imported

from ray import tune  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

ATTEMPTS = 4  # of the driver: Ray's memory monitor, for one, ends a whole Tune run and not just a trial
LAUNCHER_MEMORY = 512 * 2**20  # bytes asked for the process that waits for a trial's workers; Tune must ask something


def search(
    plan: Plan,
    *,
    base: Config,
    seeds: Sequence[int],
    runs: Path,
    name: str = "apc",
    resources: Resources = Resources(),
    view: View | None = None,
) -> Result:
    """Run every point of `plan` with every seed and return the points, in the order proposed, with their rows.

    A run that fails as often as `resources` allow stands in its point's rows with `error` set. Interrupted on Ctrl-C or
    SIGTERM, when everything finished so far is in `runs`; ValueError where nothing more can be written there. `name` is
    what trackers call the search.
    """
    runs = runs.resolve()
    schedule = Schedule(plan, base=_absolute(base), seeds=seeds, runs=runs, identify=identity)
    view = view or NoView()
    view.known(schedule.counts)
    if not schedule.through:
        make = functools.partial(PlanSearch, schedule)
        try:
            _drive(make, lambda: schedule.through, name, base, resources, runs, view)
        except KeyboardInterrupt:
            schedule.collect()
            raise Interrupted(schedule.result()) from None
    return schedule.result()


def optuna_search(
    space: Draw,
    *,
    name: str,
    base: Config,
    seeds: Sequence[int],
    runs: Path,
    how: SearchSettings,
    first: Sequence[Mapping[str, Any]] = (),
    resources: Resources = Resources(),
    view: View | None = None,
) -> Result:
    """Search a define-by-run space with Optuna until the study `name` below `runs` has used up what `how` allows.

    A trial is a setting with all its seeds, scored by their mean. `first` are settings tried before the sampler's own.
    With one trial at a time a setting depends on the search's seed and the trials before it, and on nothing else.
    """
    if how.stop_early != "none" and resources.num_workers > 1:
        raise ValueError(f"--stop-early {how.stop_early} works with one process a trial, not {resources.num_workers}")
    runs, view = runs.resolve(), view or NoView()
    spaces.draws(space, base, f"search space {name}")  # nothing is written for one that is wrong
    with alone(runs, name):
        study = Study(space, name=name, base=_absolute(base), seeds=seeds, runs=runs, how=how, first=first)
        view.known(study.counts)
        if not study.through:
            try:
                make = functools.partial(StudySearch, study)
                _drive(make, lambda: study.through, name, base, resources, runs, view)
            except KeyboardInterrupt:
                raise Interrupted(study.result()) from None
        return study.result()


def _drive(
    make: Callable[[worker.Task, int, View], "DriverSearch"],
    through: Callable[[], bool],
    name: str,
    base: Config,
    resources: Resources,
    runs: Path,
    view: View,
) -> None:
    """Train until `through`; ValueError, once, where nothing more can be written."""
    try:
        _attempts(make, through, name, base, resources, runs, view)
    except ValueError:
        raise
    except Exception:
        if fault := storage_fault(runs):
            raise StorageFault(runs, fault) from None
        raise


def _attempts(
    make: Callable[[worker.Task, int, View], "DriverSearch"],
    through: Callable[[], bool],
    name: str,
    base: Config,
    resources: Resources,
    runs: Path,
    view: View,
) -> None:
    """One Tune run over all stages, so that its actors stay warm; started again where the run itself crashes."""
    store = RunsFolder(runs).tune
    with quiet(resources, store / "driver.log"), session(resources), sigterm_as_sigint():
        resources, slots = fit(resources)
        check_processes(base, resources.num_workers, gpu=bool(resources.gpus_per_trial))
        task = worker.Task(
            label="",
            configs=[],
            ids=[],
            runs=str(runs),
            threads=resources.cpus_per_trial,
            gpus=resources.gpus_per_trial or 0.0,
            num_workers=resources.num_workers,
            store=str(store / "train"),
        )
        # One trial may wait in the queue where resources hold it back: Tune keeps an actor warm for it. Nothing holds a
        # launcher of several processes back, so there every trial proposed starts.
        most = slots if resources.num_workers > 1 or resources.max_concurrent else slots + 1
        try:
            for attempt in range(1, ATTEMPTS + 1):
                view.begin(slots, task["gpus"] * task["num_workers"])
                searcher = make(task, most, view)
                try:
                    _tuner(searcher, resources, store, name, view).fit()
                    break
                except (RuntimeError, tune.TuneError):
                    if searcher.fault:
                        raise StorageFault(runs, searcher.fault) from None
                    if attempt == ATTEMPTS or through() or storage_fault(runs):
                        raise
        finally:
            view.end()
    if not through():
        raise KeyboardInterrupt  # Tune answers SIGINT by returning as if all were done


def _tuner(searcher: "DriverSearch", resources: Resources, store: Path, name: str, view: View) -> tune.Tuner:
    cpus, gpus = resources.cpus_per_trial, resources.gpus_per_trial or 0
    if resources.num_workers == 1:
        trainable = tune.with_resources(worker.in_process, {"CPU": cpus} | ({"GPU": gpus} if gpus else {}))
    else:
        trainable = tune.with_resources(worker.distributed, {"CPU": 0, "memory": LAUNCHER_MEMORY})
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=callbacks.folder_of,
            trial_name_creator=_trial_id,
            scheduler=callbacks.GiveUp(searcher),
        ),
        run_config=tune.RunConfig(
            name=time.strftime("%Y%m%d-%H%M%S-") + str(os.getpid()),
            storage_path=str(store),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=resources.retries),
            callbacks=[
                callbacks.Watch(view, searcher, lambda: fit(resources)),
                *callbacks.trackers(resources.trackers, name, store.parent),
            ],
        ),
    )


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


class DriverSearch(Searcher):
    """Tune's side of a plan or a study: hands out what is to train, and takes rows from the run folders."""

    def __init__(self, source: Schedule | Study, task: worker.Task, most: int, view: View) -> None:
        super().__init__()
        source.requeue()
        self.source, self.task, self.most, self.view = source, task, most, view
        self.trials: dict[str, Any] = {}
        self.fault = ""
        """Why nothing more can be written; empty while it can."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        with self._writing():
            job = self.source.take() if len(self.trials) < self.most else None
        if job is None:
            return Searcher.FINISHED if self.source.through else None  # the last runs of a stage may be under way
        self.trials[trial_id] = job
        self.view.known(self.source.counts)
        return {**self.task, "label": job.point.label, "configs": [to_dict(cfg) for cfg in job.configs], "ids": job.ids}

    def give_up(self, trial_id: str) -> bool:
        """Whether a trial that just reported is to be stopped."""
        return False

    def end(self, job: Any) -> list[Row]:
        """Take the rows of a job whose trial ended, however it ended."""
        raise AssertionError("PlanSearch and StudySearch define end")

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            self.failed(trial_id)
        job = self.trials.pop(trial_id)
        with self._writing():
            rows = self.end(job)
        self.view.ended(trial_id, job.point.label, rows)
        self.view.known(self.source.counts)

    def failed(self, trial_id: str) -> None:
        """End the whole search where a trial failed because nothing more can be written: all others would as well."""
        runs, ids = Path(self.task["runs"]), self.trials[trial_id].ids
        said = [text for run in ids for text in STORAGE if text in RunFolder(runs / run).reason()]
        self.fault = (said or [storage_fault(runs)])[0]
        if self.fault:
            raise OSError(self.fault)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Remember why a row or the study could not be written: Tune wraps the error."""
        try:
            yield
        except OSError as error:
            self.fault = error.strerror or str(error)
            raise

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()  # the run folders, and a study's journal, are the state

    def restore(self, checkpoint_path: str) -> None:
        raise AssertionError("a search goes on from its run folders, not from Tune's snapshots")

    def __getstate__(self) -> dict[str, Any]:
        return {}


class PlanSearch(DriverSearch):
    """Runs of a plan; waits at the end of a stage."""

    source: Schedule

    def end(self, job: Job) -> list[Row]:
        row = ended_row(self.source.runs, job.run, job.config)
        self.source.finish(job.run, row)
        return [row]


class StudySearch(DriverSearch):
    """Trials of an Optuna study, each with all its seeds."""

    source: Study

    def __init__(self, source: Study, task: worker.Task, most: int, view: View) -> None:
        super().__init__(source, task, most, view)
        source.gpus = task["gpus"] * task["num_workers"]
        if source.how.gpu_hours and not source.gpus:
            raise ValueError(f"--gpu-hours is {source.how.gpu_hours:g}, but the trials of this search have no GPU")

    def give_up(self, trial_id: str) -> bool:
        return trial_id in self.trials and self.source.stop(self.trials[trial_id])

    def end(self, job: Trial) -> list[Row]:
        return self.source.finish(job)


def _absolute(cfg: Config) -> Config:
    """Workers have working folders of their own."""
    root = str(Path(cfg.root).resolve()) if cfg.root else ""
    weights, deeplab = (
        str(Path(name).resolve()) if Path(name).suffix else name for name in (cfg.weights, cfg.deeplab_weights)
    )
    return replace(cfg, root=root, weights=weights, deeplab_weights=deeplab)
