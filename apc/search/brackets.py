"""The brackets of a study that halves, read off its journal: nothing about them is held in memory.

A trial that waits at a rung is RUNNING in the journal with its score at that epoch as an intermediate value. A bracket
is closed by one line, the numbers of its trials; who goes on then follows from their values (halving.py), so whatever
is killed between two lines, the next driver comes to the same.
"""

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from apc.search.halving import Member, Rungs, Stand

OUTSIDE = "outside"
"""User attribute of a trial: the epoch from which on no rung compares it; see Member.outside."""
_CLOSED = "bracket {}"
"""User attribute of the study: the numbers of the trials of a closed bracket, counted from 0."""
_VOTES = "votes of bracket {} at epoch {}"
"""User attribute of the study: number and vote of each trial by which a rung was decided; empty where scores did."""


class Brackets:
    """See this module's docstring."""

    def __init__(
        self,
        study: optuna.Study,
        rungs: Rungs,
        *,
        lower: bool,
        run_of: Callable[[FrozenTrial], str],
        votes: Callable[[int], Mapping[int, float]] | None = None,
    ) -> None:
        """`lower` says whether lower scores are better, `run_of` gives the id of a trial's first run, and `votes`, by
        epoch and number, what a rung compares in place of scores, where it is not empty: each rung's are kept."""
        self.study, self.rungs, self.lower, self.run_of, self.votes = study, rungs, lower, run_of, votes

    def trials(self) -> dict[int, FrozenTrial]:
        """Trials that have their setting, by number; earlier results that the study started with left out."""
        trials = self.study.get_trials(deepcopy=False)
        return {t.number: t for t in trials if "values" in t.user_attrs and "warm" not in t.user_attrs}

    def stands(self) -> list[Stand]:
        """Where each bracket is, the open one last."""
        attributes, trials, closed = self.study.user_attrs, self.trials(), list[list[int]]()
        while (name := _CLOSED.format(len(closed))) in attributes:
            closed.append(attributes[name])
        within = {number for numbers in closed for number in numbers}
        waiting = [number for number in trials if number not in within]
        kept = min(trials, default=-1) if self.rungs.kept else -1  # the setting proposed first
        stands = []
        for at, numbers in enumerate([*closed, waiting]):
            members = [self._member(trials[number], number == kept) for number in numbers]
            compared = functools.partial(self._compared, at, attributes)
            stands.append(self.rungs.stand(members, closed=at < len(closed), lower=self.lower, compared=compared))
        return stands

    def due(self, running: Collection[int]) -> tuple[int, int] | None:
        """Number of a trial that has epochs to train, and the epoch of the rung it trains to, 0 for the end; None while
        there is none but those that are `running`."""
        for stand in self.stands():
            last = stand.rung == len(self.rungs.epochs)
            for member in stand.missing:
                if member.number not in running:
                    return member.number, 0 if last else self.rungs.epochs[stand.rung - 1]
        outside = (t for t in self.trials().values() if OUTSIDE in t.user_attrs and not t.state.is_finished())
        return next(((trial.number, 0) for trial in outside if trial.number not in running), None)

    def close(self) -> bool:
        """Close the open bracket, to which nothing is added any more; False where there is none."""
        *closed, stand = self.stands()
        if stand.members:
            self.study.set_user_attr(_CLOSED.format(len(closed)), [member.number for member in stand.members])
        return bool(stand.members)

    def given_up(self) -> Iterator[tuple[int, int]]:
        """Number of each trial that is to be given up, and at which epoch."""
        trials = self.trials()
        for stand in self.stands():
            for number, epoch in stand.dropped.items():
                if not trials[number].state.is_finished():
                    yield number, epoch

    def _compared(self, bracket: int, kept: dict[str, Any], members: Sequence[Member], epoch: int) -> list[Member]:
        """Members of a rung where all have arrived, with the values that decide who goes on. Votes change as trials
        come in: those of the first look are written down, in one line, and hold."""
        if self.votes is None:
            return list(members)
        name = _VOTES.format(bracket, epoch)
        if name not in kept:
            votes = self.votes(epoch)
            kept[name] = [[m.number, votes[m.number]] for m in members if m.number in votes]
            self.study.set_user_attr(name, kept[name])
        voted: dict[int, float] = dict(kept[name])
        return [m._replace(values={**m.values, epoch: voted[m.number]}) if m.number in voted else m for m in members]

    def kept_votes(self) -> dict[int, dict[int, float]]:
        """Votes by which rungs were decided, by epoch and number of the trial."""
        found: dict[int, dict[int, float]] = {}
        for name, votes in self.study.user_attrs.items():
            if match := re.fullmatch(_VOTES.format(r"\d+", r"(\d+)"), name):
                found.setdefault(int(match[1]), {}).update(votes)
        return found

    def _member(self, trial: FrozenTrial, kept: bool) -> Member:
        ended = trial.state.is_finished()
        values = trial.intermediate_values
        kept = kept and trial.state != TrialState.PRUNED  # by an earlier version, which kept none
        return Member(trial.number, self.run_of(trial), values, ended, trial.user_attrs.get(OUTSIDE, 0), kept)

    @property
    def open(self) -> Stand:
        """The bracket that takes new trials."""
        return self.stands()[-1]

    def first_values(self) -> dict[int, float | None]:
        """What each trial scored at its first rung, by number; None where it failed before it. Those that are under way
        to it are left out, and those that no rung compares."""
        first = self.rungs.epochs[0]
        compared = {n: t for n, t in self.trials().items() if OUTSIDE not in t.user_attrs}
        there = {n: t for n, t in compared.items() if first in t.intermediate_values or t.state.is_finished()}
        return {n: trial.intermediate_values.get(first) for n, trial in there.items()}


def paused(trial: FrozenTrial) -> bool:
    """Whether a trial waits at a rung, or trains on from one."""
    return trial.state == TrialState.RUNNING and bool(trial.intermediate_values)
