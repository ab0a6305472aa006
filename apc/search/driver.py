"""The driver: a plan or an Optuna space through Ray Tune, on this machine or on a cluster.

The run folders are the only state that matters. A run that is finished there is never started, an interrupted one goes
on from its last epoch, and a plan proposes from rows alone; so whatever was killed, the same command goes on, and no
snapshot of Ray's is ever read back.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from apc.config import Config
from apc.files import StorageFault, storage_fault
from apc.runs.folder import RunsFolder
from apc.runs.scores import curve_score
from apc.search import callbacks, worker
from apc.search.draws import draws
from apc.search.plans import Interrupted, Plan, Result
from apc.search.progress import NoView, View
from apc.search.ray_session import Resources, exclusive, fit, quiet, session, sigterm_as_sigint
from apc.search.run_queue import RunQueue
from apc.search.searchers import JobSearcher, searcher_of
from apc.search.study import Study
from apc.search.study_settings import StudyDefinition
from apc.training.loop import check_processes
from apc.training.run import identity

worker.pin_environment()  # before ray is imported

from ray import tune  # noqa: E402

ATTEMPTS = 4  # of the driver: Ray's memory monitor, for one, ends a whole Tune run and not just a trial
LAUNCHER_MEMORY = 512 * 2**20  # bytes asked for the process that waits for a trial's workers; Tune must ask something


def search(
    plan: Plan,
    *,
    base: Config,
    seeds: Sequence[int],
    runs: Path,
    name: str = "apc",
    by: str = "miou",
    resources: Resources = Resources(),
    view: View | None = None,
) -> Result:
    """Run every point of `plan` with every seed and return the points, in the order proposed, with their rows.

    A run that fails as often as `resources` allow stands in its point's rows with `error` set. Interrupted on Ctrl-C or
    SIGTERM, when everything finished so far is in `runs`; ValueError where nothing more can be written there. `name` is
    what trackers call the search, `by` the score that the epochs of a run are compared by.
    """
    runs = runs.resolve()
    queue = RunQueue(plan, base=_absolute(base), seeds=seeds, runs=runs, identify=identity)
    try:
        _train(queue, name, by, resources, view or NoView())
    except KeyboardInterrupt:
        queue.collect()
        raise Interrupted(queue.result()) from None
    return queue.result()


def optuna_search(
    definition: StudyDefinition, *, runs: Path, resources: Resources = Resources(), view: View | None = None
) -> Result:
    """Search a define-by-run space with Optuna until the study below `runs` has used up what its settings allow; its
    settings in the order proposed, with their rows.

    With one trial at a time a setting depends on the search's seed and the trials before it, and on nothing else.
    Raises what `search` raises, and ValueError for a space that does not fit Config before anything is written.
    """
    settings, runs = definition.settings, runs.resolve()
    if (rule := settings.stop_early) != "none" and resources.num_workers > 1:
        raise ValueError(f"--stop-early {rule} works with one process a trial, not {resources.num_workers}")
    draws(definition.space, definition.base, definition.source)  # nothing is written for one that is wrong
    with exclusive(runs, definition.name):
        study = Study(replace(definition, base=_absolute(definition.base)), runs)
        try:
            _train(study, definition.name, curve_score(settings.objectives[0]), resources, view or NoView())
        except KeyboardInterrupt:
            raise Interrupted(study.result()) from None
        return study.result()


def _train(source: RunQueue | Study, name: str, by: str, resources: Resources, view: View) -> None:
    """Train until `source` is through; ValueError, once, where nothing more can be written."""
    view.counted(source.counts)
    if source.through:
        return
    try:
        _train_with_ray(source, name, by, resources, view)
    except ValueError:
        raise
    except Exception:
        if fault := storage_fault(source.runs):
            raise StorageFault(source.runs, fault) from None
        raise


def _train_with_ray(source: RunQueue | Study, name: str, by: str, resources: Resources, view: View) -> None:
    """One Tune run over all stages, so that its actors stay warm; started again where the run itself crashes."""
    with quiet(resources, RunsFolder(source.runs).tune / "driver.log"), session(resources), sigterm_as_sigint():
        resources, slots = fit(resources)
        check_processes(source.base, resources.num_workers, gpu=bool(resources.gpus_per_trial))
        task = _task(source, resources, by)
        # One trial may wait in the queue where resources hold it back: Tune keeps an actor warm for it. Nothing holds a
        # launcher of several processes back, so there every trial proposed starts.
        max_trials = slots if resources.num_workers > 1 or resources.max_concurrent else slots + 1
        try:
            for attempt in range(1, ATTEMPTS + 1):
                view.begin(slots, task["gpus"] * task["num_workers"])
                searcher = searcher_of(source, task, max_trials, view)
                try:
                    tuner(searcher, name, resources).fit()
                    break
                except (RuntimeError, tune.TuneError):
                    if searcher.fault:
                        raise StorageFault(source.runs, searcher.fault) from None
                    if attempt == ATTEMPTS or source.through or storage_fault(source.runs):
                        raise
        finally:
            view.end()
    if not source.through:
        raise KeyboardInterrupt  # Tune answers SIGINT by returning as if all were done


def _task(source: RunQueue | Study, resources: Resources, by: str) -> worker.Task:
    """What every trial is told; which configs it trains is added as it is handed out."""
    return worker.Task(
        label="",
        configs=[],
        ids=[],
        runs=str(source.runs),
        threads=resources.cpus_per_trial,
        gpus=resources.gpus_per_trial or 0.0,
        num_workers=resources.num_workers,
        by=by,
        store=str(RunsFolder(source.runs).tune / "train"),
    )


def tuner(searcher: JobSearcher, name: str, resources: Resources) -> tune.Tuner:
    """A Tune run of the trials that a searcher hands out, `resources` filled in by `fit`; `name` is for trackers."""
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
            storage_path=str(RunsFolder(searcher.source.runs).tune),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=resources.retries),
            callbacks=[
                callbacks.Watch(searcher.view, searcher, lambda: fit(resources)),
                *callbacks.trackers(resources.trackers, name, searcher.source.runs),
            ],
        ),
    )


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


def _absolute(cfg: Config) -> Config:
    """Workers have working folders of their own."""
    root = str(Path(cfg.root).resolve()) if cfg.root else ""
    weights, deeplab = (
        str(Path(name).resolve()) if Path(name).suffix else name for name in (cfg.weights, cfg.deeplab_weights)
    )
    return replace(cfg, root=root, weights=weights, deeplab_weights=deeplab)
