"""The figures of one group of rows: which kinds an experiment shows, drawn, and as Markdown."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from apc.escaping import in_markdown
from apc.reporting import tables
from apc.reporting.figures import one_knob, staged, two_knobs
from apc.reporting.figures import rows as row_figures
from apc.reporting.figures.regrets import regret_bars
from apc.reporting.figures.sweeps import sweeps
from apc.reporting.groups import Group
from apc.reporting.names import for_people, row_name, score_name
from apc.reporting.searches import figures as search_figures
from apc.reporting.searches import pareto
from apc.reporting.searches.choosers import Choosers
from apc.reporting.searches.comparison import Race
from apc.reporting.searches.trials import Trial
from apc.reporting.searches.tuning_curve import Band
from apc.reporting.table_entry import TableEntry
from apc.runs.rows import Row

NAMES = {
    "miou": "decoder",
    "tune_miou": "decoder, half that chose",
    "miou_crf": "decoder, after the CRF",
    "patch_miou": "patch branch",
}
"""Lines and points of the figures, by metric."""


@dataclass(frozen=True)
class Shown:
    """What the figures of one group are drawn of."""

    entry: TableEntry
    group: Group
    place: str
    """Data set, and what sets the group apart, in words."""
    table_labels: Sequence[str]
    """Rows of the table, those not run yet among them."""
    stages: staged.Stages | None
    trials: Sequence[Trial]
    """Of a search."""
    races: Mapping[str, Race]
    """The searches that it is compared with, by their titles."""
    choosers: Choosers | None = None
    """Scores that settings may be chosen by, judged."""
    replays: Band | None = None
    """Of such a search."""

    @property
    def labels(self) -> list[str]:
        """Rows with a score; of stages the best setting, the paper's and the best of the first stage."""
        scored = [label for label in self.table_labels if self.group.scores(label, self.entry.metric)]
        if not (stages := self.stages):
            return scored
        first = stages.labels.get((stages.best1 or 0.0, 0.0))
        return list(dict.fromkeys(label for label in (stages.best, stages.default, first) if label))

    @property
    def places(self) -> list[str]:
        """Rows by whose places colours and markers go, those without a score too: a row looks alike in all figures."""
        return self.labels if self.stages else list(self.table_labels)

    @property
    def spread(self) -> str:
        """What the points of a figure are: one seed has no deviation to show."""
        most = max((len(self.group.scores(label, self.entry.metric)) for label in self.labels), default=0)
        return "mean, one standard deviation, single seeds" if most > 1 else "one seed each"

    @property
    def paper(self) -> str:
        """Label of the paper's setting."""
        return self.stages.default if self.stages else self.entry.reference


Drawn = tuple[str, Path | None]
"""What a figure shows, and its PNG; None where there is nothing to draw."""


def figures(shown: Shown, stem: Path) -> list[str]:
    """The experiment's figures, written as `stem`.KIND.png and .pdf, as Markdown."""
    if not shown.labels:
        return []
    return [text for kind in shown.entry.figures for text in _drawn(kind, shown, Path(f"{stem}.{kind}"))]


def _drawn(kind: str, shown: Shown, path: Path) -> list[str]:
    """The figures of a kind as Markdown; one that cannot be drawn costs the page no more than itself."""
    try:
        return [_markdown(caption, png) for caption, png in KINDS[kind](shown, path) if png]
    except Exception as error:
        told = f"{shown.entry.name} on {shown.place}: the figure {kind!r} cannot be drawn: {error!r}"
        warnings.warn(f"{told}; the page is made without it", stacklevel=2)
        return [f"> **Mind:** {in_markdown(told)}. This is a fault of the program."]


def _markdown(caption: str, path: Path) -> str:
    alt = for_people(caption).replace("`", "")
    return f"![{alt}](figures/{path.name})\n\n<sub>{caption}. [PDF](figures/{path.stem}.pdf)</sub>"


def _sweeps(shown: Shown, path: Path) -> list[Drawn]:
    panels = staged.panels(shown.group, shown.stages, shown.place, NAMES) if shown.stages else []
    caption = f"Score over the two weights: {shown.spread}"
    return [(caption, sweeps(panels, path) if panels else None)]


def _values(shown: Shown, path: Path) -> list[Drawn]:
    names = {metric: NAMES[metric] for metric in tables.measured(shown.group, ("miou", "patch_miou"))}
    panels = one_knob.panels(shown.entry, shown.group, shown.place, names)
    caption = f"Score over the values of one knob, the others held: {shown.spread}"
    return [(caption, sweeps(panels, path) if panels else None)]


def _rows(shown: Shown, path: Path) -> list[Drawn]:
    group, printed = shown.group, shown.entry.printed or {}
    scores = {
        metric: {row_name(label): group.scores(label, metric) for label in shown.table_labels}
        for metric in _of_rows(shown)
    }
    printed = {row_name(label): value for label, value in printed.items()}
    caption = f"Rows beside the paper's values, each on its own axis: {shown.spread}"
    here, paper = f"here ({shown.place})", "paper (VOC 2012 val)"
    return [(caption, row_figures.rows_beside_paper(scores, _named(scores), printed, here, paper, path))]


def _of_rows(shown: Shown) -> list[str]:
    """The scores of the rows' figure: before and after the CRF, or the one that rows are compared by."""
    usual = ("miou", "miou_crf")
    own = shown.entry.metric
    return tables.measured(shown.group, usual if own in usual else (own,))


def _named(metrics: Iterable[str]) -> dict[str, str]:
    return {metric: NAMES.get(metric, score_name(metric)) for metric in metrics}


def _classes(shown: Shown, path: Path) -> list[Drawn]:
    scores = {row_name(label): class_scores(shown.group, label) for label in shown.places}
    caption = f"IoU of each class: {shown.spread.replace(', single seeds', '')}"
    return [(caption, row_figures.by_class(scores, NAMES["miou"], path) if any(scores.values()) else None)]


def _curves(shown: Shown, path: Path) -> list[Drawn]:
    rows = {label: [row for row in shown.group.rows if row.row == label] for label in shown.places}
    curves = {row_name(label): [whole_curve(row) for row in own] for label, own in rows.items()}
    points = "mean, single seeds faint" if "mean" in shown.spread else shown.spread
    caption = f"Training curves of the terms of the loss and of the score: {points}"
    return [(caption, row_figures.curves(curves, path))]


def _time(shown: Shown, path: Path) -> list[Drawn]:
    if len(shown.group.stamped("device")) > 1:
        return []  # seconds of a processor and of a GPU have no axis in common
    times = two_knobs.timed(shown.group, shown.places, shown.entry.metric)
    times = {clock: {row_name(label): seeds for label, seeds in rows.items()} for clock, rows in times.items()}
    aside = "" if any("processor" in name for name in times) else "; runs side by side slow each other"
    caption = f"Score against training time: {shown.spread.replace('deviation', 'deviation both ways')}{aside}"
    return [(caption, two_knobs.time_and_accuracy(times, shown.entry.metric, path))]


def _heat(shown: Shown, path: Path) -> list[Drawn]:
    metric, drawn = shown.entry.metric, list[Drawn]()
    for pair in one_knob.PAIRS:
        if grid := two_knobs.cells(shown.group, pair, metric):
            caption = f"Mean `{metric}` over {pair[0]} and {pair[1]}; white was not run, ★ is the best"
            place = path.with_suffix(f".{pair[0]}-{pair[1]}")
            drawn.append((caption, two_knobs.heat_map(grid, pair, metric, place)))
    return drawn


def _history(shown: Shown, path: Path) -> list[Drawn]:
    metric = shown.entry.metric
    caption = f"The search's history: `{metric}` of each trial and the best so far; then the best so far over its cost"
    if shown.replays:
        caption += f", on what {shown.replays.what} of such a search on APC-Bench give in 80 %"
    elif not any(trial.state == "pruned" for trial in shown.trials):
        caption += ", on what the same trials give in 80 % of all orders"
    caption += "; on the right the Pareto front" if pareto.front(shown.trials) else ""
    return [(caption, search_figures.history_and_cost(shown.trials, metric, shown.paper, shown.replays, path))]


def _knobs(shown: Shown, path: Path) -> list[Drawn]:
    metric = shown.entry.metric
    caption = (
        f"Slices: `{metric}` of each trial along each knob, with the mean of the trials nearby where ten have it; "
        "a knob stands only where its condition holds"
    )
    return [(caption, search_figures.against_knobs(shown.trials, metric, path))]


def _race(shown: Shown, path: Path) -> list[Drawn]:
    caption = (
        "Best score so far of the searches over the epochs they trained. A point is the mean of as many seeds as the "
        "search trains of a setting: levels are not comparable, the table above judges"
    )
    trials = {title: search.trials for title, search in shown.races.items()}
    metric = next((search.metric for search in shown.races.values()), "")
    return [(caption, search_figures.race(trials, metric, path))]


def _choosers(shown: Shown, path: Path) -> list[Drawn]:
    if not (found := shown.choosers):
        return []
    caption = (
        "What the choice by each score loses against the best setting, mean over draws of settings; dotted, what the "
        "choice by so many masks loses"
    )
    return [(caption, regret_bars({name: j.regret for name, j in found.scores.items()}, found.masks, path))]


KINDS: dict[str, Callable[[Shown, Path], list[Drawn]]] = {
    "rows": _rows,
    "classes": _classes,
    "curves": _curves,
    "time": _time,
    "values": _values,
    "heat": _heat,
    "sweeps": _sweeps,
    "history": _history,
    "knobs": _knobs,
    "choosers": _choosers,
    "race": _race,
}
"""Kinds of figures, as an entry names them."""


def whole_curve(row: Row) -> list[dict[str, float]]:
    """A run's curve, which ends with its final scores: those of the last epoch stand among its metrics alone."""
    scored = dict.fromkeys(name for epoch in row.curve for name in epoch if name in row.metrics)
    if not scored or not row.curve:
        return row.curve
    return [*row.curve[:-1], {name: row.metrics[name] for name in scored} | row.curve[-1]]


def class_scores(group: Group, label: str) -> dict[str, list[float]]:
    """Class name -> IoU of each seed without CRF, classes absent from the ground truth left out; empty of a row that
    is another's runs after the CRF."""
    scores: dict[str, list[float]] = {}
    for row in group.rows:
        if row.row == label and not row.run.endswith("@crf"):
            for name, value in zip(row.classes, row.per_class.get("miou", []), strict=False):
                if value is not None:
                    scores.setdefault(name, []).append(value)
    return scores
