"""Optuna's samplers and pruners by the names a command gives them."""

import warnings
from collections.abc import Callable

from optuna import pruners, samplers
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

STARTUP = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
"""States of trials that were asked for; settings that wait to be tried first have none of them."""


def _tpe(seed: int) -> samplers.TPESampler:
    """Trials under way count as bad ones: many at once are proposed apart."""
    return samplers.TPESampler(seed=seed, constant_liar=True)


SAMPLERS: dict[str, Callable[[int, int], samplers.BaseSampler]] = {
    "tpe": lambda seed, own: _tpe(own),
    "gp": lambda seed, own: samplers.GPSampler(
        seed=own, independent_sampler=_tpe(own), warn_independent_sampling=False
    ),
    "cmaes": lambda seed, own: samplers.CmaEsSampler(
        seed=own, independent_sampler=_tpe(own), warn_independent_sampling=False
    ),
    "nsga2": lambda seed, own: samplers.NSGAIISampler(seed=own, population_size=10),
    "random": lambda seed, own: samplers.RandomSampler(seed=own),
    "qmc": lambda seed, own: samplers.QMCSampler(
        seed=seed,
        scramble=True,
        independent_sampler=samplers.RandomSampler(seed=own),
        warn_independent_sampling=False,
        warn_asynchronous_seeding=False,
    ),
}
"""Name -> sampler of (the search's seed, the trial's own). Where a knob exists in some settings only, gp and cmaes draw
it as tpe does, qmc at random; a population of nsga2 is 10 settings, since a trial here is minutes of training."""

PRUNERS: dict[str, Callable[[int], pruners.BasePruner]] = {
    "none": lambda epochs: pruners.NopPruner(),
    "asha": lambda epochs: pruners.SuccessiveHalvingPruner(min_resource=max(epochs // 3, 1), reduction_factor=3),
    "halving": lambda epochs: pruners.NopPruner(),
    "median": lambda epochs: pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=epochs // 4),
}
"""Name -> pruner for trials of so many epochs: asha keeps the best third at a third of the epochs, before which scores
rank less well (docs/explanation/search.md); median gives up what lies below the median of the trials before it, from a
quarter of the epochs on. Trials of a halving search are not pruned while they train: brackets.py gives them up at the
rungs, where all have arrived."""


def sampler(name: str, seed: int, number: int) -> samplers.BaseSampler:
    """Sampler for trial `number` of a search with this seed: what it proposes depends on both and on the trials so far.

    The quasi-random sequence is one for the whole search, so its seed does not change from trial to trial.
    """
    assert name in SAMPLERS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name](seed % 2**32, (seed * 1_000_003 + number) % 2**32)
