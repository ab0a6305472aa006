"""Encoders of timm: the mean of the very tag, and those without a position for their class token."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from apc.config import Config, folder, normalization_of
from apc.models import weights
from apc.models.build import build_encoder
from apc.models.encoder import Encoder, side_of_patches
from apc.models.pocket_vit import pocket_vit
from apc.training.run import run

IMAGENET, HALF = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), ([0.5] * 3, [0.5] * 3)


def normalised(cfg: Config) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of a config's encoder; no weights are made for it."""
    with torch.device("meta"):
        vit = build_encoder(replace(cfg, weights=""))
    assert vit.mean.device.type == "meta"
    found = weights.normalization(cfg)
    assert found is not None
    return [list(values) for values in found]  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("encoder", "mean", "std"),
    [
        ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", *HALF),
        ("vit_small_patch16_224.dino", *IMAGENET),
        ("vit_small_patch16_224", *HALF),
        ("deit_tiny_patch16_224", *IMAGENET),
        ("deit_tiny_patch16_224.fb_in1k", *IMAGENET),
    ],
)
def test_pixels_are_normalised_as_timm_says_of_the_very_tag(encoder: str, mean: list[float], std: list[float]) -> None:
    made = build_encoder(replace(folder(), encoder=encoder))
    assert made.mean.flatten().tolist() == pytest.approx(mean) and made.std.flatten().tolist() == pytest.approx(std)
    known = timm.get_pretrained_cfg(encoder)
    assert list(known.mean) == mean and list(known.std) == std


@pytest.mark.parametrize(
    ("given", "mean", "std"),
    [
        ("imagenet", *IMAGENET),
        ("inception", *HALF),
        ("clip", [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
        ("0.1 0.2 0.3 0.4 0.5 0.6", [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]),
        ("0.1,0.2,0.3,0.4,0.5,0.6", [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]),
    ],
)
def test_a_flag_says_how_local_weights_want_pixels(
    tiny: Config, given: str, mean: list[float], std: list[float]
) -> None:
    made = build_encoder(replace(tiny, normalization=given))
    assert made.mean.flatten().tolist() == pytest.approx(mean) and made.std.flatten().tolist() == pytest.approx(std)


@pytest.mark.parametrize("given", ["imagnet", "0.5", "1 2 3 4 5 6", "0.5 0.5 0.5 0 0.5 0.5", "0 0 0 nan 1 1"])
def test_a_mean_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="normalization is '.*'; choose from imagenet, inception, clip, or give six"):
        normalization_of(given)


def test_a_tag_that_timm_lacks_is_refused_with_those_it_has_though_weights_are_local(tmp_path: Path) -> None:
    save_file(pocket_vit().state_dict(), tmp_path / "a.safetensors")
    cfg = replace(folder(), encoder="vit_small_patch16_224.dinno", weights=str(tmp_path / "a.safetensors"))
    with pytest.raises(
        ValueError, match=r"encoder is 'vit_small_patch16_224.dinno'; .* it has .*vit_small_patch16_224.dino"
    ):
        weights.fingerprint(cfg)


@pytest.mark.parametrize(
    ("encoder", "ends"),
    [
        ("vit_small_patch16_224.dino", "/dino"),
        ("vit_base_patch16_224.mae", "/mae"),
        ("vit_base_patch16_384.augreg_in21k_ft_in1k", ""),
        ("vit_base_patch16_384.orig_in21k_ft_in1k", ""),
        ("deit_tiny_patch16_224", ""),
        ("pocket", ""),
        ("mit_b1", ""),
    ],
)
def test_runs_that_were_normalised_with_the_mean_of_another_tag_are_no_longer_these(encoder: str, ends: str) -> None:
    assert weights.fingerprint(replace(folder(), encoder=encoder)) == ends
    assert weights.fingerprint(replace(folder(), encoder=encoder, normalization="imagenet")) == ""


def test_the_stamp_tells_mean_and_standard_deviation(tiny: Config, tmp_path: Path) -> None:
    plain = run(tiny, runs=tmp_path)
    other = run(replace(tiny, normalization="imagenet"), runs=tmp_path)
    assert (plain.stamp["mean"], plain.stamp["std"]) == HALF
    assert other.stamp["mean"] == pytest.approx(IMAGENET[0]) and other.stamp["std"] == pytest.approx(IMAGENET[1])
    assert plain.run != other.run and plain.curve[0]["loss"] != other.curve[0]["loss"]


def test_an_encoder_with_rotary_positions_is_refused_for_it_would_be_used_without_them() -> None:
    with torch.device("meta"), pytest.raises(ValueError, match="'vit_pe_core_tiny_patch16_384'; it is no plain ViT"):
        build_encoder(replace(folder(), encoder="vit_pe_core_tiny_patch16_384"))


SMALL: dict[str, Any] = {"embed_dim": 48, "num_heads": 2}


@pytest.mark.parametrize("name", ["vit_base_patch16_xp_224", "vit_base_mci_224", "vit_tiny_patch16_224"])
def test_encoders_without_a_position_for_the_class_token_compute_as_timm_does(name: str) -> None:
    torch.manual_seed(0)
    sizes = {} if "mci" in name else SMALL  # its stem makes 768 features
    vit: Any = timm.create_model(name, num_classes=0, dynamic_img_size=True, depth=2, **sizes).eval()
    assert vit.no_embed_class == (name != "vit_tiny_patch16_224")
    with torch.no_grad():
        vit.pos_embed.normal_()
        vit.cls_token.normal_()
    encoder = Encoder(vit, (1,), "keys").eval()
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        theirs = vit.forward_features((images - encoder.mean) / encoder.std)
        torch.testing.assert_close(encoder(images)[-1], theirs[:, 1:])
        assert encoder(torch.rand(1, 3, 64, 96))[-1].shape == (1, 24, vit.embed_dim)
    assert side_of_patches(vit) == 16


@pytest.mark.parametrize(
    "name",
    [
        "vit_relpos_small_patch16_224",
        "vit_small_patch16_gap_224",
        "vit_small_patch16_rope_224",
        "vit_small_patch16_dinov3",
    ],
)
def test_encoders_of_other_kinds_are_refused_in_one_sentence(name: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError) as told:
        build_encoder(replace(folder(), encoder=name))
    assert str(told.value).startswith(f"encoder is '{name}'; it ") and "\n" not in str(told.value)
