"""The figure of what settings may be chosen by: what the choice by each score loses."""

import math
from collections.abc import Mapping
from pathlib import Path

from apc.reporting.figures.style import COLOURS, empty, once, save

MARKS = (0, 2, 5, 10, 20, 40, 112)
"""Numbers of masks that are marked."""
ROWS = 3
"""Of the numbers on top."""


@once
def regret_bars(scores: Mapping[str, float], masks: Mapping[int, float], path: Path) -> Path:
    """A bar a score, the best on top, and a dotted line for each number of masks with the regret of their choice."""
    figure, (ax,) = empty(7, 1.1 + 0.22 * len(scores), 1, 1)
    ordered = sorted(scores.items(), key=lambda pair: -pair[1])
    ax.barh(range(len(ordered)), [regret for _, regret in ordered], color=COLOURS[5], height=0.7)
    for place, (_, regret) in enumerate(ordered):
        ax.annotate(f"{regret:.2f}", (regret, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
    ax.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    ax.grid(visible=False)
    apart, ends = 0.05 * max(scores.values()), [-math.inf] * ROWS  # room for a number, and where each row of them ends
    for m in sorted((m for m in MARKS if m in masks), key=lambda m: masks[m]):
        ax.axvline(masks[m], color=COLOURS[1], linestyle=":", linewidth=1)
        row = next((row for row, end in enumerate(ends) if masks[m] - end > apart), None)
        if row is None:  # no room for its number
            continue
        ends[row] = masks[m]
        above = (0, 3 + 9 * row)
        ax.annotate(str(m), (masks[m], len(ordered) - 0.5), above, textcoords="offset points", ha="center", fontsize=7)
    ax.set_ylim(-0.5, len(ordered) - 0.5)
    ax.set_xlim(0)
    ax.set_xlabel("regret (points of held_miou); on top, masks whose choice loses as much")
    return save(figure, path)
