"""A study that begins with what finished runs of another one have shown."""

from dataclasses import replace
from pathlib import Path

import pytest
from studies import BASE, drive, study, train

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
