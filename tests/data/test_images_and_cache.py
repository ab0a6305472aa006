"""Photographs of any kind, images in memory, in a cache or decoded when asked for, and work done ahead in order."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trees import make_voc

from apc import data
from apc.cli.main import main
from apc.config import Config, folder, voc
from apc.data import cache, images, prepared
from apc.data import folder as photos
from apc.data import voc as voc_data
from apc.data.images import Lazy, decode, require_whole, size_of
from apc.data.transforms import as_floats, augment, resize, squash, stack
from apc.parallel import each, prefetch


@pytest.fixture
def cfg(photographs: Path) -> Config:
    return replace(folder(), root=str(photographs), image_size=48)


# --- photographs of any kind --------------------------------------------------------------------------


def test_exif_orientation_is_honoured_for_image_and_size(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10] = (250, 0, 0)  # red above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise: red to the right
    for name, options in (("a.jpg", {"quality": 95}), ("a.png", {}), ("a.tif", {})):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif, **options)
        seen = decode(tmp_path / name)
        assert seen.shape == (30, 20, 3) and size_of(tmp_path / name) == (30, 20)
        assert seen[15, 16, 0] > 200 and seen[15, 3, 0] < 50


def test_plain_jpegs_have_pillows_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    for quality, subsampling in ((90, 2), (75, 1), (95, 0)):
        small.resize((161, 121)).save(tmp_path / "a.jpg", quality=quality, subsampling=subsampling)
        theirs = np.asarray(Image.open(tmp_path / "a.jpg"))
        assert np.abs(decode(tmp_path / "a.jpg").astype(int) - theirs).max() <= 1  # 0 where both have one libjpeg


def test_16_bit_images_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    grey = np.array([[0, 257, 32896, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(grey).save(tmp_path / name)
        assert decode(tmp_path / name)[0].tolist() == [[0, 0, 0], [1, 1, 1], [128, 128, 128], [255, 255, 255]]
    Image.fromarray(grey.astype(np.int32)).save(tmp_path / "b.tif")
    assert decode(tmp_path / "b.tif")[0, 3].tolist() == [255, 255, 255]
    Image.fromarray(np.array([[70000]], np.int32)).save(tmp_path / "c.tif")
    with pytest.raises(ValueError, match=r"c\.tif.*more than 16 bits"):
        decode(tmp_path / "c.tif")


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:2] = (10, 20, 30, 255)
    Image.fromarray(clear).save(tmp_path / "a.png")
    seen = decode(tmp_path / "a.png")
    assert seen[0, 0].tolist() == [10, 20, 30] and seen[3, 3].tolist() == [255, 255, 255]
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    palette.save(tmp_path / "p.png", transparency=1)
    assert decode(tmp_path / "p.png")[0, 0].tolist() == [255, 255, 255]
    Image.fromarray(clear[..., 2:]).save(tmp_path / "la.png")  # grey and alpha
    assert decode(tmp_path / "la.png")[3, 3].tolist() == [255, 255, 255]


def test_grey_palette_cmyk_and_black_and_white_images_become_rgb(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 8), (200, 30, 30))
    for mode, name in (("L", "a.png"), ("P", "b.png"), ("CMYK", "c.jpg"), ("1", "d.png"), ("YCbCr", "e.jpg")):
        red.convert(mode).save(tmp_path / name)
        seen = decode(tmp_path / name)
        assert seen.shape == (8, 8, 3) and seen.dtype == np.uint8
        if mode in ("CMYK", "P", "YCbCr"):
            assert seen[4, 4, 0] > 150 > seen[4, 4, 1]


def test_names_with_spaces_and_letters_of_any_language_are_read(photographs: Path, cfg: Config) -> None:
    (photographs / "images" / "photo 0.png").rename(photographs / "images" / "Mäuse im Heu, 鼠.png")
    (photographs / "masks" / "photo 0.png").rename(photographs / "masks" / "Mäuse im Heu, 鼠.png")
    text = (photographs / "train.csv").read_text()
    (photographs / "train.csv").write_text(text.replace("photo 0.png", '"Mäuse im Heu, 鼠.png"'), encoding="utf-8-sig")
    assert data.load(cfg, "train").names[0] == "Mäuse im Heu, 鼠.png"


def test_masks_are_optional(photographs: Path, cfg: Config) -> None:
    for mask in (photographs / "masks").iterdir():
        mask.unlink()
    (photographs / "masks").rmdir()
    assert data.load(cfg, "val").mask(0) is None


def test_an_image_that_is_cut_is_found_from_its_end(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    for name in ("a.jpg", "a.png"):
        noise.save(tmp_path / name)
        require_whole(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"a phone's notes")
        require_whole(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:1000])
        with pytest.raises(ValueError, match="cannot be decoded"):
            require_whole(tmp_path / name)


# --- resizing -----------------------------------------------------------------------------------------


def test_resizing_is_pillows_to_one_grey_level() -> None:
    rng = np.random.default_rng(0)
    for height, width, size in ((37, 53, 48), (375, 500, 96), (20, 31, 64)):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        theirs = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
        ours = squash(image, size).permute(1, 2, 0).numpy()
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert resize(image, 20, 40).shape == (3, 20, 40)


def test_flips_are_those_of_the_generator_and_bytes_become_the_same_floats() -> None:
    image = torch.arange(3 * 4 * 4, dtype=torch.uint8).reshape(3, 4, 4)
    cfg = replace(folder(), flip="both")
    for seed in range(8):
        made, flips = augment(image, cfg, np.random.default_rng(seed))
        dims = [dim for dim, flipped in zip((2, 1), flips, strict=True) if flipped]
        assert made.dtype == torch.uint8 and torch.equal(made, image.flip(dims))
    strided = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # as resize leaves it
    batch = as_floats(stack([strided, strided]), "cpu")
    assert batch.is_contiguous() and torch.equal(batch, torch.stack([image, image]).float() / 255)


def test_colour_changes_leave_floats_between_0_and_1() -> None:
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    made, _ = augment(image, replace(folder(), jitter=0.5), np.random.default_rng(0))
    assert made.is_floating_point() and 0 <= made.min() and made.max() <= 1
    assert torch.equal(as_floats(made[None], "cpu"), made[None])


# --- memory, files, cache -----------------------------------------------------------------------------


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


def test_an_interrupted_cache_leaves_nothing(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.build(data.files("folder", str(photographs), "train.csv"), 48)
    assert [path for path in (photographs / "apc").rglob("*") if path.is_file()] == []

    monkeypatch.undo()
    killed = photographs / "apc" / "folder" / "cache" / ".train-48.npy.99"
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


def test_the_fingerprint_of_prepared_data_changes_with_any_file_and_reads_none(tmp_path: Path) -> None:
    root = make_voc(tmp_path)
    voc_data.prepare(root, partial=True)
    before = prepared.fingerprint(str(root), "voc", ["train.csv", "val.csv"])
    image = root / "VOCdevkit/VOC2012/JPEGImages/2007_000061.jpg"
    Image.open(image).rotate(180).save(image)
    assert prepared.fingerprint(str(root), "voc", ["train.csv", "val.csv"]) == before  # prepare looks, it does not
    voc_data.prepare(root, partial=True)
    assert prepared.fingerprint(str(root), "voc", ["train.csv", "val.csv"]) != before


def test_the_fingerprint_of_photographs_is_a_hash_of_contents_and_of_how_they_are_read(photographs: Path) -> None:
    (photographs / "train.csv").write_text("image,labels\nphoto 0.png,red\n")
    (photographs / "val.csv").write_text("image,labels\nphoto 1.png,blue\n")
    for i, name in enumerate(("images/photo 0.png", "masks/photo 0.png", "images/photo 1.png", "masks/photo 1.png")):
        (photographs / name).write_bytes(bytes([i]))
    contents = photos.READING.encode() + b"\nbackground\nred\nblue"
    contents += b"image,labels\nphoto 0.png,red\n\0image,labels\nphoto 1.png,blue\n\2\3"
    expected = hashlib.sha256(contents).hexdigest()[:12]  # masks of training images are never read
    assert data.fingerprint(replace(folder(), root=str(photographs))) == expected


# --- check --------------------------------------------------------------------------------------------


def test_check_says_what_a_folder_consists_of(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photographs / "images" / "spare.png").write_bytes((photographs / "images" / "photo 1.png").read_bytes())
    text = (photographs / "val.csv").read_text()
    (photographs / "val.csv").write_text(text + "photo 1.png,blue\nspare.png,blue\n")
    (photographs / "images" / "other.png").write_bytes(b"")
    cache.build(data.files("folder", str(photographs), "train.csv"), 48)
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 0
    told = capsys.readouterr().out
    assert "train.csv: 8 images, sides of 40 to 60 pixels, 8 with a mask" in told
    assert "val.csv: 6 images, sides of 41 to 59 pixels, 5 with a mask" in told
    assert "note: 1 photographs are in more than one list" in told and "note: 1 files are copies" in told
    assert "note: 1 files of images/ are in no list" in told and told.endswith("everything can be used\n")
    red, blue = (line.split() for line in told.splitlines() if line.startswith(("red", "blue")))
    assert red == ["red", "5", "3"] and blue == ["blue", "5", "5"]


def test_check_names_the_first_ten_of_many_and_finds_damaged_caches(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = cache.build(data.files("folder", str(photographs), "train.csv"), 48)
    kept = np.lib.format.open_memmap(file, mode="r+")
    kept[5, 3, 3] ^= 255
    kept.flush()
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 2
    assert "train-48.npy" in capsys.readouterr().err
    for path in (photographs / "images").iterdir():
        path.write_bytes(path.read_bytes()[:70])
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 2
    said = capsys.readouterr()
    assert said.out.count("cannot be decoded") == 10
    assert "12 things are wrong with the data; the first 10 are named above" in said.err


# --- work ahead ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_prefetch_keeps_the_order(threads: int) -> None:
    def slow(job: int) -> int:
        time.sleep(0.01 * (job % 3))
        return job * job

    assert list(prefetch(range(20), slow, threads)) == [n * n for n in range(20)]


def test_prefetch_works_ahead_but_not_too_far() -> None:
    started: list[int] = []
    jobs = prefetch(range(100), lambda job: started.append(job), threads=2, ahead=5)
    next(jobs)
    time.sleep(0.05)
    assert len(started) == 6
    jobs.close()  # type: ignore[attr-defined]
    assert len(started) == 6 and not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_an_error_comes_in_its_turn() -> None:
    def broken(job: int) -> int:
        if job == 2:
            raise ValueError("2.jpg: broken")
        return job

    made: Iterator[int] = prefetch(range(9), broken, threads=3)
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ValueError, match=r"2\.jpg"):
        next(made)


def test_long_work_tells_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apc.parallel.BEAT", 0.0)
    assert each([1, 2, 3], lambda job: 2 * job, "doubling") == [2, 4, 6]
    assert "doubling: 2 of 3" in capsys.readouterr().err
