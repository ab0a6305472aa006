"""Headers that announce more than can be read, and decoders that write to the terminal."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huge_headers import HUGE, SIDE, ico, saved
from PIL import Image
from torchvision.io import decode_jpeg

from apc.data.headers import LIMIT, opened
from apc.data.images import decode, require_whole, size_of
from apc.data.masks import made_of, read_mask

READERS = """
import json, resource, sys
from pathlib import Path
from apc.data.images import decode, require_whole, size_of
from apc.data.masks import made_of, read_mask
from apc.prediction.photographs import gather

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

folder, sentences = Path(sys.argv[1]), []
decode(folder / "small.png")
assert size_of(folder / "large.ppm") == (9000, 12000)  # Pillow warns of it
before = peak()
for path in sorted(folder.glob("huge/*")):
    assert made_of(path) == ""
    mask, given = lambda p: read_mask(p, (16, 16), 2), lambda p: gather([p], folder / "out")
    for reader in (decode, size_of, require_whole, mask, given):
        try:
            reader(path)
            sentences.append(f"{path}: read")
        except ValueError as error:
            sentences.append(str(error))
print(json.dumps([peak() - before, sentences]))
"""


def test_no_reader_takes_memory_for_a_header_that_announces_gigabytes_and_stderr_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "huge").mkdir()
    (tmp_path / "small.png").write_bytes(saved("PNG"))
    (tmp_path / "large.ppm").write_bytes(b"P6 12000 9000 255\n")
    for name, make in HUGE.items():
        (tmp_path / "huge" / name).write_bytes(make())
        assert (tmp_path / "huge" / name).stat().st_size < 2000
    run = subprocess.run([sys.executable, "-c", READERS, str(tmp_path)], capture_output=True, text=True)
    assert run.stderr == "" and run.returncode == 0
    mebibytes, sentences = json.loads(run.stdout)
    assert mebibytes < 64
    assert len(sentences) == 5 * len(HUGE)
    for i, name in enumerate(sorted(HUGE)):
        says = 268 if name == "a.webp" else 4290
        for sentence in sentences[5 * i : 5 * i + 5]:
            assert f"{tmp_path}/huge/{name}" in sentence
            assert f"its header says {says} megapixels, and at most 179 are read; save it smaller" in sentence


def test_a_format_that_holds_a_header_inside_another_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.ico").write_bytes(ico())
    with pytest.raises(ValueError, match=r"a\.ico: the image cannot be decoded \(of none of the formats that are"):
        decode(tmp_path / "a.ico")


def test_the_limit_is_ours_whatever_pillows_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ValueError, match="says 4290 megapixels"), opened(io.BytesIO(HUGE["a.bmp"]())):
        pass
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="exceeds limit of 200 pixels"), opened(io.BytesIO(saved("PNG"))):
        pass


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest undoes ours
@pytest.mark.parametrize(("over", "read"), [(0, True), (1, False)])
def test_as_many_pixels_as_the_limit_are_read_and_not_one_row_more(over: int, read: bool) -> None:
    assert SIDE**2 > LIMIT == 178_956_970
    header = io.BytesIO(f"P6 {LIMIT // 10 + over} 10 255\n".encode())
    if read:
        with opened(header) as image:
            assert image.size == (17_895_697, 10)
    else:
        with pytest.raises(ValueError, match="says 179 megapixels"), opened(header):
            pass


def corrupt_jpeg() -> bytes:
    """It lacks its second half, but not its end: libjpeg greys what is missing and warns."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    out = io.BytesIO()
    noise.save(out, "JPEG")
    return out.getvalue()[:2500] + b"\xff\xd9"


def test_decoders_write_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = torch.frombuffer(bytearray(corrupt_jpeg()), dtype=torch.uint8)
    path = tmp_path / "a.jpg"
    path.write_bytes(corrupt_jpeg())
    for _ in range(2):
        decode_jpeg(data)
        assert "Corrupt JPEG data" in capfd.readouterr().err  # C's stderr is as it was
        with pytest.raises(ValueError, match="its picture ends before its last rows"):
            decode(path)
        assert capfd.readouterr().err == ""
        with opened(path):
            print("ours", file=sys.stderr)
        assert capfd.readouterr().err == "ours\n"


def test_a_broken_tiff_writes_nothing_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    for compression in ("tiff_deflate", "tiff_lzw", "jpeg", "group4"):
        image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
        image.convert("1" if compression == "group4" else "L").save(path, compression=compression)
        data = path.read_bytes()
        path.write_bytes(data[:60] + bytes([0x5A]) * 60 + data[120:])
        for reader in (decode, size_of):
            try:
                reader(path)
            except ValueError as error:
                assert str(path) in str(error)
        assert capfd.readouterr().err == ""


@pytest.mark.parametrize("end", [b"", b"\xff\xd9", bytes(50)], ids=["cut", "with an end", "with zeros"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_jpeg_is_told_without_decoding_as_with_it(tmp_path: Path, progressive: bool, end: bytes) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8)).resize((60, 40))
    noise.save(tmp_path / "a.jpg", progressive=progressive)
    whole = (tmp_path / "a.jpg").read_bytes()

    def refused(reader: object) -> bool:
        try:
            reader(tmp_path / "a.jpg")  # type: ignore[operator]
        except ValueError:
            return True
        return False

    told = []
    for length in range(20, len(whole) - 1, 41):
        (tmp_path / "a.jpg").write_bytes(whole[:length] + end)
        told.append(refused(decode))
        only_decoding_tells = told[-1] and end == b"\xff\xd9" and not progressive
        assert refused(require_whole) == told[-1] or only_decoding_tells, length
    assert all(told) if end == b"" else any(told)


def test_a_mask_that_announces_gigabytes_is_made_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(HUGE["a.png"]())
    assert made_of(tmp_path / "a.png") == ""
    with pytest.raises(ValueError, match=r"a\.png: the mask cannot be decoded \(its header says 4290 megapixels"):
        read_mask(tmp_path / "a.png", (16, 16), 2)


def test_what_pillow_logs_reaches_no_handler_of_ours() -> None:
    heard = io.StringIO()
    ours = logging.StreamHandler(heard)
    logging.getLogger().addHandler(ours)  # as experiments have one
    try:
        logging.getLogger("PIL.TiffImagePlugin").error("more samples per pixel than can be decoded")
    finally:
        logging.getLogger().removeHandler(ours)
    assert heard.getvalue() == ""
