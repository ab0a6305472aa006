"""The figures of one group of rows: which kinds an experiment shows, drawn, and as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from apc.reporting import tables
from apc.reporting.figures import rows as figures
from apc.reporting.figures import staged, two_knobs
from apc.reporting.figures.one_knob import PAIRS
from apc.reporting.figures.one_knob import panels as values_panels
from apc.reporting.figures.sweeps import sweeps
from apc.reporting.groups import Group
from apc.reporting.searches import figures as search_figures
from apc.reporting.searches import pareto
from apc.reporting.searches.trials import Trial
from apc.reporting.table_entry import TableEntry
from apc.runs.rows import Row

NAMES = {
    "miou": "decoder (miou)",
    "tune_miou": "decoder, tuning half (tune_miou)",
    "miou_crf": "decoder + CRF (miou_crf)",
    "patch_miou": "patch branch (patch_miou)",
}
"""Lines and points of the figures, by metric."""


def pictures(
    entry: TableEntry,
    group: Group,
    stages: staged.Stages | None,
    found: Sequence[Trial],
    races: Mapping[str, Sequence[Trial]],
    every: Sequence[str],
    name: str,
    place: str,
    reports: Path,
) -> list[str]:
    """The experiment's figures, written below `reports` and shown inline.

    `found` are the trials of a search, `races` those of the searches it is compared with, `every` the labels of the
    table with those not run yet.
    """
    labels = [label for label in every if group.scores(label, entry.metric)]
    if stages:
        first = stages.labels.get((stages.best1 or 0.0, 0.0))
        labels = list(dict.fromkeys(label for label in (stages.best, stages.default, first) if label))
    metric = entry.metric

    spread = _spread(group, labels, metric)

    def rows(path: Path) -> Path:
        measured = tables.measured(group, ("miou", "miou_crf"))
        scores = {m: {label: group.scores(label, m) for label in every} for m in measured}
        printed = entry.printed or {}
        return figures.rows_beside_paper(scores, NAMES, printed, f"here ({place})", "paper (VOC 2012 val)", path)

    def classes(path: Path) -> Path | None:
        scores = {label: by_class for label in labels if (by_class := _by_class(group, label))}
        return figures.by_class(scores, NAMES["miou"], path) if scores else None

    def curves(path: Path) -> Path | None:
        runs = {label: [_curve(row) for row in group.rows if row.row == label] for label in labels}
        return figures.curves(runs, path)

    def values(path: Path) -> Path | None:
        names = {m: NAMES[m] for m in tables.measured(group, ("miou", "patch_miou"))}
        panels = values_panels(entry, group, place, names)
        return sweeps(panels, path) if panels else None

    times = two_knobs.timed(group, labels, metric)
    aside = "" if any("processor" in name for name in times) else "; runs side by side slow each other"
    kinds: dict[str, tuple[str, Callable[[Path], Path | None]]] = {
        "sweeps": (
            f"Score over the two weights: {spread}",
            lambda path: sweeps(staged.panels(group, stages, place, NAMES), path) if stages else None,
        ),
        "values": (f"Score over the values of one knob, the others held: {spread}", values),
        "rows": (f"Rows beside the paper's values, each on its own axis: {spread}", rows),
        "classes": (f"IoU of each class: {spread.replace(', single seeds', '')}", classes),
        "curves": (
            "Training curves of the terms of the loss and of the score: "
            + ("mean, single seeds faint" if "mean" in spread else spread),
            curves,
        ),
        "time": (
            f"Score against training time: {spread.replace('deviation', 'deviation both ways')}{aside}",
            lambda path: two_knobs.time_and_accuracy(times, metric, path),
        ),
        "history": (
            f"The search's history: `{metric}` of each trial and the best so far, over trials and over trained epochs"
            + ("; on the right the Pareto front" if pareto.front(found) else ""),
            lambda path: search_figures.history(found, metric, _paper(entry, stages), path),
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
    for kind in entry.figures if labels else ():
        if kind == "heat":
            for pair in PAIRS:
                if grid := two_knobs.cells(group, pair, metric):
                    title = f"Mean `{metric}` over {pair[0]} and {pair[1]}; white was not run, ★ is the best"
                    path = reports / "figures" / f"{name}.{pair[0]}-{pair[1]}"
                    text.append(_shown(title, two_knobs.heat_map(grid, pair, metric, path)))
        else:
            title, draw = kinds[kind]
            if drawn := draw(reports / "figures" / f"{name}.{kind}"):
                text.append(_shown(title, drawn))
    return text


def _spread(group: Group, labels: Sequence[str], metric: str) -> str:
    """What the points of a figure are: one seed has no deviation to show."""
    most = max((len(group.scores(label, metric)) for label in labels), default=0)
    return "mean, one standard deviation, single seeds" if most > 1 else "one seed each"


def _curve(row: Row) -> list[dict[str, float]]:
    """A run's curve, which ends with its final scores: those of the last epoch stand among its metrics alone."""
    scored = dict.fromkeys(name for epoch in row.curve for name in epoch if name in row.metrics)
    if not scored or not row.curve:
        return row.curve
    return [*row.curve[:-1], {name: row.metrics[name] for name in scored} | row.curve[-1]]


def _paper(entry: TableEntry, stages: staged.Stages | None) -> str:
    return stages.default if stages else entry.reference


def _shown(title: str, path: Path) -> str:
    alt = title.replace("`", "")
    return f"![{alt}](figures/{path.name})\n\n<sub>{title}. [PDF](figures/{path.stem}.pdf)</sub>"


def _by_class(group: Group, label: str) -> dict[str, list[float]]:
    """Class name -> IoU of each seed without CRF, classes absent from the ground truth left out; empty of a row that
    is another's runs after the CRF."""
    found: dict[str, list[float]] = {}
    for row in group.rows:
        if row.row == label and not row.run.endswith("@crf"):
            for name, value in zip(row.classes, row.per_class.get("miou", []), strict=False):
                if value is not None:
                    found.setdefault(name, []).append(value)
    return found
