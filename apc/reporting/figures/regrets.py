"""The figure of what settings may be chosen by: what the choice by each score loses."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apc.reporting.figures.style import COLOURS, empty, once, save
from apc.reporting.names import score_name

MARKS = (0, 2, 5, 10, 20, 40, 112)
"""Numbers of masks that are marked."""
ROWS = 3
"""Of the numbers on top."""
EVEN = 0.5
"""Points to which the axis is about even; farther out it is logarithmic (asinh), so that small regrets lie apart."""
TICKS = (0, 0.5, 1, 2, 5, 10, 20, 40)


@once
def regret_bars(scores: Mapping[str, float], masks: Mapping[int, float], path: Path) -> Path:
    """A bar a score, the best on top, and a dotted line for each number of masks with the regret of their choice."""
    figure, (ax,) = empty(7, 1.1 + 0.22 * len(scores), 1, 1)
    ordered = sorted(scores.items(), key=lambda pair: -pair[1])
    ax.barh(range(len(ordered)), [regret for _, regret in ordered], color=COLOURS[5], height=0.7)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # or a dotted line runs through a number
    for place, (_, regret) in enumerate(ordered):
        text: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 7, "bbox": box}
        ax.annotate(f"{regret:.2f}", (regret, place), (3, 0), **text)
    ax.set_yticks(range(len(ordered)), [score_name(name) for name, _ in ordered])
    ax.grid(visible=False)
    ax.set_xscale("asinh", linear_width=EVEN)
    # Room for a number, and where each row of them ends, as the axis has them.
    apart, ends = 0.04 * math.asinh(max(scores.values(), default=1) / EVEN), [-math.inf] * ROWS
    for m in sorted((m for m in MARKS if m in masks), key=lambda m: masks[m]):
        ax.axvline(masks[m], color=COLOURS[1], linestyle=":", linewidth=1)
        at = math.asinh(masks[m] / EVEN)
        row = next((row for row, end in enumerate(ends) if at - end > apart), None)
        if row is None:  # no room for its number
            continue
        ends[row] = at
        above = (0, 3 + 9 * row)
        ax.annotate(str(m), (masks[m], len(ordered) - 0.5), above, textcoords="offset points", ha="center", fontsize=7)
    ax.set_ylim(-0.5, len(ordered) - 0.5)
    ax.set_xlim(0)
    ax.set_xticks([], minor=True)
    most = ax.get_xlim()[1]
    ax.set_xticks(shown := [tick for tick in TICKS if tick <= most], [f"{tick:g}" for tick in shown])
    ax.set_xlabel(
        "points of mIoU of the held-out half that a choice by this score loses\n"
        "(dotted: that a choice by so many masked images loses; 0 is a choice at random)\n"
        f"even as far as {EVEN:g}, logarithmic farther out"
    )
    return save(figure, path)
