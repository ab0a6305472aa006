"""What the settings of a search are compared by, where it goes by the vote: the vote of all, once enough can vote.

A setting is compared by what the others say of its decoder's masks. Those who vote, the jury, are all settings that
reached the last rung, at or before the epoch of the comparison, at which VOTERS of them have a ballot; they vote with
their masks of that rung, those given up there too. In a search without rungs they are the finished settings. Where
there is no jury, or a ballot is missing, `border_rule` compares: all of them, never half by one and half by the other.
Why it is so stands in docs/explanation/selection.md.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apc.runs.compared import END, RULE, VOTE, VOTERS, Compared, how_compared
from apc.runs.rows import Row
from apc.search.plans import Point, Result, rows_of

if TYPE_CHECKING:
    from apc.search.vote import Ballot, Jury  # which takes torch to count


class Known(NamedTuple):
    """A setting as it stands after an epoch."""

    number: int
    """Of its trial, in the order proposed."""
    setting: str
    """Id of its first run: a setting that is proposed twice votes once."""
    rules: Mapping[str, float]
    """`border_rule` of each of its runs, by id; at a rung the first run's."""


class Judge:
    """Compares the settings of a search; an answer is kept until what is known is more."""

    def __init__(self, runs: Path, known: Callable[[int], Sequence[Known]], rungs: Sequence[int] = ()) -> None:
        """`known` gives the settings that have a `border_rule` after an epoch of the `rungs`, or at the END."""
        self.runs, self.known, self.rungs = runs, known, rungs
        self._answers: dict[int, tuple[object, dict[str, float], Compared]] = {}
        self._voting: dict[int, tuple[Sequence[Known], Voters]] = {}  # by epoch: asked about a rung and about the end

    def values(self, epoch: int) -> dict[int, float]:
        """What settings are compared by after an epoch: the mean over a setting's runs by the number of its trial;
        empty where there is no vote."""
        votes, _ = self.votes(epoch)
        means = {one.number: statistics.fmean(votes[run] for run in one.rules) for one in self.known(epoch) if votes}
        return means

    def votes(self, epoch: int) -> tuple[dict[str, float], Compared]:
        """The vote in percent about each run after an epoch, none where there is none, and how it is compared."""
        judged, juries = self.known(epoch), [(at, self.known(at)) for at in self._not_after(epoch)]
        at, jury = next(((at, jury) for at, jury in juries if _settings(jury) >= VOTERS), (END, []))
        question = (judged, at, jury)
        if epoch not in self._answers or self._answers[epoch][0] != question:
            if jury:
                votes, compared = self._asked(judged, epoch, jury, at)
            else:
                most = max((_settings(jury) for _, jury in juries), default=0)
                why = f"{most} setting{'s' * (most != 1)} can vote and it takes {VOTERS}"
                votes, compared = {}, Compared(RULE, most, why=why)
            self._answers[epoch] = question, votes, compared
        return self._answers[epoch][1:]

    def _not_after(self, epoch: int) -> list[int]:
        """Epochs whose settings may be the jury after an epoch, the last one first."""
        return [END, *reversed(self.rungs)] if epoch == END else [at for at in reversed(self.rungs) if at <= epoch]

    def _asked(
        self, judged: Sequence[Known], epoch: int, jury: Sequence[Known], at: int
    ) -> tuple[dict[str, float], Compared]:
        """What a jury says of runs as they are after an epoch."""
        compared = Compared(VOTE, _settings(jury), at)
        if not judged:
            return {}, compared
        voters = self._voters(jury, at)
        candidates = voters.ballots if (epoch, judged) == (at, jury) else _ballots(self.runs, judged, epoch)
        if why := _why_not(voters.ballots, candidates):
            return {}, compared._replace(score=RULE, why=why)
        heard = voters.jury
        return {run: _vote(heard, ballot) for run, ballot in candidates.items() if ballot}, compared

    def _voters(self, jury: Sequence[Known], at: int) -> "Voters":
        """Those who vote, read and counted once; read again where one lacked its ballot, which may come."""
        known, voters = self._voting.get(at, (None, None))
        if voters is None or known != jury or None in voters.ballots.values():
            voters = Voters(_ballots(self.runs, jury, at))
            self._voting[at] = jury, voters
        return voters


class Voters:
    """The ballots of a jury, and the jury, counted when it is asked."""

    def __init__(self, ballots: "Mapping[str, Ballot | None]") -> None:
        self.ballots = ballots

    @cached_property
    def jury(self) -> "Jury":
        from apc.search.vote import Jury

        return Jury([ballot for ballot in self.ballots.values() if ballot])


def _why_not(voters: "Mapping[str, Ballot | None]", candidates: "Mapping[str, Ballot | None]") -> str:
    """Why there can be no vote by these ballots, those of the jury and of who is compared; empty where there can."""
    if missing := next((run for own in (voters, candidates) for run in own if own[run] is None), ""):
        return f"run {missing} has no ballot, as those of earlier versions"
    if len({ballot.decoder.shape for ballot in (*voters.values(), *candidates.values()) if ballot}) > 1:
        return "ballots of images of different sizes cannot be compared"
    if len({ballot.setting for ballot in voters.values() if ballot and ballot.weight > 0}) < 2:
        return f"fewer than two settings have a {RULE} above 0"
    return ""


def _vote(jury: "Jury", ballot: "Ballot") -> float:
    """What a jury says of a run; 0 where its own `border_rule` is 0, as that of a model which calls everything
    background, or one class, or fills photographs: whatever others like it vote, it is never chosen."""
    return jury.score(ballot.setting, ballot.decoder) if ballot.weight > 0 else 0.0


def _ballots(runs: Path, settings: Sequence[Known], epoch: int) -> "dict[str, Ballot | None]":
    """Ballots by run, each once; None where one is missing."""
    from apc.search.vote import ballot_of

    rules = {run: (one.setting, rule if rule > 0 else 0.0) for one in settings for run, rule in one.rules.items()}
    return {run: ballot_of(runs / run, setting, rule, epoch) for run, (setting, rule) in rules.items()}


def _settings(known: Sequence[Known]) -> int:
    """How many settings there are, each once."""
    return len({one.setting for one in known})


def judged(
    row: Row, votes: Mapping[str, float], compared: Compared, at_rungs: Mapping[int, Mapping[str, float]]
) -> Row:
    """A row with what its setting was compared by: as the score `vote` and in the stamp and, at the rungs, by epoch and
    run, in its curve."""
    own_rungs = {epoch: kept[row.run] for epoch, kept in at_rungs.items() if row.run in kept}
    curve = [{**e, VOTE: own_rungs[epoch]} if (epoch := int(e["epoch"])) in own_rungs else e for e in row.curve]
    if RULE not in row.metrics:
        return replace(row, curve=curve)
    own = {VOTE: votes[row.run]} if row.run in votes else {}
    return replace(row, curve=curve, metrics=row.metrics | own, stamp=row.stamp | compared.stamp)


class OfRace:
    """Compares further runs of a search's settings, those of a race, by the jury of the search."""

    def __init__(self, runs: Path, result: Result) -> None:
        """`result` is the search's, compared by a vote; its ballots are read when they are asked for."""
        self.runs, self.result = runs, result
        self.settings = {point.key: rows[0].run for point, rows in result if rows}
        self._votes: dict[str, float] = {}

    def __call__(self, point: Point, rows: Sequence[Row]) -> list[Row]:
        """Rows of a racer with their votes; one without a ballot has none."""
        from apc.search.vote import ballot_of

        for row in rows:
            if RULE in row.metrics and row.run not in self._votes:
                ballot = ballot_of(self.runs / row.run, self.settings[point.key], row.metrics[RULE])
                if ballot:
                    self._votes[row.run] = _vote(self._jury, ballot)
        return [judged(row, self._votes, self._compared, {}) for row in rows]

    @property
    def _compared(self) -> Compared:
        compared = how_compared(rows_of(self.result))
        assert compared and compared.score == VOTE
        return compared

    @cached_property
    def _jury(self) -> "Jury":
        epoch = self._compared.epoch
        known = [
            Known(n, rows[0].run, rules) for n, (_, rows) in enumerate(self.result) if (rules := _rules(rows, epoch))
        ]
        return Voters(_ballots(self.runs, known, epoch)).jury


def _rules(rows: Sequence[Row], epoch: int) -> dict[str, float]:
    """`border_rule` by run of a setting's rows, after the epoch of a rung the first one's; empty where it has none."""
    if epoch == END:
        rules = {row.run: row.metrics[RULE] for row in rows if RULE in row.metrics}
        return rules if len(rules) == len(rows) else {}
    return {
        row.run: entry[RULE] for row in rows[:1] for entry in row.curve if entry["epoch"] == epoch and RULE in entry
    }
