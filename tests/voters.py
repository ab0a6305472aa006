"""Studies by image labels without Ray for tests: runs leave ballots whose masks are as wrong as the setting is bad, and
a `border_rule` that knows nothing of it."""

import numpy as np
import studies
from studies import quality

from apc.config import Config
from apc.files import write_arrays
from apc.runs.folder import RunFolder
from apc.search.study import Study, Trial

TRUTH = np.repeat(np.repeat(np.random.default_rng(0).integers(0, 3, (60, 2, 2)), 2, 1), 2, 2).astype(np.uint8)
"""Label maps of 60 photographs, (60,4,4)."""


def rule(cfg: Config) -> float:
    """A `border_rule` that prefers a large lambda2, which does nothing for the quality."""
    return 1 + 100 * cfg.lambda2


def maps(wrong: float, seed: int) -> np.ndarray:
    """The truth, of whose pixels a share is drawn at random."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(TRUTH.shape) < wrong, rng.integers(0, 3, TRUTH.shape), TRUTH).astype(np.uint8)


def leave(folder: RunFolder, cfg: Config, epoch: int = 0) -> None:
    """Ballots of a run after an epoch, or at the end."""
    share = min(max((50 - quality(cfg)) / 30, 0.0), 0.9) if epoch == 0 else 0.3 + (50 - quality(cfg)) / 60
    seed = int(folder.path.name, 16) + epoch
    path = folder.ballots_at(epoch) if epoch else folder.ballots
    write_arrays(path, {"patch": maps(min(share, 0.9), seed), "decoder": maps(min(share, 0.9), seed + 1)})


def ruled(folder: RunFolder, cfg: Config, epoch: int) -> dict[str, float]:
    """The `border_rule` alone."""
    return {"border_rule": rule(cfg)}


def voting(folder: RunFolder, cfg: Config, epoch: int) -> dict[str, float]:
    """The `border_rule`, and ballots in the folder."""
    leave(folder, cfg, epoch)
    return ruled(folder, cfg, epoch)


def advance(s: Study, trial: Trial, *, ballots: bool = True) -> list[tuple[str, int]]:
    """As that of studies, with what a search by labels goes by."""
    return studies.advance(s, trial, voting if ballots else ruled)
