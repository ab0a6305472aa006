"""ToCo's two contrasts in a step of training: which crops and pairs of patches attract, under which CAM and levels."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from apc.config import Config
from apc.methods import toco as module
from apc.methods.published import toco, toco_pocket
from apc.methods.registry import build
from apc.methods.toco import COCO, CROP, CROPS, MOMENTUM, SCALES, VOC, ZOOM, ToCo
from apc.methods.token_contrast import cut_out, patch_contrast
from apc.models.par import PAR

Watch = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def method(tiny: Config) -> ToCo:
    """ToCo on images of 96 pixels, 12 x 12 patches, whose averaged head differs from the learning one."""
    torch.manual_seed(0)
    made = build(replace(tiny, **toco_pocket(tiny)), 3).eval()
    assert isinstance(made, ToCo)
    with torch.no_grad():
        for p in made.slow.parameters():
            p.mul_(1.5)
    return made


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Two images of the first of two classes. The early block's CAM has a third of background (0.1), a third of doubt
    (0.5) and a third of object (0.9), from left to right; the last block's sees the object everywhere, and both see
    the absent class everywhere."""
    early = torch.tensor([0.1, 0.5, 0.9]).repeat_interleave(32).expand(2, 1, 96, 96)
    absent = torch.ones_like(early)
    both = torch.cat([absent, absent, early, absent], 1)
    monkeypatch.setattr(module, "multi_scale_cam", lambda *_: both)
    torch.manual_seed(1)
    return {"image": torch.rand(2, 3, 96, 96), "labels": torch.tensor([[1.0, 0.0]] * 2)}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """What toco.py gives to one of its functions, call by call."""

    def watch(name: str) -> list[tuple[Any, ...]]:
        plain, calls = getattr(module, name), []

        def noted(*args: Any) -> Any:
            calls.append(args)
            return plain(*args)

        monkeypatch.setattr(module, name, noted)
        return calls

    return watch


COLUMNS = [0, 8, 12, 14, 16, 32, 48, 72]
"""First columns of eight crops of 24 pixels. Mean levels: 0, 0, 4/24, 6/24, 8/24, 1, 32/24 and 2."""


SHOWS_OBJECT = [False, False, False, True, True, True, True, True]  # above 0.2


def test_crops_of_background_are_negative_and_those_of_objects_and_the_whole_views_positive(
    method: ToCo, batch: dict[str, Tensor], watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert method.crop == 24
    corners = torch.tensor([[0, column] for column in COLUMNS]).expand(2, 8, 2)
    levels: list[Tensor] = []
    monkeypatch.setattr(module, "draw_crops", lambda found, *_: levels.append(found) or corners)
    monkeypatch.setattr(module, "zoomed", lambda images, smallest: images.flip(-2))
    monkeypatch.setattr(module, "recolour", lambda images, strength: images)
    calls = watched("class_contrast")
    method.loss_terms(batch, 0.05)
    ((student, teacher, positive, temperature),) = calls
    assert levels[0][1, 50].tolist() == [0] * 32 + [1] * 32 + [2] * 32
    assert positive.tolist() == [[True, True, *SHOWS_OBJECT]] * 2 and temperature == 0.5

    images = batch["image"]
    crops = cut_out(images, corners, 24).flatten(0, 1)
    whole, part, local = (method.tokens(shown)[2] for shown in (images, images.flip(-2), crops))
    tokens = torch.cat([torch.stack([whole, part], 1), local.unflatten(0, (2, 8))], 1)
    torch.testing.assert_close(student, method.head(tokens))
    torch.testing.assert_close(teacher, method.slow(tokens[:, :2]))


def test_patches_of_the_last_block_are_paired_by_the_early_blocks_cam(method: ToCo, batch: dict[str, Tensor]) -> None:
    label = torch.tensor([0] * 4 + [255] * 4 + [1] * 4).repeat(12)  # of the 12 x 12 patches, row by row
    pairs = (label[:, None] == label).long()
    pairs[(label == 255), :] = pairs[:, label == 255] = 255
    expected = patch_contrast(method.tokens(batch["image"])[1], pairs.expand(2, -1, -1))
    assert method.loss_terms(batch, 0.05)["ptc"].item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_aux_term_is_of_the_early_block_and_the_class_term_of_the_last(method: ToCo) -> None:
    images, labels = torch.rand(2, 3, 96, 96), torch.tensor([[1.0, 0.0]] * 2)
    early, last, _ = method.tokens(images)
    terms = method.loss_terms({"image": images, "labels": labels}, 0.0)
    loss = torch.nn.functional.multilabel_soft_margin_loss
    assert terms["cls"].item() == pytest.approx(loss(last.amax(1) @ method.classifier.weight.T, labels).item())
    assert terms["aux"].item() == pytest.approx(loss(early.amax(1) @ method.early.weight.T, labels).item())


def test_crops_are_of_96_pixels_of_448_and_the_averaged_head_keeps_nine_tenths(
    method: ToCo, batch: dict[str, Tensor], watched: Watch
) -> None:
    assert (CROPS, 448 * CROP, ZOOM, MOMENTUM) == (8, 96, 0.4, 0.9)
    drawn, seen, contrasted = watched("draw_crops"), watched("zoomed"), watched("class_contrast")
    method.loss_terms(batch, 0.05)
    assert drawn[0][1:] == (24, 8) and seen[0][1] == 0.4  # three patches of twelve, as six of 28
    assert contrasted[0][0].shape[:2] == (2, 2 + 8)


def test_the_published_levels_times_temperatures_and_weights(tiny: Config) -> None:
    assert SCALES == (1.0, 0.5, 1.5) and PAR.for_size(448).reach == 24
    # method-spec 3: of 20,000 iterations, and of 80,000 on COCO; the background's level without an unknown pixel
    assert VOC._asdict() == {
        "contrast": -1.0,
        "segment": 0.1,
        "own": -1.0,
        "high": 0.7,
        "low": 0.25,
        "temperature": 0.5,
        "background": 0.5,
    }
    assert COCO._asdict() == {
        "contrast": 0.15,
        "segment": 0.1,
        "own": 0.15,
        "high": 0.65,
        "low": 0.25,
        "temperature": 1.0,
        "background": 0.45,
    }
    for dataset, setting in (("pocket", VOC), ("voc", VOC), ("coco", COCO)):
        made = build(replace(tiny, **toco_pocket(tiny), dataset=dataset, energy_weight=0.05), 3)
        assert isinstance(made, ToCo) and made.setting == setting
        assert made.weights == {"cls": 1.0, "aux": 1.0, "ptc": 0.2, "ctc": 0.5, "seg": 0.1, "energy": 0.05}


def test_the_early_block_is_the_tenth_of_twelve() -> None:
    cfg = replace(toco(), encoder="vit_tiny_patch16_224", weights="", image_size=64, decoder_width=8)
    assert ToCo(cfg, 3).encoder.taps == (10,)
