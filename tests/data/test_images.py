"""Photographs of any kind: their pixels, their size, and whether they are whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exif import tagged
from PIL import Image, UnidentifiedImageError
from predictions import picture

from apc.data.images import Reading, decode, require_whole, size_of, why_unreadable
from apc.data.masks import read_mask
from apc.prediction.photographs import gather


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


def closed_early(jpeg: bytes, share: float) -> bytes:
    """A JPEG that is cut inside its last scan and closed as if it were whole."""
    scan = jpeg.rfind(b"\xff\xda") + 14
    return jpeg[: scan + int(share * (len(jpeg) - scan))] + b"\xff\xd9"


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "restarting after three blocks": {"restart_marker_blocks": 3},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
    "turned": {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
    "progressive": {"progressive": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_is_cut_and_closed_is_found_whatever_its_kind(tmp_path: Path, kind: str) -> None:
    options = dict(KINDS[kind])
    photo, path = picture(120, 161).convert(options.pop("mode", "RGB")), tmp_path / "a.jpg"
    photo.save(path, **options)
    whole = path.read_bytes()
    require_whole(path)
    assert decode(path).shape == ((161, 120, 3) if kind == "turned" else (120, 161, 3))
    for share in (0.01, 0.3, 0.6, 0.9):
        path.write_bytes(closed_early(whole, share))
        with pytest.raises(ValueError, match=r"a\.jpg: the image cannot be decoded \(its picture ends before"):
            decode(path)


def test_a_photograph_with_grey_corners_is_whole(tmp_path: Path) -> None:
    for colour in ((128, 128, 128), (64, 64, 64)):
        Image.new("RGB", (40, 30), colour).save(tmp_path / "a.jpg", quality=95)
        assert decode(tmp_path / "a.jpg").shape == (30, 40, 3)
        (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes() + b"more of a phone's")
        assert decode(tmp_path / "a.jpg").shape == (30, 40, 3)


def test_formats_that_start_another_program_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*words: Any, **more: Any) -> None:
        raise AssertionError(f"{words} is started")

    monkeypatch.setattr("subprocess.Popen", started)
    picture(20, 30).save(tmp_path / "a.eps")
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).write_bytes((tmp_path / "a.eps").read_bytes())
        for read in (decode, require_whole, size_of, lambda path: read_mask(path, (20, 30), 2)):
            with pytest.raises(ValueError, match=rf"{name}: the (image|mask) cannot be decoded"):
                read(tmp_path / name)
    with pytest.raises(ValueError, match=r"a\.jpg \(no image, or of a format that is not read\)"):
        gather([tmp_path / "a.jpg"], tmp_path / "out")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_what_is_read_as_it_is_stored_is_not_turned(tmp_path: Path, suffix: str, orientation: int) -> None:
    stored = Reading(turned=False)
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    Image.fromarray(pixels).save(path)
    before = decode(path)
    if suffix == "jpg":
        tagged(path, orientation)
    else:
        exif[0x0112] = orientation
        Image.fromarray(pixels).save(path, exif=exif)
    assert (decode(path, stored) == before).all() and size_of(path, stored) == (20, 30)
    assert size_of(path) == decode(path).shape[:2] == ((30, 20) if orientation >= 5 else (20, 30))
    assert orientation in (1,) or not np.array_equal(decode(path), before)


def test_heic_is_read_where_its_package_is(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    pixels = np.full((20, 30, 3), (200, 30, 30), np.uint8)
    heif.from_pillow(Image.fromarray(pixels)).save(tmp_path / "a.heic", quality=90)
    seen = decode(tmp_path / "a.heic")
    assert seen.shape == (20, 30, 3) and size_of(tmp_path / "a.heic") == (20, 30)
    assert np.abs(seen.astype(int) - pixels).max() < 12


def test_a_heic_photograph_without_the_package_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(60))
    error = UnidentifiedImageError("cannot identify image file")
    assert why_unreadable(tmp_path / "a.heic", error) == "a HEIC photograph; `pip install pillow-heif` lets it be read"
    (tmp_path / "a.heic").write_text("no image")
    assert why_unreadable(tmp_path / "a.heic", error) == "of none of the formats that are read"


def test_an_orientation_behind_long_segments_turns_a_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.zeros((8, 16, 3), np.uint8)).save(path)
    tagged(path, 6)
    data, comment = path.read_bytes(), b"\xff\xfe" + (60_002).to_bytes(2, "big") + bytes(60_000)
    path.write_bytes(data[:2] + 2 * comment + data[2:])
    assert decode(path).shape == (16, 8, 3)
    assert decode(path, Reading(turned=False)).shape == (8, 16, 3)
