"""What an experiment is, as its script says it: what is run, and what the page shows of it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from apc.config import Config
from apc.reporting.table_entry import TableEntry
from apc.runs.rows import Row
from apc.search import spaces
from apc.search.plans import Plan, Point, Points, Result, Staged
from apc.search.search_settings import Sampler
from apc.search.told import plan_told, space_told


@dataclass(frozen=True, kw_only=True)
class Experiment(TableEntry):
    """One table or figure: what is run, how often, what to expect, and, as a TableEntry, how it stands on the page."""

    prog: str = ""
    """What its command is called in the help and in its errors; default: its script's name or its own."""

    # --- what is run --------------------------------------------------------------------------------
    plan: Plan | Callable[[Config], Plan] | None = None
    """Points to run, or a function that makes them of the base setting; None where a space is searched with Optuna."""
    plan_of_results: Callable[[Path, str, str], Plan] | None = None
    """Of a later step the plan, made of the results folder, the data set and what the names of the earlier steps end
    with where they choose by something else (`_by_labels`): of what those steps left."""
    space: spaces.SpaceOf | None = None
    """Space that is searched with Optuna, or a function that makes it of the base setting."""
    draw: spaces.Draw | None = None
    """The same as a define-by-run function, where it is no data."""
    first: spaces.FirstOf = ()
    """Settings of the space that are tried before the sampler's own, or a function that makes them of the base."""
    sampler: Sampler = "tpe"
    """How settings are proposed unless a flag says otherwise."""
    trials: int = 20
    """Optuna trials, those of an earlier, interrupted search included."""
    smoke_plan: Plan | None = None
    """Small plan for `--smoke`; None runs the whole plan at smoke settings."""
    chooses: bool = False
    """Whether it is a search, which ends with a best.toml."""
    measure: Callable[[Result, Path, str], Result] | None = None
    """What is measured on finished runs, whose folders lie below the path, on the photographs below the root given now:
    the rows of the table, made of theirs."""
    measured_rows: tuple[str, ...] = ()
    """Labels of the rows that `measure` makes beside those of the plan."""

    # --- how often, and what to expect --------------------------------------------------------------
    seeds: Mapping[str, int] = field(default_factory=lambda: {"pocket": 3, "folder": 3})
    """Seeds by preset; 3 for one that is not named."""
    own_seeds: tuple[int, ...] = ()
    """Seeds of one step of a longer experiment, which `--seeds` does not change."""
    minutes: Mapping[str, int] = field(default_factory=dict)
    """Minutes to expect on two cores, by preset."""
    timed: bool = False
    """Whether its rows are times: runs side by side slow each other, so reproduce_all trains one at a time."""
    by_default: bool = True
    """Whether reproduce_all runs it unasked; False for what belongs to no table of the paper."""

    @property
    def searches(self) -> bool:
        """Whether a space is searched, and no plan run."""
        return self.space is not None or self.draw is not None

    def drawn(self, base: Config) -> spaces.Draw | None:
        """What proposes the settings of a search over a base setting; None of a plan."""
        return self.draw if self.space is None else functools.partial(spaces.suggest, spaces.over(self.space, base))

    def told(self, base: Config) -> str:
        """What the help says of it: its title and, of a search, what is searched over a base setting."""
        if self.space:
            return f"{self.title}. Searched: {space_told(spaces.over(self.space, base))}"
        return f"{self.title}. Run: {plan_told(self.plan)}" if isinstance(self.plan, Points | Staged) else self.title

    def to_come(self, rows: Sequence[Row]) -> list[Row] | None:
        """What its plan asks for beside `rows`, failed ones among them; None where the rows of the table are not those
        of a plan, or of none that could have made them."""
        if self.measure or not isinstance(self.plan, Points | Staged):
            return None
        plan = replace(self.plan, metric=self.metric) if isinstance(self.plan, Staged) else self.plan
        try:
            asked = plan.next([(_point(own[0], plan), own) for own in _by_label(rows)])
        except ValueError:
            return None
        return [replace(rows[0], row=point.label, config=rows[0].config | point.values, metrics={}) for point in asked]

    @property
    def called(self) -> str:
        """Name of its command: of a step of a longer script that of the script."""
        return self.prog or self.script or self.name


def _by_label(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of each label that has a score, at the seeds that all have: `--decide` adds seeds to some alone."""
    labels = dict.fromkeys(row.row for row in rows if not row.error)
    every = [[row for row in rows if row.row == label] for label in labels]
    common = set.intersection(*({row.config.get("seed") for row in own} for own in every)) if every else set()
    return [[row for row in own if row.config.get("seed") in common] or own for own in every]


def _point(row: Row, plan: Points | Staged) -> Point:
    """The point of a plan that a row was made of."""
    if isinstance(plan, Points):
        return next((p for p in plan.points if p.label == row.row), Point(row.row, {}))
    return Point(row.row, {knob: row.config[knob] for knob in plan.knobs if knob in row.config})
