"""Figures of a table: its rows beside the paper's values, IoU by class, training curves.

Each function takes plain numbers, writes <path>.png and <path>.pdf and returns the PNG's path; the same numbers give
the same bytes.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apc.reporting.figures.style import COLOURS, MARKERS, empty, legend_below, once, save
from apc.reporting.verdicts.statistics import summary

_TERMS = {
    "mce": "mce: image classes",
    "pce": "pce: patch contrast",
    "seg": "seg: decoder",
    "cls": "cls: image classes",
    "aux": "aux: image classes, inner block",
    "et": "et: two views alike (ViT-PCM)",
    "reg": "reg: classifier's weights (ViT-PCM)",
    "aff": "aff: affinity (AFA)",
    "ptc": "ptc: patch tokens (ToCo)",
    "ctc": "ctc: class tokens (ToCo)",
    "energy": "energy: dense",
    "loss": "loss: weighted sum",
}
Seeds = Mapping[int, float]
"""Score by seed."""


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
    figure, (ours, paper) = empty(7, 3.2, 1, 2, width_ratios=(1.5, 1))
    labels = list(dict.fromkeys(label for rows in scores.values() for label in rows))
    for i, (metric, rows) in enumerate(scores.items()):
        shift = (i - (len(scores) - 1) / 2) * 0.26
        found = [(at + shift, list(rows[label].values())) for at, label in enumerate(labels) if rows.get(label)]
        single = [(at + 0.08, value) for at, seeds in found for value in seeds]
        look: dict[str, Any] = {"marker": MARKERS[i], "color": COLOURS[i], "linestyle": "none"}
        ours.plot([at for at, _ in single], [value for _, value in single], markersize=3, alpha=0.4, **look)
        means = [summary(seeds) for _, seeds in found]
        spread = [s.std if s.n > 1 else 0.0 for s in means]
        at_means = [at for at, _ in found]
        ours.errorbar(at_means, [s.mean for s in means], spread, markersize=6, capsize=3, label=names[metric], **look)
    for at, label in enumerate(labels):
        if not any(rows.get(label) for rows in scores.values()):
            ours.text(at, 0.5, "pending", transform=ours.get_xaxis_transform(), ha="center", color="#666666")
    paper.plot(
        range(len(labels)),
        [printed.get(label, math.nan) for label in labels],
        marker="D",
        markersize=6,
        color="black",
        linestyle="none",
    )
    for at, label in enumerate(labels):
        if label in printed:
            paper.annotate(
                f"{printed[label]:.1f}",
                (at, printed[label]),
                textcoords="offset points",
                xytext=(0, 6),
                ha="center",
                fontsize=8,
            )
    for ax, name in ((ours, title), (paper, paper_title)):
        ax.set_title(name, fontsize=9)
        ax.set_ylabel("mIoU (%)")
        ax.set_xticks(range(len(labels)), labels)
        ax.set_xlim(-0.6, len(labels) - 0.4)
        ax.margins(y=0.15)
        ax.grid(axis="x", visible=False)
    paper.tick_params(axis="x", labelsize=7)
    legend_below(figure, [ours])
    return save(figure, path)


@once
def by_class(scores: Mapping[str, Mapping[str, Sequence[float]]], metric: str, path: Path) -> Path:
    """IoU of each class: row -> class -> one value a seed; mean and standard deviation, classes from top to bottom."""
    classes = list(dict.fromkeys(name for rows in scores.values() for name in rows))
    figure, (ax,) = empty(5, 1.1 + 0.3 * len(classes), 1, 1)
    for i, (label, rows) in enumerate(scores.items()):
        shift = (i - (len(scores) - 1) / 2) * 0.8 / max(len(scores), 1)
        found = [(at + shift, summary(rows[name])) for at, name in enumerate(classes) if rows.get(name)]
        ax.errorbar(
            [s.mean for _, s in found],
            [at for at, _ in found],
            xerr=[s.std if s.n > 1 else 0 for _, s in found],
            marker=MARKERS[i % 8],
            markersize=4,
            capsize=0,
            linewidth=1,
            linestyle="none",
            color=COLOURS[i % 8],
            label=label,
        )
    for at in range(1, len(classes)):
        ax.axhline(at - 0.5, color="#e6e6e6", linewidth=0.6)
    ax.set_yticks(range(len(classes)), classes)
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"IoU of the class (%), {metric}")
    legend_below(figure, [ax])
    return save(figure, path)


@once
def curves(runs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], path: Path) -> Path | None:
    """Training curves, row -> runs -> epochs: a panel for each loss term and score, thick the mean, thin each seed."""
    epochs = [epoch for curves_of in runs.values() for curve in curves_of for epoch in curve]
    keys = [
        k
        for k in dict.fromkeys(k for epoch in epochs for k in epoch)
        if k not in ("epoch", "epochs", "seconds", "cpu_seconds", "final", "lr")
    ]
    keys = [k for k in keys if k not in ("tune_miou", "held_miou") or "miou" not in keys]  # its halves
    keys = sorted(keys, key=lambda k: ("miou" in k, k == "loss"))
    if not keys:
        return None
    columns = 2 if len(keys) == 4 else min(len(keys), 3)
    lines = math.ceil(len(keys) / columns)
    figure, axes = empty(7, 0.5 + 2.1 * lines, lines, columns)
    for ax, key in zip(axes, keys, strict=False):
        for i, (label, curves_of) in enumerate(runs.items()):
            seen: dict[float, list[float]] = {}
            for curve in curves_of:
                points = [(e["epoch"], e[key]) for e in curve if isinstance(e.get(key), int | float) and "epoch" in e]
                ax.plot([x for x, _ in points], [y for _, y in points], color=COLOURS[i % 8], alpha=0.25, linewidth=0.7)
                for x, y in points:
                    seen.setdefault(x, []).append(y)
            means = [summary(seen[x]).mean for x in sorted(seen)]
            ax.plot(
                sorted(seen),
                means,
                color=COLOURS[i % 8],
                marker=MARKERS[i % 8],
                markersize=3,
                linewidth=1.5,
                label=label,
            )
        ax.set_title(_TERMS.get(key, key), fontsize=9)
        ax.set_xlabel("epoch")
        ax.set_ylabel("mIoU (%)" if "miou" in key else "loss, before its weight" if key != "loss" else "weighted sum")
        ax.locator_params(axis="x", integer=True)
    for ax in axes[len(keys) :]:
        ax.set_visible(False)
    legend_below(figure, axes[:1])
    return save(figure, path)
