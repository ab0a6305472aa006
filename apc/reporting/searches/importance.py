"""A search read back from its rows: trials, the best so far, how much each knob matters, an optimum at an end."""

import math
import statistics
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from apc.escaping import in_markdown
from apc.reporting import tables
from apc.reporting.searches import pareto
from apc.reporting.searches.trials import Trial, are_numbers, complete, in_turn, values_of
from apc.runs.rows import Row

BEST = 10
"""Settings in the table of the best."""
FEWEST = 10
"""Finished trials below which importances are not computed."""
TOP = 0.25
"""Share of the trials that PED-ANOVA takes for the good ones."""


class Importance(NamedTuple):
    """How much one knob matters, by two measures; see `importances`."""

    knob: str
    trials: int
    """Complete ones that have it."""
    ped_anova: float
    """Share (0 to 1) of the sum over knobs."""
    of_ranks: float
    """Share (0 to 1) of the variance of ranks."""


class Range(NamedTuple):
    """Where a knob was searched."""

    low: float
    high: float
    log: bool

    def share(self, value: float) -> float:
        """Where a value lies, from 0 at the low end to 1 at the high one."""
        place, low, high = (math.log(v) if self.log else v for v in (value, self.low, self.high))
        return (place - low) / (high - low) if high > low else 0.5


def importances(tried: Sequence[Trial]) -> list[Importance]:
    """Two measures for each knob that varies, largest first by the first of them; empty with too few trials.

    PED-ANOVA (Watanabe et al. 2023, as in Optuna) asks which knobs set the best quarter of the trials apart from all,
    and is given as a share of its sum. The other asks which share of the variance of all trials' ranks lies between
    the values of a knob (numbers in thirds), less what chance alone puts there.
    """
    done = [t for t in tried if t.state == "complete"]
    names = varied(done)
    if len(done) < FEWEST or len(names) < 2:
        return []
    share = _ped_anova(done, names)
    lines = [Importance(name, sum(name in t.values for t in done), share[name], of_ranks(done, name)) for name in names]
    return sorted(lines, key=lambda line: -line.ped_anova)


def _plain(value: Any) -> Any:
    """A value as it can be a key: a row read from a file has lists."""
    return tuple(value) if isinstance(value, list) else value


def _ped_anova(done: Sequence[Trial], names: Sequence[str]) -> dict[str, float]:
    """Share of each knob, from the trials as an Optuna study; the ranges are those the trials span."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kinds: dict[str, Any] = {}
    for name in names:
        values = [_plain(t.values[name]) for t in done if name in t.values]
        if are_numbers(values):
            log = min(values) > 0 and max(values) / min(values) >= 100  # such a knob was searched by its logarithm
            kinds[name] = FloatDistribution(float(min(values)), float(max(values)), log=log)
        else:
            kinds[name] = CategoricalDistribution([str(v) for v in dict.fromkeys(values)])
    study = optuna.create_study(direction="minimize" if done[0].lowers else "maximize")
    for trial in done:
        own = {n: float(v) if are_numbers([v]) else str(_plain(v)) for n, v in trial.values.items() if n in kinds}
        study.add_trial(
            optuna.trial.create_trial(params=own, distributions={n: kinds[n] for n in own}, value=trial.score)
        )
    measure = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that `normalize` is new, and of few trials, whose number the table has
        parts = optuna.importance.get_param_importances(study, evaluator=measure, params=list(names), normalize=False)
    total = sum(parts.values())
    return {name: parts[name] / total if total else 0.0 for name in names}


def of_ranks(done: Sequence[Trial], name: str) -> float:
    """Share (0 to 1) of the variance of all trials' ranks that lies between the values of one knob, numbers in thirds.

    Trials without the knob count in the whole and not between its values. What as many groups would differ by if the
    knob did nothing is taken off, or a knob of few trials would look important.
    """
    from scipy.stats import rankdata

    places = rankdata([t.score for t in done]).tolist()  # of equal scores the middle, whatever their order
    ranked = [(place, _plain(t.values[name])) for place, t in zip(places, done, strict=True) if name in t.values]
    values = [value for _, value in ranked]
    if are_numbers(values) and len(set(values)) > 3:
        cuts = statistics.quantiles(values, n=3)
        ranked = [(rank, sum(value > cut for cut in cuts)) for rank, value in ranked]
    ranks: dict[Any, list[float]] = {}
    for rank, value in ranked:
        ranks.setdefault(value, []).append(rank)
    if len(ranked) <= len(ranks):
        return 0.0
    middle = statistics.fmean(rank for rank, _ in ranked)
    between = sum(len(own) * (statistics.fmean(own) - middle) ** 2 for own in ranks.values())
    within = sum((rank - statistics.fmean(own)) ** 2 for own in ranks.values() for rank in own)
    chance = (len(ranks) - 1) * within / (len(ranked) - len(ranks))
    whole = statistics.pvariance(places) * len(places)
    return max(between - chance, 0.0) / whole if whole else 0.0


def at_an_end(tried: Sequence[Trial]) -> list[str]:
    """A sentence for each knob whose best value lies at an end of its space as the rows are stamped with it, or of the
    values tried where they are not, which is said first."""
    done = complete(tried)
    lines = [_unstamped(done)] if done and "space" not in done[0].search and varied(done) else []
    for name, value in (done[0].values if done else {}).items():
        values = values_of(done, name)
        if not are_numbers(values) or len(set(values)) < 3:
            continue
        stamped = done[0].search.get("space", {}).get(name)
        ends = Range(*stamped) if stamped else Range(min(values), max(values), False)
        share = ends.share(value)
        if min(share, 1 - share) < 0.01:
            end = "low" if share < 0.5 else "high"
            further = "values beyond it were not tried and may be better"
            if end == "low" and ends.low == 0:
                further = "nothing lies below 0, so the search would do without it"
            what, space = "its space" if stamped else "what was tried", f"{ends.low:g} to {ends.high:g}"
            lines.append(
                f"**The best {in_markdown(name)} = {value:g} lies at the {end} end of {what}, {space}:** {further}."
            )
    return lines


def _unstamped(done: Sequence[Trial]) -> str:
    """What was tried, of rows that do not say in which space."""
    values = {name: values_of(done, name) for name in varied(done)}
    tried = [f"{in_markdown(n)} {min(v):g} to {max(v):g}" for n, v in values.items() if are_numbers(v)]
    told = f", only what was tried: {', '.join(tried)}" if tried else ""
    return f"These rows do not record the ranges of their space{told}. The space of today may be another."


def varied(done: Sequence[Trial]) -> list[str]:
    """Knobs that differ between trials, in the order of the fullest label."""
    fullest = sorted(done, key=lambda t: -len(t.values))
    names = dict.fromkeys(name for t in fullest for name in t.values)
    return [name for name in names if len({str(t.values.get(name)) for t in done}) > 1]


def sentences(tried: Sequence[Trial], metric: str, paper: str) -> list[str]:
    """The search in words: what it cost, what it found and when, and what to mistrust."""
    done = complete(tried)
    counts = {state: sum(t.state == state for t in tried) for state in ("complete", "pruned", "failed")}
    lines = [
        f"{len(tried)} trials: {counts['complete']} complete, {counts['pruned']} PRUNED (stopped early, in no mean), "
        f"{counts['failed']} failed; {sum(t.epochs for t in tried)} epochs and {sum(t.hours for t in tried):.1f} hours "
        "of training in all.",
        *pareto.sentences(tried),
    ]
    if not done:
        return lines
    best = done[0]
    epochs = next(spent for trial, spent in in_turn(tried) if trial is best)
    outcome = f"**Best: {in_markdown(best.label)}**, `{metric}` {tables.written(best.score, metric)}, found by trial "
    outcome += f"{best.number} after {epochs} epochs"
    own = next((t for t in done if t.label == paper), None)
    if own and own is not best:
        rank = done.index(own) + 1
        outcome += f"; the paper's setting scores {tables.written(own.score, metric)} there"
        outcome += f" and is number {rank} of {len(done)}"
    lines.append(outcome + ". The best of many noisy scores is partly luck: only runs made afterwards judge it.")
    return [*lines, *_agreement(importances(tried))]


def _agreement(measures: Sequence[Importance]) -> list[str]:
    """Whether the two measures of importance can be had, and whether they name the same knob first."""
    if not measures:
        return [f"Too few trials or knobs to say which matters: {FEWEST} complete trials of two knobs are needed."]
    first, other = measures[0].knob, max(measures, key=lambda m: m.of_ranks).knob
    if first == other:
        return []
    return [
        f"**The two measures of importance disagree about the first knob:** {in_markdown(first)} by PED-ANOVA, "
        f"{in_markdown(other)} by its share of rank variance. Trust neither ranking from this search alone."
    ]


def importance_table(tried: Sequence[Trial]) -> list[str]:
    """The two measures side by side, with what they are."""
    from pandas import DataFrame

    measures = importances(tried)
    if not measures:
        return []
    shown = DataFrame(
        {
            "knob": m.knob,
            "trials": m.trials,
            "PED-ANOVA": f"{m.ped_anova:.2f}",
            "share of rank variance": f"{m.of_ranks:.2f}",
        }
        for m in measures
    )
    return [
        "**How much each knob matters, by two measures**",
        tables.markdown(shown),
        f"<sub>PED-ANOVA (Optuna): what sets the best {100 * TOP:.0f} % of the trials apart from all, as a share of "
        "the sum over knobs. Share of rank variance: how much of the variance of all trials' ranks lies between the "
        "values of the knob (numbers in thirds), less what chance puts there. Both describe the trials of this search, "
        "which lie where its sampler looked, and the noise of single seeds is in both.</sub>",
    ]


def pruned_table(tried: Sequence[Trial], rows: Sequence[Row]) -> list[str]:
    """Trials stopped early, folded away, each with its last score: none of them is a result."""
    from pandas import DataFrame

    stopped = {row.row: row.stopped for row in rows if row.stopped}
    lines = [
        {
            "setting": t.label,
            "state": "PRUNED",
            "epochs": t.epochs,
            "last score": tables.PENDING if math.isnan(t.last) else f"{t.last:.1f}",
            "why": stopped.get(t.label, ""),
        }
        for t in tried
        if t.state == "pruned"
    ]
    if not lines:
        return []
    table = tables.markdown(DataFrame(lines), left=True)
    return [f"<details><summary>Trials stopped early ({len(lines)})</summary>\n\n{table}\n\n</details>"]
