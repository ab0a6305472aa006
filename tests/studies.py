"""Studies without Ray for tests: a made-up score stands in for a training, and rows are written as it would."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import search_spaces
from apc.config import Config, to_dict
from apc.runs.folder import RunFolder, load_run, save_run
from apc.runs.rows import Row
from apc.search.search_settings import SearchSettings
from apc.search.spaces import Draw
from apc.search.study import Study, Trial
from apc.search.study_in_rungs import study_of
from apc.search.study_settings import StudyDefinition
from search_spaces import simple

BASE = Config(num_train=8, num_val=4, encoder="pocket", decoder_blocks=(1, 2, 3), epochs=9, eval_every=1, crf="none")


def quality(cfg: Config) -> float:
    """A surface with its top at lambda1 = 0.1, theta = 0.7."""
    return 50 - 5 * abs(math.log10(cfg.lambda1) + 1) - 20 * abs(cfg.theta - 0.7) - cfg.seed


def train(runs: Path, cfg: Config, run: str) -> None:
    row = Row(run=run, config=to_dict(cfg), metrics={"miou": quality(cfg)}, seconds={"train": 60.0 * cfg.k + cfg.theta})
    save_run(runs, row)


def study(runs: Path, trials: int, space: Any = simple, seeds: tuple[int, ...] = (0,), **more: Any) -> Study:
    base, name, first = more.pop("base", BASE), more.pop("name", "s"), more.pop("first", space.FIRST)
    draw: Draw = search_spaces.draw_of(space, base)
    made = definition(draw, SearchSettings(trials=trials, **more), base, seeds, first)
    return study_of(replace(made, name=name), runs)


def definition(
    draw: Draw, settings: SearchSettings, base: Config = BASE, seeds: tuple[int, ...] = (0,), first: Any = ()
) -> StudyDefinition:
    return StudyDefinition(draw, name="s", base=base, seeds=seeds, settings=settings, first=first)


Left = Callable[[RunFolder, Config, int], dict[str, float]]
"""What a run leaves after an epoch, or after 0 at the end: scores beside its mIoU."""


def advance(s: Study, trial: Trial, left: Left = lambda *_: {}) -> list[tuple[str, int]]:
    """Train a trial as far as it is handed out; (run, epoch) of every epoch that was trained."""
    trained = []
    for cfg, run in list(zip(trial.configs, trial.ids, strict=True))[: 1 if trial.until else None]:
        folder = RunFolder(s.runs / run)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.forget_the_end()
        curve = folder.epochs()
        for epoch in range(len(curve) + 1, min(trial.until or cfg.epochs, cfg.epochs) + 1):
            trained.append((run, epoch))
            curve.append({"epoch": epoch, "seconds": 2.0 * epoch})
            if epoch in s.scored:
                curve[-1] |= {"miou": quality(cfg) * epoch / cfg.epochs} | left(folder, cfg, epoch)
        folder.write_epochs(curve)
        if not (trial.until or load_run(s.runs, run)):
            config, metrics = to_dict(cfg), {"miou": quality(cfg)} | left(folder, cfg, 0)
            save_run(
                s.runs, Row(run=run, config=config, metrics=metrics, seconds={"train": 2.0 * cfg.epochs}, curve=curve)
            )
    return trained


def drive(s: Study) -> list[dict[str, Any]]:
    """Train all that it proposes, one at a time; the settings."""
    while trial := s.take():
        for cfg, run in zip(trial.configs, trial.ids, strict=True):
            train(s.runs, cfg, run)
        s.finish(trial)
    assert s.through
    return [point.values for point, _ in s.result()]


TEN = replace(BASE, epochs=10, frozen_epochs=1, eval_every=0)


def halving(runs: Path, trials: int = 9, **more: Any) -> Study:
    """In one bracket unless `more` says otherwise, and without a setting tried first unless it names a space or one."""
    usual = {"base": TEN, "stop_early": "halving", "rungs": (1, 3, 10), "keep_share": 1 / 3, "bracket": 100}
    return study(runs, trials, **{**usual, **({} if "space" in more else {"first": ()}), **more})


def finish(s: Study) -> list[tuple[str, int]]:
    """Train all of a study, one trial at a time; the epochs trained."""
    trained = []
    while trial := s.take():
        trained += advance(s, trial)
        s.finish(trial)
    assert s.through
    return trained


def table(s: Study) -> list[Any]:
    return [
        (point.values, [(row.run, row.metrics, row.stopped, row.error, row.curve) for row in rows])
        for point, rows in s.result()
    ]


def arrive(s: Study) -> None:
    """The next trial, trained to the first rung."""
    trial = s.take()
    assert trial and trial.until
    advance(s, trial)
    s.finish(trial)
