"""The labels of one photograph: those that are scored, with the CRF at a bounded size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from predictions import picture

from apc.models.crf import CRF, crf_labels
from apc.prediction import segment
from apc.prediction.segment import _plane


def test_masks_are_the_labels_that_eval_scores(model: Path) -> None:
    from apc.methods.checkpoint import load_model

    method, cfg, _ = load_model(model)
    photo = np.asarray(picture(50, 70))
    with torch.no_grad():
        image = segment.as_floats(segment.squash(photo, 48)[None], "cpu")
        p = method.predict(image)["decoder"][0]
    full = torch.nn.functional.interpolate(p[None], size=(50, 70), mode="bilinear", align_corners=False)[0].numpy()
    made = segment.segment(method, photo, cfg, "decoder")
    assert (made.labels == full.argmax(0)).all() and made.confidence == pytest.approx(full.max(0).mean(), abs=1e-6)
    refined = segment.segment(method, photo, replace(cfg, crf="pocket"), "decoder").labels
    assert (refined == crf_labels(photo, full, CRF["pocket"])).all() and (refined != made.labels).any()


def test_the_crf_sees_a_large_photograph_smaller_and_its_mask_is_as_large_as_ever(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apc.methods.checkpoint import load_model

    method, cfg, _ = load_model(model)
    photo, crf = np.asarray(picture(120, 160)), replace(cfg, crf="pocket")
    whole = segment.segment(method, photo, crf, "decoder").labels
    seen = []
    monkeypatch.setattr(segment, "CRF_PIXELS", 120 * 160 // 4)
    monkeypatch.setattr(
        segment,
        "dense_crf",
        lambda image, p, q: seen.append(image.shape) or p,  # type: ignore[func-returns-value]
    )
    half = segment.segment(method, photo, crf, "decoder").labels
    assert seen == [(60, 80, 3)] and half.shape == (120, 160)
    assert (half == whole).mean() > 0.7


def test_probabilities_are_resized_a_class_at_a_time_and_ties_go_to_the_first() -> None:
    p = torch.rand(5, 6, 6)
    p[3] = p[2]
    labels, best = segment._winners(p, (13, 11))
    full = torch.stack([_plane(plane, (13, 11)) for plane in p])
    assert (labels == full.argmax(0).numpy()).all() and best == pytest.approx(full.amax(0).mean().item())
