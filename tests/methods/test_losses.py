"""Losses against plain loops, hand-worked cases, and the gradients they promise."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from apc.methods import losses
from apc.methods.pseudo_labels import merge, patches_to_pixels, pseudo_labels
from apc.models.pooling import pool


def random_case(n: int = 30, c: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, n, 8, generator=generator, dtype=torch.float64)
    scores = (6 * torch.randn(2, n, c, generator=generator, dtype=torch.float64)).softmax(-1)
    return features, scores


def pair_loop(features: Tensor, scores: Tensor, epsilon: float, present: Tensor) -> Tensor:
    """Eq. 4 to 6, pair by pair."""
    total = torch.zeros((), dtype=features.dtype)
    for image in range(len(features)):
        u = features[image] / features[image].norm(dim=1, keepdim=True)
        for c in range(scores.shape[2]):
            high = [i for i in range(len(u)) if scores[image, i, c] > epsilon]
            low = [i for i in range(len(u)) if scores[image, i, c] < 1 - epsilon]
            same = [1 - (1 + u[i] @ u[j]) / 2 for i in high for j in high if i != j]
            other = [(1 + u[i] @ u[j]) / 2 for i in high for j in low]
            for pairs in (same, other):
                if pairs:
                    total = total + present[image, c] * torch.stack(pairs).mean()
    return total / len(features)


@pytest.mark.parametrize("epsilon", [0.5, 0.6, 0.85, 0.95])
def test_pce_equals_the_loop_over_pairs_in_value_and_gradient(epsilon: float) -> None:
    features, scores = random_case()
    present = torch.tensor([[1.0, 1, 0, 1], [1, 0, 1, 1]])
    ours, theirs = features.float().requires_grad_(), features.clone().requires_grad_()
    closed, loop = losses.pce(ours, scores, epsilon, present), pair_loop(theirs, scores, epsilon, present.double())
    assert loop.item() > 0.1
    assert closed.item() == pytest.approx(loop.item(), rel=1e-5)
    closed.backward()
    loop.backward()
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-6)


def test_pce_of_two_equal_high_patches_and_one_opposite_low_patch_is_zero() -> None:
    features = torch.tensor([[[1.0, 0], [2, 0], [-3, 0]]])
    scores = torch.tensor([[[0.9], [0.9], [0.1]]])
    assert losses.pce(features, scores, 0.85).item() == pytest.approx(0, abs=1e-6)


def test_pce_of_orthogonal_patches_is_one() -> None:
    features, scores = torch.eye(4)[None], torch.tensor([[[0.9], [0.9], [0.1], [0.1]]])
    assert losses.pce(features, scores, 0.85).item() == pytest.approx(1.0)


def test_patches_exactly_at_the_thresholds_are_neither_high_nor_low() -> None:
    # at epsilon 3/4 patches 1 and 2 are high and 4 is low; 0 stands at epsilon and 3 at 1 - epsilon
    features = torch.tensor([[[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]]], requires_grad=True)
    scores = torch.tensor([0.75, 0.9, 0.9, 0.25, 0.1]).view(1, 5, 1)
    loss = losses.pce(features, scores, 0.75)
    # high pairs are orthogonal, similarity 1/2; the low patch is opposite to one and orthogonal to the other
    assert loss.item() == pytest.approx((1 - 1 / 2) + (0 + 1 / 2) / 2)
    loss.backward()
    assert features.grad is not None
    assert features.grad[0].abs().sum(1).gt(0).tolist() == [False, True, True, False, True]


def test_high_patches_attract_each_other_and_low_ones_do_not() -> None:
    scores = torch.tensor([0.9, 0.9, 0.1, 0.1]).view(1, 4, 1)
    # alike high patches, low ones orthogonal to them: 0 of attraction and 1/2 of repulsion
    features = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]])
    assert losses.pce(features, scores, 0.85).item() == pytest.approx(0.5)
    # high patches opposite to each other, low ones alike: 1 of attraction and 1/2 of repulsion
    features = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    assert losses.pce(features, scores, 0.85).item() == pytest.approx(1.5)


def test_pce_is_a_sum_over_classes_and_a_mean_over_images() -> None:
    features = torch.eye(4).expand(2, -1, -1)  # orthogonal patches cost 1 a class, see above
    scores = torch.tensor([0.9, 0.9, 0.1, 0.1]).view(1, 4, 1).expand(2, -1, 3).clone()
    scores[1, :, 1:] = 0.5  # two classes of the second image have no pairs
    assert losses.pce(features, scores, 0.85).item() == pytest.approx((3 + 1) / 2)


def test_the_background_counts_as_present_or_not_at_all() -> None:
    y, labels = torch.tensor([[0.2, 0.9, 0.4]]), torch.tensor([[1.0, 0.0]])
    terms = -torch.tensor([0.2, 0.9, 0.6]).log()  # background present, class 1 present, class 2 absent
    for background, expected in (("one", terms.mean()), ("ignore", terms[1:].mean())):
        assert losses.mce(y.log(), (1 - y).log(), labels, background).item() == pytest.approx(expected.item(), abs=1e-5)
        assert losses.mce_clamped(y, labels, background).item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_clamped_error_of_a_certain_mistake_is_that_of_twice_1e_7() -> None:
    worst = losses.mce_clamped(torch.tensor([[1.0, 0.0]]), torch.ones(1, 1), "ignore").item()
    assert worst == pytest.approx(15.4249, abs=1e-3)  # -log(1e-7 + 1e-7)


def test_half_of_the_balanced_loss_is_the_background_s_and_half_the_objects() -> None:
    # three pixels of background that cost log 4, one of an object that costs log 2, two without a label
    logits = torch.zeros(1, 2, 1, 6)
    logits[0, 1, 0, :3] = math.log(3)
    pseudo = torch.tensor([[[0, 0, 0, 1, 255, 255]]])
    assert losses.balanced_segmentation(logits, pseudo).item() == pytest.approx(0.5 * math.log(4) + 0.5 * math.log(2))
    assert losses.segmentation(logits, pseudo).item() == pytest.approx((3 * math.log(4) + math.log(2)) / 4)


def test_pce_without_pairs_is_zero_with_a_zero_gradient() -> None:
    features = torch.randn(2, 5, 3, requires_grad=True)
    loss = losses.pce(features, torch.full((2, 5, 2), 0.5), 0.85)
    loss.backward()
    assert loss.item() == 0 and features.grad.abs().sum().item() == 0


def test_pce_does_not_see_length_or_order_of_patches_and_stays_between_zero_and_two() -> None:
    features, scores = random_case(c=1)
    scores = torch.rand_like(scores)
    value = losses.pce(features, scores, 0.85)
    order = torch.randperm(features.shape[1])
    torch.testing.assert_close(losses.pce(7 * features[:, order], scores[:, order], 0.85), value)
    assert 0 < value.item() < 2


def test_pce_builds_nothing_that_grows_with_the_square_of_patches() -> None:
    features, scores = torch.randn(1, 4096, 4, requires_grad=True), torch.rand(1, 4096, 2)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            largest = max(
                [largest, *(t.numel() for t in torch.utils._pytree.tree_leaves(out) if isinstance(t, Tensor))]
            )
            return out

    with Watch():
        losses.pce(features, scores, 0.85).backward()
    assert largest == 4096 * 4


def test_pce_stays_in_float32_under_autocast() -> None:
    features, scores = random_case()
    plain = losses.pce(features.float(), scores.float(), 0.85)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert losses.pce(features.float(), scores.float(), 0.85).item() == plain.item()


def test_mce_equals_torch_bce_where_no_score_is_extreme() -> None:
    y = torch.rand(5, 4).clamp(0.01, 0.99)
    labels = torch.randint(0, 2, (5, 3)).float()
    expected = F.binary_cross_entropy(y, F.pad(labels, (1, 0), value=1.0))
    logs = y.log(), (1 - y).log()
    torch.testing.assert_close(losses.mce(*logs, labels), expected)
    torch.testing.assert_close(losses.mce_clamped(y, labels), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(losses.mce(*logs, labels, "ignore"), F.binary_cross_entropy(y[:, 1:], labels))


@pytest.mark.parametrize("pooling", ["average", "max", "top_k", "adaptive_k"])
@pytest.mark.parametrize("present", [True, False], ids=["present-but-dead", "absent-but-certain"])
def test_a_class_that_starts_wrong_gets_a_gradient_in_log_space_and_none_with_the_clamp(
    pooling: str, present: bool
) -> None:
    for form, alive in (("log_space", True), ("clamped", False)):
        logits = torch.tensor([[[40.0, -40.0] if present else [-40.0, 40.0]] * 4], requires_grad=True)
        log_y, log_rest = pool(logits.log_softmax(-1), pooling, 2, 0.9)
        label = torch.tensor([[float(present)]])
        if form == "log_space":  # without the background, whose own term would mend the absent class
            loss = losses.mce(log_y, log_rest, label, "ignore")
        else:
            loss = losses.mce_clamped(log_y.exp(), label, "ignore")
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()
        assert (logits.grad.abs().max().item() > 0.1) == alive


def test_segmentation_loss_is_plain_cross_entropy_without_the_ignored_pixels() -> None:
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    target[0, 0] = 255
    torch.testing.assert_close(losses.segmentation(logits, target), F.cross_entropy(logits, target, ignore_index=255))
    assert losses.segmentation(logits, torch.full_like(target, 255)).item() == 0


def test_pseudo_labels_never_name_an_absent_class_and_cover_whole_patches() -> None:
    scores = torch.tensor([0.1, 0.2, 0.7]).view(1, 3, 1, 1).expand(1, 3, 2, 2).clone()
    scores[0, :, 0, 0] = torch.tensor([0.8, 0.1, 0.1])
    label = pseudo_labels(scores, torch.tensor([[1.0, 0.0]]))
    assert label.tolist() == [[[0, 1], [1, 1]]]  # class 2 wins everywhere but is not in the image
    assert patches_to_pixels(label, (4, 4))[0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_pseudo_labels_below_the_threshold_are_ignored() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.55, 0.45]]).T.reshape(1, 2, 1, 2)
    assert pseudo_labels(scores, torch.ones(1, 1), threshold=0.6).tolist() == [[[0, 255]]]


def test_label_merge_lifts_every_present_class_to_its_own_best_patch() -> None:
    scores = torch.tensor([[0.90, 0.10], [0.80, 0.20]]).T.reshape(1, 2, 1, 2)
    merged = merge(scores, torch.ones(1, 2))
    # maxima .9 and .2: patch 2 becomes .889 against 1.0, so the weak class wins it
    torch.testing.assert_close(merged[0, :, 0, 1], torch.tensor([0.8889, 1.0]) / 1.8889, rtol=1e-4, atol=1e-4)


def test_the_decoder_teaches_each_patch_its_best_class_among_those_of_the_image() -> None:
    # the first patch is of class 1; the second of class 2, which is not in the image, and then of the background
    decoded = torch.tensor([[0.1, 0.7, 0.2], [0.3, 0.1, 0.6]]).log().T.view(1, 3, 1, 2).requires_grad_()
    scores = torch.tensor([[[0.2, 0.5, 0.3], [0.8, 0.1, 0.1]]])
    log_scores = scores.log().requires_grad_()
    loss = losses.swapped(log_scores, decoded, torch.tensor([[1, 1, 0]]))
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2)
    loss.backward()
    assert decoded.grad is None and log_scores.grad is not None
    torch.testing.assert_close(log_scores.grad, torch.tensor([[[0, -0.5, 0], [-0.5, 0, 0]]]), atol=1e-6, rtol=0)


def test_where_the_decoder_cannot_tell_two_classes_apart_it_teaches_half_of_each() -> None:
    scores = torch.tensor([[[0.2, 0.5, 0.3]]])
    loss = losses.swapped(scores.log(), torch.zeros(1, 3, 1, 1), torch.tensor([[1, 1, 0]]))
    assert loss.item() == pytest.approx(-(math.log(0.2) + math.log(0.5)) / 2)
