"""A search replayed in a world: what it has trained, what that cost in epochs, and what it would return at any time."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.apc_bench.model import World

Setting = dict[str, Any]


@dataclass
class Ledger:
    """The runs of one replayed search. A trial is known by its number, from 0; its first seed is the search's own."""

    world: World
    budget: int
    """Epochs after which nothing more is trained."""
    settings: list[Setting] = field(default_factory=list)
    """By trial."""
    trained: dict[tuple[int, int], int] = field(default_factory=dict)
    """(Trial, seed) -> epochs trained so far."""
    scores: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    """(Trial, seed) -> scores by epoch, (E,2), of which the first `trained` ones are known."""
    winner: int | None = None
    """Trial that a race has left, which only another race displaces."""
    spent: int = 0
    """Epochs trained."""
    returned: list[tuple[int, float]] = field(default_factory=list)
    """After how many epochs what is returned changed, and its true held-out quality."""
    best_so_far: list[tuple[int, float]] = field(default_factory=list)
    """After how many epochs a run that was trained in full beat all before it, and its score as the search sees it."""

    @property
    def open(self) -> bool:
        """Whether anything may still be trained."""
        return self.spent < self.budget

    def add(self, setting: Setting) -> int:
        """A further trial; its number."""
        self.settings.append(setting)
        return len(self.settings) - 1

    def train(self, trial: int, epoch: int, seed: int = 0) -> float:
        """Train a run on to the end of an epoch, from where it stopped; what the search sees of it: `tune_miou`."""
        key = (trial, seed)
        if key not in self.scores:
            self.scores[key] = self.world.run(self.settings[trial], trial, seed)
        self.spent += max(epoch - self.trained.get(key, 0), 0)
        self.trained[key] = max(epoch, self.trained.get(key, 0))
        self.look()
        seen = self.seen(trial, epoch, seed)
        whole = epoch == self.world.bench.epochs and seed == 0
        if whole and (not self.best_so_far or seen > self.best_so_far[-1][1]):
            self.best_so_far.append((self.spent, seen))
        return seen

    def seen(self, trial: int, epoch: int, seed: int = 0) -> float:
        """Score of a trained epoch as the search sees it."""
        assert epoch <= self.trained[trial, seed]
        return float(self.scores[trial, seed][epoch - 1, 0])

    def best(self) -> int:
        """What would be returned now: the race's winner, else the best of those that were trained longest."""
        if self.winner is not None:
            return self.winner
        own = {trial: epoch for (trial, seed), epoch in self.trained.items() if seed == 0}
        longest = max(own.values())
        return max((trial for trial in own if own[trial] == longest), key=lambda t: (self.seen(t, longest), -t))

    def leaders(self, count: int) -> list[int]:
        """The best of those whose first seed was trained in full."""
        epochs = self.world.bench.epochs
        whole = [trial for (trial, seed), epoch in self.trained.items() if seed == 0 and epoch == epochs]
        return sorted(whole, key=lambda trial: (-self.seen(trial, epochs), trial))[:count]

    def look(self) -> None:
        """Note what would be returned now, where it changed."""
        quality = self.world.bench.quality(self.settings[self.best()])
        if not self.returned or self.returned[-1][1] != quality:
            self.returned.append((self.spent, quality))

    def race(self, trials: Sequence[int], seeds: int) -> int:
        """Give trials further seeds, the same for all; the best mean of those that all have wins."""
        epochs = self.world.bench.epochs
        rivals = list(dict.fromkeys([*trials, *([self.winner] if self.winner is not None else [])]))
        for seed in range(seeds):
            for trial in rivals:
                if self.trained.get((trial, seed), 0) < epochs:
                    if not self.open:
                        return self.best()
                    self.train(trial, epochs, seed)
        self.winner = max(rivals, key=lambda t: float(np.mean([self.seen(t, epochs, s) for s in range(seeds)])))
        self.look()
        return self.winner


def survivors(scores: Sequence[float], share: float) -> list[int]:
    """Places of the best share of scores, at least one, rounded to the nearest number, ties to the earlier."""
    keep = max(round(len(scores) * share), 1)
    return sorted(sorted(range(len(scores)), key=lambda i: -scores[i])[:keep])


def halving(
    ledger: Ledger, trials: Sequence[int], rungs: Sequence[int], share: float, kept: Collection[int] = ()
) -> list[int]:
    """Synchronous halving of trials that have reached the first rung, of which those `kept` go on beside the best;
    those that were trained to the end."""
    alive = list(trials)
    for rung, following in zip(rungs, rungs[1:], strict=False):
        best = survivors([ledger.seen(trial, rung) for trial in alive], share)
        alive = [trial for place, trial in enumerate(alive) if place in best or trial in kept]
        for trial in alive:
            if not ledger.open:
                return [t for t in alive if ledger.trained[t, 0] == rungs[-1]]
            ledger.train(trial, following)
    return alive


Curve = Sequence[tuple[int, float]]
"""What is returned, or was best so far, from which epoch on."""


def quality_at(returned: Curve, spent: int) -> float:
    """What a curve has after so many epochs; NaN before it begins."""
    known = [quality for at, quality in returned if at <= spent]
    return known[-1] if known else float("nan")


def epochs_for(curves: Sequence[Curve], target: float, share: float, budget: int) -> float:
    """Epochs from which on so many of the searches return what reaches a quality, until the budget; infinite where they
    do not. A lucky moment, soon forgotten, does not count."""
    lasting = float("inf")
    for spent in range(budget, 0, -1):
        if np.mean([quality_at(curve, spent) >= target for curve in curves]) < share - 1e-9:
            break
        lasting = float(spent)
    return lasting


Search = Callable[[Ledger, int], None]
"""Trains in a ledger with a seed of its own until the ledger is closed."""


def replays(search: Search, worlds: Iterator[World], budget: int) -> list[Ledger]:
    """A search in each world, until it has spent its budget."""
    found = [Ledger(world, budget) for world in worlds]
    for ledger in found:
        search(ledger, ledger.world.number)
    return found


def quantiles(curves: Sequence[Curve], shares: Sequence[float], until: int) -> tuple[list[int], np.ndarray]:
    """Quantiles over the replays, (shares, epochs), and the epochs, from the first at which all have begun."""
    epochs = list(range(max(curve[0][0] for curve in curves), until + 1))
    scores = [[quality_at(curve, at) for curve in curves] for at in epochs]
    return epochs, np.quantile(scores, shares, axis=1)
