"""The driver: a plan or an Optuna space through Ray Tune, on this machine or on a cluster.

The run folders are the only state that matters. A run that is finished there is never started, an interrupted one goes
on from its last epoch, and a plan proposes from rows alone; so whatever was killed, the same command goes on, and no
snapshot of Ray's is ever read back.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apc.config import Config
from apc.files import StorageFault, storage_fault
from apc.runs.copies import require_usable, shown
from apc.runs.folder import RunsFolder
from apc.runs.mirror import opened
from apc.search import callbacks, warm_actors, worker
from apc.search.draws import draws
from apc.search.interrupts import Interrupts, interrupts, to_stderr
from apc.search.journal import exclusive
from apc.search.lifeline import Lifeline, RayLost
from apc.search.plans import Interrupted, Lost, Plan, Result
from apc.search.ray_session import Resources, fit, ours, quiet, require_fit_here, running, session
from apc.search.run_queue import RunQueue
from apc.search.searchers import JobSearcher, searcher_of
from apc.search.slots import Slots
from apc.search.study import Study
from apc.search.study_in_rungs import study_of
from apc.search.study_settings import StudyDefinition
from apc.search.view import NoView, View
from apc.training.loop import check_processes
from apc.training.run import identity

worker.pin_environment()  # before ray is imported

from ray import tune  # noqa: E402

ATTEMPTS = 4  # of the driver, while no run ends: an error of Ray's that Tune does not know ends all of its trials
RESTARTS = 3  # of a Ray that died while no run ended
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
    runs = _ready(runs)
    queue = RunQueue(plan, base=_absolute(base), seeds=seeds, runs=runs, identify=identity, by=by)
    try:
        _train(queue, name, resources, view or NoView())
    except KeyboardInterrupt:
        queue.collect()
        raise Interrupted(queue.result()) from None
    except RayLost as lost:
        queue.collect()
        raise Lost(queue.result(), str(lost)) from None
    return queue.result()


def optuna_search(
    definition: StudyDefinition, *, runs: Path, resources: Resources = Resources(), view: View | None = None
) -> Result:
    """Search a define-by-run space with Optuna until the study below `runs` has used up what its settings allow; its
    settings in the order proposed, with their rows.

    With one trial at a time a setting depends on the search's seed and the trials before it, and on nothing else.
    Raises what `search` raises, and ValueError for a space that does not fit Config before anything is written.
    """
    settings, runs = definition.settings, _ready(runs)
    if (rule := settings.stop_early) in ("asha", "median") and resources.num_workers > 1:
        raise ValueError(f"--stop-early {rule} works with one process a trial, not {resources.num_workers}")
    draws(definition.space, definition.base, definition.source)  # nothing is written for one that is wrong
    with exclusive(runs, definition.name):
        study = study_of(replace(definition, base=_absolute(definition.base)), runs)
        try:
            _train(study, definition.name, resources, view or NoView())
        except KeyboardInterrupt:
            raise Interrupted(study.result()) from None
        except RayLost as lost:
            raise Lost(study.result(), str(lost)) from None
        return study.result()


def _ready(runs: Path) -> Path:
    """The folder of runs; that of a store is seen to take what a search writes."""
    runs = opened(runs).resolve()
    require_usable(runs)
    return runs


def _train(source: RunQueue | Study, name: str, resources: Resources, view: View) -> None:
    """Train until `source` is through; ValueError, once, where nothing more can be written."""
    view.counted(source.counts)
    if source.through:
        return
    source.runs.mkdir(parents=True, exist_ok=True)
    try:
        _train_with_ray(source, name, resources, view)
    except ValueError:
        raise
    except Exception:
        if fault := storage_fault(source.runs):
            raise StorageFault(shown(source.runs), fault) from None
        raise


def _train_with_ray(source: RunQueue | Study, name: str, resources: Resources, view: View) -> None:
    """Train with Ray, and go on with a new one where one that was started here has died."""
    here, stays, deaths, ended = ours(resources), running(), 0, -1
    require_fit_here(resources)
    with quiet(resources, RunsFolder(source.runs).tune / "driver.log"), interrupts() as asked:
        while True:
            try:
                with session(resources, told=view.told) as line:
                    asked.install()
                    return _train_in_session(source, name, resources, view, _Checks(line, asked, stays))
            except RayLost as lost:
                deaths, ended = (1 if _ended(source) > ended else deaths + 1), _ended(source)
                if not here:
                    raise RayLost(f"the Ray cluster is gone ({lost} does not answer any more)") from None
                if deaths > RESTARTS:
                    raise RayLost(f"Ray died {deaths} times while no run ended ({lost} at last)") from None
                view.told("Ray is started again, and runs go on from their last epoch")


def _ended(source: RunQueue | Study) -> int:
    """Runs that ended, however, and epochs to rungs: what grows while a search gets on."""
    counts = source.counts
    return counts.done + counts.failed + counts.stopped + (counts.rung.trained if counts.rung else 0)


class _Stopped(Exception):
    """Ctrl-C where Ray stays: Tune answers an Exception by giving back what its trials hold."""


@dataclass(frozen=True)
class _Checks:
    """What ends a Tune run from outside."""

    line: Lifeline
    asked: Interrupts
    stays: bool
    """Whether Ray was there before this search and stays behind it."""

    def check(self) -> None:
        """Raise where Ray is dead or the search is to end."""
        self.line.check()
        if self.asked.stopped:
            raise _Stopped if self.stays else KeyboardInterrupt


def _train_in_session(source: RunQueue | Study, name: str, resources: Resources, view: View, checks: _Checks) -> None:
    """One Tune run over all stages, so that its actors stay warm; started again where the run itself crashes."""
    resources = fit(resources)[0]
    check_processes(source.base, resources.num_workers, gpu=bool(resources.gpus_per_trial))
    task, slots = _task(source, resources), Slots(resources, checks.line.settle, view.resized, view.told)
    checks.asked.say = view.told
    told = callbacks.trackers(resources.trackers, name, source.runs)
    crashes, ended = 0, -1
    try:
        while True:
            view.begin(slots.count, task["gpus"] * task["num_workers"])
            searcher = searcher_of(source, task, slots.limit, view, checks.line.settle)
            try:
                with checks.asked.held(), warm_actors.kept():
                    tuner(searcher, slots, told, checks.check).fit()
                break
            except _Stopped:
                break
            except Exception as error:
                checks.line.settle()
                if searcher.fault:
                    raise StorageFault(shown(source.runs), searcher.fault) from None
                if not isinstance(error, RuntimeError | tune.TuneError):
                    raise
                if source.through:  # all runs have ended, and their rows are taken
                    view.told(f"Ray Tune failed behind the last run ({worker.reason_of(error)})")
                    break
                crashes, ended = (1 if _ended(source) > ended else crashes + 1), _ended(source)
                if crashes == ATTEMPTS or storage_fault(source.runs):
                    raise
    finally:
        checks.asked.say = to_stderr
        view.end()
    if not source.through:
        raise KeyboardInterrupt


def _task(source: RunQueue | Study, resources: Resources) -> worker.Task:
    """What every trial is told; which configs it trains is added as it is handed out."""
    return worker.Task(
        label="",
        configs=[],
        ids=[],
        runs=shown(source.runs),
        threads=resources.cpus_per_trial,
        gpus=resources.gpus_per_trial or 0.0,
        num_workers=resources.num_workers,
        by=source.by,
        cache_gib=resources.cache_gib,
        until=0,
        scored=list(source.scored),
        store=str(RunsFolder(source.runs).tune / "train"),
    )


def tuner(searcher: JobSearcher, slots: Slots, trackers: list[Any], check: Callable[[], None]) -> tune.Tuner:
    """A Tune run of the trials that a searcher hands out; `check` raises what ends it from outside."""
    resources = slots.resources
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
                callbacks.Watch(searcher.view, searcher, slots.look, check),
                *callbacks.curves(),
                *trackers,
                callbacks.Forget(),
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
