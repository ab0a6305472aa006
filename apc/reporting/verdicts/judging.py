"""Does a claim of the paper hold here?  Reproduced, contradicted or undecided, from differences paired by seed.

A claim "a beats b" is *reproduced* when the 95 % t interval of a - b over the common seeds lies above 0,
*contradicted* when it lies below 0 and *undecided* otherwise.  If a and b are truly equal, one claim in twenty gets
a wrong verdict, in either direction; claims are not corrected for their number.  At `LEVEL` the rate holds for a number
of seeds fixed beforehand; where seeds were added by verdict (`--decide`), the level is that of looks.py, whose rate
holds at every number of seeds.  One seed decides nothing: it has no spread.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from apc.reporting.verdicts.intervals import LEVEL, More, Paired, apart, median, more_seeds, paired

Outcome = Literal["reproduced", "contradicted", "undecided", "pending"]
SeedScores = Mapping[int, float]
"""Score by seed."""


@dataclass(frozen=True)
class Verdict:
    """Outcome of one claim and what it rests on."""

    outcome: Outcome
    difference: Paired
    """Of the two rows compared; for a claim about the best of many, of the default and its strongest rival."""
    more_seeds: More | None = None
    """How many further seeds would decide with a chance of 80 %, as a range; None where there is no telling."""
    wants: int = 0
    """Seeds that it lacks of those that it is to have before it is judged."""
    why: str = ""
    """A sentence where the interval alone does not explain the outcome."""
    rival: str = ""
    """For a claim about the best of many, the label of its strongest rival."""
    open: tuple[str, ...] = ()
    """For a claim about the best of many, the labels of the rivals that further seeds might settle."""


def judge(better: SeedScores, worse: SeedScores, level: float = LEVEL, fewest: int = 2) -> Verdict:
    """Verdict on the claim that `better` scores higher than `worse`, from scores by seed, at least `fewest`."""
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
    if n < fewest:
        return Verdict("undecided", difference, wants=fewest - n, why=f"{n} of the {fewest} seeds that it wants")
    if low > 0:
        return Verdict("reproduced", difference)
    if high < 0:
        return Verdict("contradicted", difference)
    return Verdict("undecided", difference, more_seeds(difference.summary, level))


def judge_best(
    default: str,
    points: Mapping[str, SeedScores],
    level: float = LEVEL,
    fewest: int = 2,
    unscored: Sequence[str] = (),
) -> Verdict:
    """Verdict on the claim that `default` is the best of `points` (label -> scores by seed).

    Reproduced: it beats every other point, each at `level` (all must hold, so no correction is due), and no point is
    `unscored`: the best of half a grid may be beaten by what is still to come.  Contradicted:
    some point beats it at a level corrected for how many points there were to choose from (Bonferroni), since the
    largest of many noisy means looks good by chance.  Undecided otherwise, which is usual: neighbours score alike.
    """
    rivals = {label: scores for label, scores in points.items() if label != default and scores}
    mine = points.get(default, {})
    if not mine or not rivals:
        return Verdict("pending", paired(mine, {}), why=f"{default} itself was not run" if rivals else "")
    corrected = 1 - (1 - level) / len(rivals)
    each = {label: judge(mine, scores, level, fewest) for label, scores in rivals.items()}
    strict = {label: judge(mine, scores, corrected, fewest) for label, scores in rivals.items()}
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
    against = f"against {strongest}, its strongest rival"
    waits = f"no score yet of {_listed(unscored)}" if unscored else ""
    if not equal:
        outcome: Outcome = "undecided" if unscored else "reproduced"
        return Verdict(outcome, shown, why="; ".join(filter(None, (against, waits))), rival=strongest)
    # Ahead of all, it must shake off every rival that is level with it; behind one, that one must overtake it for sure.
    open_ones = [each[label] for label in equal] if _mean(each[strongest]) > 0 else [strict[strongest]]
    more = _all_of([verdict.more_seeds for verdict in open_ones])
    apart = "one seed shows a difference but not its spread" if shown.summary.n == 1 else ""
    apart = apart or f"not told apart from {', '.join(equal)}"
    why = "; ".join(filter(None, (against, apart, waits)))
    wants = max(verdict.wants for verdict in open_ones)
    still_open = tuple(label for label in equal if _is_open(each[label]))
    return Verdict("undecided", shown, more, wants, why, strongest, still_open)


def _is_open(verdict: Verdict) -> bool:
    """Whether another seed may tell something: rows that score the same at every seed will go on to."""
    return verdict.difference.summary.n < 2 or verdict.difference.summary.std > 0


def _listed(labels: Sequence[str], most: int = 6) -> str:
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + more


def _all_of(needed: Sequence[More | None]) -> More | None:
    """Seeds that decide all of several differences."""
    known = [more for more in needed if more]
    if not known or len(known) < len(needed):
        return None
    ends = [more.most for more in known if more.most is not None]
    return More(max(more.least for more in known), max(ends) if len(ends) == len(known) else None)


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
        parts.append(f"{verdict.more_seeds} would decide")
    elif verdict.outcome == "undecided" and not verdict.why:
        parts.append("over 100 more seeds would be needed")
    if alone := apart(verdict.difference.differences):
        parts.append(_of_the_median(verdict.difference, alone))
    return "; ".join(parts)


def _of_the_median(difference: Paired, alone: Sequence[int]) -> str:
    """What to read beside a mean that single seeds have moved."""
    middle = median(difference.differences.values())
    ends = f"[{middle.low:+.1f}, {middle.high:+.1f}] holds it in {100 * middle.level:.0f} %"
    seeds = f"seed{'s' * (len(alone) > 1)} {', '.join(map(str, alone))}"
    text = f"{seeds} out of line, which a mean hides: the median is {middle.value:+.1f}, and {ends}"
    return text.replace("-", "−")
