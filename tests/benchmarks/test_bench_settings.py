"""The runs of APC-Bench: settings that are always the same, spread over the joint space, and how each is trained."""

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from apc.config import from_dict, pocket
from benchmarks.apc_bench import train
from search_spaces import joint


def test_settings_are_always_the_same_and_every_pooling_has_a_quarter_of_them() -> None:
    settings = train.settings()
    assert settings == train.settings() and len({repr(own) for own in settings}) == 100
    assert settings[:10] == train.settings(10)
    poolings = [own["pooling"] for own in settings]
    assert {pooling: poolings.count(pooling) for pooling in set(poolings)} == dict.fromkeys(
        joint.SPACE(pocket())["pooling"].values,  # type: ignore[union-attr]
        25,
    )
    for own in settings:
        from_dict(own, pocket())
        assert ("k" in own) == (own["pooling"] in ("top_k", "adaptive_k")) and ("epsilon" in own) == (
            own["lambda2"] > 0
        )


@pytest.mark.parametrize(
    ("distribution", "ends"),
    [
        (CategoricalDistribution(("a", "b", "c")), ("a", "b", "c")),
        (IntDistribution(2, 36, log=True), (2, 7, 36)),
        (FloatDistribution(0.001, 0.1, log=True), (0.001, 0.01, 0.1)),
        (FloatDistribution(0.0, 0.1, step=0.005), (0.0, 0.05, 0.1)),
        (FloatDistribution(0.5, 0.9), (0.5, 0.7, 0.9)),
    ],
)
def test_a_share_lies_where_it_belongs_on_the_scale_of_its_knob(
    distribution: BaseDistribution, ends: tuple[object, ...]
) -> None:
    found = [train.at(distribution, share) for share in (0.0, 0.5, 1 - 1e-9)]
    assert found == [pytest.approx(end, rel=1e-6) if isinstance(end, float) else end for end in ends]


def test_all_settings_are_trained_with_one_seed_before_the_next_and_scored_every_epoch() -> None:
    configs = train.configs()
    assert [cfg.seed for cfg in configs] == [0] * 100 + [1] * 100 + [2] * 100
    assert {(cfg.eval_every, cfg.crf, cfg.epochs) for cfg in configs} == {(1, "none", pocket().epochs)}
    assert configs[0].k == configs[100].k and configs[0].lambda1 == configs[200].lambda1
