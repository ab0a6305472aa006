"""The tuning curve: the best score so far over what it cost, and what the same trials would have given in any order."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from apc.reporting.figures.style import COLOURS
from apc.reporting.searches.trials import Trial, best_so_far, complete

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARES = (0.1, 0.5, 0.9)
"""Quantiles over all orders: the band's edges and what stands between them."""

MOST = 100
"""Points of a curve; more show nothing."""


class Orders(NamedTuple):
    """Best so far if the complete trials had come in a random order, each at the same share of all epochs."""

    epochs: list[float]
    low: list[float]
    middle: list[float]
    high: list[float]


def best_of(scores: Sequence[float], drawn: int, share: float) -> float:
    """Quantile of the best of so many of the scores over all orders in which they may come, exactly.

    Of n scores, i of them at most s, the best of m is at most s in a share C(i,m) / C(n,m) of the orders.
    """
    ordered = sorted(scores)
    part, whole = Fraction(str(share)).as_integer_ratio()  # no float holds what a thousand trials come to
    wanted = part * math.comb(len(ordered), drawn)
    return ordered[bisect_left(range(1, len(ordered)), wanted, key=lambda at: whole * math.comb(at, drawn))]


def in_any_order(tried: Sequence[Trial]) -> Orders:
    """What all orders of the complete trials give; epochs of failed ones are shared among them."""
    done = complete(tried)
    scores, sign = [trial.gain for trial in done], -1 if done[0].lowers else 1
    counts = sorted({*range(1, len(scores) + 1, math.ceil(len(scores) / MOST)), len(scores)})
    each = sum(trial.epochs for trial in tried) / len(scores)
    low, middle, high = ([sign * best_of(scores, drawn, share) for drawn in counts] for share in SHARES[::sign])
    return Orders([drawn * each for drawn in counts], low, middle, high)


def tuning_curve(ax: "Axes", tried: Sequence[Trial], low: float) -> None:
    """Best so far over the epochs trained, on the band of all orders; nothing is drawn below `low`."""
    if not any(trial.state == "pruned" for trial in tried):  # which trials are pruned hangs on the order
        _band(ax, tried, low)
    found = best_so_far(tried)
    x, y = [entry.epochs for entry in found], [entry.score for entry in found]
    ax.step(x, y, where="post", color=COLOURS[1], linewidth=1.6, label="best so far")
    ax.set_xlabel("cost: epochs trained, all seeds together")
    ax.set_xlim(left=0)
    ax.locator_params(axis="x", integer=True)


def _band(ax: "Axes", tried: Sequence[Trial], low: float) -> None:
    """What the same trials give in 80 % of all orders, and their median."""
    orders = in_any_order(tried)
    bottom, top = ([max(score, low) for score in line] for line in (orders.low, orders.high))
    look: dict[str, Any] = {"color": "#bbbbbb", "alpha": 0.6, "linewidth": 0, "label": "any order, 80 %"}
    ax.fill_between(orders.epochs, bottom, top, step="post", **look)
    middle = [score if score >= low else math.nan for score in orders.middle]
    ax.step(orders.epochs, middle, where="post", color="#555555", linewidth=1, linestyle=":", label="any order, median")
