"""What is said before a search starts: what is run, and how long this machine will take for it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apc.config import Config
from apc.escaping import say
from apc.experiment.definition import Experiment
from apc.experiment.flags import Workers
from apc.experiment.forecast import hours, kind_of, pace
from apc.experiment.settings import ExperimentSettings
from apc.experiment.small_folders import told
from apc.runs.folder import load_runs
from apc.runs.status import between
from apc.search.run_queue import RunQueue


class ToDo(NamedTuple):
    """Runs that are to be done."""

    planned: Sequence[Config]
    least: int
    """How many more a plan adds."""
    most: int
    share: float = 1.0
    """Of their epochs, that is trained where some are given up at rungs."""
    rungs: str = ""
    """How many are trained how far, where there are rungs."""

    @property
    def number(self) -> str:
        fewest, most = (len(self.planned) + more for more in (self.least, self.most))
        runs = f"{fewest} runs" if fewest == most else f"{fewest} to {most} runs"
        return f"{runs} ({self.rungs})" if self.rungs else runs


def to_do(settings: ExperimentSettings, queue: RunQueue | None) -> ToDo:
    """Runs that are not finished yet; of a space as many as its trials and seeds say."""
    if queue:
        counts = queue.counts
        return ToDo([job.config for job in queue.waiting], counts.later, counts.later + counts.perhaps)
    assert settings.search is not None
    trials, seeds, rungs = settings.search.trials, len(settings.seeds), settings.search.halving
    planned = [settings.base] * (trials * seeds)
    if rungs is None:
        return ToDo(planned, 0, 0)
    share = rungs.total(trials, seeds) / (trials * seeds * settings.base.epochs)
    return ToDo(planned, 0, 0, share, rungs.told(trials, seeds))


def places(workers: Workers) -> int | None:
    """How many runs go on side by side on this machine's cores; None on its GPUs and on a cluster."""
    from torch.cuda import is_available

    from apc.parallel import cores

    if workers.address not in (None, "local") or (is_available() if workers.gpus is None else workers.gpus):
        return None
    fitting = max(cores() // (workers.cpus * workers.num_workers), 1)
    return min(fitting, workers.max_concurrent or fitting)


def banner(
    experiment: Experiment, settings: ExperimentSettings, queue: RunQueue | None, images: Mapping[str, int]
) -> None:
    """Say what is run, how much of it is done, and how long the rest will take; `images` are those of each split."""
    seeds = ", ".join(map(str, settings.seeds))
    parts = [experiment.title, f"{settings.dataset}, seeds {seeds}", f"runs in {settings.runs}"]
    if queue and queue.counts.done:
        parts.append(f"{queue.counts.done} runs are done already")
    todo = to_do(settings, queue)
    if todo.planned and not settings.smoke:
        parts.append(_expected(experiment, settings, todo, images))
    say("; ".join(filter(None, parts)))
    if few := told(settings.base):
        say(few)


def _expected(experiment: Experiment, settings: ExperimentSettings, todo: ToDo, images: Mapping[str, int]) -> str:
    """How many runs are to do, how long they will take and how that is known: by finished runs like them or by a few
    steps made now. What the script says of itself where others train them."""
    from apc.training.speed import speed

    side_by_side = places(settings.workers) if images else None
    if not side_by_side:
        minutes = experiment.minutes.get(settings.preset)
        return f"about {minutes} minutes on two cores" if minutes else ""
    finished, low, high, steps = load_runs(settings.runs), 0.0, 0.0, []
    for kind in dict.fromkeys(map(kind_of, todo.planned)):
        alike = [cfg for cfg in todo.planned if kind_of(cfg) == kind]
        minutes_each = None
        if not pace(finished, alike[0]):
            try:
                measured = speed(alike[0], images, settings.workers.cpus)
            except (ValueError, ArithmeticError, RuntimeError, OSError):
                return ""  # of what cannot be trained its runs tell, and no search is to end for the sake of a number
            minutes_each = measured.run(alike[0], images) / 60
            steps.append(f"{measured.step:.2g}")
        expected = hours(alike, finished, minutes_each)
        assert expected
        low, high = low + 3600 * expected.low, high + 3600 * expected.high
    count, slots = len(todo.planned), min(side_by_side, len(todo.planned))
    low, high = low * todo.share, high * todo.share
    span = between(low * (1 + todo.least / count) / slots, high * (1 + todo.most / count) / slots)
    why = f"a step takes {', '.join(steps)} s here just now" if steps else "as those that are finished took"
    return f"{todo.number}, {side_by_side} at a time: {span} ({why})"
