"""Images in memory, in a cache or decoded when asked for: the same bits, and a cache that is never stale."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from refusal import refused
from trees import make_voc

from apc import data
from apc.cli.main import main
from apc.config import Config, folder, voc
from apc.data import cache, images
from apc.data import voc as voc_data
from apc.data.images import Lazy


def equal(one: images.Images, other: images.Images) -> bool:
    numbers = list(range(len(one)))
    return len(one) == len(other) and torch.equal(one[numbers], other[numbers]) and torch.equal(one[1], other[1])


def test_memory_files_and_cache_give_the_same_bits(
    photographs: Path, cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = data.load(cfg, "train").images
    assert isinstance(in_memory, torch.Tensor)
    monkeypatch.setattr(images, "IN_MEMORY", 0)
    from_files = data.load(cfg, "train").images
    assert isinstance(from_files, Lazy) and equal(in_memory, from_files)
    assert main(["data", "cache", "folder", "--root", str(photographs), "--image-size", "48"]) == 0
    monkeypatch.setattr(images, "decode", None)  # nothing is decoded any more
    cached = data.load(cfg, "train").images
    assert isinstance(cached, Lazy) and equal(in_memory, cached)
    assert torch.equal(cached[torch.tensor([2, 0])], in_memory[[2, 0]])
    some = data.load(replace(cfg, num_train=3), "train")  # a part of the list takes its rows of the cache
    rows = [data.load(cfg, "train").names.index(name) for name in some.names]
    assert torch.equal(some.images[[0, 1, 2]], in_memory[rows])


def test_a_run_with_a_cache_is_the_run_without_to_the_bit(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apc.training.run import run

    cfg = replace(
        folder(),
        root=str(photographs),
        encoder="pocket",
        decoder_blocks=(1, 3),
        image_size=48,
        batch_size=4,
        epochs=2,
        frozen_epochs=0,
        crf="none",
    )
    without = run(cfg, runs=tmp_path / "a")
    cache.build(data.files("folder", str(photographs), "train.csv"), 48)
    monkeypatch.setattr(images, "IN_MEMORY", 0)
    cached = run(cfg, runs=tmp_path / "b")
    assert [e["loss"] for e in cached.curve] == [e["loss"] for e in without.curve]
    assert cached.metrics == without.metrics


def test_a_stale_or_damaged_cache_is_refused_and_built_anew(photographs: Path, cfg: Config) -> None:
    listed = data.files("folder", str(photographs), "train.csv")
    file = cache.build(listed, 48)
    when = file.stat().st_mtime_ns
    assert cache.build(listed, 48).stat().st_mtime_ns == when  # what is whole is not made again

    torn = bytearray(file.read_bytes())
    torn[200] ^= 255
    file.write_bytes(torn)
    with pytest.raises(ValueError, match=r"train-48\.npy: damaged; make it again with `apc data cache folder"):
        data.load(cfg, "train")
    file.write_bytes(torn[:-7])
    with pytest.raises(ValueError, match="damaged"):
        data.load(cfg, "train")
    assert (np.load(cache.build(listed, 48)) == 0).sum() < 1000 and len(data.load(cfg, "train")) == 8

    Image.new("RGB", (70, 50)).save(photographs / "images" / "photo 0.png")
    with pytest.raises(ValueError, match="made of other images"):
        data.load(cfg, "train")
    cache.build(data.files("folder", str(photographs), "train.csv"), 48)
    assert not data.load(cfg, "train").images[0].any()


def test_a_cache_without_broken_photographs_is_for_runs_that_leave_them_out(
    photographs: Path, cfg: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    skipping = replace(cfg, skip_broken=True)
    broken = photographs / "images" / "photo 3.png"
    broken.write_text("no image")
    without = data.load(skipping, "train")
    words = ["data", "cache", "folder", "--root", str(photographs), "--image-size", "48"]
    refused(words, capsys, f"{broken}: the image cannot be decoded")
    assert main([*words, "--skip-broken"]) == 0
    told = capsys.readouterr().out
    assert "train-48.npy: 7 images of 48 pixels" in told
    assert f"note: 1 photograph cannot be decoded and is left out\n  {broken}: the image cannot be decoded" in told
    cached = data.load(skipping, "train")
    assert isinstance(cached.images, Lazy) and equal(cached.images, without.images)
    assert (cached.names, cached.skipped) == (without.names, without.skipped) and len(cached.skipped) == 1
    with pytest.raises(ValueError, match=r"photo 3.png: .*; --skip-broken leaves it out"):
        data.load(cfg, "train")
    refused(words, capsys, f"{broken}: the image cannot be decoded")  # what is there does not stand for all


def test_a_cache_of_broken_photographs_alone_and_of_prepared_ones_is_refused(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (photographs / "images").iterdir():
        path.write_text("no image")
    words = ["--root", str(photographs), "--skip-broken"]
    refused(["data", "cache", "folder", *words], capsys, "none of the 8 photographs can be decoded; ")
    refused(["data", "cache", "voc", *words], capsys, "skip_broken is True; it is for folder alone")
    assert [path for path in (photographs / "apc").rglob("*") if path.is_file()] == []


def test_an_interrupted_cache_leaves_nothing(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: object) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.build(data.files("folder", str(photographs), "train.csv"), 48)
    assert [path for path in (photographs / "apc").rglob("*") if path.is_file()] == []

    monkeypatch.undo()
    killed = photographs / "apc" / "folder" / "cache" / ".apc-elsewhere.99.0"
    killed.touch()
    os.utime(killed, (0, 0))
    cache.build(data.files("folder", str(photographs), "train.csv"), 48)
    assert not killed.exists()


def test_the_cache_of_voc_is_known_by_the_contents_of_its_images(tmp_path: Path) -> None:
    root = make_voc(tmp_path)
    voc_data.prepare(root, partial=True)
    cfg = replace(voc(), root=str(root), image_size=32)
    before = data.load(cfg, "train").images
    cache.build(data.files("voc", str(root), "train.csv"), 32)
    assert equal(before, data.load(cfg, "train").images)
    image = root / "VOCdevkit/VOC2012/JPEGImages/2008_000002.jpg"
    Image.open(image).rotate(180).save(image)
    voc_data.prepare(root, partial=True)
    with pytest.raises(ValueError, match="made of other images"):
        data.load(cfg, "train")


def test_what_a_cache_left_out_and_can_be_decoded_now_is_put_into_it(
    photographs: Path, cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = data.files("folder", str(photographs), "train.csv")
    few = few._replace(how=few.how._replace(max_pixels=2400))
    file = cache.build(few, 48, skip_broken=True)
    left_out = cache.lacking(few, 48)
    assert left_out and len(left_out) < len(few.paths)
    written = file.stat().st_mtime_ns
    assert cache.build(few, 48, skip_broken=True) == file and file.stat().st_mtime_ns == written
    for skip_broken in (False, True):
        with pytest.raises(ValueError, match="can be decoded now; make the cache again with `apc data cache folder"):
            data.load(replace(cfg, skip_broken=skip_broken), "train")
    cache.build(few._replace(how=images.PLAIN), 48, skip_broken=True)
    assert cache.lacking(few, 48) == {}


def test_lists_in_folders_have_caches_of_their_own(photographs: Path) -> None:
    text = (photographs / "train.csv").read_text()
    names = ["train.csv", "folds/1/train.csv", "folds/2/train.csv"]
    for name in names:
        (photographs / name).parent.mkdir(parents=True, exist_ok=True)
        (photographs / name).write_text(text)
    outside = photographs.parent / "train.csv"
    outside.write_text(text)
    below = photographs / "apc" / "folder" / "cache"
    listed = [data.files("folder", str(photographs), name) for name in [*names, str(outside), "folds/../train.csv"]]
    places = [files.file(48) for files in listed]
    assert places[:3] == [below / "train-48.npy", below / "folds/1/train-48.npy", below / "folds/2/train-48.npy"]
    assert len(set(places)) == 4 and places[4] == places[0] and all(p.is_relative_to(below) for p in places)
