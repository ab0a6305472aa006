"""Does a claim of the paper hold here?  Reproduced, contradicted or undecided, from differences paired by seed.

A claim "a beats b" is *reproduced* when the 95 % t interval of a - b over the common seeds lies above 0,
*contradicted* when it lies below 0 and *undecided* otherwise.  If a and b are truly equal, one claim in twenty gets
a wrong verdict, in either direction; claims are not corrected for their number, and the rate holds for a number of
seeds fixed beforehand, not for adding seeds until the verdict pleases.  One seed decides nothing: it has no spread.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from apc.reporting.verdicts.intervals import LEVEL, Paired, paired, seeds_for

Outcome = Literal["reproduced", "contradicted", "undecided", "pending"]
SeedScores = Mapping[int, float]
"""Score by seed."""


@dataclass(frozen=True)
class Verdict:
    """Outcome of one claim and what it rests on."""

    outcome: Outcome
    difference: Paired
    """Of the two rows compared; for a claim about the best of many, of the default and its strongest rival."""
    more_seeds: int | None = None
    """About how many further seeds would decide with a chance of 80 %, if mean and spread stay as observed; or None."""
    why: str = ""
    """A sentence where the interval alone does not explain the outcome."""
    rival: str = ""
    """For a claim about the best of many, the label of its strongest rival."""


def judge(better: SeedScores, worse: SeedScores, level: float = LEVEL) -> Verdict:
    """Verdict on the claim that `better` scores higher than `worse`, from scores by seed."""
    difference = paired(better, worse, level)
    n, mean, std, low, high = difference.summary
    if n == 0:
        return Verdict("pending", difference)
    if n == 1:
        return Verdict("undecided", difference, why="one seed shows a difference but not its spread")
    if std == 0:  # a seed that changes nothing repeats one observation
        why = (
            "the two rows score the same"
            if mean == 0
            else "every seed gives exactly the same difference, so there is no spread"
        )
        return Verdict("undecided", difference, why=why)
    if low > 0:
        return Verdict("reproduced", difference)
    if high < 0:
        return Verdict("contradicted", difference)
    needed = seeds_for(mean / std, level=level)
    # An open interval with enough seeds on paper: the 80 % were not lucky this time, one more seed is the least answer.
    return Verdict("undecided", difference, None if needed is None else max(needed - n, 1))


def judge_best(default: str, points: Mapping[str, SeedScores], level: float = LEVEL) -> Verdict:
    """Verdict on the claim that `default` is the best of `points` (label -> scores by seed).

    Reproduced: it beats every other point, each at `level` (all must hold, so no correction is due).  Contradicted:
    some point beats it at a level corrected for how many points there were to choose from (Bonferroni), since the
    largest of many noisy means looks good by chance.  Undecided otherwise, which is usual: neighbours score alike.
    """
    rivals = {label: scores for label, scores in points.items() if label != default and scores}
    mine = points.get(default, {})
    if not mine or not rivals:
        return Verdict("pending", paired(mine, {}), why=f"{default} itself was not run" if rivals else "")
    corrected = 1 - (1 - level) / len(rivals)
    each = {label: judge(mine, scores, level) for label, scores in rivals.items()}
    strict = {label: judge(mine, scores, corrected) for label, scores in rivals.items()}
    strongest = min(each, key=lambda label: _mean(each[label]))
    shown = each[strongest].difference
    beaten_by = [label for label, verdict in strict.items() if verdict.outcome == "contradicted"]
    if beaten_by:
        return Verdict(
            "contradicted",
            shown,
            rival=strongest,
            why=f"against {strongest}, its strongest rival; beaten by {', '.join(beaten_by)}",
        )
    equal = [label for label, verdict in each.items() if verdict.outcome != "reproduced"]
    if not equal:
        return Verdict("reproduced", shown, why=f"against {strongest}, its strongest rival", rival=strongest)
    # Ahead of all, it must shake off every rival that is level with it; behind one, that one must overtake it for sure.
    open_ones = [each[label] for label in equal] if _mean(each[strongest]) > 0 else [strict[strongest]]
    needed = [verdict.more_seeds for verdict in open_ones]
    more = max((n for n in needed if n is not None), default=None) if None not in needed else None
    apart = "one seed shows a difference but not its spread" if shown.summary.n == 1 else ""
    apart = apart or f"not told apart from {', '.join(equal)}"
    why = f"against {strongest}, its strongest rival; {apart}"
    return Verdict("undecided", shown, more, why, strongest)


def _mean(verdict: Verdict) -> float:
    mean = verdict.difference.summary.mean
    return mean if math.isfinite(mean) else math.inf


def remark(verdict: Verdict) -> str:
    """What stands behind the interval: how many seeds agree in sign with the mean, and how many more would decide."""
    n = verdict.difference.summary.n
    if n == 0:
        return verdict.why or "not run yet"
    parts = [verdict.why] if verdict.why else []
    if n > 1 and verdict.difference.summary.mean:
        parts.append(f"{verdict.difference.agree} of {n} seeds agree in sign with the mean")
    if verdict.outcome == "undecided" and n == 1:
        parts.append("run at least three")
    elif verdict.outcome == "undecided" and verdict.more_seeds:
        more = verdict.more_seeds
        parts.append(
            f"about {more} more seed{'s' * (more > 1)} would decide"
            if more <= 100
            else "over 100 more seeds would be needed"
        )
    return "; ".join(parts)
