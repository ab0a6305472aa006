"""The runs of a plan: which are done, under way and still to start. Pure Python; driver.py trains them."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from apc.config import Config, from_dict, to_dict
from apc.files import one_look
from apc.runs.folder import load_run
from apc.runs.rows import Row
from apc.search.plans import Plan, Point, Result, ToCome, to_come
from apc.search.space_checks import check_method


class AtRung(NamedTuple):
    """Where a search that halves is."""

    told: str
    """`rung 1 of 3: 17 of 40 at epoch 1`"""
    trained: int
    """Epochs of its trials so far."""
    spared: int
    """Epochs that were spared those which were given up."""
    left: float
    """Epochs that are still to train, in runs."""


class Counts(NamedTuple):
    """How many runs of a search are in which state."""

    done: int = 0
    failed: int = 0
    stopped: int = 0
    """Given up early."""
    running: int = 0
    waiting: int = 0
    later: int = 0
    """Of stages that are not planned yet, at least."""
    perhaps: int = 0
    """How many more than that these may add."""
    rung: AtRung | None = None
    """Of a search that halves; what waits at a rung is waiting."""

    @property
    def total(self) -> int:
        return sum(number for number in self if isinstance(number, int))


@dataclass(frozen=True)
class Job:
    """One run to do: a point with one seed."""

    point: Point
    config: Config
    run: str

    @property
    def configs(self) -> list[Config]:
        return [self.config]

    @property
    def ids(self) -> list[str]:
        return [self.run]

    @property
    def until(self) -> int:
        """Epoch after which it pauses; 0: it never does."""
        return 0

    @property
    def stopped_epoch(self) -> int:
        """Epoch at which it was given up; 0: it never is."""
        return 0


class RunQueue:
    """Which runs of a plan are done, under way and still to start; the next stage opens when the last one is whole.

    A run that is finished in `runs` is taken from there. Of a stage the base's own setting, which is the paper's where
    nothing says otherwise, is trained first; the result has the points in the order proposed.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        base: Config,
        seeds: Sequence[int],
        runs: Path,
        identify: Callable[[Config], str],
        by: str = "miou",
    ) -> None:
        """`identify` gives a run's id: apc.training.run.identity, but where a test needs no data. `by` is the score
        that the epochs of a run are compared by."""
        self.plan, self.base, self.seeds, self.runs, self.identify = plan, base, list(seeds), runs, identify
        self.by = by
        self.scored: tuple[int, ...] = ()  # epochs scored on the way whatever a run's eval_every is: none
        self.stage: list[tuple[Point, list[Job]]] = []
        self.past: list[tuple[Point, list[Row]]] = []
        self.rows: dict[str, Row] = {}
        self.failed: set[str] = set()
        """Of the runs that have a row, those that failed."""
        self.waiting: deque[Job] = deque()
        self.running: dict[str, Job] = {}
        self.through = False
        self.to_come = ToCome(0, 0)
        """Runs of the stages after this one."""
        self._advance()

    def _advance(self) -> None:
        """Open stages until one has something to run, or the plan is through."""
        while not (self.waiting or self.running or self.through):
            self.past = self.result()
            with one_look():
                self.stage = [(point, self._jobs(point)) for point in self.plan.next(self.past)]
            self.through = not self.stage
            proposed = [point for point, _ in self.stage]
            self.to_come = ToCome(*(len(self.seeds) * number for number in to_come(self.plan, self.past, proposed)))
            waiting: dict[str, Job] = {}
            for job in sorted((job for _, jobs in self.stage for job in jobs), key=self._is_another):
                row = load_run(self.runs, job.run, to_dict(job.config))
                if row is not None:
                    self._keep(job.run, row)
                elif job.run not in self.rows:
                    waiting.setdefault(job.run, job)
            self.waiting.extend(waiting.values())

    def _keep(self, run: str, row: Row) -> None:
        """Keep the row of a run that ended."""
        self.rows[run] = row
        (self.failed.add if row.error else self.failed.discard)(run)

    def _is_another(self, job: Job) -> bool:
        """Whether its setting is not the base's own; that is trained first, for the first number to mean something."""
        return job.config != replace(self.base, seed=job.config.seed)

    def _jobs(self, point: Point) -> list[Job]:
        """A point's runs, one a seed."""
        check_method(point.values, self.base, f"point {point.label!r}")
        configs = [replace(from_dict(point.values, self.base), seed=seed) for seed in point.seeds or self.seeds]
        return [Job(point, cfg, self.identify(cfg)) for cfg in configs]

    def take(self) -> Job | None:
        """The next run to start; None while the stage's last runs are under way, or when all is done."""
        if not self.waiting:
            return None
        job = self.waiting.popleft()
        self.running[job.run] = job
        return job

    def finish(self, run: str, row: Row) -> None:
        """Take the row of a run that ended; a failed one has `error` set and is not saved."""
        if self.running.pop(run, None) is not None:
            self._keep(run, row)
            self._advance()

    def collect(self) -> None:
        """Take the rows of runs that ended unnoticed: a driver may be stopped between a run's end and its report."""
        for job in (job for _, jobs in self.stage for job in jobs if job.run not in self.rows):
            if row := load_run(self.runs, job.run, to_dict(job.config)):
                self._keep(job.run, row)

    def requeue(self) -> None:
        """Put runs that were under way back, after the driver lost sight of them."""
        self.waiting.extendleft(reversed(self.running.values()))
        self.running.clear()

    def result(self) -> Result:
        """Points so far in the order proposed, each with the rows of its seeds that ended."""
        ended = [(point, [self.rows[job.run] for job in jobs if job.run in self.rows]) for point, jobs in self.stage]
        return [*self.past, *((point, rows) for point, rows in ended if rows)]

    @property
    def counts(self) -> Counts:
        """Runs by state, those of stages to come included."""
        failed = len(self.failed)
        counts = Counts(len(self.rows) - failed, failed, running=len(self.running), waiting=len(self.waiting))
        return counts._replace(later=self.to_come.least, perhaps=self.to_come.most - self.to_come.least)
