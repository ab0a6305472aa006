"""The tuning curve: the best score so far over what it cost, on a band of what luck might have made of it."""

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apc.reporting.figures.style import COLOURS
from apc.reporting.searches.trials import Trial, best_so_far, complete

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARES = (0.1, 0.5, 0.9)
"""Quantiles: the band's edges and what stands between them."""

MOST = 100
"""Points of a curve; more show nothing."""


class Band(NamedTuple):
    """What luck does to the best so far: quantiles of it over searches that were not made."""

    what: str
    """Those searches, in words."""
    epochs: list[float]
    low: list[float]
    middle: list[float]
    high: list[float]


def read(path: Path) -> tuple[Band | None, list[str]]:
    """The replays of such a search (`python -m benchmarks.search --band`), None where there is no file of them; and a
    sentence where it is damaged."""
    if not path.is_file():
        return None, []
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        lines = [[float(value) for value in stored[name]] for name in ("epochs", "low", "middle", "high")]
        if (
            not lines[0]
            or {len(line) for line in lines} != {len(lines[0])}
            or not all(map(math.isfinite, sum(lines, [])))
        ):
            raise ValueError("its lines are no band")
        return Band(f"{int(stored['replays'])} replays", *lines), []
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return None, [f"{path.name}: {type(error).__name__}: {error}"]


def best_of(scores: Sequence[float], drawn: int, share: float) -> float:
    """Quantile of the best of so many of the scores over all orders in which they may come, exactly.

    Of n scores, i of them at most s, the best of m is at most s in a share C(i,m) / C(n,m) of the orders.
    """
    ordered = sorted(scores)
    part, whole = Fraction(str(share)).as_integer_ratio()  # no float holds what a thousand trials come to
    wanted = part * math.comb(len(ordered), drawn)
    return ordered[bisect_left(range(1, len(ordered)), wanted, key=lambda at: whole * math.comb(at, drawn))]


def in_any_order(tried: Sequence[Trial]) -> Band:
    """Best so far if the complete trials had come in any order, each at the same share of all epochs; epochs of failed
    ones are shared among them."""
    done = complete(tried)
    scores, sign = [trial.gain for trial in done], -1 if done[0].lowers else 1
    counts = sorted({*range(1, len(scores) + 1, math.ceil(len(scores) / MOST)), len(scores)})
    each = sum(trial.epochs for trial in tried) / len(scores)
    low, middle, high = ([sign * best_of(scores, drawn, share) for drawn in counts] for share in SHARES[::sign])
    return Band("any order", [drawn * each for drawn in counts], low, middle, high)


def tuning_curve(ax: "Axes", tried: Sequence[Trial], low: float, replays: Band | None = None) -> float:
    """Best so far over the epochs trained, on the band of replays or, without, of all orders; nothing is drawn below
    `low`. The highest score drawn."""
    if not replays and not any(
        trial.state == "pruned" for trial in tried
    ):  # which trials are pruned hangs on the order
        replays = in_any_order(tried)
    if replays:
        _draw(ax, replays, low)
    found = best_so_far(tried)
    x, y = [entry.epochs for entry in found], [entry.score for entry in found]
    ax.step(x, y, where="post", color=COLOURS[1], linewidth=1.6, label="best so far")
    ax.set_xlabel("cost: epochs trained, all seeds together")
    ax.set_xlim(left=0)
    ax.locator_params(axis="x", integer=True)
    return max(*y, *replays.high) if replays else max(y)


def _draw(ax: "Axes", band: Band, low: float) -> None:
    """Where 80 % of those searches lie, and their median."""
    bottom, top = ([max(score, low) for score in line] for line in (band.low, band.high))
    look: dict[str, Any] = {"color": "#bbbbbb", "alpha": 0.6, "linewidth": 0, "label": f"{band.what}, 80 %"}
    ax.fill_between(band.epochs, bottom, top, step="post", **look)
    middle = [score if score >= low else math.nan for score in band.middle]
    look = {"color": "#555555", "linewidth": 1, "linestyle": ":", "label": f"{band.what}, median"}
    ax.step(band.epochs, middle, where="post", **look)
