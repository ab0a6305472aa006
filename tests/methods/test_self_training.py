"""Rounds of self-training: which epochs they are, what their masks are made of, and what the decoder learns of them."""

import os
import signal
import zlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fitting import fit
from torch import Tensor

from apc import data
from apc.config import Config
from apc.data import Split
from apc.evaluation.evidence import gather
from apc.evaluation.miou import score
from apc.evaluation.scoring import Scoring
from apc.methods import losses, self_training
from apc.methods.apc import APC
from apc.methods.base import BRANCHES, Method, Workplace
from apc.methods.pseudo_masks import packed, shown
from apc.methods.self_training import masks_of_round
from apc.models.encoder import Encoder
from apc.models.feature_cache import TRAIN, VAL, FrozenFeatures
from apc.runs.mask_parts import MaskParts
from apc.runs.status import status
from apc.training.batches import Part
from apc.training.run import prepare
from apc.training.step import Step


@pytest.fixture
def rounds(tiny: Config) -> Config:
    """One epoch of the paper's method, and two rounds of one epoch each."""
    return replace(tiny, num_train=24, num_val=1, epochs=3, rounds=2, round_epochs=1, round_refine="none")


def test_rounds_are_the_last_epochs_each_with_a_course_of_its_own(tiny: Config) -> None:
    cfg = replace(tiny, epochs=10, frozen_epochs=1, rounds=2, round_epochs=3, round_lr=3e-4, schedule="constant")
    method = APC(cfg, 9)
    epochs = (0, 3, 4, 6, 7, 9)
    assert [method.stage(e) for e in epochs] == [0, 1, 2, 2, 3, 3]
    assert [method.course(e) for e in epochs] == [(0, 4), (0, 4), (4, 7), (4, 7), (7, 10), (7, 10)]
    assert [method.notes(e) for e in epochs] == [{}, {}, {"round": 1}, {"round": 1}, {"round": 2}, {"round": 2}]
    first, last = (method.rates(e) for e in (3, 4))
    assert (first.lr, first.schedule, last.lr, last.schedule) == (cfg.lr, "constant", 3e-4, "cosine")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "vit_pcm"}, "rounds is 1; they are apc's, and for method vit_pcm must be 0"),
        ({"epochs": 5}, "rounds is 1, of 5 epochs each; epochs is 5, of which 0 are frozen and rounds are the last"),
        ({"epochs": 6, "frozen_epochs": 2}, "epochs is 6, of which 2 are frozen"),
        ({"round_scales": ()}, "round_scales is (); give numbers from 0.25 to 4, such as 1 0.75"),
        ({"round_scales": (True,)}, "round_scales is (True,); it must be numbers, such as 1 0.75"),
    ],
)
def test_rounds_that_cannot_be_are_refused(tiny: Config, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError) as error:
        replace(tiny, **{"rounds": 1, "epochs": 10, **changes})
    assert told in str(error.value)


def test_rounds_refine_with_a_crf_that_there_is_and_their_model_is_scored_without(tiny: Config) -> None:
    cfg = replace(tiny, rounds=1, epochs=10, crf="none")  # as `apc predict --crf none` has it
    with pytest.raises(ValueError, match="round_refine is crf; it takes the parameters that crf names, which is none"):
        prepare(cfg)


def test_features_are_asked_for_with_the_digits_that_the_model_computes_with(tiny: Config) -> None:
    rounded: list[bool] = []

    class Features(FrozenFeatures):
        def __call__(self, images: Tensor, keys: list[tuple[int, ...]]) -> list[Tensor]:
            rounded.append(torch.is_autocast_enabled("cpu"))
            return super().__call__(images, keys)

    cfg = replace(tiny, amp="bf16", epochs=10, rounds=1, round_refine="none", num_train=2, num_val=2, crf="none")
    method, split = APC(cfg, 9), data.load(cfg, "val")
    method.encoder.open_last(1)
    features = Features(method.encoder, {TRAIN: 8, VAL: 2})
    masks_of_round(method, split, 1, Workplace(frozen_features=features))
    for ask in (lambda of: score(method, split, cfg, scoring=of), lambda of: gather(method, split, cfg, of)):
        asked = len(rounded)
        ask(Scoring("cpu", frozen_features=features))
        assert len(rounded) > asked
    assert all(rounded)


class ByColour(Method):
    """Three classes; the decoder sees class 1 by the red of a pixel, the patch branch by the green, and both see class
    2 wherever the picture lies left: a fault that a mirror image mends."""

    def __init__(self, cfg: Config, encoder: Encoder) -> None:
        super().__init__()
        self.cfg, self.encoder = cfg, encoder

    def predict(
        self, images: Tensor, frozen_features: list[Tensor] | None = None, wanted: Collection[str] = BRANCHES
    ) -> dict[str, Tensor]:
        left = torch.zeros_like(images[:, 0])
        left[..., :8] = 0.4
        return {
            name: torch.stack([1 - a - left, a, left], 1)
            for name, a in (("decoder", 0.6 * images[:, 0]), ("patch", 0.6 * images[:, 1]))
        }


def pictures(tiny: Config, red: np.ndarray, green: np.ndarray, labels: list[float], **changes: Any) -> np.ndarray:
    """The mask (24,24) of one picture whose colours come in 3 x 3 fields, as a 3 x 3 table, 255 unknown."""
    cfg = replace(tiny, epochs=10, image_size=24, rounds=1, **changes)
    shown = np.zeros((3, 24, 24), np.uint8)
    shown[0], shown[1] = (np.kron(255 * table, np.ones((8, 8))).astype(np.uint8) for table in (red, green))
    split = Split(
        ["background", "a", "b"], ["x"], torch.tensor([labels]), torch.from_numpy(shown)[None], lambda i: shown
    )
    (mask,) = masks_of_round(ByColour(cfg, APC(cfg, 3).encoder), split, 1, Workplace())
    return np.frombuffer(zlib.decompress(mask), np.uint8).reshape(24, 24)


RED = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]])
GREEN = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]])


def test_a_mask_is_the_mean_of_both_branches_over_flips_among_the_image_s_classes(tiny: Config) -> None:
    # where both see class 1, it has 0.6 and the background 0.4, less class 2's 0.2 in the outer columns;
    # where one does, 0.3 against 0.7
    mask = pictures(tiny, RED, GREEN, [1.0, 0.0], round_refine="none", round_threshold=0.0)
    assert mask[::8, ::8].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    # shares without class 2, which the labels rule out: 0.6/0.8, 0.3/1, 0/0.8
    sure = pictures(tiny, RED, GREEN, [1.0, 0.0], round_refine="none", round_threshold=0.72)
    assert sure[::8, ::8].tolist() == [[1, 255, 0], [1, 255, 0], [0, 255, 0]]
    # without a mirror image class 2 takes 0.4 in the left column alone, and leaves 0.6/0.6 there
    for flip, left in (("horizontal", 255), ("none", 1)):
        mask = pictures(tiny, RED, GREEN, [1.0, 0.0], round_refine="none", round_threshold=0.8, flip=flip)
        assert mask[::8, ::8].tolist() == [[left, 255, 0], [left, 255, 0], [0, 255, 0]]


def test_images_shown_larger_are_shown_fewer_at_once(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    class Counting(ByColour):
        def predict(self, images: Tensor, *rest: Any) -> dict[str, Tensor]:
            seen.append((len(images), images.shape[-1]))
            return super().predict(images, *rest)

    monkeypatch.setattr("apc.models.build.BATCH_PIXELS", 4 * 48**2)
    cfg = replace(tiny, epochs=10, image_size=24, rounds=1, round_refine="none", flip="none")
    images = torch.zeros(20, 3, 24, 24, dtype=torch.uint8)
    split = Split(["background", "a", "b"], ["x"] * 20, torch.ones(20, 2), images, lambda i: images[i])
    for scales, expected in (
        ((1.0,), [(16, 24), (4, 24)]),
        ((1.0, 2.0), [(4, side) for _ in range(5) for side in (24, 48)]),
        ((0.67,), [(16, 16), (4, 16)]),
    ):
        own = replace(cfg, round_scales=scales)
        seen.clear()
        masks_of_round(Counting(own, APC(own, 3).encoder), split, 1, Workplace())
        assert seen == expected


@pytest.mark.parametrize("labels", [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], ids=str)
@pytest.mark.parametrize("refine", ["none", "par", "crf"])
def test_a_class_that_the_image_does_not_show_is_in_no_mask(tiny: Config, labels: list[float], refine: str) -> None:
    mask = pictures(tiny, RED, GREEN, labels, round_refine=refine, round_scales=(1.0, 0.67))
    allowed = {0, 255} | {1 + number for number, shows in enumerate(labels) if shows}
    assert set(np.unique(mask).tolist()) <= allowed


def test_in_a_round_the_decoder_learns_from_the_masks_half_background_half_objects(tiny: Config) -> None:
    torch.manual_seed(0)
    cfg = replace(tiny, epochs=10, rounds=1, round_weight=0.5, lambda1=7.0, dropout=0.0, seg_stride=1)
    method = APC(cfg, 3).eval()
    images, labels = torch.rand(2, 3, 96, 96), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    one, other = np.full((96, 96), 255, np.uint8), np.zeros((96, 96), np.uint8)
    one[:10, :10], one[50, 60], other[90:, :] = 1, 0, 2
    method.masks = [packed(other), packed(one)]
    batch = {"image": images, "labels": labels, "index": torch.tensor([[1, 1, 0], [0, 0, 1]])}
    terms = method.loss_terms(batch, 0.5)
    assert set(terms) == {"mce", "pce", "seg_background", "seg_objects"}
    assert (method.weights["seg_background"], method.weights["seg_objects"]) == (0.25, 0.25)
    targets = torch.from_numpy(np.stack([one[:, ::-1], other[::-1]]).astype(np.int64))
    logits = method.predict(images, wanted=("logits",))["logits"]
    logits = torch.nn.functional.interpolate(logits, size=(96, 96), mode="bilinear", align_corners=False)
    expected = losses.balanced_segmentation(logits, targets)
    assert (0.5 * (terms["seg_background"] + terms["seg_objects"])).item() == pytest.approx(expected.item(), rel=1e-5)
    known = method.known_pixels(batch)
    assert {name: int(count) for name, count in known.items()} == {"seg_background": 1 + 8640, "seg_objects": 100 + 576}


class Ramp(torch.nn.Module):
    """A decoder that is surer of class 1 the farther a pixel lies above an edge."""

    def __init__(self, edge: int) -> None:
        super().__init__()
        self.edge = edge

    def forward(self, features: Any) -> Tensor:
        above = self.edge - (8 * torch.arange(12.0) + 4)  # pixels, of the middle of each patch
        return torch.stack([torch.zeros(12, 12), above[:, None].expand(12, 12)])[None]


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_masks_are_learnt_where_they_lie(tiny: Config, stride: int) -> None:
    def total(shift: int) -> float:
        """Loss of masks whose edges lie so many pixels below the decoder's, over edges at every place of a stride."""
        found = 0.0
        for edge in range(48, 48 + 8):
            method.decoder = Ramp(edge)  # type: ignore[assignment]
            mask = np.zeros((96, 96), np.uint8)
            mask[: edge + shift] = 1
            method.masks = [packed(mask)]
            terms, known = method.loss_terms(batch, 0.5), method.known_pixels(batch)
            found += sum(float(terms[name] * known[name]) for name in known)
        return found

    method = APC(replace(tiny, epochs=10, rounds=1, seg_stride=stride), 1).eval()
    batch = {"image": torch.rand(1, 3, 96, 96), "labels": torch.ones(1, 1), "index": torch.zeros(1, 3, dtype=torch.int)}
    right = total(0)
    assert total(2) == pytest.approx(total(-2), rel=1e-3) and total(2) > 1.2 * right


def test_a_mask_is_cropped_and_flipped_as_its_image_is() -> None:
    mask = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]], np.uint8)
    index, boxes = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 1]]), torch.tensor([[1, 2, 2, 2]] * 3)
    plain, mirrored, upside_down = shown([packed(mask)], index, 4, boxes).tolist()
    assert plain == [[6, 6, 7, 7], [6, 6, 7, 7], [10, 10, 11, 11], [10, 10, 11, 11]]
    three = shown([packed(mask)], index[:1], 4, torch.tensor([[1, 1, 3, 3]]))
    assert three[0, 0].tolist() == [5, 6, 6, 7]  # the middle one twice, as a resized image has it
    assert mirrored == [row[::-1] for row in plain] and upside_down == plain[::-1]
    assert torch.equal(shown([packed(mask)], index[:1], 4)[0], torch.from_numpy(mask))


def test_a_balanced_loss_is_one_mean_over_all_parts_of_a_batch(tiny: Config) -> None:
    torch.manual_seed(0)
    cfg = replace(tiny, seg_loss="balanced", lambda1=1.0, dropout=0.0, decoder_dropout=0.0)
    method = APC(cfg, 9).eval()
    method.encoder.open_last(3)
    images, labels = torch.rand(4, 3, 96, 96), torch.ones(4, 8)
    labels[2], labels[3, 4:] = 0, 0  # one of background alone

    def gradients(cuts: list[slice]) -> tuple[dict[str, float], Tensor]:
        method.zero_grad()
        index = torch.zeros(4, 3)
        parts = [
            Part({"image": images[c], "labels": labels[c], "index": index[c]}, [(0,)] * len(images[c])) for c in cuts
        ]
        terms = Step.of(method, cfg, "cpu").gradients(parts, 0.5)
        return {name: float(term) for name, term in terms.items()}, torch.cat(
            [p.grad.flatten() for p in method.decoder.parameters() if p.grad is not None]
        )

    whole, expected = gradients([slice(0, 4)])
    found, grads = gradients([slice(0, 1), slice(1, 3), slice(3, 4)])
    assert found == pytest.approx(whole, rel=1e-5) and set(whole) == {*method.weights, "loss"}
    torch.testing.assert_close(grads, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{"round_refine": "par"}, {"round_refine": "crf"}, {"round_scales": (0.5,)}, {"round_threshold": 0.8}],
    ids=str,
)
def test_every_knob_of_the_masks_changes_them(tiny: Config, changes: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"round_refine": "none", "round_threshold": 0.72}
    one = np.ones((3, 3))  # of one colour, so that PAR and CRF mix what both branches are sure of at the sides
    masks = [pictures(tiny, one, one, [1.0, 0.0], **each) for each in (plain, plain | changes)]
    assert not np.array_equal(*masks)


def test_rate_and_weight_of_a_round_change_the_model(tiny: Config, tmp_path: Path) -> None:
    base = replace(tiny, num_train=8, epochs=2, rounds=1, round_epochs=1, round_refine="none", round_threshold=0.0)

    def learned(name: str, **changes: Any) -> Tensor:
        return torch.cat([p.flatten() for p in fit(replace(base, **changes), tmp_path / name)[0].parameters()])

    plain = learned("plain")
    assert not torch.equal(learned("rate", round_lr=1e-2), plain)
    assert not torch.equal(learned("weight", round_weight=0.1), plain)


def test_a_run_killed_while_it_makes_masks_goes_on_to_the_bit(
    rounds: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_training, "PART", 4)
    rounds = replace(rounds, num_train=12, round_refine="crf", round_scales=(1.2,))  # as APC+ has them
    whole, trained = fit(rounds, tmp_path / "whole")
    assert [epoch.get("round") for epoch in trained.curve] == [None, 1.0, 2.0]
    run = tmp_path / "runs/abc"
    if not (child := os.fork()):
        save = MaskParts.save

        def killing(self: MaskParts, part: range, made: Any) -> None:
            save(self, part, made)
            if self.folder.name == "2" and part.start == 4:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(MaskParts, "save", killing)
        try:
            fit(rounds, run)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert "making masks of round 2: 8 of 12" in status(tmp_path / "runs")
    first, second = sorted((run / "rounds/2").iterdir())
    first.write_bytes(b"garbage")
    written = second.stat().st_mtime_ns
    resumed, ended = fit(rounds, run)
    assert first.stat().st_size > 100 and second.stat().st_mtime_ns == written
    assert [epoch["loss"] for epoch in ended.curve] == [epoch["loss"] for epoch in trained.curve]
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert "making masks" not in status(tmp_path / "runs")


def test_a_run_killed_in_the_midst_of_a_round_has_its_masks_in_its_state(rounds: Config, tmp_path: Path) -> None:
    cfg = replace(rounds, rounds=1, round_epochs=2)

    def kill(numbers: dict[str, float]) -> None:
        if numbers["epoch"] == 2:
            raise KeyboardInterrupt

    whole = [epoch["loss"] for epoch in fit(cfg, tmp_path / "whole")[1].curve]
    with pytest.raises(KeyboardInterrupt):
        fit(cfg, tmp_path / "parts", report=kill)
    for part in (tmp_path / "parts/rounds/1").iterdir():
        part.unlink()
    assert [epoch["loss"] for epoch in fit(cfg, tmp_path / "parts")[1].curve] == whole
    assert not list((tmp_path / "parts/rounds/1").iterdir())


def test_a_mask_is_cropped_resized_and_turned_as_its_image():
    mask = np.arange(16, dtype=np.uint8).reshape(4, 4)
    [lower_right] = shown([packed(mask)], torch.tensor([[0, 0, 0]]), 4, torch.tensor([[2, 2, 2, 2]]))
    assert lower_right.tolist() == [[10, 10, 11, 11], [10, 10, 11, 11], [14, 14, 15, 15], [14, 14, 15, 15]]
    [turned] = shown([packed(mask)], torch.tensor([[0, 1, 0]]), 4, torch.tensor([[0, 0, 4, 2]]))
    assert turned.tolist() == [[1, 1, 0, 0], [5, 5, 4, 4], [9, 9, 8, 8], [13, 13, 12, 12]]
