"""Samplers that propose many settings at once."""

import itertools
import statistics
from pathlib import Path

import optuna
import pytest
from studies import drive, study

from apc.search import samplers
from apc.search.samplers import SAMPLERS, sampler
from search_spaces import joint


def under_way(name: str) -> list[float]:
    """Twelve settings proposed at once, behind twenty that ended around a sharp optimum."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: -abs(trial.suggest_float("theta", 0.0, 1.0) - 0.3), n_trials=20)
    proposed = []
    for number in range(20, 32):
        study.sampler = sampler(name, 0, number)
        proposed.append(study.ask().suggest_float("theta", 0.0, 1.0))
    return proposed


def apart(values: list[float]) -> float:
    return statistics.fmean(abs(a - b) for a, b in itertools.combinations(values, 2))


def test_tpe_proposes_many_at_once_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = under_way("tpe")
    blind = {"tpe": lambda seed, own: optuna.samplers.TPESampler(seed=own, constant_liar=False)}
    monkeypatch.setattr(samplers, "SAMPLERS", SAMPLERS | blind)
    assert apart(ours) > 3 * apart(under_way("tpe"))


def test_no_sampler_warns_over_the_view_of_knobs_that_not_every_setting_has(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("gp", "cmaes", "qmc"):
        s = study(tmp_path / name, 12, space=joint, sampler=name)
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # as where another library sets it
        drive(s)
    assert capfd.readouterr().err == ""
