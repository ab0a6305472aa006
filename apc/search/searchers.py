"""Tune's side of a plan or a study: what hands out the trials that Ray trains, and takes their rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from apc.config import to_dict
from apc.files import STORAGE, storage_fault
from apc.runs.copies import store_of
from apc.runs.folder import RunFolder, ended_row, seen
from apc.runs.mirror import fault_of, look
from apc.runs.rows import Row
from apc.search import journal_copy, worker
from apc.search.run_queue import Job, RunQueue
from apc.search.study import Study, Trial
from apc.search.view import View

worker.pin_environment()  # before ray is imported

from ray.tune.search import Searcher  # noqa: E402


class JobSearcher(Searcher):
    """Hands out what is to train, and takes rows from the run folders."""

    def __init__(
        self,
        source: RunQueue | Study,
        task: worker.Task,
        limit: Callable[[int], int],
        view: View,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """`task` is what every trial is told beside its configs, `limit` says how many may be handed out at once, where
        so many are. `settle` raises where Ray is dead: a trial that is lost with it has not failed."""
        super().__init__()
        source.requeue()
        self.settle = settle
        self.source, self.task, self.limit, self.view = source, task, limit, view
        self.jobs: dict[str, Any] = {}
        """Trial id -> what it trains, of the trials that Tune has."""
        self.fault = ""
        """Why nothing more can be written; empty while it can."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        with self._noting_faults():
            journal_copy.check(self.source.runs)
            job = self.source.take() if len(self.jobs) < self.limit(len(self.jobs)) else None
        if job is None:  # the last runs of a stage may be under way; Tune asks again at every step
            return Searcher.FINISHED if not self.jobs and self.source.through else None
        self.jobs[trial_id] = job
        self.view.counted(self.source.counts)
        count = 1 if job.until else len(job.configs)  # rungs look at the first seed
        trained = {"configs": [to_dict(cfg) for cfg in job.configs[:count]], "ids": job.ids[:count]}
        return {**self.task, "label": job.point.label, "until": job.until, **trained}

    def give_up(self, trial_id: str) -> bool:
        """Whether a trial that just reported is to be stopped."""
        return False

    def finish(self, job: Any) -> list[Row]:
        """Take the rows of a job whose trial ended, however it ended."""
        raise AssertionError("PlanSearcher and StudySearcher define finish")

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error:
            self.attempt_failed(trial_id)
        job = self.jobs.pop(trial_id)
        with self._noting_faults():
            journal_copy.check(self.source.runs)
            look(self.source.runs, job.ids)
            if not error and not job.stopped_epoch:
                self._await(job)
            rows = self.finish(job)
        self.view.ended(trial_id, job.point.label, rows)
        self.view.counted(self.source.counts)

    def attempt_failed(self, trial_id: str) -> None:
        """End the whole search where a trial failed because nothing more can be written: all others would as well."""
        self.settle()
        runs, ids = self.source.runs, self.jobs[trial_id].ids
        with suppress(OSError):
            look(runs, ids)
        faults = [fault for run in ids for fault in STORAGE if fault in RunFolder(runs / run).reason()]
        faults = [f"{fault} in APC_CACHE of a node" if store_of(runs) else fault for fault in faults]
        self.fault = (faults or [storage_fault(runs) or fault_of(runs)])[0]
        if self.fault:
            raise OSError(self.fault)

    def _await(self, job: Any) -> None:
        """Wait until what a job that went well has left is seen here; a store shows it at once."""
        if not store_of(self.source.runs):
            for run in job.ids[: 1 if job.until else None]:
                folder = RunFolder(self.source.runs / run)
                seen(folder, partial(_is_there, folder, job.until))

    @contextmanager
    def _noting_faults(self) -> Iterator[None]:
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


def _is_there(run: RunFolder, until: int) -> bool:
    """Whether a run is finished or, where it pauses after the epoch `until`, trained to there."""
    return run.row.is_file() or 0 < until <= len(run.epochs())


class PlanSearcher(JobSearcher):
    """Runs of a plan; waits at the end of a stage."""

    source: RunQueue

    def finish(self, job: Job) -> list[Row]:
        row = ended_row(self.source.runs, job.run, job.config)
        self.source.finish(job.run, row)
        return [row]


class StudySearcher(JobSearcher):
    """Trials of an Optuna study, each with all its seeds."""

    source: Study

    def __init__(
        self,
        source: Study,
        task: worker.Task,
        limit: Callable[[int], int],
        view: View,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(source, task, limit, view, settle)
        source.gpus = task["gpus"] * task["num_workers"]
        gpu_hours = source.settings.gpu_hours
        if gpu_hours and not source.gpus:
            raise ValueError(f"--gpu-hours is {gpu_hours:g}, but the trials of this search have no GPU")

    def give_up(self, trial_id: str) -> bool:
        if trial_id not in self.jobs:
            return False
        if self.source.settings.stop_early in ("asha", "median"):
            look(self.source.runs, self.jobs[trial_id].ids[:1])
        return self.source.should_stop(self.jobs[trial_id])

    def finish(self, job: Trial) -> list[Row]:
        return self.source.finish(job)


def searcher_of(
    source: RunQueue | Study, task: worker.Task, limit: Callable[[int], int], view: View, settle: Callable[[], None]
) -> JobSearcher:
    """The searcher for a plan's runs or for a study."""
    if isinstance(source, RunQueue):
        return PlanSearcher(source, task, limit, view, settle)
    return StudySearcher(source, task, limit, view, settle)
