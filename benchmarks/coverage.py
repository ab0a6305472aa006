"""How often intervals hold the truth: over images, over seeds that may collapse, over many looks.

    python benchmarks/coverage.py [--draws 1000]

Over images one run's photographs are taken for all there are, so that the true difference of two runs is known; n of
them are drawn, and an interval is made from these. Over seeds the differences are drawn: normal ones, and such where
one seed in seven falls by ten standard deviations. Prints the tables of docs/explanation/statistics.md; about two
minutes on one core.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from apc.reporting.verdicts import over_images
from apc.reporting.verdicts.intervals import LEVEL, SURE, Summary, apart, median, more_seeds, seeds_for, summary
from apc.reporting.verdicts.looks import ERROR, FIRST_LOOK
from apc.reporting.verdicts.over_images import Images, miou

ROOT = Path(__file__).resolve().parents[1] / "reports/reference"
PHOTOGRAPHS = (20, 40, 60, 100, 225)
RESAMPLES = 400
COLLAPSE, FALL = 1 / 7, 10.0
"""How often a seed collapses, and by how many standard deviations it falls."""

Ends = tuple[float, float]


def populations() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Counts of pairs of runs of Table 7, on both data sets: of other rows, and of other seeds of one row."""
    for dataset in ("pocket", "voc-animals"):
        path = next(ROOT.rglob(f"results/table7_pooling/{dataset}.images.npz"))
        counts = {run: own for run, own in over_images.read(path)[0].counts.items() if "." not in run}
        runs = list(counts.values())
        for a, b in ((0, 1), (0, -1), (len(runs) // 2, -1)):
            yield dataset, runs[a].astype(float), runs[b].astype(float)


def percentile(a: np.ndarray, b: np.ndarray, chance: np.random.Generator) -> Ends:
    """The bootstrap that stood here before: 2.5 and 97.5 percentiles of resampled differences."""
    n = len(a)
    draws = chance.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)
    sums = [(draws @ own.reshape(n, -1)).reshape(RESAMPLES, *own.shape[1:]) for own in (a, b)]
    low, high = np.percentile(miou(sums[0]) - miou(sums[1]), [2.5, 97.5])
    return float(low), float(high)


def jackknife(a: np.ndarray, b: np.ndarray, chance: np.random.Generator) -> Ends:
    """What the page prints."""
    over_images.LEAST_IMAGES = 2
    over = Images({"a": a, "b": b}).difference([("a", "miou")], [("b", "miou")])
    assert over is not None
    return over.low, over.high


def of_images(draws: int) -> None:
    """Coverage by number of photographs: the mean over pairs of runs, and the worst pair."""
    methods: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Ends]]
    methods = {"percentile bootstrap": percentile, "jackknife t": jackknife}
    print(f"| photographs | {' | '.join(f'{name}: mean, range over pairs of runs' for name in methods)} |")
    print("|---|" + "---|" * len(methods))
    pairs = list(populations())
    for n in PHOTOGRAPHS:
        cells = []
        for interval in methods.values():
            shares = []
            for _, a, b in pairs:
                true = float(miou(a.sum(0)) - miou(b.sum(0)))
                chance, held = np.random.default_rng(0), 0
                times = draws if interval is jackknife else draws // 4
                for _ in range(times):
                    drawn = chance.integers(len(a), size=n)
                    low, high = interval(a[drawn], b[drawn], chance)
                    held += low <= true <= high
                shares.append(100 * held / times)
            cells.append(f"{np.mean(shares):.1f} %, {min(shares):.1f} to {max(shares):.1f} %")
        print(f"| {n} | {' | '.join(cells)} |", flush=True)


def differences(chance: np.random.Generator, size: tuple[int, ...], collapse: float) -> np.ndarray:
    """Scores of seeds about 0, of which a share falls."""
    drawn: np.ndarray = chance.standard_normal(size) - FALL * (chance.random(size) < collapse)
    return drawn


def of_seeds(draws: int) -> None:
    """Coverage of the mean's and of the median's interval, and what the rule of seeds out of line sees."""
    print("\n| seeds | collapses | mean, t | median, exact (its level) | rows with a seed out of line: mean, t |")
    print("|---|---|---|---|---|")
    for collapse in (0.0, COLLAPSE):
        middle = float(np.median(differences(np.random.default_rng(1), (1_000_000,), collapse)))
        for n in (3, 5, 6, 10, 20):
            t = held = seen = seen_held = 0
            for values in differences(np.random.default_rng(0), (draws, n), collapse).tolist():
                found, of = summary(values), median(values)
                covered = found.low <= -FALL * collapse <= found.high
                t += covered
                held += of.low <= middle <= of.high
                if apart(dict(enumerate(values))):
                    seen += 1
                    seen_held += covered
            level = median([0.0] * n).level
            told = f"{100 * seen / draws:.0f} %: {100 * seen_held / seen:.0f} %" if seen else "–"
            share = f"{100 * held / draws:.0f} % ({100 * level:.0f} %)"
            print(f"| {n} | {'one in seven' if collapse else 'none'} | {100 * t / draws:.0f} % | {share} | {told} |")


def smallest_errors(series: int, most: int, collapse: float) -> np.ndarray:
    """(series, looks): the smallest two-sided error at which an interval of the looks so far excludes 0, of the
    differences of two rows that are equally good."""
    from scipy.special import stdtr

    chance, parts = np.random.default_rng(0), []
    n = np.arange(1, most + 1)
    for _ in range(0, series, 10_000):
        x = differences(chance, (10_000, most), collapse)
        if collapse:
            x = x - differences(chance, (10_000, most), collapse)
        sums, squares = x.cumsum(1), (x * x).cumsum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            t = sums / np.sqrt(n * (squares - sums * sums / n) / (n - 1))
        errors = 2 * stdtr(n[FIRST_LOOK - 1 :] - 1, -np.abs(t[:, FIRST_LOOK - 1 :]))
        parts.append(np.minimum.accumulate(errors, 1).astype(np.float32))
    return np.concatenate(parts)


def looks(series: int) -> None:
    """False verdicts of equal rows where a seed is added until one falls, by most seeds."""
    normal, fallen = (smallest_errors(series, max(ERROR), collapse) for collapse in (0.0, COLLAPSE))
    print("\n| most seeds | looking at 95 % each time | `--decide` | and one seed in seven collapses | exact level |")
    print("|---|---|---|---|---|")
    for most in (4, 5, 6, 8, 10, 15, 20, 30, 50):
        at = normal[:, most - FIRST_LOOK]
        shares = [
            np.mean(at < 1 - LEVEL),
            np.mean(at < ERROR[most]),
            np.mean(fallen[:, most - FIRST_LOOK] < ERROR[most]),
        ]
        exact = np.quantile(at, 1 - LEVEL)
        print(f"| {most} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} | {exact:.5f} |")


def seeds_to_come(draws: int) -> None:
    """How often the range of further seeds holds what the true effect needs, where nothing is decided yet."""
    print(f"\n| seeds so far | need in all | in the range ({100 * SURE:.0f} %) | with an end | one number, 5 to 95 % |")
    print("|---|---|---|---|---|")
    for n in (3, 5, 8):
        for effect in (1.0, 0.5):
            need, held, bounded, numbers = seeds_for(effect) or 0, 0, 0, []
            chance, cases = np.random.default_rng(0), 0
            half = stdtrit(n - 1, (1 + LEVEL) / 2) / math.sqrt(n)
            for values in chance.standard_normal((draws, n)) + effect:
                mean, std = float(values.mean()), float(values.std(ddof=1))
                if abs(mean) > half * std:
                    continue  # decided
                cases += 1
                more = more_seeds(Summary(n, mean, std, 0.0, 0.0))
                numbers.append((seeds_for(mean / std) or 1000) - n)
                if more:
                    held += more.least <= max(need - n, 1) <= (more.most or math.inf)
                    bounded += more.most is not None
            low, high = np.percentile(numbers, [5, 95])
            shares = f"{100 * held / cases:.0f} % | {100 * bounded / cases:.0f} %"
            print(f"| {n} | {need} | {shares} | {low:.0f} to {high:.0f} |")


def main() -> None:
    """All tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="draws a cell (default: 1000)")
    draws = parser.parse_args().draws
    of_images(draws)
    of_seeds(2 * draws)
    looks(100 * draws)
    seeds_to_come(draws // 2)


if __name__ == "__main__":
    main()
