"""What runs that were finished earlier say about a space, as trials that a new study knows from the start."""

import json
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from apc.config import from_dict, to_dict
from apc.files import one_look
from apc.runs.folder import load_runs
from apc.runs.mirror import opened
from apc.runs.rows import Row, score
from apc.runs.scores import curve_score
from apc.search.study_settings import StudyDefinition
from apc.training.run import identity


def begun_warm(study: optuna.Study) -> bool:
    """Whether a study knows earlier results."""
    return any("warm" in trial.user_attrs for trial in study.get_trials(deepcopy=False))


def check_folder(folder: Path) -> None:
    """ValueError where there is none."""
    if not opened(folder).is_dir():
        raise ValueError(f"--warm-start {folder}: there is no such folder")


def earlier_trials(definition: StudyDefinition) -> list[FrozenTrial]:
    """A trial for each setting of the space that finished runs of the same base config score; empty without a warm
    start. ValueError where there is none in the folder that was named."""
    folder = definition.settings.warm_start
    if folder is None:
        return []
    rows_of: dict[str, list[Row]] = {}
    with one_look():
        for row in load_runs(opened(folder)):
            if values := _setting_of(row, definition):
                rows_of.setdefault(json.dumps(values, sort_keys=True), []).append(row)
    scored = (_trial(json.loads(text), rows, definition) for text, rows in rows_of.items())
    trials = [trial for trial in scored if trial is not None]
    if not trials:
        raise ValueError(
            f"--warm-start {folder}: none of its finished runs has this search's base config and data "
            "and a setting of its space"
        )
    return trials


def _trial(values: dict[str, Any], rows: list[Row], definition: StudyDefinition) -> FrozenTrial | None:
    """A setting with the means of its rows; None where they lack an objective."""
    means = [mean for name in definition.settings.objectives if (mean := score(rows, name)) is not None]
    if len(means) < len(definition.settings.objectives):
        return None
    trial = optuna.trial.FixedTrial(values)
    definition.space(trial)
    return optuna.trial.create_trial(
        params=trial.params,
        distributions=trial.distributions,
        values=means,
        user_attrs={"values": values, "warm": [row.run for row in rows]},
        intermediate_values=_at_rungs(rows, definition),
    )


def _at_rungs(rows: Sequence[Row], definition: StudyDefinition) -> dict[int, float]:
    """What a setting scored at the rungs of a study that halves, as far as its runs were scored there; empty of any
    other study. It is what samplers are shown of it that compare all trials at the first rung."""
    if definition.settings.stop_early != "halving":
        return {}
    by = curve_score(definition.settings.objectives[0])
    curves = [{int(entry["epoch"]): entry[by] for entry in row.curve if by in entry} for row in rows]
    rungs = definition.settings.rungs_over(definition.base).epochs[:-1]
    found = {epoch: [curve[epoch] for curve in curves if epoch in curve] for epoch in rungs}
    return {epoch: statistics.fmean(values) for epoch, values in found.items() if values}


def _setting_of(row: Row, definition: StudyDefinition) -> dict[str, Any] | None:
    """The row's setting of the space, or None where it is of another base config, of other data or outside."""
    base = definition.base
    try:
        paths = {name: getattr(base, name) for name in ("root", "weights", "deeplab_weights")}
        cfg = replace(from_dict(row.config), **paths)
        if row.error or row.config.get("dataset") != base.dataset or identity(cfg) != row.run:
            return None
    except ValueError:  # of another version, or of a data set or weights that are not here
        return None
    config = to_dict(cfg)
    trial = optuna.trial.FixedTrial(config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a value outside its range is what is looked for
            values = definition.space(trial)
    except ValueError:
        return None
    inside = all(
        kind._contains(kind.to_internal_repr(trial.params[name])) for name, kind in trial.distributions.items()
    )
    same = to_dict(replace(from_dict(values, base), seed=cfg.seed)) == config
    return values if inside and same else None
