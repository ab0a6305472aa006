"""mIoU, protocols and inference on cases small enough to work by hand."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch import multiprocessing as mp

from apc import data
from apc.config import Config, pocket
from apc.data import Split
from apc.data.transforms import squash
from apc.evaluation import inference
from apc.evaluation import miou as segmentation
from apc.evaluation.forward import Network, showings
from apc.evaluation.inference import CRFTask, grouped, label_maps, labelled
from apc.evaluation.miou import Counts, confusion, miou, score
from apc.evaluation.scoring import Cost, Keep, LabelMap, Scoring, Showing
from apc.methods.registry import build
from apc.models.crf import CRF, CRFParameters, Refined, crf_labels, refine
from apc.runs.scores import HEADLINE, Protocol, parse


class Fixed(nn.Module):
    """A method that always predicts the same probabilities, another set for each branch."""

    def __init__(self, decoder: Tensor, patch: Tensor) -> None:
        super().__init__()
        self.made = {"decoder": decoder, "patch": patch}
        self.encoder, self.merges = SimpleNamespace(patch=8), False

    def predict(self, images: Tensor, frozen_features: None = None, wanted: Collection[str] = ()) -> dict[str, Tensor]:
        return {b: p.expand(len(images), -1, -1, -1) for b, p in self.made.items()}


def halves(left: int, right: int, classes: int = 3) -> Tensor:
    """Probabilities (1,C,8,8): mostly class `left` on the left half, `right` on the right."""
    p = torch.full((1, classes, 8, 8), 0.1)
    p[:, left, :, :4] = 0.8
    p[:, right, :, 4:] = 0.8
    return p


@pytest.fixture
def split() -> Split:
    truth = np.zeros((16, 16), np.uint8)
    truth[:, 8:] = 1
    photo = np.where(truth[..., None] == 1, 220, 30).repeat(3, 2).astype(np.uint8)
    return Split(
        ["background", "a", "b"],
        ["x", "y"],
        torch.tensor([[1.0, 0.0], [1.0, 0.0]]),
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        photo=lambda i: photo,
        mask=lambda i: truth if i == 0 else None,
    )


def test_each_protocol_scores_its_own_branch_and_image_labels_rule_absent_classes_out(split: Split) -> None:
    cfg: Config = replace(pocket(), crf="none")
    counts = score(Fixed(halves(0, 1), halves(0, 2)), split, cfg)
    assert set(counts) == {"miou", "patch_miou", "labelled_miou", "pseudo_miou"}
    scores = {name: miou(c.total) for name, c in counts.items()}
    # the mask is scored at its own 16 pixels, so bilinear edges may cost a column
    assert scores["miou"] > 85 and scores["labelled_miou"] > 85
    assert scores["patch_miou"] == pytest.approx(50, abs=6)  # says b where the truth is a
    assert counts["pseudo_miou"].total[:, 2].sum() == 0  # b is not among the image labels


def test_photographs_without_a_mask_count_nothing(split: Split) -> None:
    counts = score(Fixed(halves(0, 1), halves(0, 1)), split, replace(pocket(), crf="none"))
    assert counts["miou"].images[0, 1:].sum() == 2 * 256 and not counts["miou"].images[1].any()
    assert counts["miou"].total.sum() == 256


def test_tallies_give_the_scores_of_a_confusion_matrix_a_photograph_at_a_share_of_its_memory() -> None:
    rng, classes, photographs = np.random.default_rng(0), 81, 7
    truth = [rng.integers(0, classes, (30, 40)).astype(np.uint8) for _ in range(photographs)]
    truth[3] = truth[3] % 5  # most classes are absent
    truth[5][:10] = 255
    p = torch.from_numpy(rng.dirichlet(np.ones(classes), (8, 8))).float().permute(2, 0, 1)[None]
    names = ["background", *map(str, range(1, classes))]
    split = Split(
        names,
        [str(i) for i in range(photographs)],
        torch.ones(photographs, classes - 1),
        torch.zeros(photographs, 3, 8, 8, dtype=torch.uint8),
        photo=lambda i: np.zeros((30, 40, 3), np.uint8),
        mask=lambda i: truth[i],
    )
    made: list[LabelMap] = []
    keep = Scoring(keep=Keep(made.append, HEADLINE))
    counts = score(Fixed(p, p), split, replace(pocket(), crf="none"), HEADLINE, keep)["miou"]
    matrices = np.stack([confusion(truth[m.i], m.labels, classes) for m in sorted(made, key=lambda m: m.i)])
    assert (counts.total == matrices.sum(0)).all() and counts.total.dtype == np.int64
    halved = segmentation.halves(counts.images)
    assert halved == {"tune_miou": miou(matrices[::2].sum(0)), "held_miou": miou(matrices[1::2].sum(0))}
    assert counts.images.nbytes == photographs * 3 * classes * 4 and counts.total.nbytes == classes**2 * 8
    # 8 protocols over COCO's 40,137 photographs: 0.3 GiB, where matrices would take 7.8
    assert 8 * (40137 * counts.images[0].nbytes + counts.total.nbytes) < 0.3 * 2**30


def test_what_the_network_is_shown_is_a_multiple_of_its_patch() -> None:
    cfg = replace(pocket(), image_size=96)
    assert showings(parse("miou"), cfg, 16) == (Showing(96, False, False),)
    sides = [s.side for s in showings(parse("miou_80_ms_50_100"), cfg, 16)]
    assert sides == [48, 48, 80, 80]  # 40 lies between two multiples; each is shown plain and flipped
    with pytest.raises(ValueError, match="sizes has 100; .* multiples of the encoder's patch, 16"):
        showings(parse("miou_100"), cfg, 16)


class Looking(nn.Module):
    """A method that judges each pixel by its own colours, and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.merges = SimpleNamespace(patch=8), False
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
    wide: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def counting(image: np.ndarray, many: list[np.ndarray], p: CRFParameters) -> list[Refined]:
        ran.append((p, len(many)))
        return refine(image, many, p)

    monkeypatch.setattr("apc.models.crf.refine", counting)
    names = "miou_crf labelled_miou_crf miou_crf_toco patch_miou_crf miou_48_crf miou_96_crf"
    # all classes are among the image labels, so they rule out none; 96 is the run's own size
    score(Looking(), wide, replace(pocket(), image_size=96), [parse(name) for name in names.split()])
    assert ran == [(CRF["pocket"], 3), (CRF["toco"], 1)] * 2


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
        def submit(self, image: np.ndarray, many: list[np.ndarray], p: CRFParameters) -> Future[list[Refined]]:
            nonlocal most
            done: Future[list[Refined]] = Future()
            plain: Callable[..., list[Refined]] = done.result

            def result(timeout: float | None = None) -> list[Refined]:
                if not done.done():
                    waiting.remove(done)
                    done.set_result([Refined(p.argmax(0).astype(np.uint8), 0.0) for p in many])
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


def test_scoring_leaves_a_method_as_it_was(split: Split) -> None:
    method = Fixed(halves(0, 1), halves(0, 1)).train()
    score(method, split, replace(pocket(), crf="none"), HEADLINE)
    assert method.training


def _scoring(rank: int, world: int, cfg: Config, where: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{where}/meet{world}", rank=rank, world_size=world)
    torch.manual_seed(0)
    val = data.load(cfg, "val")
    counts = score(build(cfg, len(val.classes)), val, cfg, [parse("miou"), parse("patch_miou_48_crf")])
    flat = {f"{name} {kind}": array for name, c in counts.items() for kind, array in c._asdict().items()}
    np.savez(Path(where) / f"{world}of{rank}.npz", **flat)
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_sum_the_confusion_matrices_of_one(tiny: Config, tmp_path: Path) -> None:
    cfg = replace(tiny, num_val=5)  # an odd number, so that the shares differ
    for world in (1, 2):
        mp.spawn(_scoring, (world, cfg, str(tmp_path)), nprocs=world)
    one, two, other = (np.load(tmp_path / f"{name}.npz") for name in ("1of0", "2of0", "2of1"))
    for name in ("miou", "patch_miou_48_crf"):
        assert one[f"{name} images"].shape == (5, 3, 9) and (one[f"{name} images"].sum((1, 2)) > 0).all()
        for kind in (f"{name} images", f"{name} total"):
            assert (one[kind] == two[kind]).all() and (one[kind] == other[kind]).all()
            assert one[kind].dtype == two[kind].dtype == (np.int64 if kind.endswith("total") else np.int32)


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
        tasks = [task for _, task in labelled(network, {"patch": patch}, 0, (), asked)]
        plain, given = (task for task in tasks if isinstance(task, CRFTask))
        assert plain.winning.classes.tolist() == given.winning.classes.tolist() == [0, 1]
        assert (plain.key == given.key) != network.method.merges  # one CRF serves both only where it sees the same
        same = np.allclose(plain.winning.probabilities, given.winning.probabilities)
        assert same != network.method.merges


def test_photographs_go_together_as_far_as_their_number_and_their_pixels_allow() -> None:
    sizes = [(0, (4, 5)), (2, (2, 5)), (3, (1, 5)), (4, (6, 5)), (5, (1, 1))]
    together = [list(group) for group in grouped(sizes, 2, 30)]
    assert together == [[0, 2], [3], [4], [5]]  # 30 pixels fit, 35 and 31 do not
    assert [list(group) for group in grouped(sizes, 3, None)] == [[0, 2, 3], [4, 5]]
