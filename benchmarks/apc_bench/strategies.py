"""The searches that are replayed: samplers, early stopping and races of `apc search`, the paper's grid, libraries."""

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from apc.config import pocket
from apc.runs.rows import Row
from apc.search.plans import Point
from apc.search.samplers import PRUNERS, sampler
from apc.search.spaces import Above, Choice, Real, Space, Whole, suggest
from benchmarks.apc_bench.replay import Ledger, Setting, halving
from search_spaces import choosing, joint, lambdas

if TYPE_CHECKING:
    import optuna

SPACES: dict[str, Space] = {"joint": joint.SPACE(pocket()), "choosing": choosing.SPACE(pocket())}
"""The paper's six knobs, K to a quarter of the patches; and both learning rates beside them."""


@dataclass(frozen=True)
class Strategy:
    """One way to search."""

    name: str
    sampler: str = "tpe"
    stop: str = "none"
    """A pruner of apc/search/samplers.py, `asha` from the first rung on, `hyperband` as Optuna has it, or `halving`."""
    trials: int = 40
    """Of one bracket of halving, or of a search that a race ends."""
    rungs: Sequence[int] = (1, 3, 10)
    share: float = 1 / 3
    race: int = 0
    """Settings that get further seeds in the end, the best of those trained in full; 0: no race, the search goes on."""
    brackets: int = 1
    """Before a race."""
    keeps_first: bool = False
    """Whether halving lets the setting tried first go on whatever it scores, as `apc search` does since photographs
    showed that a rung may misjudge it."""
    seeds: int = 3
    """Of a race, the search's own among them."""
    replays: int = 200
    """Fewer where a proposal takes long."""
    budget: int = 250
    """Epochs of each."""
    starts: int = 1
    """Settings that are tried first: the paper's, and with 4 the same under each other pooling."""
    peer: str = ""
    """Library that it is as its own documentation has it; empty of what `apc search` offers."""

    def search(self, space: Space, ledger: Ledger, seed: int) -> None:
        """Train in the ledger until it is closed."""
        if self.sampler == "staged":
            staged(ledger)
        elif self.sampler.startswith("smac"):
            from benchmarks.apc_bench import peers

            peers.smac(self.sampler, space, ledger, seed, firsts(space, self.starts))
        elif self.stop == "halving":
            in_brackets(self, space, ledger, seed)
        else:
            one_by_one(self, space, ledger, seed)


def firsts(space: Space, starts: int = 1) -> list[Setting]:
    """The settings that `apc search joint` tries first, of which the first is the paper's; learning rates are the
    preset's."""
    rates = {name: getattr(pocket(), name) for name in space if name.startswith("lr")}
    return [setting | rates for setting in joint.FIRST[:starts]]


def one_by_one(strategy: Strategy, space: Space, ledger: Ledger, seed: int) -> None:
    """An Optuna study of one seed a trial, in full or with a pruner that looks after every epoch."""
    import optuna

    epochs = ledger.world.bench.epochs
    if strategy.stop == "hyperband":
        pruner: optuna.pruners.BasePruner = optuna.pruners.HyperbandPruner(1, epochs, 3)
    elif strategy.stop == "asha":
        pruner = optuna.pruners.SuccessiveHalvingPruner(strategy.rungs[0], round(1 / strategy.share))
    else:
        pruner = PRUNERS[strategy.stop](epochs)
    study = optuna.create_study(direction="maximize", pruner=pruner, study_name=f"replay-{seed}")
    for setting in firsts(space, strategy.starts):
        study.enqueue_trial(setting)
    while ledger.open:
        if strategy.race and ledger.settings and len(ledger.settings) % strategy.trials == 0:
            ledger.race(ledger.leaders(strategy.race), strategy.seeds)
            return
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
    number = len(study.get_trials(deepcopy=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.sampler = MORE[name](seed, number) if name in MORE else sampler(name, seed, number)
        return study.ask()


def joint_tpe(seed: int, number: int, startup: int = 10) -> "optuna.samplers.BaseSampler":
    """TPE that looks at knobs together, in groups by which of them exist."""
    import optuna

    own = (seed * 1_000_003 + number) % 2**32
    return optuna.samplers.TPESampler(seed=own, multivariate=True, group=True, n_startup_trials=startup)


MORE: Mapping[str, Callable[[int, int], "optuna.samplers.BaseSampler"]] = {
    "joint tpe": joint_tpe,
    "joint tpe from 5": functools.partial(joint_tpe, startup=5),
}
"""Samplers that `apc search` does not offer."""


def in_brackets(strategy: Strategy, space: Space, ledger: Ledger, seed: int) -> None:
    """Synchronous halving, bracket after bracket, and perhaps a race; the sampler sees the scores of rungs."""
    import optuna
    from optuna.trial import FrozenTrial, TrialState, create_trial

    known: list[FrozenTrial] = []
    while ledger.open:
        study = optuna.create_study(
            direction="maximize", pruner=optuna.pruners.NopPruner(), study_name=f"replay-{seed}"
        )
        study.add_trials(known)
        for setting in [] if known else firsts(space, strategy.starts):
            study.enqueue_trial(setting)
        bracket: dict[int, FrozenTrial] = {}
        for _ in range(strategy.trials):
            trial = asked(study, strategy.sampler, seed)
            number = ledger.add(suggest(space, trial))
            trial.report(ledger.train(number, strategy.rungs[0]), strategy.rungs[0])
            study.tell(trial, state=TrialState.PRUNED)
            bracket[number] = study.get_trials(deepcopy=False)[trial.number]
            if not ledger.open:
                return
        kept = {0} if strategy.keeps_first else ()  # the paper's setting, of the first bracket
        halving(ledger, list(bracket), strategy.rungs, strategy.share, kept)
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
        if strategy.race and len(ledger.settings) >= strategy.brackets * strategy.trials and ledger.open:
            ledger.race(ledger.leaders(strategy.race), strategy.seeds)
            return


def staged(ledger: Ledger) -> None:
    """Section 4.1's search, lambda1 and then lambda2, three seeds a setting, the other knobs at the paper's values."""
    plan, (paper,) = replace(lambdas.PLAN, metric="tune_miou"), firsts(SPACES["joint"])
    epochs = ledger.world.bench.epochs
    done: list[tuple[Point, list[Row]]] = []
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
    first = firsts({name: knob})[0][name]
    if isinstance(knob, Choice):
        return choice(name, list(knob.values), default=first)
    return (whole if isinstance(knob, Whole) else real)(name, (knob.low, knob.high), log=knob.log, default=first)


def halves(sampler: str, trials: int, rungs: Sequence[int], share: float, race: int = 0, brackets: int = 1) -> Strategy:
    """Halving in brackets of so many trials, under a name that says how."""
    name = f"{sampler}, halving {trials} at {'-'.join(map(str, rungs))}, 1/{1 / share:g}"
    name += f", race of {race} after {brackets}" if race else ""
    return Strategy(name, sampler, "halving", trials, rungs, share, race, brackets)


FULL = tuple(
    Strategy(f"{name}, in full", name, peer="Optuna", replays=200, budget=400)
    for name in ("tpe", "random", "qmc", "cmaes")
)
KNOWN: tuple[Strategy, ...] = (
    *FULL,
    Strategy("gp, in full", "gp", replays=16, peer="Optuna"),
    Strategy("the paper's staged grid", "staged", peer="the paper", budget=400),
    Strategy("tpe, median", stop="median", peer="Optuna"),
    Strategy("tpe, Hyperband", stop="hyperband", peer="Optuna"),
    Strategy("tpe, asha 1-3-9", stop="asha"),
    Strategy("tpe, asha 3-9", stop="asha", rungs=(3,)),
    Strategy("tpe, asha 4", stop="asha", rungs=(4,)),
    Strategy("gp, asha 3-9", "gp", stop="asha", rungs=(3,), replays=48),
    Strategy("cmaes, asha 3-9", "cmaes", stop="asha", rungs=(3,)),
    halves("tpe", 40, (1, 3, 10), 1 / 3),
    halves("qmc", 40, (1, 3, 10), 1 / 3),
    halves("tpe", 40, (3, 10), 1 / 5),
    halves("tpe", 40, (4, 10), 1 / 5),
    halves("qmc", 40, (3, 10), 1 / 5),
    halves("tpe", 24, (2, 4, 10), 1 / 3),
    halves("tpe", 20, (3, 10), 1 / 5),
    halves("tpe", 9, (3, 10), 1 / 3),
    halves("tpe", 9, (3, 5, 10), 1 / 3),
    halves("tpe", 8, (4, 10), 1 / 4),
    replace(halves("tpe", 8, (4, 10), 1 / 4), name="tpe, halving 8 at 4-10, 1/4, first kept", keeps_first=True),
    halves("joint tpe", 9, (3, 10), 1 / 3),
    halves("qmc", 9, (3, 10), 1 / 3),
    halves("cmaes", 9, (3, 10), 1 / 3),
    halves("tpe", 9, (3, 10), 1 / 3, race=3, brackets=2),
    halves("tpe", 9, (3, 10), 1 / 3, race=3, brackets=3),
    Strategy("SMAC3, one seed", "smac", replays=6, peer="SMAC3"),
    Strategy("SMAC3, racing three seeds", "smac-seeds", replays=6, peer="SMAC3"),
    Strategy("SMAC3, Hyperband", "smac-hyperband", replays=6, peer="SMAC3"),
)
TWICE = (
    *("tpe, in full", "random, in full", "tpe, median", "tpe, Hyperband", "tpe, asha 3-9", "gp, asha 3-9"),
    *("tpe, halving 40 at 4-10, 1/5", "tpe, halving 8 at 4-10, 1/4", "tpe, halving 8 at 4-10, 1/4, first kept"),
    *("SMAC3, one seed", "SMAC3, Hyperband"),
)
"""Replayed as well with the paper's setting under each pooling first, as `apc search joint` begins."""
STRATEGIES: Mapping[str, Strategy] = {own.name: own for own in KNOWN} | {
    name: replace(own, name=name, starts=4)
    for own in KNOWN
    if own.name in TWICE
    for name in [f"{own.name}, poolings first"]
}
"""By name. The first is Optuna as it is used most."""
