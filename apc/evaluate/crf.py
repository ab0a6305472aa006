"""Dense CRF after the network (pydensecrf), on the classes that win a pixel only.

Shapes: H,W pixels, C classes.
"""

from typing import NamedTuple

import numpy as np
import pydensecrf.densecrf as dcrf


class CRFParameters(NamedTuple):
    """Mean-field steps; weight and spread (pixels) of the Gaussian kernel; weight, spread in pixels and in grey levels
    of the bilateral kernel."""

    steps: int
    pos_w: float
    pos_xy: float
    bi_w: float
    bi_xy: float
    bi_rgb: float


CRF = {  # method-spec 0.8; `pocket` is for 96-pixel images (pocket-recipe, section 3)
    "vit_pcm": CRFParameters(10, 3, 1, 4, 67, 3),
    "afa": CRFParameters(10, 3, 3, 4, 64, 5),
    "toco": CRFParameters(10, 1, 1, 4, 121, 5),
    "pocket": CRFParameters(5, 3, 1.5, 5, 20, 8),
}


def dense_crf(image: np.ndarray, probabilities: np.ndarray, p: CRFParameters) -> np.ndarray:
    """Refined probabilities: image (H,W,3) uint8, probabilities (C,H,W) -> (C,H,W) float32."""
    c, h, w = probabilities.shape
    model = dcrf.DenseCRF2D(w, h, c)
    unary = -np.log(np.clip(probabilities, 1e-5, 1.0), dtype=np.float32)
    model.setUnaryEnergy(np.ascontiguousarray(unary.reshape(c, -1)))
    model.addPairwiseGaussian(sxy=p.pos_xy, compat=p.pos_w)
    model.addPairwiseBilateral(sxy=p.bi_xy, srgb=p.bi_rgb, rgbim=np.array(image, order="C"), compat=p.bi_w)
    return np.asarray(model.inference(p.steps), dtype=np.float32).reshape(c, h, w)


def crf_labels(image: np.ndarray, probabilities: np.ndarray, p: CRFParameters) -> np.ndarray:
    """Labels after the CRF: image (H,W,3) uint8, probabilities (C,H,W) -> (H,W) class numbers.

    Classes that win no pixel before the CRF hardly ever win one after it, and time grows with their number; they are
    left out (99.97 % of the labels equal on synthetic scenes; ecosystem notes, section 3).
    """
    winners = np.unique(probabilities.argmax(0))
    if len(winners) == 1:
        return np.full(image.shape[:2], winners[0], dtype=np.int64)
    kept = probabilities[winners]
    return winners[dense_crf(image, kept / kept.sum(0).clip(1e-8), p).argmax(0)]
