"""Figures of a table: its rows beside the paper's values, IoU by class, training curves.

Each function takes plain numbers, writes <path>.png and <path>.pdf and returns the PNG's path; the same numbers give
the same bytes.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from apc.reporting.figures.style import empty, legend_below, once, points, save
from apc.reporting.names import score_name
from apc.reporting.verdicts.intervals import summary
from apc.runs.scores import SCORES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TERMS = {
    "mce": "mce: image classes",
    "pce": "pce: patch contrast",
    "seg": "seg: decoder",
    "seg_background": "seg: decoder, background",
    "seg_objects": "seg: decoder, objects",
    "cls": "cls: image classes",
    "aux": "aux: image classes, inner block",
    "et": "et: two views alike (ViT-PCM)",
    "reg": "reg: classifier's weights",
    "aff": "aff: affinity (AFA)",
    "ptc": "ptc: patch tokens (ToCo)",
    "ctc": "ctc: class tokens (ToCo)",
    "energy": "energy: dense",
    "loss": "loss: weighted sum",
}
Seeds = Mapping[int, float]
"""Score by seed."""
Curve = Sequence[Mapping[str, Any]]
"""What a run logged, an entry an epoch."""


@once
def rows_beside_paper(
    scores: Mapping[str, Mapping[str, Seeds]],
    names: Mapping[str, str],
    printed: Mapping[str, float],
    title: str,
    paper_title: str,
    path: Path,
) -> Path:
    """Left: metric -> row -> seeds, with mean and standard deviation; right: the paper's values on their own axis."""
    labels = list(dict.fromkeys(label for rows in scores.values() for label in rows))
    figure, (ours, paper) = empty(7, 3.2, 1, 2, width_ratios=(1.5 if len(labels) < 5 else 1.15, 1))
    _measured_rows(ours, scores, names, labels)
    _printed_rows(paper, printed, labels)
    for ax, name in ((ours, title), (paper, paper_title)):
        ax.set_title(name, fontsize=9)
        ax.set_ylabel("mIoU (%)")
        names_of_rows = ["\n".join(_wrapped(label, 15 if ax is ours and len(labels) < 5 else 12)) for label in labels]
        ax.set_xticks(range(len(labels)), names_of_rows, fontsize=7.5 if ax is ours else 7 if len(labels) < 5 else 6)
        ax.set_xlim(-0.6, len(labels) - 0.4)
        ax.margins(y=0.15)
        ax.grid(axis="x", visible=False)
    legend_below(figure, [ours])
    return save(figure, path)


def _wrapped(label: str, width: int) -> list[str]:
    """A row's name in lines; its plus stays with what it adds."""
    return wrap(label.replace("+ ", "+\u00a0"), width, break_on_hyphens=False)


def _measured_rows(
    ax: "Axes", scores: Mapping[str, Mapping[str, Seeds]], names: Mapping[str, str], labels: Sequence[str]
) -> None:
    """Mean and standard deviation of each row beside its single seeds, a series a metric."""
    for i, (metric, rows) in enumerate(scores.items()):
        shift = (i - (len(scores) - 1) / 2) * 0.26
        values = [(at + shift, list(rows[label].values())) for at, label in enumerate(labels) if rows.get(label)]
        single = [(at + 0.08, value) for at, seeds in values for value in seeds]
        ax.plot([at for at, _ in single], [value for _, value in single], **points(i, markersize=3, alpha=0.4))
        means = [summary(seeds) for _, seeds in values]
        spread = [s.std if s.n > 1 else 0.0 for s in means]
        look = points(i, markersize=6, capsize=3, label=names[metric])
        ax.errorbar([at for at, _ in values], [s.mean for s in means], spread, **look)
    for at, label in enumerate(labels):
        if not any(rows.get(label) for rows in scores.values()):
            ax.text(at, 0.5, "pending", transform=ax.get_xaxis_transform(), ha="center", color="#666666")


def _printed_rows(ax: "Axes", printed: Mapping[str, float], labels: Sequence[str]) -> None:
    """The paper's value of each row, with its number."""
    values = [printed.get(label, math.nan) for label in labels]
    ax.plot(range(len(labels)), values, marker="D", markersize=6, color="black", linestyle="none")
    for at, value in enumerate(values):
        if not math.isnan(value):
            text: dict[str, Any] = {"textcoords": "offset points", "xytext": (0, 6), "ha": "center", "fontsize": 8}
            ax.annotate(f"{value:.1f}", (at, value), **text)


@once
def by_class(scores: Mapping[str, Mapping[str, Sequence[float]]], metric: str, path: Path) -> Path:
    """IoU of each class: row -> class -> one value a seed; mean and standard deviation, classes from top to bottom.

    A row without a class is not drawn and keeps its colour."""
    classes = list(dict.fromkeys(name for rows in scores.values() for name in rows))
    drawn = [label for label, rows in scores.items() if rows]
    width, band = (5, 0.3) if len(drawn) <= 6 else (6.2, 0.06 * len(drawn))  # inches; of many rows two columns of names
    figure, (ax,) = empty(width, 1.1 + band * len(classes), 1, 1)
    for i, (label, rows) in enumerate(scores.items()):
        if not rows:
            continue
        shift = (drawn.index(label) - (len(drawn) - 1) / 2) * 0.8 / len(drawn)
        values = [(at + shift, summary(rows[name])) for at, name in enumerate(classes) if rows.get(name)]
        ax.errorbar(
            [s.mean for _, s in values],
            [at for at, _ in values],
            xerr=[s.std if s.n > 1 else 0 for _, s in values],
            **points(i, markersize=4, capsize=0, linewidth=1, label=label),
        )
    for at in range(1, len(classes)):
        ax.axhline(at - 0.5, color="#e6e6e6", linewidth=0.6)
    ax.set_yticks(range(len(classes)), classes)
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(f"IoU of the class (%), {metric}")
    legend_below(figure, [ax])
    return save(figure, path)


@once
def curves(runs: Mapping[str, Sequence[Curve]], path: Path) -> Path | None:
    """Training curves, row -> runs -> epochs: a panel for each loss term and score, thick the mean, thin each seed.

    A row without a run is not drawn and keeps its colour."""
    keys = _terms_and_scores([epoch for curves_of in runs.values() for curve in curves_of for epoch in curve])
    if not keys:
        return None
    columns = 2 if len(keys) == 4 else min(len(keys), 3)
    lines = math.ceil(len(keys) / columns)
    figure, axes = empty(7, 0.5 + 2.1 * lines, lines, columns)
    for ax, key in zip(axes, keys, strict=False):
        for i, (label, curves_of) in enumerate(runs.items()):
            if curves_of:
                _curves_of_row(ax, key, curves_of, i, label)
        ax.set_title(_TERMS.get(key, score_name(key)), fontsize=9)
        ax.set_xlabel("epoch")
        ax.set_ylabel("mIoU (%)" if "miou" in key else "loss, before its weight" if key != "loss" else "weighted sum")
        ax.locator_params(axis="x", integer=True)
    for ax in axes[len(keys) :]:
        ax.set_visible(False)
    legend_below(figure, axes[:1])
    return save(figure, path)


def _terms_and_scores(epochs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the curves hold, in the order of the panels: terms of the loss, their weighted sum, scores."""
    counters = ("epoch", "epochs", "seconds", "cpu_seconds", "final", "lr", "round")
    keys = [key for key in dict.fromkeys(key for epoch in epochs for key in epoch) if key not in counters]
    keys = [key for key in keys if key not in ("tune_miou", "held_miou") or "miou" not in keys]  # its halves
    order = [*_TERMS, *SCORES]
    return sorted(
        keys, key=lambda key: (key in SCORES, key == "loss", order.index(key) if key in order else len(order))
    )


def _curves_of_row(ax: "Axes", key: str, curves_of: Sequence[Curve], series: int, label: str) -> None:
    """One quantity over the epochs, of each run of a row and of their mean."""
    look = points(series)
    colour, marker = look["color"], look["marker"]
    values_at: dict[float, list[float]] = {}
    for curve in curves_of:
        line = [(e["epoch"], e[key]) for e in curve if isinstance(e.get(key), int | float) and "epoch" in e]
        ax.plot([x for x, _ in line], [y for _, y in line], color=colour, alpha=0.25, linewidth=0.7)
        for x, y in line:
            values_at.setdefault(x, []).append(y)
    epochs = sorted(values_at)
    means = [summary(values_at[x]).mean for x in epochs]
    ax.plot(epochs, means, color=colour, marker=marker, markersize=3, linewidth=1.5, label=label)
