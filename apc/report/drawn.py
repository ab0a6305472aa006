"""The figures of one group of rows: which kinds an experiment shows, drawn, and as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from apc.report import figures, grids, lambdas, search_figures, tables
from apc.report.catalogue import Experiment
from apc.report.groups import Group
from apc.report.searches import Trial
from apc.report.sweeps import sweeps

NAMES = {
    "miou": "decoder (miou)",
    "tune_miou": "decoder, tuning half (tune_miou)",
    "miou_crf": "decoder + CRF (miou_crf)",
    "patch_miou": "patch branch (patch_miou)",
}
"""Lines and points of the figures, by metric."""


def pictures(
    experiment: Experiment, group: Group, stages: lambdas.Stages | None, found: Sequence[Trial],
    races: Mapping[str, Sequence[Trial]], every: Sequence[str], name: str, place: str, reports: Path,
) -> list[str]:
    """The experiment's figures, written below `reports` and shown inline.

    `found` are the trials of a search, `races` those of the searches it is compared with, `every` the labels of the
    table with those not run yet.
    """  # fmt: skip
    labels = [label for label in every if group.scores(label, experiment.metric)]
    if stages:
        first = stages.labels.get((stages.best1 or 0.0, 0.0))
        labels = list(dict.fromkeys(label for label in (stages.best, stages.default, first) if label))
    metric = experiment.metric

    def rows(path: Path) -> Path:
        measured = tables.measured(group, ("miou", "miou_crf"))
        scores = {m: {label: group.scores(label, m) for label in every} for m in measured}
        printed = experiment.printed or {}
        return figures.rows_beside_paper(scores, NAMES, printed, f"here ({place})", "paper (VOC 2012 val)", path)

    def classes(path: Path) -> Path | None:
        scores = {label: _by_class(group, label) for label in labels}
        return figures.by_class(scores, NAMES["miou"], path) if any(scores.values()) else None

    def curves(path: Path) -> Path | None:
        runs = {label: [row.curve for row in group.rows if row.row == label] for label in labels}
        return figures.curves(runs, path)

    def values(path: Path, knob: str) -> Path | None:
        shown = {m: NAMES[m] for m in tables.measured(group, ("miou", "patch_miou"))}
        return grids.over_values(group, knob, shown, path)

    kinds: dict[str, tuple[str, Callable[[Path], Path | None]]] = {
        "sweeps": (
            "Score over the two weights: mean, one standard deviation, single seeds",
            lambda path: sweeps(lambdas.panels(group, stages, place), NAMES, path) if stages else None,
        ),
        "rows": (
            "Rows beside the paper's values, each on its own axis: mean, one standard deviation, single seeds",
            rows,
        ),
        "classes": ("IoU of each class: mean and one standard deviation over seeds", classes),
        "curves": (
            "Training curves of the losses (image classes, patch contrast, segmentation): mean and seeds",
            curves,
        ),
        "time": (
            "Score against training time: mean, one standard deviation both ways, single seeds; runs side by side slow "
            "each other",
            lambda path: grids.time_and_accuracy(group, labels, metric, path),
        ),
        "history": (
            f"The search's history: `{metric}` of each trial and the best so far, over trials and over trained epochs",
            lambda path: search_figures.history(found, metric, _paper(experiment, stages), path),
        ),
        "knobs": (
            f"`{metric}` of each trial against each knob; a knob stands only where its condition holds",
            lambda path: search_figures.against_knobs(found, metric, path),
        ),
        "parallel": (
            f"Parallel coordinates: each line is a trial, from its knobs to its `{metric}`; knobs over two decades are "
            "on a logarithmic axis",
            lambda path: search_figures.parallel(found, metric, path),
        ),
        "race": (
            "Best score so far of both searches over the epochs they trained. A point of the joint search is one seed, "
            "of the staged search a mean of three: levels are not comparable, the table above judges",
            lambda path: search_figures.race(races, "tune_miou", path),
        ),
    }
    text: list[str] = []
    for kind in experiment.figures if labels else ():
        if kind == "heat":
            for pair in grids.PAIRS:
                if grid := grids.cells(group, pair, metric):
                    title = f"Mean `{metric}` over {pair[0]} and {pair[1]}; white was not run, ★ is the best"
                    path = reports / "figures" / f"{name}.{pair[0]}-{pair[1]}"
                    text.append(_shown(title, grids.heat_map(grid, pair, metric, path)))
        elif kind == "values":
            for knob in experiment.knobs or ():
                if drawn := values(reports / "figures" / f"{name}.{knob}", knob):
                    text.append(_shown(f"Sensitivity to {knob}: mean and one standard deviation over seeds", drawn))
        else:
            title, draw = kinds[kind]
            if drawn := draw(reports / "figures" / f"{name}.{kind}"):
                text.append(_shown(title, drawn))
    return text


def _paper(experiment: Experiment, stages: lambdas.Stages | None) -> str:
    return stages.default if stages else experiment.reference


def _shown(title: str, path: Path) -> str:
    alt = title.replace("`", "")
    return f"![{alt}](figures/{path.name})\n\n<sub>{title}. [PDF](figures/{path.stem}.pdf)</sub>"


def _by_class(group: Group, label: str) -> dict[str, list[float]]:
    """Class name -> IoU of each seed, classes absent from the ground truth left out."""
    found: dict[str, list[float]] = {}
    for row in group.rows:
        if row.row == label:
            for name, value in zip(row.classes, row.per_class.get("miou", []), strict=False):
                if value is not None:
                    found.setdefault(name, []).append(value)
    return found
