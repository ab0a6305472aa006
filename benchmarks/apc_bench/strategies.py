"""The searches that are replayed: samplers, early stopping and races of `apc search`, the paper's grid, libraries."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from apc.config import pocket
from apc.runs.rows import Row
from apc.search.plans import Point
from apc.search.samplers import PRUNERS, sampler
from apc.search.spaces import Above, Choice, Real, Space, Whole, suggest
from benchmarks.apc_bench.replay import Ledger, halving
from search_spaces import joint, lambdas

if TYPE_CHECKING:
    import optuna

SPACE = joint.SPACE(pocket())
"""The paper's six knobs, K to a quarter of the patches."""


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
    budget: int = 250
    """Epochs of each."""
    starts: int = 1
    """Settings that are tried first: the paper's, and with 4 the same under each other pooling."""
    peer: str = ""
    """Library that it is as its own documentation has it; empty of what `apc search` offers."""

    def search(self, ledger: Ledger, seed: int) -> None:
        """Train in the ledger until it is closed."""
        if self.sampler == "staged":
            staged(ledger)
        elif self.sampler.startswith("smac"):
            from benchmarks.apc_bench import peers

            peers.smac(self.sampler, ledger, seed, joint.FIRST[: self.starts])
        elif self.stop == "halving":
            in_brackets(self, ledger, seed)
        else:
            one_by_one(self, ledger, seed)


def one_by_one(strategy: Strategy, ledger: Ledger, seed: int) -> None:
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
    for setting in joint.FIRST[: strategy.starts]:
        study.enqueue_trial(setting)
    while ledger.open:
        if strategy.race and ledger.settings and len(ledger.settings) % strategy.trials == 0:
            ledger.race(ledger.leaders(strategy.race), strategy.seeds)
            return
        trial = asked(study, strategy.sampler, seed)
        number = ledger.add(suggest(SPACE, trial))
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
        study.sampler = sampler(name, seed, number)
        return study.ask()


def in_brackets(strategy: Strategy, ledger: Ledger, seed: int) -> None:
    """Synchronous halving, bracket after bracket, and perhaps a race; the sampler sees the scores of rungs."""
    import optuna
    from optuna.trial import FrozenTrial, TrialState, create_trial

    known: list[FrozenTrial] = []
    while ledger.open:
        study = optuna.create_study(
            direction="maximize", pruner=optuna.pruners.NopPruner(), study_name=f"replay-{seed}"
        )
        study.add_trials(known)
        for setting in () if known else joint.FIRST[: strategy.starts]:
            study.enqueue_trial(setting)
        bracket: dict[int, FrozenTrial] = {}
        for _ in range(strategy.trials):
            trial = asked(study, strategy.sampler, seed)
            number = ledger.add(suggest(SPACE, trial))
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
    plan = replace(lambdas.PLAN, metric="tune_miou")
    epochs = ledger.world.bench.epochs
    done: list[tuple[Point, list[Row]]] = []
    while stage := plan.next(done):
        for point in stage:
            if not ledger.open:
                return
            scores = [0.0] * 3  # lambda1 of 0 has neither loss: it was measured, and learns nothing
            if point.values["lambda1"] > 0:
                number = ledger.add(joint.PAPER | point.values)
                ledger.race([number], 3)
                scores = [ledger.seen(number, epochs, s) for s in range(3) if (number, s) in ledger.trained]
            else:
                ledger.spent += 3 * epochs
            rows = [
                Row(run=str(s), config={}, metrics={"tune_miou": value}, seconds={}) for s, value in enumerate(scores)
            ]
            done.append((point, rows))


def configspace(space: Space = SPACE) -> Any:
    """The space as SMAC3 reads it, conditions and all."""
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
    first = joint.PAPER[name]
    if isinstance(knob, Choice):
        return choice(name, list(knob.values), default=first)
    return (whole if isinstance(knob, Whole) else real)(name, (knob.low, knob.high), log=knob.log, default=first)


def halves(sampler: str, trials: int, rungs: Sequence[int], share: float) -> Strategy:
    """Halving in brackets of so many trials, under a name that says how."""
    name = f"{sampler}, halving {trials} at {'-'.join(map(str, rungs))}, 1/{1 / share:g}"
    return Strategy(name, sampler, "halving", trials, rungs, share)


PEERS = (
    Strategy("tpe, in full", peer="Optuna", budget=400),
    Strategy("random, in full", "random", peer="Optuna", budget=400),
    Strategy("qmc, in full", "qmc", peer="Optuna", budget=400),
    Strategy("cmaes, in full", "cmaes", peer="Optuna", budget=400),
    Strategy("gp, in full", "gp", peer="Optuna"),
    Strategy("tpe, median", stop="median", peer="Optuna"),
    Strategy("tpe, Hyperband", stop="hyperband", peer="Optuna"),
    Strategy("SMAC3, one seed", "smac", peer="SMAC3"),
    Strategy("SMAC3, racing three seeds", "smac-seeds", peer="SMAC3"),
    Strategy("SMAC3, Hyperband", "smac-hyperband", peer="SMAC3"),
)
DEFAULT = replace(halves("tpe", 8, (4, 10), 1 / 4), name="tpe, halving 8 at 4-10, 1/4, first kept", keeps_first=True)
"""`apc search` as it is where nobody says otherwise: of a bracket of 8 a fifth is two."""
OURS = (
    DEFAULT,
    halves("tpe", 8, (4, 10), 1 / 4),
    replace(DEFAULT, name=f"{DEFAULT.name}, race of 3 after 3", race=3, brackets=3),
    replace(DEFAULT, name=DEFAULT.name.replace("tpe", "gp"), sampler="gp"),
    replace(DEFAULT, name=DEFAULT.name.replace("tpe", "random"), sampler="random"),
    halves("tpe", 24, (4, 10), 1 / 5),
    halves("tpe", 40, (4, 10), 1 / 5),
    halves("tpe", 9, (3, 10), 1 / 3),
    halves("tpe", 24, (2, 4, 10), 1 / 3),
    halves("tpe", 40, (1, 3, 10), 1 / 3),
    Strategy("tpe, asha 3-9", stop="asha", rungs=(3,)),
)
STAGED = Strategy("the paper's staged grid", "staged", peer="the paper", budget=400)
STRATEGIES: Mapping[str, Strategy] = {own.name: own for own in (*PEERS, DEFAULT, STAGED)} | {
    name: replace(own, name=name, starts=len(joint.FIRST))
    for own in (*PEERS, *OURS)
    for name in [f"{own.name}, poolings first"]
}
"""By name: libraries from the paper's setting, and all as `apc search joint` begins, with that under each pooling."""
