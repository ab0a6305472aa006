"""From a trained method to labels: what the network is shown, how often, and what becomes of its probabilities."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fixed_methods import Fixed, halves
from torch import Tensor, nn

from apc.config import Config, pocket
from apc.data import Split
from apc.data.transforms import squash
from apc.evaluation import inference
from apc.evaluation.forward import Network, Passes, showings
from apc.evaluation.inference import CRFTask, grouped, label_maps, labelled
from apc.evaluation.miou import Counts, score
from apc.evaluation.scoring import Cost, Keep, LabelMap, Scoring, Showing
from apc.methods.registry import build
from apc.models.crf import CRF, Contest, CRFParameters, Refined, crf_labels
from apc.runs.protocols import HEADLINE, Protocol, parse


def test_what_the_network_is_shown_is_a_multiple_of_its_patch() -> None:
    cfg = replace(pocket(), image_size=96)
    assert showings(parse("miou"), cfg, 16) == Passes((Showing(96, False, False),))
    sides = [s.side for s in showings(parse("miou_80_ms_50_100"), cfg, 16).showings]
    assert sides == [48, 48, 80, 80]  # 40 lies between two multiples; each is shown plain and flipped
    with pytest.raises(ValueError, match="sizes has 100; .* multiples of the encoder's patch, 16"):
        showings(parse("miou_100"), cfg, 16)
    with pytest.raises(ValueError, match="sizes has 16; sizes are multiples of .* patch, 16, from 32 up to 4096"):
        showings(parse("miou_16"), cfg, 16, 32)
    assert [s.side for s in showings(parse("miou_48_ms_50"), cfg, 16, 32).showings] == [32, 32]


class Looking(nn.Module):
    """A method that judges each pixel by its own colours, and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.merges = SimpleNamespace(patch=8, least=8), False
        self.seen: list[Tensor] = []

    def predict(self, images: Tensor, frozen_features: None = None, wanted: Collection[str] = ()) -> dict[str, Tensor]:
        self.seen += list(images)
        return {"decoder": (8 * images).softmax(1), "patch": (-8 * images).softmax(1)}


@pytest.fixture
def wide() -> Split:
    """Two photographs of 40 x 64 pixels, coloured smoothly, with masks of three classes."""
    rng = np.random.default_rng(0)
    photos = [
        squash(rng.integers(0, 255, (5, 8, 3), dtype=np.uint8), 64).permute(1, 2, 0).numpy()[:40].copy() for _ in "ab"
    ]
    masks = [rng.integers(0, 3, (40, 64)).astype(np.uint8) for _ in "ab"]
    images = torch.stack([squash(photo, 96) for photo in photos])
    names = ["background", "a", "b"]
    return Split(names, ["x", "y"], torch.ones(2, 2), images, lambda i: photos[i], lambda i: masks[i])


def same(a: Counts, b: Counts) -> bool:
    return bool((a.images == b.images).all() and (a.total == b.total).all())


def shown(method: Looking) -> list[tuple[tuple[int, ...], bytes]]:
    return [(tuple(image.shape[1:]), image.numpy().tobytes()) for image in method.seen]


def test_one_pass_gives_every_protocol_its_own_score_and_shows_nothing_twice(wide: Split) -> None:
    cfg = replace(pocket(), image_size=96)
    names = "miou miou_crf miou_48 miou_48_ms_50_100 miou_96_ms_50_100 patch_miou_96 miou_48_keep miou_96_crf_toco"
    protocols = [parse(name) for name in names.split()]
    method = Looking()
    together = score(method, wide, cfg, protocols)
    # squares of 24 and 48 and 96, plain and flipped, and 48 with its aspect kept; two photographs each
    assert len(shown(method)) == len(set(shown(method))) == 2 * (3 * 2 + 1)
    for p in protocols:
        assert same(score(Looking(), wide, cfg, [p])[p.name], together[p.name]), p.name
    assert same(together["patch_miou_96"], score(Looking(), wide, cfg, [parse("patch_miou")])["patch_miou"])


def test_a_crf_that_protocols_share_runs_once_and_those_of_a_photograph_run_together(
    wide: Split, refined: list[tuple[CRFParameters, int]]
) -> None:
    names = "miou_crf labelled_miou_crf miou_crf_toco patch_miou_crf miou_48_crf miou_96_crf"
    # all classes are among the image labels, so they rule out none; 96 is the run's own size
    score(Looking(), wide, replace(pocket(), image_size=96), [parse(name) for name in names.split()])
    assert refined == [(CRF["pocket"], 3), (CRF["toco"], 1)] * 2


def test_a_photograph_without_a_mask_is_shown_and_refined_for_what_is_kept_alone(
    wide: Split, refined: list[tuple[CRFParameters, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, kept, method = wide.mask(0), [parse("miou"), parse("miou_crf")], Looking()
    monkeypatch.setattr(wide, "mask", lambda i: truth if i == 0 else None)
    made: list[LabelMap] = []
    protocols = [parse(name) for name in "miou miou_crf patch_miou_crf".split()]
    cfg = replace(pocket(), image_size=96)
    counts = score(method, wide, cfg, protocols, Scoring(keep=Keep(made.append, kept)))
    assert [contests for _, contests in refined] == [2, 1]
    assert len(made) == 4 and {(m.i, m.protocol) for m in made} == {(i, p) for i in (0, 1) for p in kept}
    assert all(counts[p.name].images[0].any() and not counts[p.name].images[1].any() for p in protocols)
    method.seen.clear()
    monkeypatch.setattr(wide, "mask", lambda i: None)
    score(method, wide, cfg, [*protocols, parse("miou_48")], Scoring(keep=Keep(made.append, kept)))
    assert len(method.seen) == 2  # nobody asks for them at 48 pixels


def test_aspect_kept_is_rounded_to_the_patch(wide: Split) -> None:
    method = Looking()
    score(method, wide, pocket(), [parse("miou_32_keep"), parse("miou_48")])
    assert {tuple(image.shape) for image in method.seen} == {(3, 24, 32), (3, 48, 48)}  # 20 is 2.5 patches


def test_a_flipped_image_s_prediction_is_flipped_back_before_the_mean(split: Split) -> None:
    for p in (halves(0, 1), halves(1, 0)):  # says the same whatever it is shown
        made: list[LabelMap] = []
        only = [parse("miou_8_ms_100")]
        score(Fixed(p, p), split, replace(pocket(), crf="none"), only, Scoring(keep=Keep(made.append, only)))
        # plain and flipped contradict each other everywhere, so the mean has no preference and 0 comes first
        assert (made[0].labels == 0).all()


def test_the_multi_scale_score_is_that_of_the_mean_of_probabilities(wide: Split) -> None:
    made: list[LabelMap] = []
    only = [parse("miou_96_ms_50_100")]
    score(Looking(), wide, pocket(), only, Scoring(keep=Keep(made.append, only)))
    total = torch.zeros(3, 40, 64)
    for side in (48, 96):
        for flip in (False, True):
            image = squash(wide.photo(0), side).float()[None] / 255
            p = Looking().predict(image.flip(-1) if flip else image)["decoder"]
            p = p.flip(-1) if flip else p
            total += nn.functional.interpolate(p, size=(40, 64), mode="bilinear", align_corners=False)[0]
    assert (made[0].labels == total.argmax(0).numpy()).mean() > 0.999


def test_photographs_without_a_mask_are_kept_at_their_own_size(split: Split) -> None:
    made: list[LabelMap] = []
    keep = Scoring(keep=Keep(made.append, HEADLINE))
    score(Fixed(halves(0, 1), halves(0, 1)), split, replace(pocket(), crf="none"), [], keep)
    assert [(m.i, m.protocol.name, m.labels.shape, m.labels.dtype) for m in made] == [
        (0, "miou", (16, 16), np.uint8),
        (1, "miou", (16, 16), np.uint8),
    ]


def test_crf_processes_change_no_number_and_what_they_cost_is_told(wide: Split) -> None:
    cfg, cost = replace(pocket(), image_size=96), Cost()
    alone = score(Looking(), wide, cfg)
    together = score(Looking(), wide, cfg, scoring=Scoring(crf_workers=2, cost=cost))
    assert all(same(alone[name], together[name]) for name in alone) and len(alone) == 8
    assert cost.images == {Showing(96, False, False): 2} and cost.seconds[Showing(96, False, False)] > 0
    assert len(cost.crf_seconds[parse("miou_crf")]) == 2 and min(cost.crf_seconds[parse("miou_crf")]) > 0


def test_the_network_is_a_bounded_number_of_crfs_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[Future[list[Refined]]] = []
    most = 0

    class Slow:
        """Processes that finish a CRF when its labels are asked for and not before."""

        def __init__(self, workers: int) -> None: ...
        def __enter__(self) -> "Slow":
            return self

        def __exit__(self, *_: Any) -> None: ...
        def submit(self, image: np.ndarray, contests: list[Contest], p: CRFParameters) -> Future[list[Refined]]:
            nonlocal most
            done: Future[list[Refined]] = Future()
            plain: Callable[..., list[Refined]] = done.result

            def result(timeout: float | None = None) -> list[Refined]:
                if not done.done():
                    waiting.remove(done)
                    done.set_result([Refined(p.argmax(0).astype(np.uint8), 0.0) for p, *_ in contests])
                return plain(timeout)

            done.result = result  # type: ignore[method-assign]
            waiting.append(done)
            most = max(most, len(waiting))
            return done

    monkeypatch.setattr(inference, "CRFPool", Slow)
    photo, mask = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    split = Split(
        ["background", "a", "b"],
        [str(i) for i in range(40)],
        torch.ones(40, 2),
        torch.zeros(40, 3, 8, 8, dtype=torch.uint8),
        lambda i: photo,
        lambda i: mask,
    )
    counts = score(Fixed(halves(0, 1), halves(0, 1)), split, pocket(), [parse("miou_crf")], Scoring(crf_workers=2))
    assert most == 4 * 2 + 1 and not waiting and counts["miou_crf"].total.sum() == 40 * 256


def test_under_bf16_probabilities_are_float32_and_sum_to_one(tiny: Config) -> None:
    torch.manual_seed(0)
    method = build(tiny, 3).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        branches = method.predict(torch.rand(2, 3, 48, 64))
    for p in branches.values():
        assert p.dtype == torch.float32 and (p.sum(1) - 1).abs().max() < 1e-5


def test_the_crf_of_a_protocol_is_the_crf_of_its_probabilities(wide: Split) -> None:
    made: list[LabelMap] = []
    only = [parse("miou_crf_toco")]
    score(Looking(), wide, replace(pocket(), image_size=96), only, Scoring(keep=Keep(made.append, only)))
    p = Looking().predict(wide.images[:1].float() / 255)["decoder"]
    own = nn.functional.interpolate(p, size=(40, 64), mode="bilinear", align_corners=False)[0].numpy()
    assert (made[0].labels == crf_labels(wide.photo(0), own, CRF["toco"])).mean() > 0.999


def test_pseudo_masks_of_a_method_that_merges_labels_scale_each_class_to_its_own_maximum(split: Split) -> None:
    patch = torch.tensor([0.6, 0.3, 0.1]).view(1, 3, 1, 1).repeat(1, 1, 8, 8)
    patch[0, :, :, :4] = torch.tensor([0.5, 0.4, 0.1]).view(3, 1, 1)  # class a's maximum, where the background wins
    method, found = Fixed(halves(0, 1), patch), {}
    for method.merges in (False, True):
        network = Network(method, split, replace(pocket(), crf="none"))
        maps = label_maps(network, [Protocol("patch", True), Protocol("patch", False)], [(0, (8, 8))])
        found[method.merges] = {m.protocol.image_labels: m.labels for m in maps}
    assert (found[False][True] == 0).all() and (found[True][False] == 0).all()
    assert (found[True][True][:, :4] == 1).all() and (found[True][True][:, 4:] == 0).all()


def test_merged_labels_have_a_crf_of_their_own_though_the_same_classes_win(split: Split) -> None:
    patch = torch.tensor([0.52, 0.48, 0.0]).view(3, 1, 1).repeat(1, 8, 8)
    patch[:, :, 4:] = torch.tensor([0.1, 0.9, 0.0]).view(3, 1, 1)
    asked = [Protocol("patch", False, crf="toco"), Protocol("patch", True, crf="toco")]
    network = Network(Fixed(patch, patch), split, pocket())
    for network.method.merges in (False, True):
        tasks = [task for _, task in labelled(network, {"patch": patch}, 0, Passes(()), asked)]
        plain, given = (task for task in tasks if isinstance(task, CRFTask))
        assert plain.contested.classes.tolist() == given.contested.classes.tolist() == [0, 1]
        assert (plain.key == given.key) != network.method.merges  # one CRF serves both only where it sees the same
        same = np.allclose(plain.contested.contest.probabilities, given.contested.contest.probabilities)
        assert same != network.method.merges


def test_a_photograph_of_one_pixel_is_scored_under_every_protocol(split: Split) -> None:
    dot, truth = np.full((1, 1, 3), 200, np.uint8), np.ones((1, 1), np.uint8)
    split.photo, split.mask = lambda i: dot, lambda i: truth
    names = "miou miou_crf miou_8_keep miou_16_ms_50_100_crf_irn pseudo_miou_crf patch_miou_8_keep_ms_crf_toco"
    cfg = replace(pocket(), image_size=16)
    counts = score(Fixed(halves(1, 1), halves(1, 1)), split, cfg, [parse(name) for name in names.split()])
    for name in names.split():
        assert counts[name].total.tolist() == [[0, 0, 0], [0, 2, 0], [0, 0, 0]], name


def test_photographs_go_together_as_far_as_their_number_and_their_pixels_allow() -> None:
    sizes = [(0, (4, 5)), (2, (2, 5)), (3, (1, 5)), (4, (6, 5)), (5, (1, 1))]
    together = [list(group) for group in grouped(sizes, 2, 30)]
    assert together == [[0, 2], [3], [4], [5]]  # 30 pixels fit, 35 and 31 do not
    assert [list(group) for group in grouped(sizes, 3, None)] == [[0, 2, 3], [4, 5]]
