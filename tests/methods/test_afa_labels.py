"""AFA by hand: which labels teach what, and the published levels, weights and times."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from apc.config import Config
from apc.methods import afa as module
from apc.methods import affinity, losses
from apc.methods.afa import AFA, COCO, DILATIONS, LEVELS, SCALES, VOC
from apc.methods.published import afa_pocket
from apc.methods.registry import build


def method_of(cfg: Config, **changes: Any) -> AFA:
    torch.manual_seed(0)
    method = build(replace(cfg, **{**afa_pocket(cfg), **changes}), 3)
    assert isinstance(method, AFA)
    return method.eval()


def test_the_decoder_learns_from_its_own_labels_and_the_affinity_from_its_own(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = method_of(tiny, energy_weight=0.05)
    for_decoder, for_affinity = torch.full((2, 96, 96), 1), torch.full((2, 96, 96), 2)
    monkeypatch.setattr(method, "targets", lambda *_: (for_decoder, for_affinity))
    given: dict[str, Tensor] = {}

    def watch(place: Any, name: str, argument: int) -> None:
        plain = getattr(place, name)

        def noted(*args: Any) -> Any:
            given[name] = args[argument]
            return plain(*args)

        monkeypatch.setattr(place, name, noted)

    watch(losses, "balanced_segmentation", 1)
    watch(affinity, "affinity_label", 0)
    watch(module, "dense_energy", 2)
    batch = {"image": torch.rand(2, 3, 96, 96), "labels": torch.ones(2, 2)}
    method.loss_terms(batch, 0.5)
    assert {name: label.unique().tolist() for name, label in given.items()} == {
        "balanced_segmentation": [1],
        "affinity_label": [2],
        "dense_energy": [1],
    }


def test_pairs_of_like_labels_are_alike_and_those_with_an_unknown_one_or_far_apart_unknown() -> None:
    label, near = torch.tensor([[[0, 2, 255, 0]]]), affinity.window((1, 4), 2)
    assert affinity.affinity_label(label, (1, 4), near).tolist() == [
        [[1, 0, 255, 255], [0, 1, 255, 0], [255, 255, 255, 255], [255, 0, 255, 1]]
    ]


def test_affinities_are_squared_and_each_column_divided_by_its_sum_and_a_tenth() -> None:
    a = torch.tensor([[[0.5, 0.2, 0.9], [0.4, 0.6, 0.9], [0.9, 0.9, 0.3]]])
    near = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    # squares .25 .04, .16 .36 and .09; columns sum to .41, .40 and .09
    expected = [[0.25 / 0.51, 0.04 / 0.5, 0], [0.16 / 0.51, 0.36 / 0.5, 0], [0, 0, 0.09 / 0.19]]
    torch.testing.assert_close(affinity.transition(a, near), torch.tensor([expected]))


def test_a_patch_s_shares_flow_along_its_row_of_the_transition() -> None:
    cam = torch.tensor([0.5, 0.5 + math.log(3)]).view(1, 1, 1, 2)  # shares of background and class 1/2 1/2 and 1/4 3/4
    made = affinity.propagate(cam, torch.ones(1, 1), torch.tensor([[[0.5, 0.1], [0.2, 0.6]]]), 0.5)
    expected = [[0.5 * 0.5 + 0.25 * 0.2, 0.5 * 0.1 + 0.25 * 0.6], [0.5 * 0.5 + 0.75 * 0.2, 0.5 * 0.1 + 0.75 * 0.6]]
    torch.testing.assert_close(made[0, :, 0], torch.tensor(expected))


def test_a_cam_of_the_background_s_level_shares_its_pixel_with_it(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "multi_scale_cam", lambda *_: torch.tensor([0.45, 0.9]).view(1, 2, 1, 1))
    found = method_of(tiny).predict(torch.rand(1, 3, 96, 96))["patch"]
    torch.testing.assert_close(found.flatten(), torch.tensor([0.25, 0.25, 0.5]))


def test_the_published_levels_times_and_weights(tiny: Config) -> None:
    # method-spec 2: of 20,000 iterations, and of 80,000 on COCO; there the affinity's labels are propagated too
    assert LEVELS == (0.55, 0.35) and SCALES == (1.0, 0.5, 1.5) and DILATIONS == (1, 2, 4, 8, 12, 24)
    assert VOC._asdict() == {"start": 0.1, "decoder": 0.3, "affinity": 1.0, "par_steps": 10}
    assert COCO._asdict() == {"start": 0.0625, "decoder": 0.1875, "affinity": 0.1875, "par_steps": 15}
    for dataset, timing in (("pocket", VOC), ("voc", VOC), ("coco", COCO)):
        made = method_of(tiny, dataset=dataset, energy_weight=0.05)
        assert made.timing == timing and made.par.iterations == timing.par_steps
        assert made.weights == {"cls": 1.0, "seg": 0.1, "aff": 0.1, "energy": 0.05}
