"""Numbers of the methods that are no field of Config, against the paper and the method specification (spec)."""

from dataclasses import replace

import pytest

from apc.config import Config
from apc.methods import afa, toco, vit_pcm
from apc.methods.registry import build
from apc.models.crf import CRF

WEIGHTS = {
    "apc": {"mce": 1.0, "seg": 0.02, "pce": 0.01},  # Eq. 7 and paper 4.1
    "vit_pcm": {"mce": 1.0, "et": 1.0, "reg": 1.0, "seg": 1.0},  # spec 1.2: all weight 1
    "afa": {"cls": 1.0, "seg": 0.1, "aff": 0.1},  # spec 2
    "toco": {"cls": 1.0, "aux": 1.0, "ptc": 0.2, "ctc": 0.5, "seg": 0.1},  # spec 3
}


@pytest.mark.parametrize("method", WEIGHTS)
def test_the_loss_weights_its_terms_as_published(tiny: Config, method: str) -> None:
    assert build(replace(tiny, method=method), 9).weights == WEIGHTS[method]


def test_the_energy_counts_with_its_own_weight(tiny: Config) -> None:
    cfg = replace(tiny, method="toco", energy_weight=0.05)  # spec 0.7
    assert build(cfg, 9).weights == WEIGHTS["toco"] | {"energy": 0.05}


def test_vit_pcms_penalty_is_a_hundredth_of_the_squared_weights() -> None:
    assert vit_pcm.REGULARISATION == 0.01  # spec 1.2.3


def test_afa_begins_its_terms_and_labels_when_the_official_code_does() -> None:
    # spec 2: 2,000 and 6,000 of 20,000 steps, the affinity's labels never propagated, 10 steps of PAR (0.2)
    assert afa.VOC == (0.1, 0.3, 1.0, 10)
    assert afa.COCO == (0.0625, 0.1875, 0.1875, 15)  # spec 2: 5,000, 15,000 and 15,000 of 80,000; 15 steps of PAR
    assert (afa.LEVELS, afa.SCALES, afa.HEADS) == ((0.55, 0.35), (1.0, 0.5, 1.5), 10.0)  # spec 2 and 0.3


def test_toco_begins_its_terms_and_labels_when_the_official_code_does() -> None:
    # spec 3: the contrasts at once, the decoder after 2,000 of 20,000 steps, with labels of the main CAM
    assert toco.VOC == (-1.0, 0.1, -1.0, 0.7, 0.25, 0.5, 0.5)
    assert toco.COCO == (0.15, 0.1, 0.15, 0.65, 0.25, 1.0, 0.45)  # 12,000, 8,000 and 12,000 of 80,000
    assert (toco.HEADS, toco.MOMENTUM, toco.SCALES) == (10.0, 0.9, (1.0, 0.5, 1.5))
    assert (toco.CROPS, toco.CROP, toco.ZOOM, toco.NEGATIVE) == (8, 96 / 448, 0.4, 0.2)


def test_the_crfs_are_those_of_the_official_codes() -> None:
    assert CRF == {  # spec 0.8: steps, weight and spread of the Gaussian kernel, weight and spreads of the bilateral
        "vit_pcm": (10, 3, 1, 4, 67, 3, 0.0),
        "afa": (10, 3, 3, 4, 64, 5, 0.0),
        "toco": (10, 1, 1, 4, 121, 5, 0.0),
        "toco_cam": (10, 3, 3, 4, 36, 3, 0.0),
        "irn": (10, 3, 3, 10, 50, 5, 0.7),
        "deeplab": (10, 3, 3, 10, 80, 13, 0.0),
        "pocket": (5, 3, 1.5, 5, 20, 8, 0.0),  # recipe 3
    }
