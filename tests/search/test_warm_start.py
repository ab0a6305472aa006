"""A study that begins with what finished runs of another one have shown."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from studies import BASE, drive, quality, study, train

from apc.config import to_dict
from apc.runs.folder import save_run
from apc.runs.rows import Row
from apc.training.run import identity
from search_spaces import simple


def test_a_warm_start_knows_what_lies_in_its_space_and_nothing_else(tmp_path: Path) -> None:
    early = tmp_path / "early"
    inside = replace(BASE, lambda1=0.1, lambda2=0.01, theta=0.7)
    others = [
        replace(BASE, lambda1=2.0, lambda2=0.01, theta=0.7),  # outside the range
        replace(inside, epochs=3),
        replace(inside, k=3),  # of another base config
    ]
    for cfg in (inside, replace(inside, seed=1), *others):
        train(early, cfg, identity(cfg))
    train(early, replace(inside, theta=0.8), "ofotherdata0")
    s = study(tmp_path / "late", 3, warm_start=early)
    warm = [trial for trial in s.study.trials if "warm" in trial.user_attrs]
    assert [trial.params for trial in warm] == [{"lambda1": 0.1, "lambda2": 0.01, "theta": 0.7}]
    assert warm[0].value == pytest.approx(49.5)  # mean of two seeds
    assert s.ended == [] and s.counts.waiting == 3
    assert drive(s)[0] == simple.FIRST[0]
    assert len(drive(study(tmp_path / "late", 4, warm_start=early))) == 4  # and is not added again
    with pytest.raises(ValueError, match="--warm-start .*none of its finished runs"):
        study(tmp_path / "none", 3, warm_start=early, base=replace(BASE, batch_size=4))


def test_a_refused_warm_start_is_refused_again_and_leaves_nothing_behind(tmp_path: Path) -> None:
    early, late = tmp_path / "early", tmp_path / "late"
    early.mkdir()
    for _ in range(2):
        with pytest.raises(ValueError, match="--warm-start .*none of its finished runs"):
            study(late, 3, warm_start=early)
    assert [path.stat().st_size for path in late.iterdir()] == [0]
    cfg = replace(BASE, lambda1=0.1, lambda2=0.01, theta=0.7)
    train(early, cfg, identity(cfg))
    s = study(late, 3, warm_start=early, objectives=("miou", "train_seconds"), sampler="nsga2")
    assert [trial.params["lambda1"] for trial in s.study.trials if "warm" in trial.user_attrs] == [0.1]
    assert drive(s)[0] == simple.FIRST[0]


def test_a_warm_start_that_comes_to_a_study_begun_without_one_is_refused(tmp_path: Path) -> None:
    early, late, cfg = tmp_path / "early", tmp_path / "late", replace(BASE, lambda1=0.1, lambda2=0.01, theta=0.7)
    train(early, cfg, identity(cfg))
    study(late, 3)
    with pytest.raises(ValueError, match=r"--warm-start .*early: the study in .* was begun without one; give --runs"):
        study(late, 3, warm_start=early)
    with pytest.raises(ValueError, match="--warm-start .*absent: there is no such folder"):
        study(late, 3, warm_start=tmp_path / "absent")
    warm = study(tmp_path / "warm", 3, warm_start=early)
    assert len(drive(warm)) == len(drive(study(tmp_path / "warm", 3))) == 3  # without the flag it goes on


def test_a_search_by_labels_begun_warm_tells_one_kind_of_score_without_the_flag_too(tmp_path: Path) -> None:
    early, cfg = tmp_path / "early", replace(BASE, lambda1=0.1, lambda2=0.01, theta=0.7)
    save_run(early, Row(run=identity(cfg), config=to_dict(cfg), metrics={"border_rule": 3.0}, seconds={}))
    by_labels = {"objectives": ("border_rule",)}
    assert study(tmp_path / "late", 3, warm_start=early, **by_labels).rescored is None
    assert study(tmp_path / "late", 3, **by_labels).rescored is None
    assert study(tmp_path / "cold", 3, **by_labels).rescored is not None


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_where_all_stand_at_the_first_rung_earlier_runs_do_too_or_are_left_out(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = tmp_path / "early"
    at_rung, without = (replace(BASE, lambda1=0.1, lambda2=0.01, theta=theta, eval_every=0) for theta in (0.7, 0.8))
    for cfg, curve in {at_rung: [{"epoch": 4, "miou": 20.0}], without: [{"epoch": 4}]}.items():
        row = Row(run=identity(cfg), config=to_dict(cfg), metrics={"miou": quality(cfg)}, seconds={}, curve=curve)
        save_run(early, row)
    more = {"base": replace(BASE, eval_every=0), "stop_early": "halving", "rungs": (4, 9), "sampler": sampler}
    s = study(tmp_path / "late", 9, warm_start=early, **more)
    shown: list[dict[float, float | None]] = []

    class Watched(optuna.samplers.RandomSampler):
        def sample_independent(self, study: optuna.Study, *words: Any) -> Any:
            known = {trial.params["theta"]: trial.value for trial in study.trials if "warm" in trial.user_attrs}
            shown.append({theta: value for theta, value in known.items() if value is not None})
            return super().sample_independent(study, *words)

    monkeypatch.setattr("apc.search.study.sampler", lambda *_: Watched(seed=0))
    assert s.take() and s.take()  # the paper's setting, and one that is drawn
    assert shown[0] == ({0.7: 50.0, 0.8: pytest.approx(48.0)} if sampler == "tpe" else {0.7: 20.0})
