"""The steps from probabilities to labels: size, image labels, winner, what the CRF is given."""

import pytest
import torch
from torch.nn import functional as F

from apc.methods import pixel_labels
from apc.methods.pixel_labels import among, at_size, contested, winner
from apc.methods.pseudo_labels import merge
from apc.models.crf import CRF


def columns(*pixels: list[float]) -> torch.Tensor:
    """Probabilities (C,1,n) of n pixels in a row."""
    return torch.tensor(pixels).T[:, None]


def test_ties_go_to_the_first_class() -> None:
    won = winner(columns([0.4, 0.4, 0.2], [0.2, 0.4, 0.4]), (1, 2))
    assert won.labels.tolist() == [[0, 1]] and won.probability.tolist() == [[pytest.approx(0.4)] * 2]


@pytest.mark.parametrize("few", [5, 2])
def test_probabilities_that_are_no_numbers_give_no_label(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(pixel_labels, "AT_ONCE", few * 6)
    p = torch.full((5, 2, 3), 0.2)
    p[:, 1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"no numbers \(NaN\) at 1 of 6 pixels"):
        winner(p, (2, 3))


def test_a_large_photograph_is_labelled_a_class_at_a_time_and_as_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    p = torch.rand(5, 6, 6)
    p[3] = p[2]
    full = F.interpolate(p[None], size=(13, 11), mode="bilinear", align_corners=False)[0]
    for at_once in (2**26, 2 * 13 * 11, 1):
        monkeypatch.setattr(pixel_labels, "AT_ONCE", at_once)
        won = winner(p, (13, 11))
        assert torch.equal(won.labels, full.max(0).indices) and torch.equal(won.probability, full.amax(0))
    assert 2 in won.labels and 3 not in won.labels


def test_image_labels_rule_other_classes_out_and_the_rest_sums_to_one() -> None:
    p = among(columns([0.5, 0.2, 0.3], [0.1, 0.3, 0.6]), torch.tensor([1.0, 0.0]), merges=False)
    torch.testing.assert_close(p, columns([5 / 7, 2 / 7, 0.0], [1 / 4, 3 / 4, 0.0]))


def test_the_label_merge_divides_each_class_by_its_maximum_first() -> None:
    p = columns([0.8, 0.1, 0.1], [0.6, 0.2, 0.2])
    merged = among(p, torch.tensor([1.0, 0.0]), merges=True)
    # maxima 0.8 and 0.2, so 1 : 0.5 in one pixel and 0.75 : 1 in the other
    torch.testing.assert_close(merged, columns([2 / 3, 1 / 3, 0.0], [3 / 7, 4 / 7, 0.0]))
    torch.testing.assert_close(merged, merge(p[None], torch.tensor([[1.0, 1.0, 0.0]]))[0])


@pytest.mark.parametrize(
    ("loser", "crf", "classes", "others"),
    [(0.04, "toco", [0, 2], 0), (0.06, "toco", [0, 1, 2], 0), (0.06, "irn", [0, 2], 1), (0.0, "irn", [0, 2], 0)],
)
def test_the_crf_is_given_the_winners_and_where_they_are_unsure_all_at_the_photograph_s_size(
    loser: float, crf: str, classes: list[int], others: int
) -> None:
    p = columns([0.7 - loser, loser, 0.3], [0.4 - loser, loser, 0.6])
    given = contested(p, winner(p, (1, 2)).labels, CRF[crf])
    assert given.classes.tolist() == classes and given.classes.dtype == "uint8" and given.contest.others == others
    torch.testing.assert_close(torch.from_numpy(given.contest.probabilities), p[classes])
    at_size = contested(p, winner(p, (3, 8)).labels, CRF[crf]).contest.probabilities
    assert at_size.shape == (len(classes), 3, 8)


def test_probabilities_at_the_photograph_s_size_stay_as_they_are() -> None:
    p = torch.rand(2, 4, 5)
    assert at_size(p, (4, 5)) is p and at_size(p.bfloat16(), (4, 5)).dtype == torch.float32
