"""Intervals over images: from counts of runs to the difference of two rows."""

import math
from pathlib import Path

import numpy as np
import pytest
from report_rows import page
from search_rows import a_row, judged_rows

from apc.experiment.outputs import write_images
from apc.reporting.groups import Group
from apc.reporting.verdicts import over_images
from apc.reporting.verdicts.over_images import Images
from apc.runs.rows import Row

pytestmark = pytest.mark.usefixtures("sketched")


def matrices(seed: int, images_: int = 40, classes: int = 3, right: float = 0.7) -> np.ndarray:
    """Confusion matrices (n,C,C) of random masks of which a share is right; some classes are absent from some."""
    chance = np.random.default_rng(seed)
    found = np.zeros((images_, classes, classes), np.int64)
    for image in range(images_):
        for truth in {0, image % classes}:
            pixels = chance.integers(50, 150)
            hits = chance.binomial(pixels, right)
            found[image, truth, truth] += hits
            found[image, truth, (truth + 1) % classes] += pixels - hits
    return found


def counts_of(found: np.ndarray) -> np.ndarray:
    return np.stack([np.diagonal(found, axis1=1, axis2=2), found.sum(2), found.sum(1)], axis=1)


def test_counts_give_the_same_miou_as_the_confusion_matrices_and_its_halves() -> None:
    from apc.evaluation.miou import halves, miou

    found = matrices(0)
    sums = {name: counts_of(found)[part].sum(0) for name, part in over_images.PARTS.items()}
    assert over_images.miou(sums["miou"]) == pytest.approx(miou(found.sum(0)))
    assert {name: float(over_images.miou(sums[name])) for name in ("tune_miou", "held_miou")} == pytest.approx(
        halves(counts_of(found))
    )


def test_runs_leave_their_counts_beside_those_of_earlier_calls_and_a_torn_file_is_named(tmp_path: Path) -> None:
    rows = [a_row("max", seed, 30.0, {}) for seed in (0, 1, 2)]
    for row in rows[:2]:
        (tmp_path / "runs" / row.run).mkdir(parents=True)
        np.savez_compressed(tmp_path / "runs" / row.run / "confusion.npz", miou=matrices(row.config["seed"]))
    path = tmp_path / "pocket.images.npz"
    tallies = counts_of(matrices(7))
    # as runs leave them now: the sums of all images in confusion.npz, what each image scored beside it
    np.savez_compressed(tmp_path / "runs" / rows[1].run / "confusion.npz", miou=matrices(1).sum(0))
    np.savez_compressed(tmp_path / "runs" / rows[1].run / "tallies.npz", miou=tallies, miou_crf=tallies + 1)
    write_images(path, tmp_path / "runs", rows[:1])
    write_images(path, tmp_path / "runs", rows[1:])  # the third run has no folder here
    kept, problems = over_images.read(path)
    assert set(kept.counts) == {rows[0].run, rows[1].run, f"{rows[1].run}.miou_crf"} and problems == []
    assert np.array_equal(kept.counts[rows[1].run], tallies)
    assert np.array_equal(kept.counts[f"{rows[1].run}.miou_crf"], tallies + 1)
    assert np.array_equal(kept.counts[rows[0].run], counts_of(matrices(0)))
    whole = path.read_bytes()
    packed = whole.index(b".npy") + len(b".npy") + 20  # where the first run's counts begin
    path.write_bytes(whole[:packed] + bytes([whole[packed] ^ 0xFF]) + whole[packed + 1 :])
    damaged, problems = over_images.read(path)
    assert len(damaged.counts) == 2 and "its interval over images is left out" in problems[0]
    path.write_bytes(whole[:100])
    torn, problems = over_images.read(path)
    assert torn.counts == {} and "pocket.images.npz" in problems[0]
    assert over_images.read(tmp_path / "none.npz")[0].counts == {}


def test_the_interval_over_images_holds_the_difference_and_is_nothing_for_equal_rows() -> None:
    a, b = counts_of(matrices(1, 80, right=0.8)), counts_of(matrices(2, 80, right=0.6))
    kept = Images({"a": a, "b": b})
    over = kept.difference([("a", "miou")], [("b", "miou")])
    assert over is not None and over.images == 80
    assert over.low < float(over_images.miou(a.sum(0)) - over_images.miou(b.sum(0))) < over.high and over.low > 0
    assert kept.difference([("a", "miou")], [("a", "miou")]) == (0.0, 0.0, 80)
    assert Images({"a": a[:39], "b": b[:39]}).difference([("a", "miou")], [("b", "miou")]) is None  # too few to be sure
    after = [("a", "miou_crf")], [("b", "miou_crf")]
    assert kept.difference(*after) is None and kept.difference([("a", "miou")], [("c", "miou")]) is None
    both = Images(kept.counts | {"a.miou_crf": b, "b.miou_crf": a}).difference(*after)
    assert both is not None and both.high < 0  # after the CRF it is the other way round
    held = [("a", "held_miou")], [("b", "held_miou")]
    assert kept.difference(*held) == Images({"a": a, "b": b}).difference(*held) != over


def test_the_interval_over_images_is_the_jackknife_s() -> None:
    a, b = counts_of(matrices(1, right=0.8)), counts_of(matrices(2, right=0.6))

    def miou(counts: np.ndarray) -> float:
        right, truth, called = counts.sum(0)
        return float(np.mean(100 * right / (truth + called - right)))

    without = [miou(np.delete(a, i, 0)) - miou(np.delete(b, i, 0)) for i in range(40)]
    half = 2.0226909 * math.sqrt(39 / 40 * sum((each - np.mean(without)) ** 2 for each in without))  # t(0.975; 39)
    found = miou(a) - miou(b)
    assert Images({"a": a, "b": b}).difference([("a", "miou")], [("b", "miou")]) == pytest.approx(
        (found - half, found + half, 40)
    )


def test_images_without_a_mask_make_no_interval_and_no_other_one() -> None:
    a, b = counts_of(matrices(1, 80, right=0.8)), counts_of(matrices(2, 80, right=0.6))
    asked = [("a", "miou")], [("b", "miou")]
    masked = Images({"a": a[:50], "b": b[:50]}).difference(*asked)
    a[50:], b[50:] = 0, 0
    assert Images({"a": a, "b": b}).difference(*asked) == masked and masked is not None and masked.images == 50
    a[39:], b[39:] = 0, 0
    assert Images({"a": a, "b": b}).difference(*asked) is None


def test_the_crf_row_of_table_8_is_compared_by_the_run_it_scores_and_each_row_by_its_own_score() -> None:
    rows = [
        Row(run="r", row=label, config={}, metrics={"miou": 30.0, "miou_crf": 31.0, "ladder_miou": own}, seconds={})
        for label, own in (("hv_bilstm", 30.0), ("crf", 31.0))
    ]
    rows[1].run = f"{rows[0].run}@crf"
    better, worse = counts_of(matrices(1, right=0.8)), counts_of(matrices(2, right=0.6))
    group = Group(rows, images=Images({rows[0].run: worse, f"{rows[0].run}.miou_crf": better}))
    over = group.over_images("crf", "hv_bilstm", "ladder_miou")
    assert over is not None and over.low > 0
    rows[1].run = "elsewhere@240"  # counts of another image size are not those of the run
    assert group.over_images("crf", "hv_bilstm", "ladder_miou") is None


def test_of_two_equally_good_networks_at_most_five_percent_are_told_apart_by_the_images() -> None:
    trials, wrong = 300, 0
    for i in range(trials):
        kept = Images({"a": counts_of(matrices(2 * i)), "b": counts_of(matrices(2 * i + 1))})
        over = kept.difference([("a", "miou")], [("b", "miou")])
        assert over is not None
        wrong += not over.low <= 0 <= over.high
    assert wrong / trials <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)  # 5 % and two standard errors of the count


def test_the_page_names_both_intervals_where_the_counts_were_kept(tmp_path: Path) -> None:
    rows = judged_rows({"paper's setting": 40, "joint search": 45})
    for row in rows:
        (tmp_path / "runs" / row.run).mkdir(parents=True)
        found = matrices(row.config["seed"], 80, right=0.8 if row.row == "joint search" else 0.6)
        np.savez_compressed(tmp_path / "runs" / row.run / "confusion.npz", miou=found)
    write_images(tmp_path / "results/search_judged/pocket.images.npz", tmp_path / "runs", rows)
    text = page(tmp_path, "search_judged", rows)
    assert "[95 % over images]" in text and "here [95 % over seeds]" in text and " over images |" in text
    assert "images_low,images_high" in (tmp_path / "tables/search_judged.pocket.csv").read_text()
