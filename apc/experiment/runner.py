"""One call of an experiment from its settings to its files: data opened, settings searched, rows and report written.

Imports are local where they are heavy: a typo and `--dry-run` must not wait for torch or Ray.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.config import Config
from apc.escaping import say
from apc.experiment import outputs
from apc.experiment.banner import banner
from apc.experiment.definition import Experiment
from apc.experiment.forecast import Hours, hours
from apc.experiment.settings import ExperimentSettings
from apc.files import require_writable
from apc.runs.folder import RunsFolder, load_runs
from apc.runs.scores import LABEL_SCORES, curve_score
from apc.search.cluster_nodes import check_address
from apc.search.interrupts import interrupts, to_stderr
from apc.search.plans import Interrupted, Lost, Result, Staged
from apc.search.run_queue import RunQueue

if TYPE_CHECKING:
    from apc.search.ray_session import Resources


class ExperimentRun:
    """One call of an experiment; `go` is the way from its settings to the report."""

    def __init__(self, experiment: Experiment, settings: ExperimentSettings) -> None:
        self.experiment, self.settings = experiment, settings
        self.plan, self.base = settings.plan, settings.base
        self.images: dict[str, int] = {}
        """Images of each split, once the data is open."""

    def go(self) -> int:
        """Check, search, write, report; 1 where a run failed, after everything else is written."""
        queue = self.queue() if self.plan else None  # reads the data: a bad folder ends here
        if self.settings.dry_run:
            return self._show(queue)
        if queue is None or not queue.through:
            self._check_place()
            self.prepare()
        banner(self.experiment, self.settings, queue, self.images)
        with interrupts():
            try:
                result = self.search()
            except Interrupted as stop:
                return self._interrupted(stop)
            if self.experiment.measure:
                try:
                    result = self.experiment.measure(result, self.settings.runs, self.base.root)
                except KeyboardInterrupt:
                    return self._interrupted(Interrupted(result))
            return self._finish(result)

    def queue(self) -> RunQueue:
        """The plan's runs, those that are finished and those to do."""
        from apc.training.run import identity

        assert self.plan is not None
        settings = self.settings
        return RunQueue(self.plan, base=self.base, seeds=settings.seeds, runs=settings.runs, identify=identity)

    def _check_place(self) -> None:
        """Refuse, before anything is written, a cluster that is not there and folders that cannot be written."""
        if self.settings.workers.address:
            check_address(self.settings.workers.address)
        self._require_fit()
        require_writable(self.settings.runs)
        require_writable(self.settings.reports)

    def _require_fit(self) -> None:
        """Refuse trials that no Ray of this machine could ever start."""
        from apc.search.ray_session import require_fit_here

        require_fit_here(self._resources())

    def prepare(self) -> None:
        """Open all data and build the model once: what is bad is refused here and not by a worker.

        This also pre-trains the tiny ViT, once for all runs, before the clock of the first one starts.
        """
        from apc.training.run import preflight

        metric = self.settings.metrics[0]
        found = preflight(self.base)
        if not found.scored and metric not in LABEL_SCORES:
            if self.experiment.chooses or isinstance(self.plan, Staged):
                why = f"no validation image has a mask, so {metric} cannot be chosen by"
                raise ValueError(f"{self.settings.dataset}: {why}; add --choose labels")
        if self.base.dataset != "pocket" and not self.base.weights:
            print("note: no --weights, so the encoder starts from random numbers", file=sys.stderr)
        self.images = found.images

    def search(self) -> Result:
        """Run the plan, or search the space."""
        from apc.search.driver import optuna_search, search
        from apc.search.progress import Progress
        from apc.search.study_settings import StudyDefinition

        experiment, settings = self.experiment, self.settings
        shown = "miou" if experiment.measure else settings.metrics[0]  # what is measured later is not known yet
        name = f"{settings.name}.{settings.dataset}"
        trained: dict[str, Any] = {"name": name, "base": self.base, "seeds": settings.seeds}
        where: dict[str, Any] = {
            "runs": settings.runs,
            "resources": self._resources(),
            "view": Progress(
                f"{settings.name} on {settings.dataset}", shown, runs_a_trial=1 if self.plan else len(settings.seeds)
            ),
        }
        if self.plan:
            return search(self.plan, by=curve_score(settings.metrics[0]), **trained, **where)
        assert experiment.draw is not None and settings.search is not None
        study = StudyDefinition(experiment.draw, first=experiment.first, settings=settings.search, **trained)
        return optuna_search(study, **where)

    def _resources(self) -> "Resources":
        from apc.search.ray_session import Resources

        workers = self.settings.workers
        return Resources(
            address=workers.address,
            num_workers=workers.num_workers,
            cpus_per_trial=workers.cpus,
            gpus_per_trial=workers.gpus,
            max_concurrent=workers.max_concurrent,
            retries=workers.retries,
            trackers=workers.log,
            verbose=workers.verbose,
        )

    def _interrupted(self, stop: Interrupted) -> int:
        """Show what is finished; exit as a shell expects after Ctrl-C, and with 3 where Ray was lost."""
        done = sum(not row.error for _, rows in stop.result for row in rows)
        if done:
            self._write(self._known(stop.result), complete=False)
        why = stop.why if isinstance(stop, Lost) else "interrupted"
        to_stderr(f"{why}: {done} finished runs are kept; the same command goes on from there")
        return 3 if isinstance(stop, Lost) else 130

    def _known(self, result: Result) -> Result:
        """A result with what was measured on its runs by now, and nothing measured for it."""
        if not self.experiment.measure:
            return result
        from apc.evaluation.remeasure import known_only

        with known_only():
            return self.experiment.measure(result, self.settings.runs, self.base.root)

    def _finish(self, result: Result) -> int:
        """Write everything, and show the table, what failed, and where the files are."""
        settings, page = self.settings, self._write(result)
        say("\n".join(["", *outputs.table(result, settings.metrics, self.experiment.chooses)]))
        failed = [row for _, rows in result for row in rows if row.error]
        if failed:
            total = sum(len(rows) for _, rows in result)
            later = "the same command tries them again" if self.plan else "the study keeps them as failed trials"
            print(f"{len(failed)} of {total} runs failed; {later}")
        if self.experiment.chooses and outputs.winner_of(result, settings.metrics[0]):
            best = self._rows_file.with_suffix(".best.toml")
            root = ["--root", self.base.root] if self.base.root else []
            command = shlex.join(["apc", "train", settings.preset, *root, "--config", str(best)])
            say(f"{best}: the best setting; `{command}` trains it")
        if (curves := RunsFolder(settings.runs).tune).is_dir():
            say(f"tensorboard --logdir {curves}: the curves of every trial (pip install tensorboard)")
        say(f"{page}: tables and figures; {self._rows_file}: the rows")
        return 1 if failed else 0

    @property
    def _rows_file(self) -> Path:
        return self.settings.reports / "results" / self.settings.name / f"{self.settings.dataset}.jsonl"

    @property
    def _seeds(self) -> str:
        return ", ".join(map(str, self.settings.seeds))

    def _write(self, result: Result, complete: bool = True) -> Path:
        """Rows beside those of earlier calls, best.toml of a complete search, the report; returns the report's page."""
        from apc.reporting.page import build

        name, path, metrics = self.settings.name, self._rows_file, self.settings.metrics
        proposed = [point.label for point in (self.plan.next([]) if self.plan else [])]
        stamped = self.settings.search.stamp if self.settings.search else {}
        outputs.write_rows(path, name, result, proposed, metrics[0], stamped)
        rows = [row for _, rows in result for row in rows]
        outputs.write_images(path.with_suffix(".images.npz"), self.settings.runs, rows)
        if self.experiment.chooses:
            knobs = list(dict.fromkeys(knob for point, _ in result for knob in point.values))
            outputs.write_trials(path, result, knobs, metrics)
            winner = outputs.winner_of(result, metrics[0])
            if complete and winner:
                chosen = f"Best of {name} on {self.settings.dataset} by the mean {metrics[0]} of seeds {self._seeds}."
                outputs.write_best(path.with_suffix(".best.toml"), winner, self.base, chosen)
        return build(self.settings.reports)

    def expected(self, queue: RunQueue, todo: Sequence[Config]) -> Hours | None:
        """Hours of one process that runs of the queue will take; None where nothing tells."""
        minutes = self.experiment.minutes.get(self.settings.preset)
        most = queue.plan.max_points * len(self.settings.seeds)
        return hours(todo, load_runs(self.settings.runs), 2 * minutes / most if minutes and most else None)

    def _show(self, queue: RunQueue | None) -> int:
        """`--dry-run`"""
        if queue is None:
            search = self.settings.search
            assert search is not None
            print(f"an Optuna search ({search.sampler}) of {search.trials} trials, each with seeds {self._seeds}")
            if rungs := search.halving:
                print(f"halving, {rungs.told(search.trials, len(self.settings.seeds))}")
            return 0
        for point, rows in queue.result():
            for row in rows:
                say(f"done   {row.run}  {point.label} seed {row.config['seed']}")
        for job in queue.waiting:
            say(f"to do  {job.run}  {job.point.label} seed {job.config.seed}")
        if expected := self.expected(queue, [job.config for job in queue.waiting]):
            print(f"about {expected} of one process for the runs to do")
        counts = queue.counts
        later = f", and {_between(counts.later, counts.later + counts.perhaps)} more that depend on their scores"
        later = later if counts.later or counts.perhaps else ""
        print(f"{counts.done} runs done, {counts.waiting} to do{later}")
        return 0


def _between(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}" if least else f"at most {most}"
