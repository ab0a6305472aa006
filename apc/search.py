"""The driver: a plan or an Optuna space through Ray Tune, on this machine or on a cluster.

The run folders are the only state that matters. A run that is finished there is never started, an interrupted one goes
on from its last epoch, and a plan proposes from rows alone; so whatever was killed, the same command goes on, and no
snapshot of Ray's is ever read back.
"""

import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apc import worker
from apc.config import Config, from_dict, to_dict
from apc.flags import check_address
from apc.plans import Interrupted, Plan, Point, Result, Schedule, label_of, score
from apc.progress import Silent, View
from apc.results import Row, load_run, write_atomically
from apc.train import identity

worker.pin_environment()  # before ray is imported

import optuna  # noqa: E402
import ray  # noqa: E402
from optuna.storages.journal import JournalFileBackend  # noqa: E402
from optuna.trial import TrialState  # noqa: E402
from ray import tune  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402
from ray.tune.search.optuna import OptunaSearch  # noqa: E402

Space = Callable[[optuna.Trial], dict[str, Any] | None]

JOIN_SECONDS = 20  # for a cluster to let a process join
ATTEMPTS = 4  # of the driver: Ray's memory monitor, for one, ends a whole Tune run and not just a trial
LAUNCHER_MEMORY = 512 * 2**20  # bytes asked for the process that waits for a trial's workers; Tune must ask something


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Where trials run and what each takes."""

    address: str | None = None
    """Address of a Ray cluster (`auto` on one of its nodes); None starts Ray on this machine."""
    num_workers: int = 1
    """Processes a trial; one shares warm actors, several train data-parallel."""
    cpus_per_trial: int = 1
    """CPUs, and torch threads, of each process."""
    gpus_per_trial: float | None = None
    """GPUs of each process; None takes one where the cluster has any."""
    max_concurrent: int | None = None
    """Most trials side by side; None is as many as fit."""
    verbose: bool = False
    """Show Ray's own messages."""


def search(
    plan: Plan, *, base: Config, seeds: Sequence[int], runs: Path, resources: Resources = Resources(),
    metric: str = "miou", view: View | None = None,
) -> Result:
    """Run every point of `plan` with every seed and return the points, in the order proposed, with their rows.

    A run that fails twice stands in its point's rows with `error` set. Interrupted on Ctrl-C or SIGTERM, when
    everything finished so far is in `runs`.
    """
    runs = runs.resolve()
    schedule = Schedule(plan, base=_absolute(base), seeds=seeds, runs=runs, identify=identity)
    view = view or Silent()
    view.known(schedule.counts)
    if not schedule.through:
        make = functools.partial(PlanSearch, schedule)
        try:
            _drive(make, lambda: schedule.through, resources, runs, view)
        except KeyboardInterrupt:
            raise Interrupted(schedule.result()) from None
    return schedule.result()


def optuna_search(
    space: Space, *, name: str, base: Config, seeds: Sequence[int], runs: Path, trials: int,
    first: Sequence[Mapping[str, Any]] = (), search_seed: int = 0, resources: Resources = Resources(),
    metric: str = "miou", view: View | None = None,
) -> Result:
    """Search a define-by-run space with Optuna's TPE until the study `name` below `runs` has `trials` trials.

    A trial is a setting with all its seeds, scored by their mean. `first` are settings tried before the sampler's own.
    A trial's setting depends on `search_seed`, its number and the trials finished before it, and on nothing else.
    """
    runs, view = runs.resolve(), view or Silent()
    study = DurableOptunaSearch(
        space, name=name, base=_absolute(base), seeds=seeds, runs=runs, trials=trials, first=first,
        search_seed=search_seed, metric=metric,
    )
    view.known(study.counts)
    if not study.through:
        try:
            _drive(study.attach, lambda: study.through, resources, runs, view)
        except KeyboardInterrupt:
            raise Interrupted(study.result()) from None
    return study.result()


def _drive(
    make: Callable[[worker.Task, int, View], Searcher], through: Callable[[], bool],
    resources: Resources, runs: Path, view: View,
) -> None:
    """One Tune run over all stages, so that its actors stay warm; started again where the run itself crashes."""
    store = runs / ".tune"
    with _quiet(resources, store / "driver.log"), _session(resources), _sigterm_as_sigint():
        resources, slots = _fit(resources)
        task = worker.Task(
            label="", configs=[], ids=[], runs=str(runs), threads=resources.cpus_per_trial,
            gpus=resources.gpus_per_trial or 0.0, num_workers=resources.num_workers, store=str(store / "train"),
        )
        # One trial may wait in the queue where resources hold it back: Tune keeps an actor warm for it. Nothing holds a
        # launcher of several processes back, so there every trial proposed starts.
        most = slots if resources.num_workers > 1 or resources.max_concurrent else slots + 1
        try:
            for attempt in range(1, ATTEMPTS + 1):
                view.begin(slots)
                try:
                    _tuner(make(task, most, view), resources, store, view).fit()
                    break
                except (RuntimeError, tune.TuneError):
                    if attempt == ATTEMPTS or through():
                        raise
        finally:
            view.end()
    if not through():
        raise KeyboardInterrupt  # Tune answers SIGINT by returning as if all were done


def _tuner(searcher: Searcher, resources: Resources, store: Path, view: View) -> tune.Tuner:
    cpus, gpus = resources.cpus_per_trial, resources.gpus_per_trial or 0
    if resources.num_workers == 1:
        trainable = tune.with_resources(worker.in_process, {"CPU": cpus} | ({"GPU": gpus} if gpus else {}))
    else:
        trainable = tune.with_resources(worker.distributed, {"CPU": 0, "memory": LAUNCHER_MEMORY})
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher, num_samples=-1, reuse_actors=True, trial_dirname_creator=_trial_id,
            trial_name_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            name=time.strftime("%Y%m%d-%H%M%S-") + str(os.getpid()), storage_path=str(store), verbose=0,
            failure_config=tune.FailureConfig(max_failures=1), callbacks=[_Watch(view)],
        ),
    )


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


class _Watch(tune.Callback):
    """Passes what trials do on to the view."""

    def __init__(self, view: View) -> None:
        self.view = view

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        seeds = [config["seed"] for config in trial.config["configs"]]
        name = f"{trial.config['label']} seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        self.view.started(trial.trial_id, name)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.view.reported(trial.trial_id, result)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.view.tick()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks for a restore that is never made; a view holds a terminal


class PlanSearch(Searcher):
    """Tune's side of a Schedule: hands out its runs, waits at the end of a stage, takes rows from the run folders."""

    def __init__(self, schedule: Schedule, task: worker.Task, most: int, view: View) -> None:
        super().__init__()
        schedule.requeue()
        self.schedule, self.task, self.most, self.view = schedule, task, most, view
        self.trials: dict[str, Any] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        if self.schedule.through:
            return Searcher.FINISHED
        job = self.schedule.take() if len(self.trials) < self.most else None
        if job is None:
            return None  # the stage's last runs are under way
        self.trials[trial_id] = job
        self.view.known(self.schedule.counts)
        return {**self.task, "label": job.point.label, "configs": [to_dict(job.config)], "ids": [job.run]}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        job = self.trials.pop(trial_id)
        row = ended_row(self.schedule.runs, job.run, job.config)
        self.schedule.finish(job.run, row)
        self.view.ended(trial_id, job.point.label, [row])
        self.view.known(self.schedule.counts)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()  # the run folders are the state

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a search goes on from its run folders, not from Tune's snapshots")

    def __getstate__(self) -> dict[str, Any]:
        return {}


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
        for values in (_draw(space), *first):
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


def _draw(space: Space) -> dict[str, Any]:
    """One setting of a define-by-run space."""
    trial = optuna.create_study().ask()
    returned = space(trial) or {}
    return {**trial.params, **returned}


def ended_row(runs: Path, run: str, cfg: Config) -> Row:
    """Row of a run that ended: as stored, or, where it is not finished, one that says why it failed."""
    if row := load_run(runs, run, to_dict(cfg)):
        return row
    if not (reason := worker.reason_of(runs, run)):
        reason = "its process was lost before it could say why (killed, out of memory, or with its node)"
        write_atomically(worker.note(runs, run), reason)
    return Row(run=run, config=to_dict(cfg), metrics={}, seconds={}, error=reason)


def _absolute(cfg: Config) -> Config:
    """Workers have working folders of their own."""
    root = str(Path(cfg.root).resolve()) if cfg.root else ""
    weights = str(Path(cfg.weights).resolve()) if Path(cfg.weights).suffix else cfg.weights
    return replace(cfg, root=root, weights=weights)


def _fit(resources: Resources) -> tuple[Resources, int]:
    """Resources with what was left open filled in, and how many trials fit side by side; ValueError where none does."""
    have = ray.cluster_resources()
    if resources.gpus_per_trial is None:
        resources = replace(resources, gpus_per_trial=1.0 if have.get("GPU") else 0.0)
    slots = resources.max_concurrent or 10**6
    for kind, each in (("CPU", resources.cpus_per_trial), ("GPU", resources.gpus_per_trial or 0)):
        asked, there = each * resources.num_workers, have.get(kind, 0)
        if asked > there:
            raise ValueError(
                f"a trial asks for {asked:g} {kind}s ({resources.num_workers} processes with {each:g} each) and there "
                f"are {there:g}: it could never start; lower --num-workers or the {kind}s of each"
            )
        slots = min(slots, int(there / asked)) if asked else slots
    return resources, slots


@contextmanager
def _quiet(resources: Resources, log: Path) -> Iterator[None]:
    """Keep Ray's words off the terminal: why a run failed stands in its own folder, the rest in `log`."""
    if resources.verbose:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with open(log, "a", buffering=1) as file, redirect_stdout(file):  # a dead worker is announced by print
        yield


@contextmanager
def _session(resources: Resources) -> Iterator[None]:
    """Ray, started here or joined; one that runs already in this process is used and left running."""
    if ray.is_initialized():
        yield
        return
    address = resources.address or "local"
    options: dict[str, Any] = {"log_to_driver": resources.verbose}
    if address == "local":
        # Several processes a trial need the dashboard's State API: without it a killed trial keeps its resources.
        options["include_dashboard"] = resources.num_workers > 1
    else:
        check_address(address)
        _probe(address)
        import apc
        import experiments
        import search_spaces

        names = ("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "RAY_CHDIR_TO_TRIAL_DIR", "APC_CACHE")
        options["runtime_env"] = {
            "py_modules": [apc, search_spaces, experiments],  # `ray submit` copies the script alone
            "env_vars": {name: os.environ[name] for name in names if name in os.environ},
        }
    ray.init(address=address, logging_level=logging.INFO if resources.verbose else logging.CRITICAL, **options)
    try:
        yield
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """ValueError where a process of its own cannot join the cluster; in this one, ray.init would try for minutes."""
    code = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level=50)"
    try:
        child = [sys.executable, "-c", code, address]
        told = subprocess.run(child, capture_output=True, text=True, timeout=JOIN_SECONDS)
        reason = (told.stderr.strip().splitlines() or ["no reason given"])[-1] if told.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"no answer in {JOIN_SECONDS} s"
    if reason:
        raise ValueError(f"--address {address}: no Ray cluster answers there ({reason})")


@contextmanager
def _sigterm_as_sigint() -> Iterator[None]:
    """Let SIGTERM (a batch system, a container) end a search as cleanly as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
