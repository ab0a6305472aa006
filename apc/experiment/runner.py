"""One call of an experiment from a command line: its settings, the search, the files it leaves, the words around it.

Imports are local where they are heavy: a typo and `--dry-run` must not wait for torch or Ray.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.config import PRESETS, Config
from apc.experiment import outputs
from apc.experiment.definition import Experiment
from apc.experiment.flags import check_trackers, config_of, how_of, seeds_of
from apc.experiment.forecast import Hours, hours
from apc.files import require_writable
from apc.runs import scores
from apc.runs.folder import RunsFolder, load_runs
from apc.search import spaces
from apc.search.cluster_nodes import check_address
from apc.search.plans import Interrupted, Plan, Result, Staged, points
from apc.search.schedule import Schedule

if TYPE_CHECKING:
    from apc.search.ray_session import Resources


class ExperimentRun:
    """One call of an experiment: its settings, checked at once, and the steps from there to the report."""

    def __init__(self, experiment: Experiment, args: argparse.Namespace) -> None:
        self.experiment, self.args = experiment, args
        self.runs: Path = args.runs / "smoke" if args.smoke else args.runs
        usual = Path(os.environ.get("APC_REPORTS", "reports"))
        self.reports: Path = args.reports or (self.runs / "reports" if args.smoke else usual)
        for flag in ("num_workers", "cpus", "max_concurrent", "trials"):
            if (value := getattr(args, flag, None)) is not None and value < 1:
                raise ValueError(f"--{flag.replace('_', '-')} is {value}; it must be at least 1")
        if args.retries < 0:
            raise ValueError(f"--retries is {args.retries}; it cannot be below 0")
        check_trackers(args.log)
        plan = experiment.smoke_plan if args.smoke and experiment.smoke_plan else experiment.plan
        self.plan: Plan | None = plan(PRESETS[args.preset]()) if callable(plan) else plan
        self.base = config_of(args, self._knobs())
        if callable(plan):
            self.plan = plan(self.base)
        own = experiment.own_seeds[:2] if args.smoke else experiment.own_seeds
        self.seeds = list(own) or seeds_of(args.seeds, 2 if args.smoke else experiment.seeds.get(args.preset, 3))
        self.how: spaces.SearchSettings | None = None
        self.metrics: tuple[str, ...] = (experiment.metric,)
        if experiment.draw:
            self._searched()
        self.dataset = Path(self.base.root).resolve().name if self.base.dataset == "folder" else self.base.dataset

    def _searched(self) -> None:
        """Take the flags of a search; a grid of a space is a plan."""
        from apc.runs.scores import scores_of

        self.how = how_of(self.args, [*scores_of(self.base), *scores.LOWER_IS_BETTER])
        self.metrics = self.how.objectives
        if self.args.smoke:
            self.how = replace(self.how, trials=2)
        if self.how.sampler == "grid":
            if self.experiment.space is None:
                raise ValueError("--sampler grid needs a space that is data, a SPACE; this one is a function")
            settings = spaces.grid(self.experiment.space, self.args.grid_points)
            self.plan = points(settings[:2] if self.args.smoke else settings)

    def go(self) -> int:
        """Check, search, write, report; 1 where a run failed, after everything else is written."""
        schedule = self._schedule() if self.plan else None  # reads the data: a bad folder ends here
        if self.args.dry_run:
            return self._show(schedule)
        if schedule is None or not schedule.through:
            self._check_place()
            self._prepare()
        self._announce(schedule)
        try:
            result = self._search()
        except Interrupted as stop:
            return self._interrupted(stop.result)
        if self.experiment.measure:
            try:
                result = self.experiment.measure(result, self.runs)
            except KeyboardInterrupt:
                return self._interrupted(result)
        page = self._write(result)
        failed = [row for _, rows in result for row in rows if row.error]
        print("\n".join(["", *outputs.table(result, self.metrics, self.experiment.chooses)]))
        if failed:
            total = sum(len(rows) for _, rows in result)
            again = "the same command tries them again" if self.plan else "the study keeps them as failed trials"
            print(f"{len(failed)} of {total} runs failed; {again}")
        if (curves := RunsFolder(self.runs).tune).is_dir():
            print(f"tensorboard --logdir {curves}: the curves of every trial (pip install tensorboard)")
        print(f"{page}: tables and figures; {self._rows_file()}: the rows")
        return 1 if failed else 0

    def _knobs(self) -> set[str]:
        """Fields the experiment varies itself."""
        if self.plan and callable(self.experiment.plan):  # what only some points set follows from the base
            return set.intersection(*(set(point.values) for point in self.plan.next([])))
        if self.plan:
            return set(self.plan.knobs)
        assert self.experiment.draw is not None
        base = PRESETS[self.args.preset]()
        drawn = spaces.draws(self.experiment.draw, base, self.experiment.name)
        return {key for values in (*drawn, *self.experiment.first) for key in values}

    def _schedule(self) -> Schedule:
        from apc.training.run import identity

        assert self.plan is not None
        return Schedule(self.plan, base=self.base, seeds=self.seeds, runs=self.runs, identify=identity)

    def _check_place(self) -> None:
        """Refuse, before anything is written, a cluster that is not there and folders that cannot be written."""
        if self.args.address:
            check_address(self.args.address)
        require_writable(self.runs)
        require_writable(self.reports)

    def _prepare(self) -> None:
        """Open all data and build the model once: what is bad is refused here and not by a worker.

        This also pre-trains the tiny ViT, once for all runs, before the clock of the first one starts.
        """
        from apc.training.run import preflight

        logging.basicConfig(format="%(message)s")
        logging.getLogger("apc").setLevel(logging.INFO)
        masked = preflight(self.base)
        if not masked and (self.experiment.chooses or isinstance(self.plan, Staged)):
            raise ValueError(f"{self.dataset}: no validation image has a mask, so there is nothing to choose by")
        if self.base.dataset != "pocket" and not self.base.weights:
            print("note: no --weights, so the encoder starts from random numbers", file=sys.stderr)

    def _announce(self, schedule: Schedule | None) -> None:
        seeds = ", ".join(map(str, self.seeds))
        words = f"{self.experiment.title}; {self.dataset}, seeds {seeds}; runs in {self.runs}"
        minutes = self.experiment.minutes.get(self.args.preset)
        if schedule and schedule.counts.done:
            words += f"; {schedule.counts.done} runs are done already"
        elif minutes and not self.args.smoke:
            words += f"; about {minutes} minutes on two cores"
        print(words, flush=True)

    def _resources(self) -> "Resources":
        from apc.search.ray_session import Resources

        args = self.args
        return Resources(
            address=args.address,
            num_workers=args.num_workers,
            cpus_per_trial=args.cpus,
            gpus_per_trial=args.gpus,
            max_concurrent=args.max_concurrent,
            retries=args.retries,
            trackers=tuple(args.log),
            verbose=args.verbose,
        )

    def _search(self) -> Result:
        from apc.search.driver import optuna_search, search
        from apc.search.progress import Progress
        from apc.search.study_settings import StudyDefinition

        name = f"{self.experiment.name}.{self.dataset}"
        shown = "miou" if self.experiment.measure else self.metrics[0]  # what is measured later is not known yet
        trained: dict[str, Any] = {"name": name, "base": self.base, "seeds": self.seeds}
        where: dict[str, Any] = {
            "runs": self.runs,
            "resources": self._resources(),
            "view": Progress(f"{self.experiment.name} on {self.dataset}", shown),
        }
        if self.plan:
            return search(self.plan, **trained, **where)
        draw, first = self.experiment.draw, self.experiment.first
        assert draw is not None and self.how is not None
        return optuna_search(StudyDefinition(draw, first=first, settings=self.how, **trained), **where)

    def _interrupted(self, result: Result) -> int:
        """Show what is finished; exit as a shell expects after Ctrl-C."""
        done = sum(not row.error for _, rows in result for row in rows)
        if done:
            self._write(result, complete=False)
        print(f"interrupted: {done} finished runs are kept; the same command goes on from there", file=sys.stderr)
        return 130

    def _rows_file(self) -> Path:
        return self.reports / "results" / self.experiment.name / f"{self.dataset}.jsonl"

    def _write(self, result: Result, complete: bool = True) -> Path:
        """Rows beside those of earlier calls, best.toml of a complete search, the report; returns the report's page."""
        from apc.reporting.page import build

        name, path = self.experiment.name, self._rows_file()
        proposed = [point.label for point in (self.plan.next([]) if self.plan else [])]
        outputs.write_rows(path, name, result, proposed, self.metrics[0], self._how_searched())
        outputs.write_images(path.with_suffix(".images.npz"), self.runs, [row for _, rows in result for row in rows])
        if self.experiment.chooses:
            knobs = list(dict.fromkeys(k for point, _ in result for k in point.values))
            outputs.write_trials(path, result, knobs, self.metrics)
            winner = outputs.winner_of(result, self.metrics[0])
            if complete and winner:
                seeds = ", ".join(map(str, self.seeds))
                told = f"Best of {name} on {self.dataset} by the mean {self.metrics[0]} of seeds {seeds}."
                outputs.write_best(path.with_suffix(".best.toml"), winner, self.base, told)
        return build(self.reports)

    def _how_searched(self) -> dict[str, Any]:
        """For the stamp of the rows: how a space was searched; empty for a plan."""
        if not (how := self.how):
            return {}
        told: dict[str, Any] = {"sampler": how.sampler, "objectives": list(how.objectives)}
        if how.sampler == "grid":
            return told | {"grid_points": self.args.grid_points}
        told |= {"search_seed": how.search_seed, "stop_early": how.stop_early, "trials": how.trials}
        return told | ({"warm_start": how.warm_start.name} if how.warm_start else {})

    def expected(self, schedule: Schedule, todo: Sequence[Config]) -> Hours | None:
        """Hours of one process that runs of the schedule will take; None where nothing tells."""
        minutes = self.experiment.minutes.get(self.args.preset)
        most = schedule.plan.max_points * len(self.seeds)
        return hours(todo, load_runs(self.runs), 2 * minutes / most if minutes and most else None)

    def _show(self, schedule: Schedule | None) -> int:
        """`--dry-run`"""
        if schedule is None:
            assert self.how is not None
            seeds = ", ".join(map(str, self.seeds))
            print(f"an Optuna search ({self.how.sampler}) of {self.how.trials} trials, each with seeds {seeds}")
            return 0
        for point, rows in schedule.result():
            for row in rows:
                print(f"done   {row.run}  {point.label} seed {row.config['seed']}")
        for job in schedule.waiting:
            print(f"to do  {job.run}  {job.point.label} seed {job.config.seed}")
        if expected := self.expected(schedule, [job.config for job in schedule.waiting]):
            print(f"about {expected} of one process for the runs to do")
        counts = schedule.counts
        later = f", and at most {counts.later} more that depend on their scores" if counts.later else ""
        print(f"{counts.done} runs done, {counts.waiting} to do{later}")
        return 0
