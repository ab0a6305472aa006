"""What an experiment's command line comes to: everything checked that can be known before data is read."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from apc.config import PRESETS, Config, from_dict
from apc.escaping import short
from apc.experiment.config_flags import config_of, named_fields
from apc.experiment.definition import Experiment
from apc.experiment.flags import (
    USUAL_SEEDS,
    Amount,
    Choosing,
    Deciding,
    Flags,
    Place,
    Racing,
    Workers,
    seeds_of,
    usual_search,
)
from apc.experiment.small_folders import within
from apc.flags import flag_of, reports_folder, taken
from apc.reporting.verdicts.looks import FIRST_LOOK
from apc.runs.copies import address
from apc.runs.mirror import opened
from apc.runs.scores import CHOOSERS, IN_CURVES, LOWER_IS_BETTER, Chooser, EpochChooser, scores_of
from apc.search import spaces
from apc.search.draws import draws, samples
from apc.search.halving import Rungs, usual_rungs
from apc.search.plans import Plan, Staged, points
from apc.search.race import SEEDS, check_enough
from apc.search.search_settings import SearchSettings

SMOKE = {"num_train": 32, "num_val": 8, "epochs": 1, "frozen_epochs": 0, "eval_every": 0, "warmup_steps": 0}
"""Settings of a smoke run: the whole way, and numbers that mean nothing."""
SMOKE_POCKET = SMOKE | {"weights": "", "num_train": 64}
"""The same of the embedded data, whose encoder then needs no pre-training."""
SMOKE_SEEDS = 2
SMOKE_TRIALS = 2
SMOKE_RUNGS = 2
"""Epochs of a smoke run that pauses at a rung: that is a part of the way."""

OF_A_GRID = ("sampler", "grid_points", "objectives")
"""Settings of a search that mean something to a grid."""


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """One call of an experiment."""

    preset: str
    base: Config
    """Setting over which the points of the plan or the space's values are laid."""
    seeds: tuple[int, ...]
    plan: Plan | None
    """Points to run; None where a space is searched with Optuna."""
    search: SearchSettings | None
    """How the space is searched; None where there is none."""
    metrics: tuple[str, ...]
    """Scores that settings are chosen by or, of a table, shown on the terminal."""
    name: str
    """Of the study, the rows and best.toml: the experiment's, and by what it chooses where that is not its own."""
    racing: Racing
    """What becomes of the best settings."""
    runs: Path
    """Folder of the run folders."""
    reports: Path
    """Folder of rows, tables and figures."""
    workers: Workers
    smoke: bool
    dry_run: bool
    decide: int | None = None
    """Most seeds of a claim that is undecided; None where their number is fixed."""
    unhalved: str = ""
    """Why a search that halves by default trains every trial to its end, where its schedule is too short."""

    @property
    def dataset(self) -> str:
        """Name of the data set, for folders their last name."""
        return dataset_name(self.base)


def settings_of(experiment: Experiment, flags: Flags) -> ExperimentSettings:
    """Settings of an experiment under a command line; ValueError for what cannot be."""
    if choose := taken(Choosing, flags.values).choose:
        experiment = chosen_by(experiment, choose)
    amount, place = taken(Amount, flags.values), taken(Place, flags.values)
    workers = taken(Workers, flags.values)
    runs, reports = folders(place, amount.smoke)
    plan = experiment.smoke_plan if amount.smoke and experiment.smoke_plan else experiment.plan
    base = base_of(flags, _knobs(experiment, plan, flags.preset), amount.smoke)
    decide = taken(Deciding, flags.values).decide if experiment.claims or experiment.bests else None
    few = FIRST_LOOK if decide else SMOKE_SEEDS
    own = experiment.own_seeds[:few] if amount.smoke else experiment.own_seeds
    if own and amount.seeds and tuple(seeds_of(amount.seeds, 1)) not in (own, experiment.own_seeds):
        raise ValueError(f"--seeds {short(amount.seeds, quoted=False)}: {own_seeds_told([experiment])}")
    usual = few if amount.smoke else experiment.seeds.get(flags.preset, USUAL_SEEDS)
    seeds = own or tuple(seeds_of(amount.seeds, usual))
    if decide and not own and not FIRST_LOOK <= len(seeds) <= decide:
        must = f"it must begin with {FIRST_LOOK} to {decide} seeds"
        raise ValueError(f"--decide {decide}: the table begins with {len(seeds)} seeds, and {must}; change --seeds")
    search = _search_of(experiment, flags.values, base, amount.smoke) if experiment.searches else None
    if choose == "vote" and (search is None or search.sampler == "grid"):
        raise ValueError(
            "--choose vote: settings vote in a search that proposes them, not in one that runs a plan; choose from "
            + ", ".join(get_args(EpochChooser))
        )
    racing = _racing(experiment, flags.values, amount.smoke)
    if search and search.stop_early == "halving":
        if amount.smoke:
            base, search = _small_rungs(base, search, flags.values)
        search = replace(search, rungs=search.rungs_over(base).epochs)
    if search and racing.race:
        if amount.smoke and "trials" not in flags.values:
            search = replace(search, trials=_few_to_race(racing.race, search.halving))
        check_enough(racing.race, search.trials, search.halving)
    return ExperimentSettings(
        preset=flags.preset,
        base=base,
        seeds=seeds,
        plan=_grid(experiment, search, base, amount.smoke) if search else plan(base) if callable(plan) else plan,
        search=search,
        metrics=search.objectives if search else (experiment.metric,),
        name=experiment.name,
        racing=racing,
        runs=runs,
        reports=reports,
        workers=workers,
        smoke=amount.smoke,
        dry_run=amount.dry_run,
        decide=None if search or len(seeds) > (decide or 0) else decide,
        unhalved=_unhalved(experiment, flags.values, base, amount.smoke) if search else "",
    )


def for_step(step: Experiment, steps: Sequence[Experiment], flags: Flags) -> Flags:
    """A command line as one of several steps has it: `--seeds` is for those that have none of their own. ValueError
    where no step is left for it."""
    if "seeds" not in flags.values or len(steps) == 1 or not step.own_seeds:
        return flags
    if all(each.own_seeds for each in steps):
        raise ValueError(f"--seeds {short(flags.values['seeds'], quoted=False)}: {own_seeds_told(steps)}")
    return flags._replace(values={name: value for name, value in flags.values.items() if name != "seeds"})


def own_seeds_told(steps: Sequence[Experiment]) -> str:
    """ "this script has seeds of its own (0; then 0, 1, 2); leave it out" """
    seeds = "; then ".join(", ".join(map(str, step.own_seeds)) for step in steps)
    return f"this script has seeds of its own ({seeds}); leave it out"


def _racing(experiment: Experiment, values: Mapping[str, Any], smoke: bool) -> Racing:
    """The race, with its numbers filled in; none for a step of a longer experiment that chooses nothing."""
    racing = taken(Racing, values)
    if racing.race is None or not experiment.chooses:
        return Racing()
    usual = SMOKE_SEEDS if smoke else SEEDS
    return replace(racing, race_seeds=racing.race_seeds or usual, prefer=racing.prefer or "best")


def chosen_by(experiment: Experiment, chooser: Chooser) -> Experiment:
    """The experiment with its settings chosen by something else: a search, or what follows from one, then has a name of
    its own, so that two that chose otherwise share neither a study nor a table."""
    if experiment.metric == CHOOSERS[chooser]:
        return experiment
    name = f"{experiment.name}_by_{chooser}" if experiment.chooses or experiment.plan_of_results else experiment.name
    metric = CHOOSERS[chooser] if experiment.metric in CHOOSERS.values() else experiment.metric
    plan = replace(experiment.plan, metric=metric) if isinstance(experiment.plan, Staged) else experiment.plan
    return replace(experiment, name=name, metric=metric, plan=plan)


def folders(place: Place, smoke: bool) -> tuple[Path, Path]:
    """Folders of the runs, of a store its copy here, and of the report; those of a smoke run lie below the others."""
    runs = place.runs / "smoke" if smoke else place.runs
    reports = place.reports or (runs / "reports" if smoke else reports_folder())
    if url := address(reports):
        if place.reports:
            raise ValueError(
                f"--reports {url}: a report is written to a folder of this machine; only runs go to a store"
            )
        reports = reports_folder() / "smoke"
    return opened(runs), reports


def base_of(flags: Flags, knobs: Collection[str], smoke: bool = False) -> Config:
    """Config that the flags describe; `knobs` are what the experiment varies itself and a flag must not fix."""
    for name in named_fields(flags.values):
        if name == "seed" or name in knobs:
            instead = "use --seeds" if name == "seed" else "this experiment varies it itself"
            raise ValueError(f"{flag_of(name)}: {instead}")
    base = config_of(flags.preset, flags.values, *([_small] if smoke else []))
    return within(base, named_fields(flags.values)) if smoke else base


def dataset_name(cfg: Config) -> str:
    """Name of a data set in rows and files: a folder of photographs has its own."""
    return Path(cfg.root).resolve().name if cfg.dataset == "folder" else cfg.dataset


def _small(cfg: Config) -> Config:
    """A setting as `--smoke` runs it."""
    return from_dict(SMOKE_POCKET if cfg.dataset == "pocket" else SMOKE, cfg)


def _small_rungs(base: Config, search: SearchSettings, values: Mapping[str, Any]) -> tuple[Config, SearchSettings]:
    """A smoke run's epochs and rungs, of which a flag may have named either."""
    if "epochs" in values:
        return base, search
    if search.rungs:  # all that are named, and an end behind a single one
        return replace(base, epochs=search.rungs[-1] + (len(search.rungs) == 1)), search
    return replace(base, epochs=SMOKE_RUNGS), replace(search, rungs=(1,))


def _few_to_race(race: int, rungs: Rungs | None) -> int:
    """The fewest trials of a smoke run of which so many have a score to race by."""
    counts = itertools.count(max(SMOKE_TRIALS, race))
    return next(trials for trials in counts if not rungs or rungs.plan(trials)[-1][1] >= race)


def _knobs(experiment: Experiment, plan: Plan | Callable[[Config], Plan] | None, preset: str) -> set[str]:
    """Fields the experiment varies itself."""
    base = PRESETS[preset]()
    if callable(plan):  # what only some points set follows from the base
        return set.intersection(*(set(point.values) for point in plan(base).next([])))
    if plan:
        return set(plan.knobs)
    draw = experiment.drawn(base)
    assert draw is not None
    drawn = [sample.values for sample in samples(draw, base, experiment.name)]
    return {knob for values in (*drawn, *spaces.first_over(experiment.first, base)) for knob in values}


def _search_of(experiment: Experiment, values: Mapping[str, Any], base: Config, smoke: bool) -> SearchSettings:
    """How the flags say a space is searched."""
    if "choose" in values and "objectives" in values:
        raise ValueError(f"--choose {values['choose']} names the objective itself; leave out --objectives")
    usual = usual_search(experiment)
    if not halves({**usual, **values}, base, small=smoke and "epochs" not in values):
        usual |= {"stop_early": "none"}
    search = taken(SearchSettings, values, **usual)
    _check_grid(search, values)
    draw = experiment.drawn(base)
    assert draw is not None
    draws(draw, base, experiment.name)
    require_reported(search, base)
    warm = search.warm_start and opened(search.warm_start).resolve()
    if warm and not warm.is_dir():
        raise ValueError(f"--warm-start {search.warm_start}: there is no such folder")
    trials = SMOKE_TRIALS if smoke and "trials" not in values else search.trials
    return replace(search, trials=trials, warm_start=warm)


def require_reported(search: SearchSettings, base: Config) -> None:
    """Refuse a search, by a command or from Python, by scores that no run of this config reports."""
    reported = list(dict.fromkeys([*scores_of(base), *LOWER_IS_BETTER]))
    for name in search.objectives:
        if name not in reported:
            raise ValueError(f"--objectives {name}: no run reports it; choose from {', '.join(reported)}")
    if (name := search.score_to_reach) and name not in reported:
        raise ValueError(f"--stop-when {search.stop_when}: no run reports {name}; choose from {', '.join(reported)}")
    if search.stop_early != "none" and search.objectives[0] not in IN_CURVES:
        raise ValueError(
            f"--stop-early {search.stop_early}: epochs report {', '.join(IN_CURVES)} and not {search.objectives[0]}, "
            "by which the search goes; leave it out"
        )


def halves(values: Mapping[str, Any], base: Config, *, small: bool = False) -> bool:
    """Whether trials of a search of a space are given up at rungs if nobody says: where they can be. `values` are its
    objectives, sampler and, if anybody named some, rungs; of a `small` one there will be epochs enough."""
    in_curves = len(values["objectives"]) == 1 and values["objectives"][0] in IN_CURVES
    rungs = values.get("rungs") or small or len(usual_rungs(base.epochs, base.frozen_epochs)) > 1
    return bool(in_curves and rungs and values["sampler"] != "grid")


def _unhalved(experiment: Experiment, values: Mapping[str, Any], base: Config, smoke: bool) -> str:
    """Why no trial is given up though nobody said so: the schedule has no place for a rung."""
    usual = {**usual_search(experiment), **values}
    wanted = usual["stop_early"] == "halving" and "stop_early" not in values
    if (
        not wanted
        or halves(usual, base, small=smoke and "epochs" not in values)
        or not halves(usual | {"rungs": (1,)}, base)
    ):
        return ""
    why = f"halving has no rung in {base.epochs} epochs, {base.frozen_epochs} of them frozen"
    return f"every trial trains to its end: {why} (--rungs names one)"


def _check_grid(search: SearchSettings, values: Mapping[str, Any]) -> None:
    """ValueError for flags that mean nothing to a grid, even at their defaults, or only to a grid."""
    given = [name for name in vars(search) if name in values]
    if search.sampler == "grid" and (idle := [flag_of(name) for name in given if name not in OF_A_GRID]):
        raise ValueError(f"--sampler grid trains every setting of its grid; leave out {', '.join(idle)}")
    if search.sampler != "grid" and "grid_points" in values:
        raise ValueError(f"--grid-points is for --sampler grid, and the sampler is {search.sampler}")


def _grid(experiment: Experiment, search: SearchSettings, base: Config, smoke: bool) -> Plan | None:
    """The plan of a grid over the space; None for every other sampler."""
    if search.sampler != "grid":
        return None
    if experiment.space is None:
        raise ValueError("--sampler grid needs a space that is data, a SPACE; this one is a function")
    settings = spaces.grid(spaces.over(experiment.space, base), search.grid_points)
    return points(settings[:SMOKE_TRIALS] if smoke else settings)
