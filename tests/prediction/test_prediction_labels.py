"""The mask and the confidence of one photograph by hand: what image labels allow, and whose probability is told."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from apc.config import Config, pocket
from apc.models.crf import Contest, Refined
from apc.prediction.photographs import gather
from apc.prediction.predict import Job, predict
from apc.prediction.segment import Segmenter

CLASSES = ["background", "red", "blue"]
PIXELS = np.zeros((1, 2, 3), np.uint8)
"""A photograph of two pixels: the network's two probabilities are theirs, without a resize."""
DECODER = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.3, 0.6]]).T[:, None]
PATCH = torch.tensor([[0.2, 0.7, 0.1], [0.8, 0.1, 0.1]]).T[:, None]


class Fixed(nn.Module):
    """A method that says the same of every photograph: probabilities (3,1,2) of each branch."""

    encoder, merges = SimpleNamespace(patch=8, least=8), False

    def __init__(self, decoder: Tensor = DECODER, patch: Tensor = PATCH) -> None:
        super().__init__()
        self.made = {"decoder": decoder[None], "patch": patch[None]}

    def predict(self, images: Tensor, frozen_features: None = None, wanted: Collection[str] = ()) -> dict[str, Tensor]:
        return self.made


@pytest.fixture
def cfg() -> Config:
    return replace(pocket(), weights="", image_size=16, crf="none")


def test_the_best_class_wins_a_pixel_and_the_confidence_is_the_mean_of_the_winners(cfg: Config) -> None:
    made = Segmenter(Fixed(), cfg)(PIXELS)  # type: ignore[arg-type]
    assert made.labels.tolist() == [[0, 2]] and made.confidence == pytest.approx((0.5 + 0.6) / 2)
    made = Segmenter(Fixed(), cfg, "patch")(PIXELS)  # type: ignore[arg-type]
    assert made.labels.tolist() == [[1, 0]] and made.confidence == pytest.approx((0.7 + 0.8) / 2)


def test_image_labels_rule_out_the_classes_that_are_not_named_and_never_the_background(cfg: Config) -> None:
    made = Segmenter(Fixed(), cfg)(PIXELS, [1])  # type: ignore[arg-type]
    # without blue, background and red stand at 5 : 2 in one pixel and at 1 : 3 in the other
    assert made.labels.tolist() == [[0, 1]] and made.confidence == pytest.approx((5 / 7 + 3 / 4) / 2)
    torch.testing.assert_close(made.heat, PATCH)  # before any image label, whatever branch is asked for


@pytest.mark.parametrize("merges", [False, True])
@pytest.mark.parametrize("crf", ["none", "pocket"])
@pytest.mark.parametrize("tile", [0, 16])
def test_a_photograph_that_shows_none_of_the_classes_is_all_background(
    cfg: Config, merges: bool, crf: str, tile: int
) -> None:
    method = Fixed()
    method.merges = merges
    photo = np.zeros((20, 20, 3), np.uint8)
    made = Segmenter(method, replace(cfg, crf=crf), "patch", tile=tile, overlap=8)(photo, [])  # type: ignore[arg-type]
    assert made.labels.shape == (20, 20) and not made.labels.any() and made.confidence == pytest.approx(1)


def test_the_summary_tells_no_class_from_no_label(cfg: Config, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    photographs, out = gather([tmp_path / "a.png"], tmp_path / "out"), tmp_path / "out"
    job = Job(Fixed(), cfg, CLASSES, "model")  # type: ignore[arg-type]
    cells = []
    for labels in ({}, {"a": list[str]()}, {}):  # each of them is done again: the one before is of other labels
        (row,), *_ = predict(job, photographs, labels, out)
        cells.append((row["labels"], row["classes"], row["percent_background"]))
    assert cells == [("", "blue", "50.00"), ("background", "", "100.00"), ("", "blue", "50.00")]


def test_after_the_crf_the_confidence_is_that_of_the_classes_it_chose(
    cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exchange(image: np.ndarray, many: list[Contest], parameters: object) -> list[Refined]:
        return [Refined(contest.probabilities[::-1].argmax(0).astype(np.uint8), 0.0) for contest in many]

    monkeypatch.setattr("apc.models.crf.refine", exchange)
    crf = replace(cfg, crf="pocket")
    made = Segmenter(Fixed(), crf)(PIXELS)  # type: ignore[arg-type]
    # background and blue win a pixel each, then they change places; their probabilities there are 0.3 and 0.1
    assert made.labels.tolist() == [[2, 0]] and made.confidence == pytest.approx((0.3 + 0.1) / 2)


def test_the_summary_tells_what_the_mask_shows(cfg: Config, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    photographs, out = gather([tmp_path / "a.png"], tmp_path / "out"), tmp_path / "out"
    job = Job(Fixed(), cfg, CLASSES, "model", kinds=("masks",))  # type: ignore[arg-type]
    (row,), _, broken = predict(job, photographs, {"a": ["red"]}, out)
    assert not broken and {name: row[name] for name in row if name not in ("image", "mask")} == {
        "labels": "red",
        "classes": "red",
        "confidence": "0.7321",
        "percent_background": "50.00",
        "percent_red": "50.00",
        "percent_blue": "0.00",
        "score_background": "0.7143",
        "score_red": "0.7500",
        "score_blue": "",
    }
    with Image.open(out / "masks" / "a.png") as mask:
        assert np.asarray(mask).tolist() == [[0, 1]]


def test_the_summary_names_the_largest_class_first(cfg: Config, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 4, 3), np.uint8)).save(tmp_path / "a.png")
    p = torch.eye(3)[[1, 2, 2, 0]].T[:, None]  # red, blue, blue, background
    job = Job(Fixed(p, p), cfg, CLASSES, "model", kinds=("masks",))  # type: ignore[arg-type]
    (row,), *_ = predict(job, gather([tmp_path / "a.png"], tmp_path / "out"), {}, tmp_path / "out")
    assert (row["classes"], row["percent_blue"], row["confidence"]) == ("blue red", "50.00", "1.0000")


def test_pictures_of_other_labels_never_pass_as_finished(cfg: Config, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    photographs, out = gather([tmp_path / "a.png"], tmp_path / "out"), tmp_path / "out"
    everything = Job(Fixed(), cfg, CLASSES, "model")  # type: ignore[arg-type]
    predict(everything, photographs, {"a": ["red"]}, out)
    predict(replace(everything, kinds=("masks",)), photographs, {"a": ["blue"]}, out)
    predict(everything, photographs, {"a": ["blue"]}, out)
    predict(everything, photographs, {"a": ["blue"]}, fresh := tmp_path / "fresh")
    for place in ("masks/a.png", "overlays/a.jpg", "heatmaps/a.png"):
        assert (out / place).read_bytes() == (fresh / place).read_bytes(), place


def test_a_kind_that_is_asked_for_later_leaves_the_others_as_they_are(cfg: Config, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    photographs, out = gather([tmp_path / "a.png"], tmp_path / "out"), tmp_path / "out"
    job = Job(Fixed(), cfg, CLASSES, "model", kinds=("masks", "heatmaps"))  # type: ignore[arg-type]
    predict(job, photographs, {"a": ["red"]}, out)
    predict(replace(job, kinds=("overlays",)), photographs, {"a": ["red"]}, out)
    assert [path.parent.name for path in sorted(out.glob("*/a.*"))] == ["heatmaps", "masks", "overlays"]
