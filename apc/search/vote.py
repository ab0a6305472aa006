"""The vote of a search: trials judged by the masks that all the others agree on, without one mask of the truth.

Each run's patch masks of the validation images, restricted by their image labels, vote with the weight of the run's
`border_rule`; a run's score is the mIoU of its decoder with the vote of the runs of other settings. Of many photographs
a share is voted on, the same for all: counting takes time and memory by settings, photographs and classes. Who votes
and when is judging.py's.

Shapes: n photographs, s side of their small label maps, C classes.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from apc.evaluation.miou import confusion, miou
from apc.files import UNREADABLE
from apc.runs.copies import bring
from apc.runs.folder import RunFolder

AT_ONCE = 2**24
"""Numbers of the votes held at once, 128 MiB."""

MOST = 256
"""Photographs that are voted on, at most: as many as the embedded data validates on, so that its searches take all."""


class Ballot(NamedTuple):
    """What one run votes, and what it is judged by."""

    setting: Hashable
    """Runs of one setting, its seeds, do not vote about each other."""
    weight: float
    patch: np.ndarray
    """Label maps with which it votes, (n,s,s) uint8."""
    decoder: np.ndarray
    """Label maps that are judged, (n,s,s) uint8."""


def ballot_of(folder: Path, setting: Hashable, weight: float, epoch: int = 0) -> Ballot | None:
    """The ballot of a finished run, or of one after the epoch of a rung; None where its folder has none, as those of
    earlier versions, or one that cannot be read. OSError where a store does not answer."""
    run = RunFolder(folder)
    path = run.ballots_at(epoch) if epoch else run.ballots
    bring(path)
    if not path.is_file():
        return None
    try:
        with np.load(path) as maps:
            return Ballot(setting, weight, _share(maps["patch"]), _share(maps["decoder"]))
    except UNREADABLE:
        return None


def _share(maps: np.ndarray) -> np.ndarray:
    """Label maps of the photographs that are voted on: MOST of them at even distances, or all where there are fewer."""
    return maps[np.arange(MOST) * len(maps) // MOST] if len(maps) > MOST else maps


class Jury:
    """All who vote, and what they say about each of them: what all the others vote."""

    def __init__(self, ballots: Sequence[Ballot]) -> None:
        """Count the votes; where two classes have the same weight the first of them wins."""
        self.num_classes = 1 + max(int(ballot.patch.max()) for ballot in ballots)
        self._settings = {ballot.setting for ballot in ballots}
        shape = ballots[0].patch.shape
        about = [*self._settings, _ANYBODY]
        heard = [one for one in about if sum(b.weight for b in ballots if b.setting != one) > 0]
        self._masks = {one: np.empty(shape, np.uint8) for one in heard}
        step = max(AT_ONCE // (shape[1] * shape[2] * self.num_classes), 1)
        for start in range(0, len(ballots[0].patch), step):
            part = slice(start, start + step)
            masks = {one: whole[part] for one, whole in self._masks.items()}
            _count([ballot._replace(patch=ballot.patch[part]) for ballot in ballots], self.num_classes, masks)

    def score(self, setting: Hashable, decoder: np.ndarray) -> float:
        """mIoU in percent of a decoder's label maps (n,s,s) with what all settings but its own vote; NaN where no other
        has weight."""
        masks = self._masks.get(setting if setting in self._settings else _ANYBODY)
        classes = max(self.num_classes, 1 + int(decoder.max()))
        return math.nan if masks is None else miou(confusion(masks.ravel(), decoder.ravel(), classes))


def vote(ballots: Sequence[Ballot]) -> list[float]:
    """Score in percent of each run: the mIoU of its decoder with what the others vote; NaN where no other can."""
    jury = Jury(ballots)
    return [jury.score(ballot.setting, ballot.decoder) for ballot in ballots]


_ANYBODY = object()
"""A setting that is none of those who vote: all of them vote about it."""


def _count(ballots: Sequence[Ballot], num_classes: int, masks: Mapping[Hashable, np.ndarray]) -> None:
    """Fill, for each setting, the masks of some photographs with what all ballots but its own vote."""
    pixels = np.arange(ballots[0].patch.size)
    votes = np.zeros((pixels.size, num_classes))
    for ballot in ballots:
        votes[pixels, ballot.patch.ravel()] += ballot.weight
    for setting, winners in masks.items():
        others = votes.copy()
        for own in (ballot for ballot in ballots if ballot.setting == setting):
            others[pixels, own.patch.ravel()] -= own.weight
        winners[:] = others.argmax(1).reshape(winners.shape)
