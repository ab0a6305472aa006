"""Losses against plain loops, hand-worked cases, and the gradients they promise."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from apc import losses
from apc.model.pooling import pool
from apc.pseudo_labels import merge, patches_to_pixels, pseudo_labels


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
