"""Synchronous halving: how far every trial trains, and which of them go on. Pure rules; brackets.py keeps a study's.

All trials of a bracket train to the epoch of the first rung and wait there for one another. The best share of them goes
on to the next rung, and what is left at the last one is trained to the end. A search has bracket after bracket, so that
those who propose settings see finished runs early. The setting that a search tries first, the paper's where nothing
else is said, goes on beside the best: what is found is compared with it, and a rung may misjudge it.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from apc.config import Config
from apc.runs.compared import RULE, VOTERS

SHARE = 1 / 5
"""Share of a rung's trials that goes on, unless a flag says otherwise; see usual_rungs."""
BRACKET = 8
"""Trials of a bracket: few, so that full runs of one tell the sampler of the next (docs/explanation/search.md)."""
FIRST_RUNG = 0.4
"""Share of the epochs at which the first rung lies."""


class Member(NamedTuple):
    """A trial of a bracket, as far as its rungs go."""

    number: int
    """Of the trial, in the order proposed."""
    run: str
    """Id of its first run, which the rungs look at."""
    values: Mapping[int, float]
    """Scores at the epochs of the rungs it has reached."""
    ended: bool
    """Whether it will reach no further one: it failed, or was given up before."""
    outside: int = 0
    """Epoch of the rung that it had passed, unscored, before this search began, or that lies behind its own last epoch:
    from there on nothing compares it with the others, so that it takes nobody's place and goes on to the end. 0 of all
    others."""
    kept: bool = False
    """Whether it goes on whatever it scores, beside those whose places these are."""


class Stand(NamedTuple):
    """Where a bracket is."""

    rung: int
    """Number of the rung that its trials train to, from 1."""
    members: Sequence[Member]
    """Trials that train to it."""
    missing: Sequence[Member]
    """Those of them that are not there yet."""
    dropped: Mapping[int, int]
    """Number of each trial that goes on no more -> the epoch at which it was given up."""


Compared = Callable[[Sequence[Member], int], Sequence[Member]]
"""From the members of a rung, where all have arrived, and its epoch to the same with the values that decide there."""


class Rungs(NamedTuple):
    """The rungs of a search."""

    epochs: tuple[int, ...]
    """Of each rung, rising; the last is the end of a run."""
    share: float = SHARE
    """Share of the trials that goes on."""
    bracket: int = 0
    """Trials of a bracket; the last one has what is left besides. 0: all of a search."""
    kept: int = 0
    """Trials of the first bracket that go on whatever they score; 0 or 1."""

    def brackets(self, trials: int) -> list[int]:
        """How many of so many trials each bracket has: 8, 8 and 11 of 27."""
        count = max(trials // self.bracket, 1) if self.bracket else 1
        return [self.bracket] * (count - 1) + [trials - self.bracket * (count - 1)]

    def places(self, trials: int) -> int:
        """How many of so many trials go on: at least one."""
        return min(max(round(trials * self.share), 1), trials)

    def go_on(self, trials: int) -> int:
        """How many of so many trials of the first bracket go on at most."""
        return min(self.places(trials) + self.kept, trials)

    def plan(self, trials: int) -> list[tuple[int, int]]:
        """Epoch of each rung, and how many of so many trials train to it at most: `[(1, 40), (3, 13), (10, 4)]`."""
        found, (first, *others) = [], self.brackets(trials)
        for epoch in self.epochs:
            found.append((epoch, first + sum(others)))
            first, others = self.go_on(first), [self.places(count) for count in others]
        return found

    def total(self, trials: int, seeds: int = 1, begin: int = 1) -> int:
        """Epochs that so many trials train at most from rung number `begin` on; the rungs look at the first seed, the
        others are trained of those at the end."""
        done = self.epochs[begin - 2] if begin > 1 else 0
        steps = self._replace(epochs=self.epochs[begin - 1 :]).plan(trials)
        starts = [done, *self.epochs[begin - 1 :]]
        own = sum((epoch - start) * count for (epoch, count), start in zip(steps, starts, strict=False))
        return own + steps[-1][1] * (seeds - 1) * self.epochs[-1]

    def told(self, trials: int) -> str:
        """`40 to epoch 4, 10 or 11 to epoch 10, in 5 brackets`: one more where what is kept is not among the best."""
        count = len(self.brackets(trials))
        least, most = self._replace(kept=0).plan(trials), self.plan(trials)
        counts = [
            f"{low}" if low == high else f"{low} or {high}" if high == low + 1 else f"{low} to {high}"
            for (_, low), (_, high) in zip(least, most, strict=True)
        ]
        steps = [f"{trained} to epoch {epoch}" for trained, epoch in zip(counts, self.epochs, strict=True)]
        return ", ".join([*steps, f"in {count} brackets"] if count > 1 else steps)

    def best(self, members: Sequence[Member], epoch: int, lower: bool = False) -> list[Member]:
        """Those that go on from the rung of this epoch, in the order proposed: the best, the earlier one where two are
        level, and what is kept. A place that a failed trial leaves is another's; a setting proposed twice goes on
        once."""
        sign = 1 if lower else -1
        here = [member for member in members if epoch in member.values]
        first = {member.run: member.number for member in reversed(here)}
        scored = [member for member in here if first[member.run] == member.number]
        ranked = sorted(scored, key=lambda m: sign * m.values[epoch] if math.isfinite(m.values[epoch]) else math.inf)
        numbers = {member.number for member in ranked[: self.places(len(members))]}
        return [member for member in members if member.number in numbers or (member.kept and member in scored)]

    def stand(
        self, members: Sequence[Member], *, closed: bool, lower: bool = False, compared: Compared = lambda m, epoch: m
    ) -> Stand:
        """Where a bracket of these trials, in the order proposed, is; one that is not `closed` may get more of them,
        and stays at its first rung."""
        dropped: dict[int, int] = {}
        for number, epoch in enumerate(self.epochs[:-1], start=1):
            members = [m for m in members if not m.outside or m.outside > epoch]
            missing = [m for m in members if epoch not in m.values and not m.ended]
            if missing or not closed:
                return Stand(number, members, missing, dropped)
            on = self.best(compared(members, epoch), epoch, lower)
            numbers = {m.number for m in on}
            dropped |= {m.number: epoch for m in members if m.number not in numbers and epoch in m.values}
            members = on
        return Stand(len(self.epochs), members, [m for m in members if not m.ended], dropped)


def usual_rungs(epochs: int, frozen: int = 0) -> tuple[int, ...]:
    """Two fifths and all of the epochs, 4 and 10 of ten, where they lie behind the frozen ones.

    On real curves of the embedded data (docs/explanation/search.md) these lose nothing, by masks or by labels; earlier
    epochs rank less: scores after the frozen one correlate with the last by 0.19, after two by 0.67, after four by
    0.88, and on photographs one at two of five misjudged.
    """
    first = max(round(FIRST_RUNG * epochs), 1)
    return (first, epochs) if frozen < first < epochs else (epochs,)


def usual_bracket(objective: str) -> int:
    """Trials of a bracket: so many that they can vote where a search goes by their vote."""
    return VOTERS if objective == RULE else BRACKET


def rungs_of(wanted: Collection[int], share: float, bracket: int, base: Config) -> Rungs:
    """The rungs of a search with this base config: those wanted or, of none, the usual ones; ValueError for what cannot
    be. The last one is the run's own epochs whether it is named or not."""
    epochs, told = base.epochs, " ".join(map(str, wanted))
    if wanted and max(wanted) > epochs:
        raise ValueError(f"--rungs {told}: a run has {epochs} epochs; the last rung cannot lie beyond them")
    found = tuple(dict.fromkeys([*wanted, epochs])) if wanted else usual_rungs(epochs, base.frozen_epochs)
    if len(found) < 2:
        why = f"--rungs {told}" if wanted else f"--epochs {epochs} with --frozen-epochs {base.frozen_epochs}"
        raise ValueError(
            f"--stop-early halving: {why} leaves one rung, where nothing can be given up; add epochs or rungs"
        )
    return Rungs(found, share, bracket)
