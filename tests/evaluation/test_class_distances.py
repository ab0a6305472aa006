"""Cosine distances within and between classes, of patches with the class of most of their pixels."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from apc.evaluation.class_distances import class_means, cosine_distances, majority


def test_a_patch_has_the_class_of_more_than_half_of_its_pixels() -> None:
    mask = np.array(
        [
            [1, 1, 2, 2, 255],
            [1, 2, 2, 2, 255],
            [0, 0, 3, 0, 3],
            [0, 3, 3, 3, 0],
        ],
        np.uint8,
    )
    assert majority(mask[:, :4], (2, 2), 4).tolist() == [[1, 2], [0, 3]]  # three pixels of four
    assert majority(mask[:, 3:], (2, 1), 4).tolist() == [[-1], [-1]]  # two of four, and 255 is no class
    # a middle column's centre lies at the border of two patches and counts to the right one
    assert majority(mask[:2, :3], (1, 2), 4).tolist() == [[1, 2]]
    assert majority(mask, (1, 1), 4).tolist() == [[-1]]
    large = np.repeat(np.repeat(mask, 3, 0), 3, 1)
    assert majority(large, (4, 5), 4).tolist() == np.where(mask == 255, -1, mask.astype(int)).tolist()


def brute_force(vectors: Tensor, classes: Tensor) -> dict[str, float]:
    unit = [v / v.norm() for v in vectors.double()]
    of = {c: [u for u, k in zip(unit, classes.tolist(), strict=True) if k == c] for c in set(classes.tolist()) - {-1}}
    mean = {c: torch.stack(us).mean(0) for c, us in of.items()}

    def apart(a: Tensor, b: Tensor) -> float:
        return 100 * float(1 - torch.cosine_similarity(a, b, dim=0))

    objects = sorted(set(of) - {0})
    return {
        "intra_cosine": float(np.mean([np.mean([apart(u, mean[c]) for u in of[c]]) for c in objects])),
        "inter_cosine": float(np.mean([apart(mean[a], mean[b]) for a, b in combinations(objects, 2)])),
        "background_cosine": float(np.mean([apart(mean[0], mean[c]) for c in objects])),
    }


def test_the_distances_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(300, 16, generator=generator) + 0.5
    classes = torch.randint(-1, 5, (300,), generator=generator)
    sums, counts = class_means(vectors[:100], classes[:100], 6)
    more, number = class_means(vectors[100:], classes[100:], 6)  # the sixth class never occurs
    found = cosine_distances(sums + more, counts + number)
    assert found == pytest.approx(brute_force(vectors, classes), abs=1e-9)
    apart = cosine_distances(*class_means(torch.eye(3), torch.tensor([0, 1, 2]), 3))
    assert apart == pytest.approx({"intra_cosine": 0, "inter_cosine": 100, "background_cosine": 100})
    assert set(cosine_distances(*class_means(torch.eye(2), torch.tensor([1, 1]), 3))) == {"intra_cosine"}
