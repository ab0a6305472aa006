"""What every experiment script shares: flags, the search, the files it leaves, and the words around it.

Imports are local where they are heavy: `--help`, a typo and `--dry-run` must not wait for torch or Ray.
"""

import argparse
import logging
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.config import PRESETS, from_dict, to_dict
from apc.flags import check_address, config_of, parser, seeds_of
from apc.plans import Interrupted, Plan, Result, Schedule, Space, Staged, best, draw
from apc.results import Row, load_rows, require_writable, save_rows, write_atomically

if TYPE_CHECKING:
    from apc.search import Resources


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One table or figure: what is run, how often, and what to expect."""

    name: str
    """Name of the script, of the folder of its rows and of its entry in the report."""
    title: str
    """What it is, in a line."""
    plan: Plan | None = None
    """Points to run; None where `space` is searched with Optuna."""
    space: Space | None = None
    """Define-by-run space."""
    first: tuple[dict[str, Any], ...] = ()
    """Settings of the space that are tried before the sampler's own."""
    trials: int = 20
    """Optuna trials, those of an earlier, interrupted search included."""
    smoke_plan: Plan | None = None
    """Small plan for `--smoke`; None runs the whole plan at smoke settings."""
    seeds: Mapping[str, int] = field(default_factory=lambda: {"pocket": 3, "folder": 3})
    """Seeds by preset; 3 for one that is not named."""
    metric: str = "miou"
    """Score a search chooses by."""
    chooses: bool = False
    """Whether it is a search, which ends with a best.toml."""
    minutes: Mapping[str, int] = field(default_factory=dict)
    """Minutes to expect on two cores, by preset."""


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Run an experiment from the command line; returns the exit code: 0, 1 (a run failed), 2 (bad input), 130."""
    try:
        args = parser(
            experiment.name, experiment.title, experiment.seeds, experiment.minutes,
            trials=experiment.trials if experiment.space else None,
        ).parse_args(argv)
        return _Run(experiment, args).go()
    except ValueError as error:
        print(f"{experiment.name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted before anything was started", file=sys.stderr)
        return 130


def search_space(words: Sequence[str]) -> int:
    """`apc search NAME [flags]`: search a module of search_spaces, its PLAN or its `space`; returns the exit code."""
    import search_spaces

    if not words or words[0] in ("-h", "--help"):
        print(f"apc search SPACE [flags]: {', '.join(search_spaces.names())}; apc search SPACE --help lists the flags")
        return 0
    name, *flags = words
    try:
        module = search_spaces.load(name)
    except ValueError as error:
        print(f"apc search: {error}", file=sys.stderr)
        return 2
    plan, space = getattr(module, "PLAN", None), getattr(module, "space", None)
    title = (module.__doc__ or name).strip().splitlines()[0].rstrip(".")
    experiment = Experiment(
        name=f"search_{name}", title=title, plan=plan, space=space, first=tuple(getattr(module, "FIRST", ())),
        chooses=True, seeds=dict.fromkeys(PRESETS, 1),
    )
    return main(experiment, flags)


class _Run:
    """One call of an experiment: its settings, checked at once, and the steps from there to the report."""

    def __init__(self, experiment: Experiment, args: argparse.Namespace) -> None:
        self.experiment, self.args = experiment, args
        self.runs: Path = args.runs / "smoke" if args.smoke else args.runs
        self.reports: Path = args.reports or (self.runs / "reports" if args.smoke else Path("reports"))
        self.plan = experiment.smoke_plan if args.smoke and experiment.smoke_plan else experiment.plan
        self.base = config_of(args, self._knobs())
        self.seeds = seeds_of(args.seeds, 2 if args.smoke else experiment.seeds.get(args.preset, 3))
        self.trials = 2 if args.smoke else getattr(args, "trials", 0)
        self.dataset = Path(self.base.root).resolve().name if self.base.dataset == "folder" else self.base.dataset
        for flag in ("num_workers", "cpus", "max_concurrent", "trials"):
            if (value := getattr(args, flag, None)) is not None and value < 1:
                raise ValueError(f"--{flag.replace('_', '-')} is {value}; it must be at least 1")

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
        page = self._write(result)
        failed = [row for _, rows in result for row in rows if row.error]
        print("\n".join(["", *self._table(result)]))
        if failed:
            total = sum(len(rows) for _, rows in result)
            print(f"{len(failed)} of {total} runs failed; the same command tries them again")
        print(f"{page}: tables and figures; {self._rows_file()}: the rows")
        return 1 if failed else 0

    def _knobs(self) -> set[str]:
        """Fields the experiment varies itself."""
        if self.plan:
            return set(self.plan.knobs)
        assert self.experiment.space is not None
        return {key for values in (draw(self.experiment.space), *self.experiment.first) for key in values}

    def _schedule(self) -> Schedule:
        from apc.run import identity

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
        from apc.run import preflight

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
        if schedule and schedule.counts["done"]:
            words += f"; {schedule.counts['done']} runs are done already"
        elif minutes and not self.args.smoke:
            words += f"; about {minutes} minutes on two cores"
        print(words, flush=True)

    def _resources(self) -> "Resources":
        from apc.search import Resources

        args = self.args
        return Resources(
            address=args.address, num_workers=args.num_workers, cpus_per_trial=args.cpus, gpus_per_trial=args.gpus,
            max_concurrent=args.max_concurrent, verbose=args.verbose,
        )

    def _search(self) -> Result:
        from apc.progress import Progress
        from apc.search import optuna_search, search

        name, metric = self.experiment.name, self.experiment.metric
        common: dict[str, Any] = {
            "base": self.base, "seeds": self.seeds, "runs": self.runs, "resources": self._resources(),
            "view": Progress(f"{name} on {self.dataset}", metric),
        }
        if self.plan:
            return search(self.plan, **common)
        space, first = self.experiment.space, self.experiment.first
        assert space is not None
        return optuna_search(
            space, name=f"{name}.{self.dataset}", first=first, trials=self.trials, metric=metric, **common
        )

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
        from apc.report.build import build

        name = self.experiment.name
        rows = [replace(row, experiment=name, row=point.label) for point, rows in result for row in rows]
        earlier = load_rows(self._rows_file()) if self._rows_file().is_file() else []
        proposed = [point.label for point in self.plan.next([])] if self.plan else []
        save_rows(self._rows_file(), merged(earlier, rows, proposed))
        if complete and self.experiment.chooses:
            self._write_best(result)
        return build(self.reports)

    def _write_best(self, result: Result) -> None:
        import tomli_w

        path = self._rows_file().with_suffix(".best.toml")
        winner = best(result, self.experiment.metric)
        if winner is None:
            return
        # Files and folders are of one machine, the seed is of one run: `apc train --config` takes them from its flags.
        cfg = to_dict(from_dict(winner.values, self.base))
        kept = {k: v for k, v in cfg.items() if k not in ("root", "seed") and not (k == "weights" and Path(v).suffix)}
        how = f"the mean {self.experiment.metric} of seeds {', '.join(map(str, self.seeds))}"
        head = f"# Best of {self.experiment.name} on {self.dataset} by {how}.\n"
        write_atomically(path, head + tomli_w.dumps(kept))

    def _table(self, result: Result) -> list[str]:
        """Mean, spread and number of seeds of every point; the best marked where the experiment is a search."""
        metric, width = self.experiment.metric, max(len(point.label) for point, _ in result)
        winner = best(result, metric) if self.experiment.chooses else None
        lines = [f"{'':<{width}}  {metric}, mean ± standard deviation (seeds)"]
        for point, rows in result:
            values = [row.metrics[metric] for row in rows if metric in row.metrics]
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cell = f"{statistics.fmean(values):6.2f}{spread} ({len(values)})" if values else "     –"
            failed = sum(bool(row.error) for row in rows)
            bad = f"  {failed} failed" if failed else ""
            lines.append(f"{point.label:<{width}}  {cell}{bad}{'  best' if point == winner else ''}")
        return lines

    def _show(self, schedule: Schedule | None) -> int:
        """`--dry-run`"""
        if schedule is None:
            print(f"an Optuna search of {self.trials} trials, each with seeds {', '.join(map(str, self.seeds))}")
            return 0
        for point, rows in schedule.result():
            for row in rows:
                print(f"done   {row.run}  {point.label} seed {row.config['seed']}")
        for job in schedule.waiting:
            print(f"to do  {job.run}  {job.point.label} seed {job.config.seed}")
        counts = schedule.counts
        later = f", and at most {counts['later']} more that depend on their scores" if counts["later"] else ""
        print(f"{counts['done']} runs done, {counts['waiting']} to do{later}")
        return 0


def merged(earlier: Sequence[Row], new: Sequence[Row], labels: Sequence[str] = ()) -> list[Row]:
    """Rows of earlier calls and of this one, by label and seed; `labels` come first, the others as they appear.

    A run of both is taken from this call, unless it failed now and did not then: its score still holds.
    """
    scored = {row.run for row in earlier if not row.error}
    new = [row for row in new if not (row.error and row.run in scored)]
    again = {row.run for row in new}
    rank = {label: i for i, label in enumerate(dict.fromkeys([*labels, *(row.row for row in (*new, *earlier))]))}
    rows = [*(row for row in earlier if row.run not in again), *new]
    return sorted(rows, key=lambda row: (rank[row.row], row.config["seed"]))
