"""The vote of a search: trials judged by the masks that all the others agree on, without one mask of the truth.

Each run's patch masks of the validation images, restricted by their image labels, vote with the weight of the run's
`border_rule`; a run's score is the mIoU of its decoder with the vote of the runs of other settings.

Shapes: n photographs, s side of their small label maps, C classes.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from apc.evaluation.miou import confusion, miou
from apc.runs.copies import bring
from apc.runs.folder import RunFolder

AT_ONCE = 2**24
"""Numbers of the votes held at once, 128 MiB."""


class Ballot(NamedTuple):
    """What one run votes, and what it is judged by."""

    setting: Hashable
    """Runs of one setting, its seeds, do not vote about each other."""
    weight: float
    patch: np.ndarray
    """Label maps with which it votes, (n,s,s) uint8."""
    decoder: np.ndarray
    """Label maps that are judged, (n,s,s) uint8."""


def ballot_of(folder: Path, setting: Hashable, weight: float) -> Ballot | None:
    """The ballot of a finished run; None where its folder has none, as those of earlier versions."""
    path = RunFolder(folder).ballots
    bring(path)
    if not path.is_file():
        return None
    with np.load(path) as maps:
        return Ballot(setting, weight, maps["patch"], maps["decoder"])


def vote(ballots: Sequence[Ballot], num_classes: int) -> list[float]:
    """Score in percent of each run: the mIoU of its decoder with what the others vote; NaN where no other has weight.

    Where two classes have the same weight the first of them wins.
    """
    matrices = [np.zeros((num_classes, num_classes), np.int64) for _ in ballots]
    n, side = ballots[0].patch.shape[:2]
    step = max(AT_ONCE // (side * side * num_classes), 1)
    for start in range(0, n, step):
        _count([b._replace(patch=b.patch[start : start + step], decoder=b.decoder[start : start + step])
                for b in ballots], matrices)  # fmt: skip
    return [miou(matrix) for matrix in matrices]


def _count(ballots: Sequence[Ballot], matrices: list[np.ndarray]) -> None:
    """Add, for each run, the pixels of some photographs by what the others vote and what its decoder says."""
    num_classes = len(matrices[0])
    pixels = np.arange(ballots[0].patch.size)
    votes = np.zeros((pixels.size, num_classes))
    for ballot in ballots:
        votes[pixels, ballot.patch.ravel()] += ballot.weight
    for setting in dict.fromkeys(ballot.setting for ballot in ballots):
        own = [number for number, ballot in enumerate(ballots) if ballot.setting == setting]
        others = votes.copy()
        for number in own:
            others[pixels, ballots[number].patch.ravel()] -= ballots[number].weight
        if sum(ballot.weight for ballot in ballots if ballot.setting != setting) <= 0:
            continue
        winners = others.argmax(1).astype(np.uint8)
        for number in own:
            matrices[number] += confusion(winners, ballots[number].decoder.ravel(), num_classes)
