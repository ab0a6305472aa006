"""Search from Python, with Ray Tune and Optuna."""

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.api.models import require_config
from apc.config import PRESETS, Config, from_dict, pocket
from apc.runs.scores import CHOOSERS

if TYPE_CHECKING:
    from pandas import DataFrame

    from apc.experiment.flags import Racing
    from apc.search.plans import Plan, Result
    from apc.search.race import Prefer, Race, Standing
    from apc.search.ray_session import Resources
    from apc.search.search_settings import SearchSettings
    from apc.search.spaces import Draw, Space


OF_HALVING = ("rungs", "keep_share", "bracket")
"""Fields of SearchSettings that are refused where no trial is given up at rungs."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found."""

    points: "Result"
    """Settings in the order proposed, each with the rows of its seeds."""
    trials: "DataFrame"
    """A line a run: trial, searched fields, seed, state, scores in percent, seconds."""
    best: Config | None
    """The base with the setting of the best mean of the first objective or, behind a race, with the one that is
    preferred of those that nothing shows to be worse; None where no setting has a score."""
    race: "Sequence[Standing]" = ()
    """How the settings of a race stand, the leader first; empty without one."""


def search(
    space: "str | Space | Draw | Plan",
    *,
    base: Config | None = None,
    trials: int | None = None,
    seeds: Sequence[int] = (0,),
    runs: str | os.PathLike[str] = "runs",
    name: str = "",
    first: Sequence[Mapping[str, Any]] = (),
    race: int | None = None,
    race_seeds: int | None = None,
    prefer: "Prefer | None" = None,
    resources: "Resources | None" = None,
    progress: bool = True,
    **settings: Any,
) -> SearchResult:
    """Search a space with Ray Tune and Optuna, on this machine or on a cluster; the same call goes on where it was.

    `space` is the name of a module of search_spaces, a mapping from fields to their ranges, a function of an Optuna
    trial that returns a setting (apc/search/spaces.py), or a plan of settings that are all run (apc/search/plans.py).
    A space takes `trials`, those of earlier calls included; a plan takes none. Every setting is trained with all
    `seeds` over `base` (default: `apc.pocket()`) and judged by their mean. `first` are settings tried before the
    sampler's own. `race` gives the best so many settings at most `race_seeds` further seeds (default: 5), and `prefer`
    says which of those that are not worse than its leader is chosen: "best", "cheapest" or "paper". `name` names the
    study below `runs`; default: that of `apc search`. `resources` says where trials run and what each takes; `progress`
    prints a line a run. `settings` are further fields of SearchSettings, such as sampler="tpe",
    objectives=("miou", "train_seconds"), search_seed=0, hours=2.0; unless stop_early is among
    them, trials are given up as by `apc search`. ValueError for a space that does not fit Config, for a study of other
    settings and for a choice by masks where there are none; Ctrl-C raises plans.Interrupted, with what was finished as
    its `result`.

    >>> found = apc.search("simple", base=apc.pocket(), trials=2, progress=False)
    >>> len(found.trials)
    2
    """
    base = pocket() if base is None else base
    require_config(base, "search(base)")
    if isinstance(settings.get("objectives"), str):
        settings["objectives"] = (settings["objectives"],)
    numbers = _seeds(seeds)
    proposals, tried_first = _proposals(space, base)
    how = _search_settings(proposals, base, trials, settings, first)

    from apc.experiment.before import prepared
    from apc.experiment.flags import Racing
    from apc.experiment.settings import dataset_name
    from apc.runs.copies import folder_of
    from apc.runs.scores import curve_score
    from apc.search.driver import optuna_search
    from apc.search.driver import search as run_plan
    from apc.search.plans import Interrupted
    from apc.search.progress import Progress
    from apc.search.race import check_enough
    from apc.search.ray_session import Resources
    from apc.search.study_settings import StudyDefinition
    from apc.search.view import NoView, View

    objectives = how.objectives if how else ("miou",)
    racing = Racing(race=race, race_seeds=race_seeds, prefer=prefer)
    check_enough(race, trials or 0, how.rungs_over(base) if how and how.stop_early == "halving" else None)
    name = name or f"space_{space if isinstance(space, str) else 'own'}.{dataset_name(base)}"
    prepared(base, *_chosen_by(proposals, objectives[0], bool(racing.race)), how)
    resources = resources or Resources()
    runs_a_trial = len(numbers) if callable(proposals) else 1
    cores = resources.cpus_per_trial * resources.num_workers

    def view(title: str, runs_a_trial: int) -> View:
        return Progress(title, objectives[0], runs_a_trial=runs_a_trial, cores=cores) if progress else NoView()

    train = functools.partial(run_plan, base=base, runs=Path(runs), resources=resources)
    if callable(proposals):
        assert how is not None
        definition = StudyDefinition(
            proposals, name=name, base=base, seeds=numbers, settings=how, first=tuple(first) or tried_first
        )
        points = optuna_search(definition, runs=Path(runs), resources=resources, view=view(name, runs_a_trial))
    else:
        points = train(proposals, seeds=numbers, name=name, view=view(name, 1))
    standings: Sequence[Standing] = ()
    papers = PRESETS[base.dataset]()
    if racing.race and (plan := _race_of(points, racing, objectives[0], numbers, folder_of(runs), papers)):
        title, by = f"{name}.race", curve_score(objectives[0])
        try:
            raced = train(plan, seeds=plan.seeds[:1], name=title, by=by, view=view(title, 1))
        except Interrupted as stop:
            stop.result = [*points, *stop.result]
            raise
        standings = plan.standings(raced)
    return _search_result(points, base, objectives, standings, prefer or "best")


def _chosen_by(proposals: "Plan | Draw", objective: str, races: bool) -> tuple[str | None, str]:
    """The score that settings are chosen by, None where a plan runs all of its own, and what to do without masks."""
    from apc.search.plans import Staged

    if callable(proposals):
        return objective, f"give objectives=({CHOOSERS['labels']!r},)"
    if isinstance(proposals, Staged):
        return proposals.metric, f"give the plan metric={CHOOSERS['labels']!r}"
    return (objective if races else None), "leave out race"


def _race_of(
    points: "Result", racing: "Racing", metric: str, seeds: Sequence[int], runs: Path, papers: Config
) -> "Race | None":
    """The race of a search's best settings; None where not two have a score."""
    from apc.runs.compared import VOTE, compared_by
    from apc.search.judging import OfRace
    from apc.search.plans import rows_of
    from apc.search.race import SEEDS, Race, racers_of, seeds_of_race

    metric = compared_by(rows_of(points), metric)
    votes = OfRace(runs, points) if metric == VOTE else None
    racers = racers_of(points, metric, racing.race or 0, racing.prefer or "best", papers)
    return Race(racers, seeds_of_race(racing.race_seeds or SEEDS, seeds), metric, votes) if len(racers) > 1 else None


def _seeds(seeds: Sequence[int]) -> list[int]:
    """The seeds of every setting; ValueError where there are none, one stands twice, or one is no seed."""
    numbers = list(seeds) if isinstance(seeds, Sequence) else []
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise ValueError(f"seeds is {seeds!r}; give different seeds from 0 on, such as (0, 1, 2)")
    return numbers


def _proposals(space: "str | Space | Draw | Plan", base: Config) -> "tuple[Plan | Draw, tuple[Mapping[str, Any], ...]]":
    """A plan or a define-by-run function, checked against Config, and the settings that its module tries first."""
    import search_spaces
    from apc.search import space_checks, spaces

    if isinstance(space, str):
        module = search_spaces.load(space)
        if "PLAN" in vars(module):
            return search_spaces.plan_of(module, base), ()
        first = search_spaces.first_of(module, base, f"search_spaces/{space}.py")
        return search_spaces.draw_of(module, base), first
    if isinstance(space, Mapping):
        space_checks.check(space, "space")
        return functools.partial(spaces.suggest, space), ()
    if not callable(space) and "seed" in space.knobs:
        raise ValueError("the plan: seed is no knob; seeds=(0, 1) says which are run")
    return space, ()


def _search_settings(
    proposals: "Plan | Draw",
    base: Config,
    trials: int | None,
    settings: dict[str, Any],
    first: Sequence[Mapping[str, Any]],
) -> "SearchSettings | None":
    """How a space is searched; None for a plan, which needs none of it."""
    from apc.experiment.settings import halves, require_reported
    from apc.search.search_settings import SearchSettings, Stopper

    if not callable(proposals):
        if trials is not None or settings or first:
            raise ValueError("trials, first and settings of a sampler are for a space; a plan runs its own settings")
        return None
    if trials is None:
        raise ValueError("trials is not given; a space needs their number, such as trials=20")
    if settings.get("sampler") == "grid":
        raise ValueError("sampler is grid; give a plan, such as apc.search.plans.grid({'theta': [0.5, 0.9]})")
    if "stop_early" not in settings:
        how = SearchSettings(trials=trials, **{k: v for k, v in settings.items() if k not in OF_HALVING})
        usual: Stopper = "halving" if halves(vars(how) | settings, base) else "none"
        settings = {"stop_early": usual, **settings}
    how = SearchSettings(trials=trials, **settings)
    require_reported(how, base)
    return how


def _search_result(
    points: "Result", base: Config, objectives: tuple[str, ...], standings: "Sequence[Standing]", prefer: "Prefer"
) -> SearchResult:
    from apc.experiment.outputs import trials_of, winner_of
    from apc.runs.compared import compared_by
    from apc.search.plans import rows_of
    from apc.search.race import winner as winner_of_race

    knobs = list(dict.fromkeys(knob for point, _ in points for knob in point.values))
    first = winner_of_race(standings, prefer, PRESETS[base.dataset]())
    winner = first.racer if first else winner_of(points, compared_by(rows_of(points), objectives[0]))
    best = from_dict(winner.values, base) if winner else None
    return SearchResult(points, trials_of(points, knobs, objectives), best, standings)
