"""Pooling: Algorithm 1 as the paper writes it, and the identities that follow from it."""

import math

import pytest
import torch
from torch import Tensor

from apc.models.pooling import adaptive_count, most_patches, pool


def log_scores(images: int = 3, patches: int = 40, classes: int = 5, spread: float = 3.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(images, patches, classes, generator=generator, dtype=torch.float64)).log_softmax(-1)


def average(z: Tensor) -> Tensor:
    return pool(z, "average")[0]


def maximum(z: Tensor) -> Tensor:
    return pool(z, "max")[0]


def top_k(z: Tensor, k: int) -> Tensor:
    return pool(z, "top_k", k)[0]


def adaptive_k(z: Tensor, k: int, theta: float) -> Tensor:
    return pool(z, "adaptive_k", k, theta)[0]


def algorithm_1(scores: Tensor, k: int, theta: float) -> tuple[Tensor, Tensor]:
    """The paper's loops, ratio and all: scores (B,N,C) -> counts and means (B,C)."""
    b, _, c = scores.shape
    counts, means = torch.zeros(b, c, dtype=torch.long), torch.zeros(b, c, dtype=scores.dtype)
    for image in range(b):
        for cls in range(c):
            ordered = scores[image, :, cls].sort(descending=True).values
            selected = ordered[:1]
            for i in range(2, min(k, len(ordered)) + 1):
                current = ordered[:i]
                if current.mean() / selected.mean() > theta:
                    selected = current
            counts[image, cls], means[image, cls] = len(selected), selected.mean()
    return counts, means


@pytest.mark.parametrize(
    ("patches", "k_share", "expected"),
    [(576, 0.0, 6), (576, 0.01, 6), (576, 0.25, 144), (144, 0.25, 36), (36, 0.01, 1)],
)
def test_k_as_a_share_of_the_patches_grows_with_them_is_one_at_least_and_else_is_k(
    patches: int, k_share: float, expected: int
) -> None:
    assert most_patches(patches, 6, k_share) == expected


@pytest.mark.parametrize("theta", [0.5, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("k", [1, 3, 6, 24])
def test_adaptive_k_equals_algorithm_1(k: int, theta: float) -> None:
    for seed in range(3):
        z = log_scores(seed=seed)
        counts, means = algorithm_1(z.exp(), k, theta)
        assert torch.equal(adaptive_count(z.exp(), k, theta), counts)
        torch.testing.assert_close(adaptive_k(z, k, theta).exp(), means, rtol=1e-9, atol=0)


def test_a_hand_worked_case_takes_three_of_five_patches() -> None:
    # running means .90 .85 .80 .70 .60; their ratios .944 .941 .875 .857: at theta .9 the fourth patch is refused
    scores = torch.tensor([0.9, 0.8, 0.7, 0.4, 0.2]).view(1, 5, 1)
    assert adaptive_count(scores, 5, 0.9).item() == 3
    assert adaptive_k(scores.log(), 5, 0.9).exp().item() == pytest.approx(0.8)


def test_a_ratio_of_exactly_theta_is_refused() -> None:
    # running means 1, .75 and .5: the first ratio is exactly 3/4, and Algorithm 1 takes what lies above theta
    scores = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1)
    assert [adaptive_count(scores, 3, theta).item() for theta in (0.75, 0.7499)] == [1, 2]
    assert adaptive_k(scores.log(), 3, 0.75).exp().item() == 1.0
    # 1, .75 and .75 again: the third patch, whose ratio is 1, is never reached after the second is refused
    assert adaptive_count(torch.tensor([1.0, 0.5, 0.75]).view(1, 3, 1), 3, 0.9).item() == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("theta", [0.55, 0.7, 0.9, 0.95])
def test_a_tie_that_no_float_holds_exactly_is_refused_and_what_lies_above_it_taken(
    dtype: torch.dtype, theta: float
) -> None:
    best = torch.arange(1, 101, dtype=dtype)[:, None] / 100
    second = (2 * theta - 1) * best  # (best + second) / 2 is theta times best: .81 of .9 and .72 at theta .9
    assert (adaptive_count(torch.stack([best, second], 1), 2, theta) == 1).all()
    assert (adaptive_count(torch.stack([best, second + 1e-5 * best], 1), 2, theta) == 2).all()
    third = (3 * theta - 2) * best.expand(-1, 1)  # means best, best and theta times best
    assert third.min() < 0 or (adaptive_count(torch.stack([best, best, third], 1), 3, theta) == 2).all()


def test_equal_scores_are_one_patch_at_theta_one_however_their_sums_are_rounded() -> None:
    scores = torch.rand(1, 1, 5000, generator=torch.Generator().manual_seed(0)).expand(-1, 60, -1)
    assert (adaptive_count(scores, 60, 1.0) == 1).all() and (adaptive_count(scores, 60, 0.999) == 60).all()


@pytest.mark.parametrize("score", [0.5, 0.1, 0.7, 1 / 3, 1e-30])
def test_theta_one_is_max_where_the_best_scores_are_equal_and_less_takes_all_equals(score: float) -> None:
    equal = torch.full((2, 9, 3), score)
    assert (adaptive_count(equal, 6, 1.0) == 1).all() and (adaptive_count(equal, 6, 0.99) == 6).all()
    equal = equal.log()
    equal[..., 0] = 0.0  # a class that is certain everywhere
    torch.testing.assert_close(adaptive_k(equal, 6, 1.0), maximum(equal), rtol=0, atol=0)


def test_the_ratio_is_of_two_neighbouring_means() -> None:
    # running means .8, .7 and .6: ratios .875 and .857 to the mean before, .75 to the first
    scores = torch.tensor([0.8, 0.6, 0.4]).view(1, 3, 1)
    assert [adaptive_count(scores, 3, theta).item() for theta in (0.88, 0.87, 0.85)] == [1, 2, 3]


def test_theta_of_one_half_or_less_is_top_k_and_theta_one_is_max() -> None:
    z = log_scores()
    for theta in (0.0, 0.3, 0.5):
        torch.testing.assert_close(adaptive_k(z, 6, theta), top_k(z, 6))
    torch.testing.assert_close(adaptive_k(z, 6, 1.0), maximum(z))


def test_k_one_is_max_and_k_of_all_patches_with_theta_zero_is_average() -> None:
    z = log_scores()
    torch.testing.assert_close(adaptive_k(z, 1, 0.9), maximum(z))
    torch.testing.assert_close(adaptive_k(z, z.shape[1], 0.0), average(z))


def test_more_theta_never_takes_more_patches() -> None:
    z = log_scores().exp()
    counts = [adaptive_count(z, 12, theta).sum().item() for theta in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]


def test_average_and_top_k_are_plain_means() -> None:
    z = log_scores()
    torch.testing.assert_close(average(z).exp(), z.exp().mean(1))
    torch.testing.assert_close(top_k(z, 6).exp(), z.exp().sort(1, descending=True).values[:, :6].mean(1))


def test_the_gradient_of_the_mean_is_spread_evenly_over_the_chosen_patches() -> None:
    z = log_scores().exp().requires_grad_()
    adaptive_k(z.log(), 6, 0.9).exp().sum().backward()
    count = adaptive_count(z, 6, 0.9)
    assert z.grad is not None
    torch.testing.assert_close(z.grad.sum(1), torch.ones_like(z.grad.sum(1)))
    torch.testing.assert_close(z.grad.amax(1), 1 / count.double())


def test_a_class_whose_scores_have_all_but_vanished_still_gets_a_gradient() -> None:
    logits = torch.tensor([[[0.0, -80.0]] * 4], requires_grad=True)
    pool(logits.log_softmax(-1), "adaptive_k", 3, 0.9)[0][0, 1].backward()
    assert logits.grad is not None and logits.grad[..., 1].sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("pooling", ["average", "max", "top_k", "adaptive_k"])
def test_images_with_fewer_patches_than_k_are_pooled_over_what_they_have(pooling: str) -> None:
    log_y, log_rest = pool(log_scores(patches=2), pooling, 6, 0.9)
    assert math.isfinite(log_y.sum()) and math.isfinite(log_rest.sum())


@pytest.mark.parametrize("pooling", ["average", "max", "top_k", "adaptive_k"])
def test_the_second_result_is_the_log_of_one_minus_y(pooling: str) -> None:
    log_y, log_rest = pool(log_scores(), pooling, 6, 0.9)
    torch.testing.assert_close(log_rest.exp(), 1 - log_y.exp())
    certain = torch.tensor([[[0.0, -50.0, -60.0]] * 3], dtype=torch.float64).log_softmax(-1)
    log_y, log_rest = pool(certain, pooling, 6, 0.9)
    assert log_y[0, 0].item() == 0 and log_rest[0, 0].item() == pytest.approx(-50, abs=1e-3)
