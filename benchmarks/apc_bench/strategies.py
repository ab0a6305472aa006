"""The searches that are replayed: samplers, early stopping and races of `apc search`, the paper's grid, libraries."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from apc.config import default_of, pocket
from apc.runs.rows import Row
from apc.search.samplers import PRUNERS, sampler
from apc.search.spaces import Above, Choice, Real, Space, Whole, suggest
from benchmarks.apc_bench.replay import Ledger, Setting, halving
from search_spaces import choosing, lambdas

if TYPE_CHECKING:
    import optuna

SPACES: dict[str, Space] = {
    "joint": {name: knob for name, knob in choosing.SPACE.items() if not name.startswith("lr")},
    "choosing": choosing.SPACE,
}
"""The paper's six knobs, K to a quarter of the patches; and both learning rates beside them."""


@dataclass(frozen=True)
class Strategy:
    """One way to search."""

    name: str
    sampler: str = "tpe"
    stop: str = "none"
    """A pruner of apc/search/samplers.py, `hyperband` as Optuna has it, or `halving`."""
    trials: int = 40
    """Of one bracket of halving."""
    rungs: Sequence[int] = (1, 3, 10)
    share: float = 1 / 3
    race: int = 0
    """Settings that get further seeds after each bracket, the best of it."""
    seeds: int = 3
    """Of a race, the search's own among them."""
    replays: int = 200
    """Fewer where a proposal takes long."""
    peer: str = ""
    """Library that it is as its own documentation has it; empty of what `apc search` offers."""

    def search(self, space: Space, ledger: Ledger, seed: int) -> None:
        """Train in the ledger until it is closed."""
        if self.sampler == "staged":
            staged(ledger)
        elif self.sampler.startswith("smac"):
            from benchmarks.apc_bench import peers

            peers.smac(self.sampler, space, ledger, seed)
        elif self.stop == "halving":
            in_brackets(self, space, ledger, seed)
        else:
            one_by_one(self, space, ledger, seed)


def first_of(space: Space) -> Setting:
    """The paper's setting, which `apc search` tries first; learning rates are the preset's."""
    return {name: getattr(pocket(), name) if name.startswith("lr") else default_of(name) for name in space}


def one_by_one(strategy: Strategy, space: Space, ledger: Ledger, seed: int) -> None:
    """An Optuna study of one seed a trial, in full or with a pruner that looks after every epoch."""
    import optuna

    epochs = ledger.world.bench.epochs
    if strategy.stop == "hyperband":
        pruner: optuna.pruners.BasePruner = optuna.pruners.HyperbandPruner(1, epochs, 3)
    else:
        pruner = PRUNERS[strategy.stop](epochs)
    study = optuna.create_study(direction="maximize", pruner=pruner, study_name=f"replay-{seed}")
    study.enqueue_trial(first_of(space))
    while ledger.open:
        trial = asked(study, strategy.sampler, seed)
        number = ledger.add(suggest(space, trial))
        if strategy.stop == "none":
            study.tell(trial, ledger.train(number, epochs))
            continue
        for epoch in range(1, epochs + 1):
            value = ledger.train(number, epoch)
            trial.report(value, epoch)
            if epoch < epochs and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
            if not ledger.open:
                return
        else:
            study.tell(trial, value)


def asked(study: "optuna.Study", name: str, seed: int) -> "optuna.Trial":
    """The next trial, proposed as apc/search/study.py does it."""
    study.sampler = sampler(name, seed, len(study.get_trials(deepcopy=False)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study.ask()


def in_brackets(strategy: Strategy, space: Space, ledger: Ledger, seed: int) -> None:
    """Synchronous halving, bracket after bracket, each followed by its race; the sampler sees the scores of rungs."""
    import optuna
    from optuna.trial import FrozenTrial, TrialState, create_trial

    known: list[FrozenTrial] = []
    while ledger.open:
        study = optuna.create_study(
            direction="maximize", pruner=optuna.pruners.NopPruner(), study_name=f"replay-{seed}"
        )
        study.add_trials(known)
        if not known:
            study.enqueue_trial(first_of(space))
        bracket: dict[int, FrozenTrial] = {}
        for _ in range(strategy.trials):
            trial = asked(study, strategy.sampler, seed)
            number = ledger.add(suggest(space, trial))
            trial.report(ledger.train(number, strategy.rungs[0]), strategy.rungs[0])
            study.tell(trial, state=TrialState.PRUNED)
            bracket[number] = study.get_trials(deepcopy=False)[trial.number]
            if not ledger.open:
                return
        done = halving(ledger, list(bracket), strategy.rungs, strategy.share)
        for number, own in bracket.items():
            reached = ledger.trained[number, 0]
            steps = {rung: ledger.seen(number, rung) for rung in strategy.rungs if rung <= reached}
            whole = reached == strategy.rungs[-1]
            known.append(
                create_trial(
                    state=TrialState.COMPLETE if whole else TrialState.PRUNED,
                    params=own.params,
                    distributions=own.distributions,
                    intermediate_values=steps,
                    value=steps[reached] if whole else None,
                )
            )
        if strategy.race and done and ledger.open:
            best = sorted(done, key=lambda number: -ledger.seen(number, strategy.rungs[-1]))
            ledger.race(best[: strategy.race], strategy.seeds)


def staged(ledger: Ledger) -> None:
    """Section 4.1's search, lambda1 and then lambda2, three seeds a setting, the other knobs at the paper's values."""
    plan, paper = replace(lambdas.PLAN, metric="tune_miou"), first_of(SPACES["joint"])
    epochs, done = ledger.world.bench.epochs, []
    while stage := plan.next(done):
        for point in stage:
            if not ledger.open:
                return
            scores = [0.0] * 3  # lambda1 of 0 has neither loss: it was measured, and learns nothing
            if point.values["lambda1"] > 0:
                number = ledger.add(paper | point.values)
                ledger.race([number], 3)
                scores = [ledger.seen(number, epochs, s) for s in range(3) if (number, s) in ledger.trained]
            else:
                ledger.spent += 3 * epochs
            rows = [
                Row(run=str(s), config={}, metrics={"tune_miou": value}, seconds={}) for s, value in enumerate(scores)
            ]
            done.append((point, rows))


def configspace(space: Space) -> Any:
    """The same space as SMAC3 reads it, conditions and all."""
    from ConfigSpace import Categorical, ConfigurationSpace, Float, GreaterThanCondition, InCondition, Integer

    made = ConfigurationSpace(seed=0)
    made.add([_parameter(name, knob, Categorical, Integer, Float) for name, knob in space.items()])
    for name, knob in space.items():
        for other, wanted in knob.when.items():
            parent, child = made[other], made[name]
            if isinstance(wanted, Above):
                made.add(GreaterThanCondition(child, parent, wanted.low))
            else:
                made.add(InCondition(child, parent, list(wanted)))
    return made


def _parameter(name: str, knob: Real | Whole | Choice, choice: Any, whole: Any, real: Any) -> Any:
    first = first_of({name: knob})[name]
    if isinstance(knob, Choice):
        return choice(name, list(knob.values), default=first)
    return (whole if isinstance(knob, Whole) else real)(name, (knob.low, knob.high), log=knob.log, default=first)


FULL = tuple(Strategy(f"{name}, in full", name, peer="Optuna") for name in ("tpe", "random", "qmc", "cmaes"))
STRATEGIES: Mapping[str, Strategy] = {
    own.name: own
    for own in (
        *FULL,
        Strategy("gp, in full", "gp", replays=30, peer="Optuna"),
        Strategy("the paper's staged grid", "staged"),
        Strategy("tpe, median", stop="median", peer="Optuna"),
        Strategy("tpe, asha", stop="asha", peer="Optuna"),
        Strategy("random, asha", "random", stop="asha", peer="Optuna"),
        Strategy("tpe, halving", stop="halving"),
        Strategy("qmc, halving", "qmc", stop="halving"),
        Strategy("random, halving", "random", stop="halving"),
        Strategy("cmaes, halving", "cmaes", stop="halving"),
        Strategy("tpe, halving 27", stop="halving", trials=27),
        Strategy("tpe, halving 20", stop="halving", trials=20),
        Strategy("tpe, halving 1-2-4-10", stop="halving", rungs=(1, 2, 4, 10), share=0.4),
        Strategy("tpe, halving 2-5-10", stop="halving", rungs=(2, 5, 10), trials=27),
        Strategy("tpe, halving 2-10", stop="halving", rungs=(2, 10), share=0.15, trials=27),
        Strategy("tpe, halving 3-10", stop="halving", rungs=(3, 10), share=0.2, trials=20),
        Strategy("tpe, halving 1/4", stop="halving", share=1 / 4),
        Strategy("tpe, halving 1/2", stop="halving", share=1 / 2, trials=20),
        Strategy("tpe, halving, race 2", stop="halving", race=2),
        Strategy("tpe, halving, race 3", stop="halving", race=3),
        Strategy("qmc, halving, race 3", "qmc", stop="halving", race=3),
        Strategy("Optuna: TPE, Hyperband", stop="hyperband", peer="Optuna"),
        Strategy("SMAC3: random forest", "smac", replays=16, peer="SMAC3"),
        Strategy("SMAC3: three seeds", "smac-seeds", replays=16, peer="SMAC3"),
        Strategy("SMAC3: multi-fidelity", "smac-hyperband", replays=16, peer="SMAC3"),
    )
}
"""By name. The first is Optuna as it is used most."""
