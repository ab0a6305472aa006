"""SMAC3 in the replay, each of its ways as its documentation has it: one seed, three seeds raced, and Hyperband.

It counts generously: a run that SMAC3 asks for with more epochs goes on from those it has, which SMAC3 itself leaves to
its user. What is returned is what SMAC3 calls its incumbent.
"""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.apc_bench.replay import Ledger, Setting
from benchmarks.apc_bench.strategies import configspace


def smac(name: str, ledger: Ledger, seed: int, firsts: Sequence[Setting]) -> None:
    """Search with `smac` (random forest), `smac-seeds` (the same, racing three seeds) or `smac-hyperband`, which try
    some settings first."""
    try:
        from ConfigSpace import Configuration
        from smac import HyperparameterOptimizationFacade, MultiFidelityFacade, Scenario
        from smac.runhistory.dataclasses import TrialValue
    except ImportError:
        raise SystemExit(f"{name} needs SMAC3: pip install smac, or leave its lines out with --only") from None
    logging.getLogger("smac").setLevel(logging.ERROR)
    epochs, made = ledger.world.bench.epochs, configspace()
    made.seed(seed)
    hyperband = name == "smac-hyperband"
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            made,
            output_directory=Path(folder),
            deterministic=name != "smac-seeds",
            n_trials=10 * ledger.budget,
            min_budget=1 if hyperband else None,
            max_budget=epochs if hyperband else None,
            seed=seed,
        )
        facade = MultiFidelityFacade if hyperband else HyperparameterOptimizationFacade
        drawn = facade.get_initial_design(scenario, n_configs=10).select_configurations()
        first = [*(Configuration(made, values=setting) for setting in firsts), *drawn]
        optimizer = facade(
            scenario,
            lambda config, seed=0, budget=None: 0.0,
            initial_design=facade.get_initial_design(scenario, n_configs=0, additional_configs=first),
            overwrite=True,
            logging_level=False,
        )
        trials: dict[Any, int] = {}
        seeds: dict[Any, int] = {}
        while ledger.open:
            info = optimizer.ask()
            if info.config not in trials:
                trials[info.config] = ledger.add(plain(info.config))
            at = seeds.setdefault(info.seed, len(seeds))
            epoch = round(info.budget) if info.budget else epochs
            value = ledger.train(trials[info.config], max(epoch, 1), at)
            optimizer.tell(info, TrialValue(cost=-value))
            if best := optimizer.intensifier.get_incumbents():
                ledger.winner = trials[best[0]]
                ledger.look()


def plain(config: Any) -> dict[str, Any]:
    """A configuration as a setting: numbers of Python, the knobs that it has."""
    return {name: getattr(value, "item", lambda own=value: own)() for name, value in dict(config).items()}
