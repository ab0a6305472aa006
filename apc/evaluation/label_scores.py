"""Scores by image labels alone, from what was counted of a model's masks: evidence.py counts.

Each of them can be fooled, agreement for one by a model that calls everything background. `label_rule` is the product
of three and catches that; a photograph filled with its largest class, or masks grown by some pixels, it does not.
`border_rule` is its product with `border_contrast`, which sees where a mask ends, and `branch_rule` asks in addition
whether the patch branch sees what the decoder sees, and twice for the classes: apc/runs/scores.py has the products.

Shapes: n photographs, C classes (background is class 0).
"""

import numpy as np

PRESENT_ABOVE = 0.01
"""Share of a photograph's pixels above which a class counts as found; 0.002 to 0.02 choose alike (search notes)."""


def label_f1(found: np.ndarray, labels: np.ndarray) -> float:
    """F1 in percent of the classes found against the image labels, over all pairs of photograph and class."""
    called, true = found > PRESENT_ABOVE, labels > 0
    return 100 * float(2 * (called & true).sum() / max(called.sum() + true.sum(), 1))


def class_agreement(matrix: np.ndarray) -> float:
    """Mean IoU in percent of two kinds of label maps over all classes, (C,C) -> one number. A class that neither has
    counts 0, so that a model which forgets classes is not praised for agreeing with itself."""
    both = np.diag(matrix)
    return 100 * float((both / np.maximum(matrix.sum(0) + matrix.sum(1) - both, 1)).mean())


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of the average precision in percent of scores (n,C-1); classes in no photograph are left out.

    Photographs of one score are one step of the curve, whatever their order.
    """
    precisions = []
    for score, true in zip(scores.T, labels.T > 0, strict=True):
        if true.any():
            least = score[true][:, None]
            right, called = (score[true] >= least).sum(1), (score >= least).sum(1)
            precisions.append((right / called).mean())
    return 100 * float(np.mean(precisions)) if precisions else 0.0


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean binary cross-entropy in hundredths of scores in [0,1] with the labels, (n,C-1) both."""
    p = scores.clip(1e-7, 1 - 1e-7)
    return 100 * float(-np.where(labels > 0, np.log(p), np.log1p(-p)).mean())
