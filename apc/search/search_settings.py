"""How a space is searched: the settings that are the flags of every search."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from apc.config import Config
from apc.search.halving import SHARE, Rungs, rungs_of, usual_bracket
from apc.search.spaces import MOST_RUNS
from apc.search.stop_rules import stop_when

Sampler = Literal["tpe", "gp", "cmaes", "nsga2", "random", "qmc", "grid"]
Stopper = Literal["none", "asha", "halving", "median"]
SAMPLERS = get_args(Sampler)
"""Names of the ways to propose settings: those of apc/search/samplers.py, and the grid of a space that is data."""
STOPPERS = get_args(Stopper)
"""Names of the rules by which a trial is given up early."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a space is searched; the flags of a search are its fields."""

    trials: int
    """Trials in all, those of earlier, interrupted calls included."""
    sampler: Sampler = "tpe"
    """How settings are proposed; `grid` trains every setting of a grid and is a plan."""
    grid_points: int = 3
    """Values of a number in a grid."""
    objectives: tuple[str, ...] = ("miou",)
    """Scores to raise, seconds to lower; two give a Pareto front, such as miou,train_seconds."""
    stop_early: Stopper = "none"
    """Which trials are given up in the middle of their first seed: halving, which a search of a space does if nobody
    says, trains all to the epoch of a rung, where they wait for one another, and the best share goes on, with the
    setting tried first; asha and median judge each by those before it, and need --eval-every 1."""
    rungs: tuple[int, ...] = ()
    """Epochs of halving's rungs (default: two fifths of all, such as 4 10; the last is always the end)."""
    keep_share: float = SHARE
    """Share of a rung's trials that goes on, one at least (default: a fifth)."""
    bracket: int | None = None
    """Trials that halving compares with one another before it proposes further ones (default: 8, and 24 with
    `--choose vote`)."""
    search_seed: int = 0
    """Seed of the search itself."""
    hours: float = 0.0
    """Wall hours of one call after which no trial is started; 0 is no limit."""
    gpu_hours: float = 0.0
    """GPU-hours of all its trials after which none is started; 0 is no limit."""
    stop_when: str = ""
    """When no further trial is started: "no better in 20" trials, or a score that is reached, such as "miou 70"."""
    warm_start: Path | None = None
    """Folder or store of finished runs of the same base config: those of its space a new study knows from the start;
    where it halves, gp, cmaes and nsga2 know those that were scored at the epoch of its first rung."""

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS or self.stop_early not in STOPPERS:
            named = f"--sampler {self.sampler}, --stop-early {self.stop_early}"
            raise ValueError(f"{named}: choose from {', '.join(SAMPLERS)} and from {', '.join(STOPPERS)}")
        if not 1 <= len(self.objectives) == len(set(self.objectives)) <= 2:
            raise ValueError(f"--objectives {','.join(self.objectives)}: give one score, or two different ones")
        if len(self.objectives) > 1 and (self.sampler == "cmaes" or self.stop_early != "none"):
            what = f"--stop-early {self.stop_early}" if self.stop_early != "none" else "--sampler cmaes"
            raise ValueError(f"{what} takes one objective, not {','.join(self.objectives)}")
        self._check_rungs()
        if min(self.hours, self.gpu_hours, self.search_seed) < 0:
            raise ValueError("--hours, --gpu-hours and --search-seed cannot be below 0")
        if self.stop_when:
            stop_when(self.stop_when)
        if not 1 <= self.trials <= MOST_RUNS:
            least_or_most = "at least 1" if self.trials < 1 else f"at most {MOST_RUNS:,}"
            raise ValueError(f"--trials is {self.trials:,}; it must be {least_or_most}")
        if self.grid_points < 2:
            raise ValueError(f"--grid-points is {self.grid_points}; it must be at least 2")

    def _check_rungs(self) -> None:
        """ValueError where what is said of halving's rungs cannot be, or is said of another rule."""
        told = " ".join(map(str, self.rungs))
        if any(after <= before for before, after in itertools.pairwise((0, *self.rungs))):
            raise ValueError(f"--rungs {told}: give rising epochs from 1 on, such as 1 3 10")
        if not 0 < self.keep_share < 1:
            raise ValueError(f"--keep-share is {self.keep_share:g}; it must lie between 0 and 1, such as 0.33")
        if self.bracket is not None and self.bracket < 2:
            raise ValueError(f"--bracket is {self.bracket}; it must be at least 2")
        said = {f"--rungs {told}": self.rungs, f"--keep-share {self.keep_share:g}": self.keep_share != SHARE}
        said[f"--bracket {self.bracket}"] = self.bracket is not None
        if self.stop_early != "halving" and (flags := [flag for flag, named in said.items() if named]):
            raise ValueError(f"{flags[0]} is for --stop-early halving, and the rule is {self.stop_early}")

    @property
    def score_to_reach(self) -> str:
        """The score that `stop_when` waits for; empty where it waits for none."""
        return stop_when(self.stop_when).score if self.stop_when else ""

    @property
    def halving(self) -> Rungs | None:
        """The rungs of a search that halves, once they are known; None of any other."""
        known = self.stop_early == "halving" and self.rungs
        return Rungs(self.rungs, self.keep_share, self.trials_a_bracket) if known else None

    @property
    def trials_a_bracket(self) -> int:
        """Trials of a bracket of halving, said or not."""
        return self.bracket or usual_bracket(self.objectives[0])

    def rungs_over(self, base: Config) -> Rungs:
        """The rungs of halving over this base config; ValueError for what cannot be."""
        return rungs_of(self.rungs, self.keep_share, self.trials_a_bracket, base)

    @property
    def stamp(self) -> dict[str, Any]:
        """What the rows' stamp says of it."""
        stamp: dict[str, Any] = {"sampler": self.sampler, "objectives": list(self.objectives)}
        if self.sampler == "grid":
            return stamp | {"grid_points": self.grid_points}
        stamp |= {"search_seed": self.search_seed, "stop_early": self.stop_early, "trials": self.trials}
        if self.stop_early == "halving":
            stamp |= {"rungs": list(self.rungs), "keep_share": self.keep_share, "bracket": self.trials_a_bracket}
        return stamp | ({"warm_start": self.warm_start.name} if self.warm_start else {})
