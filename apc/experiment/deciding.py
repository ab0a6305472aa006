"""`--decide N`: further seeds for a table's claims that are undecided, until the interval decides or N seeds are spent.

The rule is fixed before the first run: the rows of every claim that is still open get the next seed, then all claims
are judged again, and every interval is one of those that hold together at all looks (apc/reporting/verdicts/looks.py).
What is to be run follows from finished runs alone, so the same command goes on wherever it was killed. A claim is
settled by its direction, or by a difference that is none; two rows that score the same at every seed are not asked
further.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from apc.escaping import say
from apc.experiment.definition import Experiment
from apc.experiment.settings import ExperimentSettings
from apc.reporting.figures import staged
from apc.reporting.groups import separate
from apc.reporting.verdicts.claims import Judged, judge_group
from apc.runs.rows import DECIDE
from apc.search.plans import Interrupted, Plan, Point, Points, Result

Search = Callable[[Points, int], Result]
"""Trains points with one seed."""
Measure = Callable[[Result], Result]
"""Makes the rows of the table of those that were trained."""


def further_seeds(settings: ExperimentSettings) -> range:
    """The seeds that may come, after the greatest that the table begins with."""
    first = max(settings.seeds) + 1
    return range(first, first + max((settings.decide or 0) - len(settings.seeds), 0))


def decided(
    experiment: Experiment, settings: ExperimentSettings, trained: Result, search: Search, measure: Measure
) -> Result:
    """The runs of a table and those that its open claims ask for; Interrupted has those there are by then."""
    assert settings.decide is not None
    trained = stamped(trained, settings.decide)
    for seed in further_seeds(settings):
        try:
            measured = measure(trained)
            judged = open_claims(experiment, settings.dataset, measured)
            asked = points_of(judged, trained, measured)
            if not asked:
                break
            rows = ", ".join(point.label for point in asked)
            say(f"undecided: {'; '.join(each.claim for each in judged)}. So seed {seed} for {rows}")
            found = search(Points(tuple(asked)), seed)
        except Interrupted as stop:
            stop.result = added(trained, stamped(stop.result, settings.decide))
            raise
        except KeyboardInterrupt:
            raise Interrupted(trained) from None
        trained = added(trained, stamped(found, settings.decide))
    return trained


def open_claims(experiment: Experiment, dataset: str, measured: Result) -> list[Judged]:
    """Claims of the table that another seed might decide, by the score that counts."""
    rows = [replace(row, row=point.label) for point, own in measured for row in own]
    groups = separate(rows, experiment.knobs)
    if not groups:
        return []
    group = groups[0]
    failed = [row for row in rows if row.error]
    labels = {row.row for row in failed}
    stages = staged.stages(group, {}, labels, experiment.metric) if experiment.staged else None
    judged = [each for each in judge_group(experiment, group, dataset, stages, failed) if each.counts]
    return [each for each in _first_of_each(judged) if _is_open(each)]


def _first_of_each(judged: Sequence[Judged]) -> Iterator[Judged]:
    """Of every claim the score that counts, which stands first."""
    known: set[str] = set()
    for each in judged:
        if each.claim not in known:
            known.add(each.claim)
            yield each


def _is_open(judged: Judged) -> bool:
    if judged.verdict.outcome != "undecided" or judged.size.word == "no difference":
        return False
    if judged.verdict.rival:
        return bool(judged.open)
    found = judged.verdict.difference.summary
    return found.n < 2 or found.std > 0


def points_of(judged: Collection[Judged], trained: Result, measured: Result) -> list[Point]:
    """The trained points behind the rows of claims, of a best of many the default and every rival that is open; a row
    that is measured on the runs of another has none of its own.

    In the order of the plan.
    """
    wanted = {label for each in judged for label in ((each.rows[0], *each.open) if each.open else each.rows)}
    runs = {row.run.split("@")[0] for point, own in measured if point.label in wanted for row in own}
    return [point for point, own in trained if any(row.run in runs for row in own)]


def added(trained: Result, found: Result) -> Result:
    """Runs of points with further ones of some of them."""
    more = {point.key: rows for point, rows in found}
    return [(point, [*rows, *more.get(point.key, [])]) for point, rows in trained]


def stamped(result: Result, most: int) -> Result:
    """Every row with the most seeds that there might have been, which the page judges it by."""
    return [
        (point, [replace(row, stamp=row.stamp | {DECIDE: most}) if row.stamp else row for row in rows])
        for point, rows in result
    ]


def most_runs(experiment: Experiment, settings: ExperimentSettings, plan: Plan) -> int:
    """How many runs the open claims may ask for."""
    labels = {label for claim in experiment.claims for label in (claim.better, claim.worse)}
    rows = plan.max_points if experiment.bests else min(len(labels), plan.max_points)
    return rows * len(further_seeds(settings))


def told(experiment: Experiment, settings: ExperimentSettings, plan: Plan) -> str:
    """The same in a sentence."""
    runs, claims = most_runs(experiment, settings, plan), len(experiment.claims) + len(experiment.bests)
    return f"then at most {runs} runs more, until {claims} claims are decided or have {settings.decide} seeds"


def begun_with(settings: ExperimentSettings, result: Result) -> Result:
    """The runs of the seeds that every setting has: what is chosen is chosen by these."""
    if not settings.decide:
        return result
    return [(point, [row for row in rows if row.config["seed"] in settings.seeds]) for point, rows in result]
