"""Small studies of a joint search space, without Ray, whose proposals are recorded in tests/golden/studies.jsonl.

Nothing is trained: a run's score is a formula of its setting, climbs to its value over nine epochs and is written as a
run would write it. One study a sampler, one of two objectives, and one that gives up bad trials, whose whole journal
is in tests/golden/journal.jsonl.
"""

import functools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from golden_runs import digits

from apc.config import Config, pocket, to_dict
from apc.runs.folder import save_run
from apc.runs.rows import Row
from apc.search import spaces
from apc.search.search_settings import SearchSettings
from apc.search.spaces import Above, Choice, Real, Space, Whole
from apc.search.study import Study, Trial
from apc.search.study_settings import StudyDefinition
from search_spaces import joint

SPACE: Space = {
    "pooling": Choice(("adaptive_k", "top_k", "max", "average")),
    "k": Whole(2, 12, when={"pooling": ("top_k", "adaptive_k")}),
    "theta": Real(0.5, 0.98, when={"pooling": ("adaptive_k",)}),
    "lambda1": Real(0.001, 1.0, log=True),
    "lambda2": Real(0.0, 0.1, step=0.005),
    "epsilon": Real(0.6, 0.95, when={"lambda2": Above(0.0)}),
}
"""search_spaces/joint.py as it was when they were recorded."""
BASE = replace(pocket(), weights="", epochs=9, eval_every=1)
TRIALS = 12
SETTINGS = {
    sampler: SearchSettings(trials=TRIALS, sampler=sampler)
    for sampler in ("tpe", "gp", "cmaes", "nsga2", "random", "qmc")
}
SETTINGS |= {
    "tpe, asha": SearchSettings(trials=TRIALS, stop_early="asha", search_seed=1),
    "nsga2, front": SearchSettings(trials=TRIALS, sampler="nsga2", objectives=("miou", "train_seconds")),
}
JOURNAL = "tpe, asha"
"""The study whose whole journal is recorded."""
_TIMES = ("worker_id", "datetime_start", "datetime_complete")


def quality(cfg: Config) -> float:
    """A surface whose top is at lambda1 = 0.1, theta = 0.7; the pooling and the seed count too."""
    return 50 - 5 * abs(math.log10(cfg.lambda1) + 1) - 20 * abs(cfg.theta - 0.7) + len(cfg.pooling) / 10 - cfg.seed


def conduct(name: str, runs: Path) -> list[dict[str, Any]]:
    """Carry a study out, two seeds a setting, one trial at a time: a line a trial, its setting and what it was told."""
    draw = functools.partial(spaces.suggest, SPACE)
    definition = StudyDefinition(
        draw, name="golden", base=BASE, seeds=(0, 1), settings=SETTINGS[name], first=(joint.PAPER,)
    )
    study = Study(definition, runs)
    while trial := study.take():
        pretend(study, trial)
        study.finish(trial)
    return [
        {"setting": rounded(point.values), "state": trial.state.name, "told": rounded(trial.values)}
        for (point, _), trial in zip(study.result(), study.ended, strict=True)
    ]


def pretend(study: Study, trial: Trial) -> None:
    """Leave what training would: a log that grows until the study gives the trial up, and a row a seed."""
    folder = study.runs / trial.ids[0]
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for epoch in range(1, BASE.epochs + 1):
        entry = {"epoch": epoch, "seconds": 2.0 * epoch, "miou": quality(trial.configs[0]) * epoch / BASE.epochs}
        lines.append(json.dumps(entry) + "\n")
        (folder / "curve.jsonl").write_text("".join(lines))
        if study.should_stop(trial):
            return
    for cfg, run in zip(trial.configs, trial.ids, strict=True):
        score, seconds = {"miou": quality(cfg)}, {"train": float(cfg.k)}
        save_run(study.runs, Row(run=run, config=to_dict(cfg), metrics=score, seconds=seconds))


def journal(runs: Path) -> list[dict[str, Any]]:
    """Lines of a study's journal but for when and by which process they were written."""
    lines = [json.loads(line) for line in (runs / "golden.journal").read_text().splitlines()]
    return [{k: rounded(v) for k, v in line.items() if k not in _TIMES} for line in lines]


def rounded(value: Any) -> Any:
    """A plain value, every number in it to six digits."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return digits(value) if isinstance(value, float) else value
