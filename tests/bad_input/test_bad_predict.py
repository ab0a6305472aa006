"""Bad input to `apc predict`: image labels, flags and photographs; one sentence, and nothing half-written."""

from pathlib import Path

import pytest
from huge_headers import HUGE
from predictions import predict, summary
from refusal import left_below, refused

from apc.cli.main import main


def test_image_labels_with_a_slip_are_named(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(model), str(photographs), "--out", str(tmp_path / "out"), "--labels"]
    refused([*words, "red green"], capsys, "labels", "'green'", "red, blue")
    refused([*words, str(tmp_path / "absent.csv")], capsys, "absent.csv")
    listed = tmp_path / "labels.csv"
    listed.write_text("image,labels\nphoto 1.png,red\nphoto 2.png,cat\n")
    refused([*words, str(listed)], capsys, "labels.csv, line 3", "'cat'")
    listed.write_text("image,labels\nphoto 1.png,red\n")
    refused([*words, str(listed)], capsys, "labels.csv", "11 of 12 photographs", "photo 0.png")
    listed.write_text("image,labels\nphoto 1.png\n")
    refused([*words, str(listed)], capsys, "labels.csv, line 2", "no cell for labels", "write a comma")
    listed.write_text("file,labels\n")
    refused([*words, str(listed)], capsys, "image,labels", "file,labels")
    assert left_below(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--eval-size", "50"], ["eval_size is 50", "multiple of the encoder's patch, 8"]),
        (["--crf", "best"], ["crf is 'best'", "choose from none, vit_pcm"]),
        (["--device", "cuda:7"], ["cuda:7", "choose from auto, cpu"]),
        (["--threads", "-1"], ["threads is -1"]),
        (["--branch", "other"], ["branch", "other"]),
        (["--only", "masques"], ["only", "masques"]),
        (["--thraeds", "2"], ["did you mean --threads"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_flags_with_a_slip(
    model: Path,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: list[str],
) -> None:
    refused(["predict", str(model), str(photographs), "--out", str(tmp_path / "out"), *words], capsys, *told)
    assert left_below(tmp_path / "out") == []


def test_what_is_not_there_or_no_image_is_named_before_anything_is_written(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    refused(["predict", str(model), str(tmp_path / "absent"), *out], capsys, "absent", "no such file or folder")
    refused(["predict", str(tmp_path), str(photographs), *out], capsys, str(tmp_path), "config.toml is missing")
    refused(["predict", str(model), *out], capsys, "images: none is named")
    (tmp_path / "empty").mkdir()
    refused(["predict", str(model), str(tmp_path / "empty"), *out], capsys, "empty", "no photograph")
    for i in (3, 5):
        (photographs / "images" / f"photo {i}.png").write_text("no image")
    refused(["predict", str(model), str(photographs), *out], capsys, "2 of 12", "photo 3.png", "photo 5.png")
    assert not (tmp_path / "out").exists()


def test_a_photograph_that_is_cut_costs_itself_alone(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = photographs / "images" / "photo 3.png"
    whole.write_bytes(whole.read_bytes()[:2000])  # its header is sound
    words = ["predict", str(model), str(photographs), "--out", str(tmp_path / "out")]
    refused(words, capsys, "1 of 12 left out", "photo 3.png")
    assert len(summary(tmp_path / "out")) == 11 and (tmp_path / "out" / "contact_sheet.png").is_file()
    assert not (tmp_path / "out" / "masks" / "photo 3.png").exists()


def test_broken_photographs_are_only_listed_where_they_are_to_be_skipped(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = photographs / "images" / "photo 3.png"
    whole.write_bytes(whole.read_bytes()[:2000])
    (photographs / "images" / "photo 5.png").write_text("no image")
    words = ["predict", str(model), str(photographs), "--out", str(tmp_path / "out"), "--only", "masks"]
    assert main([*words, "--skip-broken"]) == 0
    said = capsys.readouterr().out
    assert "note: 2 photographs cannot be decoded and are left out\n" in said
    assert "photo 3.png: the image cannot be decoded" in said and "photo 5.png (no image, or of" in said
    assert len(summary(tmp_path / "out")) == 10
    for path in (photographs / "images").iterdir():
        path.write_text("no image")
    refused([*words, "--skip-broken"], capsys, "12 of 12 files are no images that can be read")


def test_the_limit_of_pixels_is_a_flag_of_predict(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(model), str(photographs / "images" / "photo 9.png"), "--out", str(tmp_path / "out")]
    refused([*words, "--max-pixels", "2000"], capsys, "photo 9.png", "at most 0.002 are read", "raise --max-pixels")
    assert main([*words, "--max-pixels", "2499"]) == 0


def test_headers_that_announce_gigabytes_are_named_before_anything_is_written(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "images" / "photo 3.png").write_bytes(HUGE["a.jpg"]())
    (photographs / "images" / "photo 5.png").write_bytes(HUGE["a.gif"]())
    words = ["predict", str(model), str(photographs), "--out", str(tmp_path / "out")]
    refused(words, capsys, "2 of 12", "photo 3.png (its header says 4290 megapixels", "photo 5.png (its header")
    assert not (tmp_path / "out").exists()


def test_a_mask_that_was_spoilt_since_it_was_written_is_named(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert predict(model, out, photographs) == 0
    capsys.readouterr()
    (out / "masks" / "photo 3.png").write_bytes(HUGE["a.png"]())
    words = ["predict", str(model), str(photographs), "--out", str(out), "--device", "cpu"]
    refused(words, capsys, "masks/photo 3.png", "its header says 4290 megapixels")
