"""The embedded data set keeps its promises, and the tiny ViT and its pre-training do."""

import errno
import itertools
import multiprocessing
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from apc import config, data
from apc.data import painting, pocket
from apc.data import pocket_folder as miniature
from apc.data.checking import check as look
from apc.models import pretraining
from apc.models.pocket_vit import pocket_vit


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    images, masks = zip(*(pocket.draw("train", i, 0) for i in range(600)), strict=True)
    return np.stack(images), np.stack(masks)


def presence(masks: np.ndarray) -> np.ndarray:
    """Which classes are in each mask, (n,8)."""
    return np.stack([(masks == c).any((1, 2)) for c in range(1, len(pocket.CLASSES))], axis=1)


def test_a_picture_depends_on_its_number_and_not_on_the_order_of_drawing(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    images, masks = drawn
    for index in (17, 3, 599, 3):
        image, mask = pocket.draw("train", index, 0)
        assert np.array_equal(image, images[index]) and np.array_equal(mask, masks[index])


def test_pictures_are_bytes_of_96_by_96() -> None:
    image, mask = pocket.draw("val", 0, 5)
    assert image.shape == (96, 96, 3) and mask.shape == (96, 96)
    assert image.dtype == mask.dtype == np.uint8


def test_the_splits_and_the_data_seeds_draw_different_pictures() -> None:
    firsts = [pocket.draw(split, 0, seed)[0].tobytes() for split in pocket.SIZES for seed in (0, 1)]
    assert len(set(firsts)) == 6


def test_every_picture_shows_one_to_three_classes_of_at_least_30_pixels(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    for mask in drawn[1]:
        counts = np.bincount(mask.ravel(), minlength=9)
        assert len(counts) == 9 == len(pocket.CLASSES)
        assert 1 <= (counts[1:] > 0).sum() <= 3
        assert counts[counts > 0].min() >= 30


def test_class_frequencies_are_the_designed_ones(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    present = presence(drawn[1])
    assert present.sum(1).mean() == pytest.approx(1.55, abs=0.1)  # VOC: 1.55
    assert np.allclose(present.mean(0), 1.55 / 8, atol=0.06)
    assert (drawn[1] == 0).mean() == pytest.approx(0.91, abs=0.02)


def background_statistics(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean colour and colour histogram (4x4x4) of the pixels at least three away from every thing, (67,)."""
    near = np.zeros_like(mask, bool)
    for dy in range(-3, 4):
        for dx in range(-3, 4):
            near |= np.roll(mask > 0, (dy, dx), (0, 1))
    pixels = image[~near] if (~near).any() else image[:1, 0]
    bins = (pixels // 64).astype(int) @ (16, 4, 1)
    return np.concatenate([pixels.mean(0) / 255, np.sqrt(np.bincount(bins, minlength=64) / len(pixels))])


def test_the_background_does_not_give_the_class_away(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """A linear probe on background pixels ranks images by class as by chance (0.5), within 0.06; on the things' pixels
    the same probe is far above. The outliers of absent classes alone would allow about 0.53."""
    images, masks = drawn
    present = presence(masks).astype(float)

    def mean_auc(features: np.ndarray) -> float:
        x = np.c_[(features - features.mean(0)) / (features.std(0) + 1e-3), np.ones(len(features))]
        train, test = x[:400], x[400:]
        weights = np.linalg.solve(train.T @ train + 100 * np.eye(x.shape[1]), train.T @ present[:400])
        scores, truth = test @ weights, present[400:] > 0
        return float(np.mean([(s[t][:, None] > s[~t]).mean() for s, t in zip(scores.T, truth.T, strict=True)]))

    assert abs(mean_auc(np.stack([background_statistics(i, m) for i, m in zip(*drawn, strict=True)])) - 0.5) < 0.06
    assert mean_auc(np.stack([background_statistics(i, m == 0) for i, m in zip(*drawn, strict=True)])) > 0.7


def test_a_thing_shows_its_head_only_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, heads = np.random.default_rng(0), []
    striking = pocket.striking  # colours of heads and of nothing else
    monkeypatch.setattr(pocket, "striking", lambda *hues: heads.append(hues) or striking(*hues))
    for _ in range(200):
        pocket.draw_thing(rng, painting.background(rng), np.zeros((96, 96), np.uint8), 1, [])
    assert 100 < len(heads) < 140  # three of five


def test_the_tiny_vit_takes_any_size_that_divides_by_8() -> None:
    vit = pocket_vit().eval()
    assert vit.patch_embed(torch.rand(2, 3, 96, 96)).shape == (2, 12, 12, 64)
    assert vit.patch_embed(torch.rand(2, 3, 64, 128)).shape == (2, 8, 16, 64)
    assert vit(torch.rand(2, 3, 64, 128)).shape == (2, 128, 64)
    with pytest.raises(AssertionError, match="patches of 8"):
        vit(torch.rand(1, 3, 90, 96))


def test_blob_targets_are_shares_and_name_no_class() -> None:
    image, shares = pretraining.draw_blobs(0)
    assert image.shape == (96, 96, 3)
    sizes = [count + 1 for count in pretraining.ATTRIBUTES.values()]
    assert sizes == [7, 4, 9, 6] and shares.shape == (12, 12, 26)
    for part in np.split(shares, np.cumsum(sizes)[:-1], axis=-1):
        assert np.allclose(part.sum(-1), 1)
    assert np.allclose(shares[..., 0], shares[..., 7])  # every attribute agrees on what is background


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A pre-training of seconds, cached in a folder of its own."""
    monkeypatch.setenv("APC_CACHE", str(tmp_path))
    monkeypatch.setattr(pretraining, "IMAGES", 32)
    quick = {name: stage | {"epochs": 1, "batch": 16} for name, stage in pretraining.STAGES.items()}
    monkeypatch.setattr(pretraining, "STAGES", quick)
    return tmp_path


def test_the_pretraining_says_how_far_it_is_and_what_is_left_by_the_time_it_took_so_far(
    short: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = itertools.count(step=2)  # seconds: every look at the clock is two later
    monkeypatch.setattr(pretraining.time, "perf_counter", lambda: float(next(clock)))
    pretraining.pretrain()
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "pre-training the tiny ViT on random blobs: once, kept for later runs"
    # the second of 32 drawings, which are a tenth of it all, ends at 4 s; from then on every sixth tells
    assert told[1] == "pre-training: 1 %, about 10:36 min left" and told[2].startswith("pre-training: 2 %, about ")
    assert re.fullmatch(r"pre-training took \d:\d\d min, last loss \d+\.\d{3}", told[-1])


def test_pretrained_weights_are_kept_on_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setenv("APC_CACHE", str(tmp_path))
    monkeypatch.setattr("fcntl.flock", no_locks)
    monkeypatch.setattr(pretraining, "pretrain", lambda: {"a": torch.ones(2)})
    assert pretraining.pretrained_state()["a"].tolist() == [1, 1]
    assert pretraining.path().is_file()


def test_pretrained_weights_fit_are_reproducible_and_leave_the_callers_random_state_alone(short: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = pretraining.pretrained_state()
    assert torch.equal(torch.rand(3), expected)
    assert pocket_vit().load_state_dict(first)
    second = pretraining.pretrain()
    assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)
    assert [p.name for p in short.glob("*.safetensors")] == [f"{pretraining.fingerprint()}.safetensors"]


def test_the_fingerprint_follows_the_recipe(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pretraining.fingerprint()
    assert pretraining.fingerprint() == before
    monkeypatch.setattr(pretraining, "IMAGES", 48)
    assert pretraining.fingerprint() != before


def ask(messages: "multiprocessing.Queue[str]") -> None:
    def keep(text: str, error: bool = False) -> None:
        if "took" in text:
            messages.put(text)

    pretraining.say = keep  # of this process alone
    pretraining.pretrained_state()


def test_two_processes_that_ask_at_once_train_once(short: Path) -> None:
    context = multiprocessing.get_context("fork")  # the shortened recipe is in this process's memory
    messages: multiprocessing.Queue[str] = context.Queue()
    pair = [context.Process(target=ask, args=(messages,)) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(120)
    assert [process.exitcode for process in pair] == [0, 0]
    assert messages.get(timeout=5).startswith("pre-training took ")
    assert messages.empty()


def test_the_miniature_is_written_as_photographs_that_read_back_as_drawn(tmp_path: Path) -> None:
    root = tmp_path / "mini"
    miniature.write(root, {"train": 6, "val": 4})
    summary, problems = look("folder", str(root), ["train.csv", "val.csv"])
    assert not problems and "6 images" in summary
    ours = data.load(config.Config(dataset="folder", root=str(root), image_size=96, encoder="pocket"), "val")
    theirs = data.load(replace(config.pocket(), num_val=4), "val")
    assert ours.classes == theirs.classes and torch.equal(ours.labels, theirs.labels)
    assert torch.equal(ours.images[torch.arange(4)], theirs.images[torch.arange(4)])
    assert all((ours.mask(i) == theirs.mask(i)).all() for i in range(4))


def test_the_miniature_is_not_drawn_over_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="give a new or an empty folder"):
        miniature.write(tmp_path, {"train": 2, "val": 2})
    with pytest.raises(ValueError, match="num_val is 900; it must lie between 1 and 256"):
        miniature.write(tmp_path / "new", {"train": 2, "val": 900})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
