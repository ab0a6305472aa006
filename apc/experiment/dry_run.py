"""`--dry-run`: which runs are done and which are to do, and what the rest will take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from apc.config import Config, from_dict
from apc.escaping import counted, say
from apc.experiment import deciding, small_folders
from apc.experiment.definition import Experiment
from apc.experiment.flags import Flags
from apc.experiment.forecast import Hours, Told, hours
from apc.experiment.settings import ExperimentSettings, settings_of
from apc.experiment.workers import costs_of
from apc.runs.compared import RULE, VOTERS
from apc.runs.folder import load_runs
from apc.search.race import FIRST_LOOK
from apc.search.run_queue import RunQueue
from apc.search.spaces import first_over
from apc.search.tried_first import told

if TYPE_CHECKING:
    from apc.search.so_far import SoFar  # which takes torch


class ToDo(NamedTuple):
    """Runs that are to be done."""

    planned: Sequence[Config]
    least: int
    """How many more a plan, and a race, add."""
    most: int
    rungs: str = ""
    """How many of the planned train how far, where some are given up at rungs."""
    spared: int = 0
    """Epochs that this spares."""
    begun: bool = False
    """Whether an earlier call has begun the study: what it has done is not among the planned, and what it has trained
    of those is spared."""
    at_most: bool = False
    """Whether a little more may be spared: what halving keeps may be among the best."""

    @property
    def number(self) -> str:
        return f"{_span(self, 1)} runs{' left' * self.begun}{f' ({self.rungs})' if self.rungs else ''}"

    @property
    def epochs(self) -> str:
        each = self.planned[0].epochs
        instead = " left" if self.begun else f" instead of {_span(self, each)}" if self.spared else ""
        return f"{'at most ' * self.at_most}{_span(self, each, self.spared)} epochs{instead}"

    @property
    def share(self) -> float:
        """Of the epochs of the planned runs, what is trained."""
        return 1 - self.spared / sum(cfg.epochs for cfg in self.planned) if self.spared else 1.0


def to_do(
    experiment: Experiment, settings: ExperimentSettings, queue: RunQueue | None, so_far: "SoFar | None" = None
) -> ToDo:
    """Runs that are not finished yet; of a space as many as its trials and seeds say, without those that it has done
    `so_far`, and of a race its seeds."""
    racing, tried = settings.racing, settings.search.trials if settings.search else 0
    least = most = 0
    if racing.race and racing.race_seeds:
        best, racers = racers_of_best(settings, queue)
        least, most = best * min(FIRST_LOOK, racing.race_seeds), racers * racing.race_seeds
    if queue:
        counts = queue.counts
        planned = [job.config for job in queue.waiting]
        return ToDo(planned, counts.later + least, counts.later + counts.perhaps + most)
    seeds, rungs = len(settings.seeds), settings.search.halving if settings.search else None
    planned = [settings.base] * (tried * seeds)
    if so_far:
        planned = [settings.base] * (max(tried - so_far.ended, 0) * seeds)
        spared = len(planned) * settings.base.epochs - so_far.left
        return ToDo(planned, least, most, spared=spared, begun=True, at_most=rungs is not None)
    if rungs is None:
        return ToDo(planned, least, most)
    rungs = rungs._replace(kept=int(bool(first_over(experiment.first, settings.base))))
    total, fewer = rungs.total(tried, seeds), rungs._replace(kept=0).total(tried, seeds)
    spared = tried * seeds * settings.base.epochs - total
    return ToDo(planned, least, most, rungs.told(tried), spared, at_most=total > fewer)


def tried_first(experiment: Experiment, settings: ExperimentSettings) -> list[str]:
    """What is said of the settings that a search of a space tries first, a sentence each."""
    first, draw = first_over(experiment.first, settings.base), experiment.drawn(settings.base)
    if settings.plan or not (draw and settings.search):
        return []
    return told(first, settings.search.trials, draw, settings.base, settings.name)


def racers_of_best(settings: ExperimentSettings, queue: RunQueue | None) -> tuple[int, int]:
    """How many of the best settings race, and with the paper's own, where it is preferred, how many at most."""
    racing, search = settings.racing, settings.search
    tried = queue.plan.max_points if queue else search.trials if search else 0
    return min(racing.race or 0, tried), min((racing.race or 0) + (racing.prefer == "paper"), tried)


def expected(experiment: Experiment, settings: ExperimentSettings, todo: Sequence[Config]) -> Hours | None:
    """Hours of one process that runs will take, by finished ones or by what the script says of itself; None where
    neither tells."""
    return hours(todo, load_runs(settings.runs), said_of(experiment, settings))


def said_of(experiment: Experiment, settings: ExperimentSettings) -> Told | None:
    """What an experiment's minutes tell, which are of its command without flags: on two cores, or one run at a time
    where its rows are times."""
    if not (minutes := experiment.minutes.get(settings.preset)):
        return None
    root = {"root": settings.base.root} if settings.base.root else {}
    usual = settings_of(experiment, Flags(settings.preset, {**root, "runs": settings.runs}))
    seconds = 60.0 * minutes * (1 if experiment.timed else 2)
    if usual.plan:
        first = [from_dict(point.values, usual.base) for point in usual.plan.next([])]
        seconds *= len(first) / (usual.plan.max_points * len(usual.seeds))
        return Told.by(seconds, first, usual.base.num_train or 1)
    whole = to_do(experiment, usual, None)
    return Told.by(seconds / whole.share, whole.planned, usual.base.num_train or 1)


def show(
    experiment: Experiment, settings: ExperimentSettings, queue: RunQueue | None, so_far: "SoFar | None" = None
) -> int:
    """Print it; 0."""
    todo, whole = to_do(experiment, settings, queue, so_far), to_do(experiment, settings, queue)
    if few := small_folders.told(settings.base):
        say(few)
    if queue is None:
        assert settings.search is not None
        seeds = ", ".join(map(str, settings.seeds))
        trials = counted(settings.search.trials, "trial")
        print(f"an Optuna search ({settings.search.sampler}) of {trials}, each with seeds {seeds}")
        for sentence in tried_first(experiment, settings):
            say(sentence)
        if whole.rungs:
            print(f"halving: {whole.rungs}: {whole._replace(least=0, most=0).epochs}")
        if settings.unhalved:
            print(settings.unhalved)
        if settings.search.objectives[0] == RULE:
            enough = settings.search.trials >= VOTERS
            print(f"compared by {'the vote of all' if enough else RULE}; it takes {VOTERS} settings to vote")
        if so_far:
            print(so_far.told)
    else:
        _list(queue)
    if todo.planned:
        print(_cost(settings, todo, expected(experiment, settings, todo.planned)))
    if queue is not None:
        counts = queue.counts
        later = f", and {_between(counts.later, counts.later + counts.perhaps)} more that depend on their scores"
        print(f"{counts.done} runs done, {counts.waiting} to do{later if counts.later or counts.perhaps else ''}")
        if settings.decide:
            print(deciding.told(experiment, settings, queue.plan))
    if (racing := settings.racing).race:
        best, racers = racers_of_best(settings, queue)
        runs, papers = racers * (racing.race_seeds or 0), " and the paper's own" * (racers > best)
        print(
            f"then a race of the best {best}{papers}, each with at most {racing.race_seeds} further seeds: "
            f"at most {runs} runs, {runs * settings.base.epochs} epochs"
            + _taken(settings, expected(experiment, settings, [settings.base] * runs), "")
        )
    return 0


def _cost(settings: ExperimentSettings, todo: ToDo, hours: Hours | None) -> str:
    """Epochs of the runs to do and, where something tells them, the hours of one process."""
    stops = settings.search.stop_early if settings.search else "none"
    at_most = "at most " if stops in ("asha", "median") or todo.at_most else ""
    epochs = at_most + counted(sum(cfg.epochs for cfg in todo.planned) - todo.spared, "epoch")
    which = "what is left" if todo.begun else "the runs to do"
    if hours is None:
        return f"{epochs} for {which}; no finished run like them tells the hours"
    return epochs + _taken(settings, Hours(*(todo.share * each for each in hours)), f" for {which}")


def _taken(settings: ExperimentSettings, hours: Hours | None, which: str) -> str:
    """What runs take, behind their epochs: hours, and money where an hour has a price; empty where nothing tells."""
    if hours is None:
        return ""
    cost = costs_of(settings.workers).told(3600 * hours.low, 3600 * hours.high)
    return f", about {hours} of one process{which}: {cost}"


def _list(queue: RunQueue) -> None:
    """The runs of a plan, a line each."""
    for point, rows in queue.result():
        for row in rows:
            say(f"done   {row.run}  {point.label} seed {row.config['seed']}")
    for job in queue.waiting:
        say(f"to do  {job.run}  {job.point.label} seed {job.config.seed}")


def _between(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}" if least else f"at most {most}"


def _span(todo: ToDo, each: int, spared: int = 0) -> str:
    fewest, most = (each * (len(todo.planned) + more) - spared for more in (todo.least, todo.most))
    return f"{fewest}" if fewest == most else f"{fewest} to {most}"
