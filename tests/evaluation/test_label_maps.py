"""From probabilities to label maps by hand: means over scales, image labels, the merge, classes after a CRF."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from apc.config import pocket
from apc.data import Split
from apc.evaluation.forward import Network
from apc.evaluation.inference import label_maps
from apc.models.crf import Contest, CRFParameters, Refined
from apc.runs.protocols import parse


class Fixed(nn.Module):
    """A method that says the same of every image of a side: class probabilities by side, of the two pixels 1 x 2."""

    def __init__(self, by_side: dict[int, list[list[float]]], merges: bool = False) -> None:
        super().__init__()
        self.by_side, self.encoder, self.merges = by_side, SimpleNamespace(patch=8, least=8), merges

    def predict(self, images: Tensor, frozen_features: None = None, wanted: Collection[str] = ()) -> dict[str, Tensor]:
        p = torch.tensor(self.by_side[images.shape[-1]]).T[None, :, None].expand(len(images), -1, -1, -1)
        return {"decoder": p, "patch": p}


def labels_of(
    method: nn.Module, name: str, image_labels: Sequence[float] = (1.0, 1.0), black_and_white: bool = False
) -> list[list[int]]:
    """Labels of a photograph of two pixels under the protocol of this name."""
    photo = np.zeros((1, 2, 3), np.uint8)
    photo[:, 1] = 255 * black_and_white
    split = Split(
        ["background", "a", "b"],
        ["x"],
        torch.tensor([image_labels]),
        torch.zeros(1, 3, 16, 16, dtype=torch.uint8),
        photo=lambda i: photo,
        mask=lambda i: None,
    )
    cfg = replace(pocket(), image_size=16, crf="pocket")
    (made,) = label_maps(Network(method, split, cfg), [parse(name)], [(0, (1, 2))])  # type: ignore[arg-type]
    assert made.labels.dtype == np.uint8
    found: list[list[int]] = made.labels.tolist()
    return found


def test_two_scales_that_round_to_one_side_count_twice_in_the_mean() -> None:
    # 0.5 and 0.6 of 16 pixels are both a patch of 8; plain and mirrored images are alike here
    method = Fixed({8: [[0.6, 0.4, 0.0]] * 2, 16: [[0.35, 0.65, 0.0]] * 2})
    assert labels_of(method, "miou_16_ms_50_60_100") == [[0, 0]]  # (2 * 0.6 + 0.35) / 3 and (2 * 0.4 + 0.65) / 3
    assert labels_of(method, "miou_16_ms_50_100") == [[1, 1]]  # 0.475 and 0.525


class Loud(nn.Module):
    """A method that gives logits by side and whether it is shown a mirror image, of the two pixels 1 x 2."""

    def __init__(self, by_side: dict[tuple[int, bool], list[list[float]]], averages_flips: bool) -> None:
        super().__init__()
        self.by_side, self.encoder, self.merges = by_side, SimpleNamespace(patch=8, least=8), False
        self.averages_flips = averages_flips

    def predict(self, images: Tensor, frozen_features: None = None, wanted: Collection[str] = ()) -> dict[str, Tensor]:
        logits = torch.tensor(self.by_side[images.shape[-1], bool(images[0, 0, 0, 0] > 0.5)]).T[None, :, None]
        return {"decoder": logits.softmax(1)} | ({"logits": logits} if "logits" in wanted else {})


@pytest.mark.parametrize("averages", [False, True])
def test_the_peers_test_takes_the_greatest_logits_over_scales_of_sums_over_flips(
    monkeypatch: pytest.MonkeyPatch, averages: bool
) -> None:
    plain, mirrored = (16, False), (16, True)  # the left pixel of the photograph is black, the right one white
    small, turned = (8, False), (8, True)
    method = Loud(
        {
            plain: [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]],
            mirrored: [[0.0, 1.0, 0.0], [1.0, 0.0, 3.0]],  # its pixels are turned back before they are added
            small: [[0.0, 3.0, 0.0], [0.0, 0.0, 1.0]],
            turned: [[0.0, 0.0, 4.0], [0.0, 2.0, 0.0]],
        },
        averages,
    )
    # left: at 16 [1 0 0] + [1 0 3] = [2 0 3], at 8 [0 3 0] + [0 2 0] = [0 5 0]; the greatest are [2 5 3]
    # right: at 16 [0 2 0] + [0 1 0] = [0 3 0], at 8 [0 0 1] + [0 0 4] = [0 0 5]; the greatest are [0 3 5]
    asked: list[np.ndarray] = []

    def listening(image: np.ndarray, contests: Sequence[Contest], parameters: CRFParameters) -> list[Refined]:
        asked.extend(contest.probabilities for contest in contests)
        return [Refined(p.argmax(0).astype(np.uint8), 0.0) for p, *_ in contests]

    monkeypatch.setattr("apc.models.crf.refine", listening)
    assert labels_of(method, "miou_16_max_50_100", black_and_white=True) == [[1, 2]]
    assert labels_of(method, "miou_16_max_50_100_crf", black_and_white=True) == [[1, 2]]
    greatest = np.array([[2, 5, 3], [0, 3, 5]]) / (2 if averages else 1)
    expected = np.exp(greatest) / np.exp(greatest).sum(1, keepdims=True)
    won = slice(1 - averages, None)  # averaged, the background holds more than a twentieth and takes part
    np.testing.assert_allclose(asked[0][:, 0].T, expected[:, won], rtol=1e-5)
    assert labels_of(method, "miou_16_ms_50_100", black_and_white=True) == [[1, 2]]


def test_image_labels_leave_the_background_and_the_named_classes() -> None:
    method = Fixed({16: [[0.3, 0.2, 0.5], [0.1, 0.3, 0.6]]})
    assert labels_of(method, "miou", (1.0, 0.0)) == [[2, 2]]
    assert labels_of(method, "labelled_miou", (1.0, 0.0)) == [[0, 1]]
    assert labels_of(method, "pseudo_miou", (0.0, 0.0)) == [[0, 0]]


@pytest.mark.parametrize(("name", "expected"), [("pseudo_miou", [[0, 1]]), ("labelled_miou", [[0, 0]])])
def test_a_method_that_merges_labels_does_so_in_the_patch_branch_alone(name: str, expected: list[list[int]]) -> None:
    p = {16: [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]]}  # merged, the second pixel has .8/.9 and .2/.2
    assert labels_of(Fixed(p, merges=True), name) == expected
    assert labels_of(Fixed(p), name) == [[0, 0]]


def test_classes_keep_their_numbers_through_a_crf_that_sees_the_winners_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[np.ndarray] = []

    def exchange(image: np.ndarray, contests: Sequence[Contest], parameters: CRFParameters) -> list[Refined]:
        given.extend(contest.probabilities for contest in contests)
        return [Refined(p[::-1].argmax(0).astype(np.uint8), 0.0) for p, *_ in contests]

    monkeypatch.setattr("apc.models.crf.refine", exchange)
    method = Fixed({16: [[0.76, 0.04, 0.2], [0.36, 0.04, 0.6]]})
    assert labels_of(method, "miou") == [[0, 2]] and labels_of(method, "miou_crf") == [[2, 0]]
    np.testing.assert_allclose(given[0][:, 0], [[0.76, 0.36], [0.2, 0.6]], atol=1e-6)  # background and b
