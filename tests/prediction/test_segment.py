"""The labels of one photograph: those that are scored, with the CRF at a bounded size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from predictions import picture

from apc.data.transforms import as_floats, squash
from apc.methods.checkpoint import load_model
from apc.models.crf import CRF, crf_labels
from apc.prediction import segment
from apc.prediction.segment import Segmenter


def test_masks_are_the_labels_that_eval_scores(model: Path) -> None:
    method, cfg, _ = load_model(model)
    photo = np.asarray(picture(50, 70))
    with torch.no_grad():
        image = as_floats(squash(photo, 48)[None], "cpu")
        p = method.predict(image)["decoder"][0]
    full = torch.nn.functional.interpolate(p[None], size=(50, 70), mode="bilinear", align_corners=False)[0].numpy()
    made = Segmenter(method, cfg)(photo)
    assert (made.labels == full.argmax(0)).all() and made.confidence == pytest.approx(full.max(0).mean(), abs=1e-6)
    refined = Segmenter(method, replace(cfg, crf="pocket"))(photo).labels
    assert (refined == crf_labels(photo, full, CRF["pocket"])).all() and (refined != made.labels).any()


def test_several_scales_label_by_the_mean_of_what_is_said_plain_and_flipped(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, cfg, _ = load_model(model)
    photo = np.asarray(picture(50, 70))

    @torch.no_grad()
    def says(side: int, flipped: bool) -> torch.Tensor:
        image = as_floats(squash(photo, side)[None], "cpu")
        p = method.predict(image.flip(-1) if flipped else image)["decoder"]
        p = torch.nn.functional.interpolate(p, size=(50, 70), mode="bilinear", align_corners=False)[0]
        return p.flip(-1) if flipped else p

    sides = (24, 48, 48, 72)  # 1.05 times 48 rounds to 48, as 1 times is, which counts twice
    mean = (sum(says(side, flipped) for side in sides for flipped in (False, True)) / 8).numpy()
    several = Segmenter(method, cfg, scales=(0.5, 1.0, 1.05, 1.5))
    made, once = several(photo), Segmenter(method, cfg)(photo)
    assert (made.labels == mean.argmax(0)).all() and (made.labels != once.labels).any()
    assert made.confidence == pytest.approx(mean.max(0).mean(), abs=1e-6)
    assert made.heat.shape == once.heat.shape
    refined = replace(several, cfg=replace(cfg, crf="pocket"))(photo).labels
    assert (refined == crf_labels(photo, mean, CRF["pocket"])).all()
    monkeypatch.setattr(segment, "AT_ONCE", 0)  # as for a photograph whose classes are too many numbers
    assert (several(photo).labels == made.labels).mean() > 0.95


def test_the_crf_sees_a_large_photograph_smaller_and_its_mask_is_as_large_as_ever(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, cfg, _ = load_model(model)
    photo, crf = np.asarray(picture(120, 160)), replace(cfg, crf="pocket")
    whole = Segmenter(method, crf)(photo).labels
    seen = []
    monkeypatch.setattr(segment, "CRF_PIXELS", 120 * 160 // 4)
    monkeypatch.setattr(
        segment,
        "dense_crf",
        lambda image, p, q, others: seen.append(image.shape) or p,  # type: ignore[func-returns-value]
    )
    half = Segmenter(method, crf)(photo).labels
    assert seen == [(60, 80, 3)] and half.shape == (120, 160)
    assert (half == whole).mean() > 0.7
