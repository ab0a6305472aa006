"""Studies without Ray for tests: a made-up score stands in for a training, and rows are written as it would."""

import math
from pathlib import Path
from typing import Any

import search_spaces
from apc.config import Config, to_dict
from apc.runs.folder import save_run
from apc.runs.rows import Row
from apc.search.spaces import Draw, SearchSettings
from apc.search.study import Study
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
    base = more.pop("base", BASE)
    draw: Draw = search_spaces.draw_of(space, base)
    return Study(definition(draw, SearchSettings(trials=trials, **more), base, seeds, space.FIRST), runs)


def definition(
    draw: Draw, settings: SearchSettings, base: Config = BASE, seeds: tuple[int, ...] = (0,), first: Any = ()
) -> StudyDefinition:
    return StudyDefinition(draw, name="s", base=base, seeds=seeds, settings=settings, first=first)


def drive(s: Study) -> list[dict[str, Any]]:
    """Train all that it proposes, one at a time; the settings."""
    while trial := s.take():
        for cfg, run in zip(trial.configs, trial.ids, strict=True):
            train(s.runs, cfg, run)
        s.finish(trial)
    assert s.through
    return [point.values for point, _ in s.result()]
