"""One call of an experiment from its settings to its files: data opened, settings searched, rows and report written.

Imports are local where they are heavy: a typo and `--dry-run` must not wait for torch or Ray.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.config import from_dict
from apc.escaping import say
from apc.experiment import deciding, outputs, racing
from apc.experiment.banner import banner
from apc.experiment.before import prepared, require_masks
from apc.experiment.definition import Experiment
from apc.experiment.dry_run import show
from apc.experiment.settings import ExperimentSettings
from apc.experiment.workers import resources_of
from apc.files import require_writable
from apc.flags import train_command
from apc.runs.compared import compared_by, how_compared
from apc.runs.copies import require_usable, shown
from apc.runs.folder import RunsFolder
from apc.runs.rows import Row
from apc.runs.scores import curve_score
from apc.search.cluster_nodes import check_address
from apc.search.interrupts import interrupts, to_stderr
from apc.search.plans import Interrupted, Lost, Plan, Point, Result, Staged, rows_of
from apc.search.run_queue import RunQueue
from apc.search.spaces import ends, first_over, over
from apc.search.study_settings import StudyDefinition

if TYPE_CHECKING:
    from apc.search.progress import Progress
    from apc.search.so_far import SoFar


BY_LABELS = "add --choose labels"
"""What may be done where there are no masks."""


class ExperimentRun:
    """One call of an experiment; `go` is the way from its settings to the report."""

    def __init__(self, experiment: Experiment, settings: ExperimentSettings) -> None:
        self.experiment, self.settings = experiment, settings
        self.plan, self.base = settings.plan, settings.base
        self.images: dict[str, int] = {}
        """Images of each split, once the data is open."""
        self.raced: racing.Raced | None = None
        """The race behind the search, as far as it got."""
        self.winner: Point | None = None
        """The setting of best.toml, once that is written."""

    def go(self) -> int:
        """Check, search, write, report; 1 where a run failed, after everything else is written."""
        queue = self.queue() if self.plan else None  # reads the data: a bad folder ends here
        if self.settings.dry_run:
            self._there()
            return show(self.experiment, self.settings, queue, self._so_far())
        if queue is None or not queue.through or self.settings.racing.race:
            self._check_place()
            self.prepare()
        banner(self.experiment, self.settings, queue, self.images, self._so_far())
        with interrupts():
            try:
                result = self.search()
                if self.settings.decide:
                    result = deciding.decided(self.experiment, self.settings, result, self._one_seed, self._measured)
            except Interrupted as stop:
                return self._interrupted(stop)
            try:
                self.race(result)
                result = self._measured(result)
            except KeyboardInterrupt as stop:  # also while the votes of racers are counted
                return self._interrupted(stop if isinstance(stop, Interrupted) else Interrupted(result))
            try:
                return self._finish(result)
            except KeyboardInterrupt:  # every run is on disk by now
                to_stderr(f"interrupted while rows and page were written: {self._kept(result)}")
                return 130

    def _measured(self, result: Result) -> Result:
        """What the table shows of runs."""
        measure = self.experiment.measure
        return measure(result, self.settings.runs, self.base.root) if measure else result

    def _one_seed(self, plan: Plan, seed: int) -> Result:
        """Points with one seed more."""
        settings = replace(self.settings, plan=plan, seeds=(seed,))
        return ExperimentRun(self.experiment, settings).search()

    def queue(self) -> RunQueue:
        """The plan's runs, those that are finished and those to do."""
        from apc.training.run import identity

        assert self.plan is not None
        settings = self.settings
        return RunQueue(self.plan, base=self.base, seeds=settings.seeds, runs=settings.runs, identify=identity)

    def _there(self) -> None:
        """Refuse, without opening an image, data and weights that are not there, and masks that choose and are not."""
        from apc.training.run import identity

        identity(self.base)
        if self.base.dataset == "folder" and not (Path(self.base.root) / "masks").is_dir():
            require_masks(self.base, self._chosen_by, BY_LABELS, self.settings.search)

    @property
    def _chosen_by(self) -> str | None:
        """The score that settings are chosen by; None of a table."""
        return self.settings.metrics[0] if self.experiment.chooses or isinstance(self.plan, Staged) else None

    def _check_place(self) -> None:
        """Refuse, and make nothing, a cluster that is not there and folders that cannot be written."""
        if self.settings.workers.address:
            check_address(self.settings.workers.address)
        self._require_fit()
        require_writable(self.settings.runs, make=False)
        require_usable(self.settings.runs)
        require_writable(self.settings.reports, make=False)

    def _require_fit(self) -> None:
        """Refuse trials that no Ray of this machine could ever start."""
        from apc.search.ray_session import require_fit_here

        require_fit_here(resources_of(self.settings.workers))

    def prepare(self) -> None:
        """Open all data and build the model once."""
        self.images = prepared(self.base, self._chosen_by, BY_LABELS, self.settings.search)
        if self.base.dataset != "pocket" and not self.base.weights:
            print("note: no --weights, so the encoder starts from random numbers", file=sys.stderr)

    def _definition(self) -> StudyDefinition:
        """The study of a space."""
        experiment, settings = self.experiment, self.settings
        draw = experiment.drawn(self.base)
        assert draw is not None and settings.search is not None
        first = first_over(experiment.first, self.base)
        how: dict[str, Any] = {"base": self.base, "seeds": settings.seeds, "settings": settings.search, "first": first}
        return StudyDefinition(draw, name=self._study, **how)

    def _so_far(self) -> "SoFar | None":
        """How far the study of a space has come; ValueError where what is there is none that could go on."""
        from apc.search.so_far import so_far

        return None if self.plan else so_far(self._definition(), self.settings.runs)

    def search(self) -> Result:
        """Run the plan, or search the space."""
        from apc.search.driver import optuna_search, search

        experiment, settings = self.experiment, self.settings
        shown = "miou" if experiment.measure else settings.metrics[0]  # what is measured later is not known yet
        where: dict[str, Any] = {
            "runs": settings.runs,
            "resources": resources_of(settings.workers),
            "view": self._view(
                f"{settings.name} on {settings.dataset}", shown, 1 if self.plan else len(settings.seeds)
            ),
        }
        if self.plan:
            by = curve_score(settings.metrics[0])
            return search(self.plan, name=self._study, base=self.base, seeds=settings.seeds, by=by, **where)
        return optuna_search(self._definition(), **where)

    def race(self, result: Result) -> None:
        """Give the best settings of a search further seeds; Interrupted has the search's result and not the race's."""
        settings = self.settings
        if not settings.racing.race:
            return
        race, told = racing.race_of(deciding.begun_with(settings, result), settings)
        say(told)
        if race is None:
            return
        from apc.search.driver import search

        try:
            found = search(
                race,
                base=self.base,
                seeds=race.seeds[:1],
                runs=settings.runs,
                name=self._study,
                by=curve_score(settings.metrics[0]),
                resources=resources_of(settings.workers),
                view=self._view(f"race of {settings.name} on {settings.dataset}", settings.metrics[0], 1),
            )
        except Interrupted as stop:
            self.raced = racing.raced(race, stop.result, settings)
            stop.result = result
            raise
        self.raced = racing.raced(race, found, settings)

    def _view(self, title: str, metric: str, runs_a_trial: int) -> "Progress":
        from apc.search.progress import Progress

        workers = self.settings.workers
        cores = workers.cpus * workers.num_workers
        return Progress(title, metric, runs_a_trial=runs_a_trial, cores=cores, price=workers.price)

    def _interrupted(self, stop: Interrupted) -> int:
        """Show what is finished; exit as a shell expects after Ctrl-C, and with 3 where Ray was lost."""
        if any(not row.error for row in self._rows(stop.result)):
            self._write(self._known(stop.result), complete=False)
        why = stop.why if isinstance(stop, Lost) else "interrupted"
        to_stderr(f"{why}: {self._kept(stop.result)}")
        return 3 if isinstance(stop, Lost) else 130

    def _rows(self, result: Result) -> list[Row]:
        """The rows of a result, and of a race."""
        return rows_of([*result, *(self.raced.result if self.raced else [])])

    def _kept(self, result: Result) -> str:
        finished = sum(not (row.error or row.stopped) for row in self._rows(result))
        return f"{finished} finished runs are kept; the same command goes on from there"

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
        metrics = (compared_by(rows_of(result), settings.metrics[0]), *settings.metrics[1:])
        chosen_by = deciding.begun_with(settings, result) if self.experiment.chooses else []
        say("\n".join(["", *outputs.table(result, metrics, chosen_by), *self._how_compared(result)]))
        if self.raced:
            say("\n".join(["", *racing.lines(self.raced), *racing.failed(self.raced)]))
        again, kept = "the same command tries them again", "the study keeps them as failed trials"
        raced = self.raced.result if self.raced else []
        parts = [([*result, *raced], "", again)] if self.plan else [(result, "", kept), (raced, " of the race", again)]
        failed = False
        for part, of, later in parts:
            rows = rows_of(part)
            if count := sum(bool(row.error) for row in rows):
                print(f"{count} of {len(rows)} runs{of} failed; {later}")
                failed = True
        if outputs.winner_of(chosen_by, metrics[0]):
            best = self._rows_file.with_suffix(".best.toml")
            say(f"{best}: the best setting; `{self._train_command(best)}` trains it")
        if (curves := RunsFolder(settings.runs).tune).is_dir():
            say(f"tensorboard --logdir {curves}: the curves of every trial (pip install tensorboard)")
        say(f"{page}: tables and figures; {self._rows_file}: the rows")
        return 1 if failed else 0

    @property
    def _study(self) -> str:
        """What the search is called below the runs and by trackers."""
        return f"{self.settings.name}.{self.settings.dataset}"

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
        if stamped and self.experiment.space is not None:
            stamped |= {"space": ends(over(self.experiment.space, self.base))}
        raced = self.raced.result if self.raced else []
        outputs.write_rows(path, name, [*result, *raced], proposed, metrics[0], stamped, self.settings.smoke)
        outputs.write_images(path.with_suffix(".images.npz"), self.settings.runs, self._rows(result))
        if self.experiment.chooses:
            knobs = list(dict.fromkeys(knob for point, _ in result for knob in point.values))
            outputs.write_trials(path, result, knobs, metrics)
            if complete:
                self._write_best(result)
        return build(self.settings.reports)

    def _write_best(self, result: Result) -> None:
        """best.toml of a complete search, and of its race where there was one."""
        name, dataset, metric = (
            self.settings.name,
            self.settings.dataset,
            compared_by(rows_of(result), self.settings.metrics[0]),
        )
        path, record = self._rows_file.with_suffix(".best.toml"), self._rows_file.with_suffix(".race.json")
        winner = outputs.winner_of(deciding.begun_with(self.settings, result), metric)
        told = [f"Best of {name} on {dataset} by the mean {metric} of seeds {self._seeds}."]
        if self.raced:
            racing.write(record, self.raced, self.settings.seeds)
            if chosen := self.raced.winner:
                winner, told = chosen.racer, racing.comments(self.raced, name, dataset, self.settings.seeds)
        else:
            record.unlink(missing_ok=True)  # of an earlier call, whose winner best.toml had
        self.winner = winner
        if winner:
            outputs.write_best(path, winner, self.base, [*told, *self._how_compared(result)])

    def _train_command(self, best: Path) -> str:
        """What trains the setting of best.toml, which names nothing that is one machine's."""
        cfg = from_dict(self.winner.values, self.base) if self.winner else self.base
        place = {"root": cfg.root, "runs": shown(self.settings.runs)}
        return train_command(self.settings.preset, config=str(best), **place, **outputs.files_of(cfg))

    def _how_compared(self, result: Result) -> list[str]:
        """By what settings were compared, of a search that goes by the vote, in a sentence."""
        found = how_compared(rows_of(result)) if self.experiment.chooses else None
        return [f"Settings were compared by {found.told}."] if found else []
