"""Confusion matrices and what is counted of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from fixed_methods import Fixed, halves
from torch import multiprocessing as mp

from apc import data
from apc.config import Config, pocket
from apc.data import Split
from apc.evaluation import miou as segmentation
from apc.evaluation.miou import confusion, foreground, iou, miou, pixel_accuracy, score
from apc.evaluation.scoring import Keep, LabelMap, Scoring
from apc.methods.registry import build
from apc.runs.protocols import HEADLINE, parse


def test_confusion_counts_truth_by_row_and_drops_ignored_pixels() -> None:
    truth, predicted = np.array([[0, 1], [1, 255]]), np.array([[0, 0], [1, 1]])
    assert confusion(truth, predicted, 3).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_iou_of_a_class_without_truth_is_left_out_of_the_mean() -> None:
    matrix = np.array([[6, 1, 1], [2, 2, 0], [0, 0, 0]])
    # background 6/(8+8-6), class 1 2/(4+3-2); class 2 is predicted once, but has no truth
    assert iou(matrix)[:2] == pytest.approx([60, 40]) and np.isnan(iou(matrix)[2])
    assert miou(matrix) == pytest.approx(50)
    assert np.isnan(miou(np.zeros((3, 3), int)))


def test_miou_agrees_with_torchmetrics() -> None:
    metrics = pytest.importorskip("torchmetrics.classification")
    truth, predicted = torch.randint(0, 5, (4, 30, 30)), torch.randint(0, 5, (4, 30, 30))
    truth[0, :5] = 255
    oracle = metrics.MulticlassJaccardIndex(5, average="macro", ignore_index=255)(predicted, truth)
    total = sum(confusion(t.numpy(), p.numpy(), 5) for t, p in zip(truth, predicted, strict=True))
    assert miou(total) == pytest.approx(100 * oracle.item(), abs=1e-3)


def test_pixel_accuracy_is_the_share_of_pixels_that_are_right() -> None:
    assert pixel_accuracy(np.array([[5, 1, 0], [2, 3, 1], [0, 0, 4]])) == pytest.approx(75)
    assert np.isnan(pixel_accuracy(np.zeros((2, 2), int)))


def test_foreground_precision_and_recall_count_the_right_class_only() -> None:
    matrix = np.array([[5, 1, 0], [2, 3, 1], [0, 0, 4]])
    assert foreground(matrix) == {"precision": pytest.approx(100 * 7 / 9), "recall": pytest.approx(70)}


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


def test_scoring_leaves_a_method_as_it_was(split: Split) -> None:
    method = Fixed(halves(0, 1), halves(0, 1)).train()
    score(method, split, replace(pocket(), crf="none"), HEADLINE)
    assert method.training


def _counted(cfg: Config) -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    val = data.load(cfg, "val")
    counts = score(build(cfg, len(val.classes)), val, cfg, [parse("miou"), parse("patch_miou_48_crf")])
    return {f"{name} {kind}": array for name, c in counts.items() for kind, array in c._asdict().items()}


def _scoring(rank: int, world: int, cfg: Config, where: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{where}/meet", rank=rank, world_size=world)
    np.savez(Path(where) / f"{rank}.npz", **_counted(cfg))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_sum_the_confusion_matrices_of_one(tiny: Config, tmp_path: Path) -> None:
    cfg = replace(tiny, num_val=5)  # an odd number, so that the shares differ
    mp.spawn(_scoring, (2, cfg, str(tmp_path)), nprocs=2)
    one, two, other = _counted(cfg), np.load(tmp_path / "0.npz"), np.load(tmp_path / "1.npz")
    for name in ("miou", "patch_miou_48_crf"):
        assert one[f"{name} images"].shape == (5, 3, 9) and (one[f"{name} images"].sum((1, 2)) > 0).all()
        for kind in (f"{name} images", f"{name} total"):
            assert (one[kind] == two[kind]).all() and (one[kind] == other[kind]).all()
            assert one[kind].dtype == two[kind].dtype == (np.int64 if kind.endswith("total") else np.int32)
