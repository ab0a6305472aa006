"""Studies by image labels without Ray for tests: runs leave ballots whose masks are as wrong as the setting is bad, and
a `border_rule` that knows nothing of it."""

from typing import Any

import numpy as np
from studies import quality

from apc.config import Config, to_dict
from apc.files import write_arrays
from apc.runs.folder import RunFolder, load_run, save_run
from apc.runs.rows import Row
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


def advance(s: Study, trial: Trial, *, ballots: bool = True) -> list[tuple[str, int]]:
    """Train a trial as far as it is handed out; (run, epoch) of every epoch that was trained."""
    trained = []
    for cfg, run in list(zip(trial.configs, trial.ids, strict=True))[: 1 if trial.until else None]:
        folder = RunFolder(s.runs / run)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.forget_the_end()
        curve = folder.epochs()
        for epoch in range(len(curve) + 1, (trial.until or cfg.epochs) + 1):
            trained.append((run, epoch))
            curve.append({"epoch": epoch, "seconds": 2.0 * epoch})
            if epoch in s.scored:
                curve[-1] |= {"border_rule": rule(cfg), "miou": quality(cfg) * epoch / cfg.epochs}
                if ballots:
                    leave(folder, cfg, epoch)
        folder.write_epochs(curve)
        if not (trial.until or load_run(s.runs, run)):
            if ballots:
                leave(folder, cfg)
            scores: dict[str, Any] = {
                "config": to_dict(cfg),
                "metrics": {"border_rule": rule(cfg), "miou": quality(cfg)},
            }
            save_run(s.runs, Row(run=run, seconds={"train": 2.0 * cfg.epochs}, curve=curve, **scores))
    return trained
