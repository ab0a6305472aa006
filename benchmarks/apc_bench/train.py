"""The runs of APC-Bench: 100 quasi-random settings of the joint space on the embedded data, three seeds each.

    python -m benchmarks.apc_bench.train --runs RUNS --processes 2
    python -m benchmarks.apc_bench.table --runs RUNS

Every epoch is scored by masks, the epoch of halving's rung and the last one by labels too. Without the CRF: what it
changes the table does not have. All settings are trained with seed 0 first, then with 1, then with 2; about 50 seconds
of a core a run, four core-hours in all. Killed anywhere, the same command goes on.
"""

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apc.config import Config, from_dict, pocket
from apc.search.halving import usual_rungs
from apc.search.spaces import suggest
from search_spaces import joint

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SETTINGS = 100
SEEDS = (0, 1, 2)


def settings(count: int = SETTINGS) -> list[dict[str, Any]]:
    """Settings of the joint space, always the same: a scrambled Sobol sequence with a dimension for every knob, those
    that only some settings have among them."""
    import optuna
    from scipy.stats.qmc import Sobol

    space = joint.SPACE(pocket())
    shares = Sobol(len(space), rng=np.random.default_rng(0)).random_base2((count - 1).bit_length())

    class Quasi(optuna.samplers.BaseSampler):
        """Each knob where its dimension of the sequence says."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return at(param_distribution, float(shares[trial.number, list(space).index(param_name)]))

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=Quasi())
    return [suggest(space, study.ask()) for _ in range(count)]


def at(distribution: "BaseDistribution", share: float) -> Any:
    """What lies at this share, in [0, 1), of a distribution, on its own scale."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(share * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    whole = isinstance(distribution, IntDistribution)
    step = distribution.step or 0.0
    low, high = distribution.low - step / 2, distribution.high + step / 2
    value = low * (high / low) ** share if distribution.log else low + share * (high - low)
    if not step:
        return value
    value = distribution.low + round((value - distribution.low) / step) * step
    return round(value) if whole else min(value, distribution.high)


def configs() -> list[Config]:
    """Of all runs, in the order in which they are trained."""
    base = replace(pocket(), eval_every=1, crf="none")
    return [replace(from_dict(setting, base), seed=seed) for seed in SEEDS for setting in settings()]


def train(cfg: Config, runs: Path) -> str:
    """Train a run that is not there yet; its identity."""
    import torch

    from apc.training.run import run

    torch.set_num_threads(1)
    return run(cfg, runs=runs, scored=usual_rungs(cfg.epochs)[:-1]).run


def train_all(configs: Sequence[Config], runs: Path, processes: int) -> None:
    """Train all runs, so many side by side."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(train, cfg, runs) for cfg in configs]
        for count, done in enumerate(as_completed(waiting), start=1):
            print(f"{count} of {len(configs)}: {done.result()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder that the runs go to")
    parser.add_argument("--processes", type=int, default=2, help="runs side by side, a core each")
    args = parser.parse_args()
    train_all(configs(), args.runs, args.processes)


if __name__ == "__main__":
    main()
