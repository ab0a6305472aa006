"""The files an experiment leaves in `<reports>/results/<experiment>/`: rows, counts by image, trials, best.toml."""

import io
import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.config import Config, from_dict, to_dict
from apc.escaping import in_csv, one_line
from apc.files import UNREADABLE, write_atomically, write_encoded
from apc.runs.compared import RULE
from apc.runs.folder import load_tallies
from apc.runs.rows import Row, load_rows, save_rows, score, unbeaten
from apc.runs.scores import LABEL_SCORES, LOWER_IS_BETTER
from apc.search.plans import Point, Result

if TYPE_CHECKING:
    from pandas import DataFrame

CHOSEN_BY = {"half": ("tune_miou", "held_miou"), "labels": LABEL_SCORES, "vote": (RULE,)}
"""Scores by the rule of choosing that they stand for, the last one that has them; all others are of all masks."""


def write_rows(
    path: Path,
    experiment: str,
    result: Result,
    labels: Sequence[str],
    metric: str,
    search: Mapping[str, Any] | None = None,
    smoke: bool = False,
) -> None:
    """Write the rows beside those of earlier calls; in their stamp the rule by which settings are chosen, how a space
    was searched, as `search`, and whether it is a `smoke` run."""
    stamped: dict[str, Any] = ({"search": dict(search)} if search else {}) | ({"smoke": True} if smoke else {})
    for rule, metrics in CHOSEN_BY.items():
        stamped |= {"selection": rule} if metric in metrics else {}
    rows = [
        replace(row, experiment=experiment, row=point.label, stamp=row.stamp | (stamped if row.stamp else {}))
        for point, rows in result
        for row in rows
    ]
    save_rows(path, merged(load_rows(path) if path.is_file() else [], rows, labels))


def merged(earlier: Sequence[Row], new: Sequence[Row], labels: Sequence[str] = ()) -> list[Row]:
    """Rows of earlier calls and of this one, by label and seed; `labels` come first, the others as they appear.

    A run of both is taken from this call, unless it failed now and did not then: its score still holds.
    """
    scored = {row.run for row in earlier if not row.error}
    new = [row for row in new if not (row.error and row.run in scored)]
    repeated = {row.run for row in new}
    rank = {label: i for i, label in enumerate(dict.fromkeys([*labels, *(row.row for row in (*new, *earlier))]))}
    rows = [*(row for row in earlier if row.run not in repeated), *new]
    return sorted(rows, key=lambda row: (rank[row.row], row.config["seed"]))


def write_images(path: Path, runs: Path, rows: Sequence[Row]) -> None:
    """Write what each photograph scored in each run to `path` (.npz), beside what is there: counts (n,3,C).

    The three are the pixels of a class that are right, that the truth has and that were called so; the mIoU of any
    choice of photographs follows from their sums. Under the run's name stand those of the headline protocol, under
    `<run>.miou_crf` those after the CRF. Runs whose folder has neither file,
    such as those of another machine, keep what was written of them before.
    """
    import numpy as np

    counts: dict[str, Any] = {}
    with suppress(*UNREADABLE), np.load(path) as stored:
        counts = {run: stored[run] for run in stored.files}
    for row in rows:
        for name, protocol in ((row.run, "miou"), (f"{row.run}.miou_crf", "miou_crf")):
            with suppress(*UNREADABLE):
                tallies = load_tallies(runs / row.run, protocol)
                counts[name] = tallies.astype(np.uint16 if tallies.max(initial=0) < 2**16 else np.uint32)
    if counts:
        arrays = io.BytesIO()
        np.savez_compressed(arrays, **counts)
        write_encoded(path, arrays.getvalue())


def trials_of(result: Result, knobs: Sequence[str], metrics: Sequence[str] = ()) -> "DataFrame":
    """A line a run, in the order proposed: its setting, how it ended, scores in percent, seconds.

    Of two `metrics` the column `front` says which settings lie on the Pareto front.
    """
    import pandas as pd

    chosen = front(result, metrics) if len(metrics) > 1 else []
    lines: list[dict[str, Any]] = []
    for number, (point, rows) in enumerate(result, start=1):
        for row in rows:
            state = "failed" if row.error else "stopped" if row.stopped else "done"
            setting = {name: point.values.get(name) for name in knobs}
            seconds = {f"{name}_seconds": value for name, value in row.seconds.items()}
            outcome = {"state": state, "reason": row.error or row.stopped, "epochs": len(row.curve), "run": row.run}
            outcome |= {"front": point in chosen} if len(metrics) > 1 else {}
            lines.append({"trial": number, **setting, "seed": row.config["seed"], **outcome, **row.metrics, **seconds})
    return pd.DataFrame(lines)


def write_trials(path: Path, result: Result, knobs: Sequence[str], metrics: Sequence[str] = ()) -> None:
    """Write `trials_of` to `<path>.trials.csv` and `.parquet`."""
    frame = trials_of(result, knobs, metrics)
    write_atomically(path.with_suffix(".trials.csv"), frame.map(in_csv).rename(columns=in_csv).to_csv(index=False))
    columns = io.BytesIO()
    frame.to_parquet(columns, index=False)
    write_encoded(path.with_suffix(".trials.parquet"), columns.getvalue())


def write_best(path: Path, winner: Point, base: Config, comments: Sequence[str]) -> None:
    """Write the winner's config as TOML for `apc train --config`, without what is one machine's or one run's; above it
    what it is, a line a comment."""
    import tomli_w

    cfg = from_dict(winner.values, base)
    fields = {k: v for k, v in to_dict(cfg).items() if k not in {"root", "seed", *files_of(cfg)}}
    told = "".join(f"# {one_line(comment)}\n" for comment in comments)
    write_atomically(path, told + tomli_w.dumps(fields))


def files_of(cfg: Config) -> dict[str, str]:
    """The files of weights of a config, by their fields: best.toml has none of them, so a command must name them."""
    named = {"weights": cfg.weights, "deeplab_weights": cfg.deeplab_weights}
    return {name: file for name, file in named.items() if file not in ("", "timm", "pocket")}


def winner_of(result: Result, metric: str) -> Point | None:
    """Point with the best mean of `metric`; the one proposed first where two are level, None where none has a score."""
    scored = [(point, mean) for point, rows in result if (mean := score(rows, metric)) is not None]
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return max(scored, key=lambda pair: sign * pair[1])[0] if scored else None


def front(result: Result, metrics: Sequence[str]) -> list[Point]:
    """Points of the Pareto front: those that no other point beats in one score without losing in another."""
    means = [[score(rows, metric) for metric in metrics] for _, rows in result]
    scores = [[math.nan if mean is None else mean for mean in own] for own in means]
    return [point for (point, _), best in zip(result, unbeaten(scores, metrics), strict=True) if best]


def table(result: Result, metrics: Sequence[str], chosen_by: Result) -> list[str]:
    """Lines for a terminal: mean, spread and number of seeds of every point; of a search those marked that the runs
    `chosen_by` choose, of which there are none where nothing is chosen."""
    width = max((len(point.label) for point, _ in result), default=0)
    chosen = front(chosen_by, metrics) if len(metrics) > 1 else [winner_of(chosen_by, metrics[0])]
    mark = "  front" if len(metrics) > 1 else "  best"
    lines = [f"{'':<{width}}  {', '.join(metrics)}, mean ± standard deviation (seeds)"]
    for point, rows in result:
        cells = []
        for metric in metrics:
            values = [value for row in rows if (value := row.value(metric)) == value]
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):6.2f}{spread} ({len(values)})" if values else "     –")
        failed, stopped = sum(bool(row.error) for row in rows), sum(bool(row.stopped) for row in rows)
        bad = (f"  {failed} failed" if failed else "") + ("  stopped early" if stopped else "")
        lines.append(f"{point.label:<{width}}  {'  '.join(cells)}{bad}{mark if point in chosen else ''}")
    return lines
