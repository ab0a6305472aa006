"""Milliseconds of the processor that a study costs per trial, without Ray: proposed, counted, told, 16 under way."""

import math
import tempfile
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import search_spaces
from apc.config import Config, pocket, to_dict
from apc.runs.folder import RunFolder, save_run
from apc.runs.rows import Row
from apc.search.search_settings import SearchSettings
from apc.search.study import Study, Trial
from apc.search.study_in_rungs import study_of
from apc.search.study_settings import StudyDefinition
from search_spaces import joint

AT_ONCE = 16
BASE = replace(pocket(), epochs=9)
KINDS: dict[str, dict[str, Any]] = {
    "random": {"sampler": "random"},
    "tpe": {},
    "tpe, stop when": {"stop_when": "miou 99"},
    "tpe, halving": {"stop_early": "halving"},
}


def quality(cfg: Config) -> float:
    """A made-up score."""
    return 50 - 5 * abs(math.log10(cfg.lambda1) + 1) - 20 * abs(cfg.theta - 0.7)


def pretend(study: Study, trial: Trial, like: Row) -> None:
    """Leave what a training would: a curve to the rung, or a row."""
    cfg, run = trial.configs[0], trial.ids[0]
    last = trial.until or cfg.epochs
    curve = [{"epoch": e, "seconds": float(e), "loss": 1.0, "miou": quality(cfg) * e / 9} for e in range(1, last + 1)]
    RunFolder(study.runs / run).write_epochs(curve)
    if not trial.until:
        metrics = like.metrics | {"miou": quality(cfg)}
        save_run(study.runs, replace(like, run=run, config=to_dict(cfg), metrics=metrics, curve=curve))


def cost(kind: str, trials: int, like: Row) -> list[tuple[int, float]]:
    """(trials handed out, milliseconds of each of the latest half of them) after 10, 100, ... of them."""
    settings, marks = SearchSettings(trials=trials, **KINDS[kind]), list[tuple[int, float]]()
    with tempfile.TemporaryDirectory() as folder:
        draw = search_spaces.draw_of(joint, BASE)
        definition = StudyDefinition(draw, name="scale", base=BASE, seeds=[0], settings=settings)
        study = study_of(definition, Path(folder))
        under_way, spent = deque[Trial](), [0.0]
        while not study.through:
            began = time.process_time()
            while len(under_way) < AT_ONCE and (trial := study.take()):
                under_way.append(trial)
                assert study.counts
                spent.append(spent[-1] + time.process_time() - began)
                began = time.process_time()
            trial = under_way.popleft()
            pretend(study, trial, like)
            began = time.process_time()
            study.finish(trial)
            assert study.counts
            spent[-1] += time.process_time() - began
    for size in (size for size in (10, 100, 1000, 10_000) if size < len(spent)):
        half = max(size // 2, size - 200)
        marks.append((size, 1000 * (spent[size] - spent[half]) / (size - half)))
    return marks


def time_study(trials: int, like: Row) -> None:
    """Print what each kind of study costs."""
    for kind in KINDS:
        marks = cost(kind, trials, like)
        print(f"{kind:16}" + ", ".join(f"{each:.1f} ms at {size}" for size, each in marks), flush=True)
