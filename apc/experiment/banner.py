"""What is said before a search starts: what is run, and how long this machine will take for it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from apc import devices
from apc.escaping import say
from apc.experiment import small_folders
from apc.experiment.definition import Experiment
from apc.experiment.dry_run import ToDo, said_of, to_do, tried_first
from apc.experiment.forecast import Told, hours, kind_of, pace
from apc.experiment.settings import ExperimentSettings
from apc.experiment.workers import costs_of, places
from apc.runs.copies import shown
from apc.runs.folder import load_runs
from apc.runs.status import between
from apc.search.run_queue import RunQueue

if TYPE_CHECKING:
    from apc.search.so_far import SoFar

STARTING = 20.0
"""Seconds until the first runs train: Ray's own start, that of their processes, and torch in them. Measured on
two cores that had other work too: 8, 4 and 8."""


def banner(
    experiment: Experiment,
    settings: ExperimentSettings,
    queue: RunQueue | None,
    images: Mapping[str, int],
    so_far: "SoFar | None" = None,
) -> None:
    """Say what is run, how much of it is done, and how long the rest will take; `images` are those of each split."""
    seeds = ", ".join(map(str, settings.seeds))
    parts = [experiment.title, f"{settings.dataset}, seeds {seeds}", f"runs in {shown(settings.runs)}"]
    if queue and queue.counts.done:
        parts.append(f"{queue.counts.done} runs are done already")
    if so_far:
        parts.append(so_far.told)
    todo = to_do(experiment, settings, queue, so_far)
    if todo.planned and not settings.smoke:
        parts.append(_expected(experiment, settings, todo, images))
    say("; ".join(filter(None, parts)))
    here = places(settings.workers) is not None
    for told in (
        *tried_first(experiment, settings),
        settings.unhalved,
        small_folders.told(settings.base),
        devices.told(settings.base.amp, "cpu") if here else "",
    ):
        if told:
            say(told)


def _expected(experiment: Experiment, settings: ExperimentSettings, todo: ToDo, images: Mapping[str, int]) -> str:
    """How many runs are to do, how long they will take and how that is known: by finished runs like them or by a few
    steps made now. What the script says of itself where others train them."""
    from apc.training.speed import speed

    side_by_side = places(settings.workers) if images else None
    finished, low, high, steps = load_runs(settings.runs), 0.0, 0.0, []
    if not side_by_side:
        return _elsewhere(experiment, settings, todo)
    for kind in dict.fromkeys(map(kind_of, todo.planned)):
        alike = [cfg for cfg in todo.planned if kind_of(cfg) == kind]
        told = None
        if not pace(finished, alike[0]):
            try:
                measured = speed(alike[0], images, settings.workers.cpus)
            except (ValueError, ArithmeticError, RuntimeError, OSError):
                return ""  # of what cannot be trained its runs tell, and no search is to end for the sake of a number
            told = Told.by(measured.run(alike[0], images), alike[:1], images["train"])
            steps.append(f"{measured.step:.2g}")
        found = hours(alike, finished, told)
        assert found
        low, high = low + 3600 * found.low, high + 3600 * found.high
    low, high, slots = *_with_later(todo, low, high), min(side_by_side, len(todo.planned))
    why = f"a step takes {', '.join(steps)} s here just now" if steps else "as those that are finished took"
    span, cost = between(STARTING + low / slots, STARTING + high / slots), costs_of(settings.workers).told(low, high)
    return (
        f"{todo.number}, {side_by_side} at a time: {span} ({why}, and Ray {STARTING:g} s to start), "
        f"{todo.epochs}, {cost}"
    )


def _elsewhere(experiment: Experiment, settings: ExperimentSettings, todo: ToDo) -> str:
    """What is to do on GPUs or a cluster, of whose speed finished runs alone tell, or else the script for two cores."""
    parts, workers = [todo.number, todo.epochs], settings.workers
    known = hours(todo.planned, load_runs(settings.runs), None)
    if known and (workers.address in (None, "local") or workers.gpus is not None):
        low, high = _with_later(todo, 3600 * known.low, 3600 * known.high)
        parts.append(f"{costs_of(workers).told(low, high)}, as those that are finished took")
    elif told := hours(todo.planned, [], said_of(experiment, settings)):
        least, most = _with_later(todo, 30 * told.mean, 30 * told.mean)
        parts.append(f"about {(least + most) / 2:.0f} minutes on two cores")
    return ", ".join(parts)


def _with_later(todo: ToDo, low: float, high: float) -> tuple[float, float]:
    """Seconds of the planned runs and of those that come to them."""
    count = len(todo.planned)
    return low * (todo.share + todo.least / count), high * (todo.share + todo.most / count)
