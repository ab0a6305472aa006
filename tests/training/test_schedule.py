"""Learning rates, block by block."""

from dataclasses import replace

import pytest

from apc.config import Config, pocket
from apc.methods.registry import build
from apc.methods.vit_pcm import ViTPCM
from apc.training.schedule import optimizer_of


def rates(cfg: Config) -> dict[str, float]:
    """Share of the learning rate at which each weight learns, by the name of a weight."""
    method = build(cfg, 9)
    method.encoder.open_last(cfg.unfreeze_blocks)
    shares = {p: group["scale"] for group in optimizer_of(method, cfg).param_groups for p in group["params"]}
    return {name: shares[p] for name, p in method.named_parameters() if p in shares}


def test_each_block_learns_at_a_share_of_the_rate_of_the_block_behind_it_and_heads_at_the_whole() -> None:
    found = rates(replace(pocket(), weights="", unfreeze_blocks=3, lr_decay=0.5))
    encoder = {name: rate for name, rate in found.items() if name.startswith("encoder.")}
    starts = {"pos_embed": 0.125, "patch_embed": 0.125, "blocks.0.": 0.25, "blocks.1.": 0.5, "blocks.2.": 1.0}
    for start, rate in (starts | {"norm.": 1.0}).items():
        own = {name: encoder.pop(name) for name in list(encoder) if name.startswith(f"encoder.vit.{start}")}
        assert own and set(own.values()) == {rate}, start
    assert not encoder
    assert {rate for name, rate in found.items() if not name.startswith("encoder.")} == {1.0}


def test_deeplab_s_own_encoder_learns_block_by_block_too() -> None:
    cfg = replace(
        pocket(), weights="", method="vit_pcm", stage2_epochs=2, deeplab="vit", lr_decay=0.5, unfreeze_blocks=3
    )
    method = ViTPCM(cfg, 9)
    assert method.deeplab
    method.masks = [b"one"]
    method.requires_grad_(False)
    method.deeplab.learn()
    scales = {p: group["scale"] for group in optimizer_of(method, cfg).param_groups for p in group["params"]}
    blocks = {n: scales[p] for n, p in method.deeplab.features.named_parameters() if n.endswith("mlp.fc1.weight")}
    assert [blocks[name] / max(blocks.values()) for name in sorted(blocks)] == [0.25, 0.5, 1.0]


def test_closed_blocks_do_not_learn_and_heads_at_ten_times_the_rate_keep_theirs() -> None:
    found = rates(replace(pocket(), weights="", method="toco", unfreeze_blocks=2, lr_decay=0.5))
    assert not any("blocks.0." in name for name in found)
    assert found["encoder.vit.blocks.1.norm1.weight"] == 0.5 and found["classifier.weight"] == 10


def test_one_rate_is_one_group_and_mit_s_blocks_are_counted_through_its_stages() -> None:
    cfg = replace(pocket(), weights="")
    assert len(optimizer_of(build(cfg, 9), cfg).param_groups) == 1
    cfg = replace(cfg, method="afa", encoder="mit_b1", decoder_blocks=(1, 2, 3, 4), unfreeze_blocks=8, lr_decay=0.5)
    shares = rates(cfg)
    at = {stage: shares[f"encoder.vit.stages.{stage}.blocks.1.mlp.fc1.weight"] for stage in (0, 3)}
    assert at == {0: pytest.approx(0.5**6), 3: 1.0}
    assert shares["encoder.vit.stages.3.norm.weight"] == 1.0
    assert shares["encoder.vit.stages.3.embed.proj.weight"] == 0.5
