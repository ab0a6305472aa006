"""Values beyond all: numbers of 5,000 digits, nesting and texts without end. Each names its field, in one line."""

from dataclasses import replace
from pathlib import Path

import pytest
from refusal import refused

from apc.cli.main import main
from apc.config import pocket
from apc.data.folder import MOST_CLASSES, read_classes

NINES = "9" * 5000
TOML: dict[str, tuple[str, str]] = {
    "lists in lists": ("k = " + "[" * 10_000 + "]" * 10_000, "c.toml: not a file of fields; its values are nested too"),
    "tables in tables": ("k = " + "{a=" * 10_000 + "1" + "}" * 10_000, "c.toml: not a file of fields; its values are"),
    "a number of 5,000 digits": (f"lr = 0.1\nk = {NINES}", "c.toml: k is a number of too many digits"),
    "one in a list": (f"decoder_blocks = [1, {NINES}]", "c.toml: decoder_blocks is a number of too many digits"),
    "a number of 4,000 digits": (f"k = {NINES[:4000]}", "k is a number beyond all; it must lie between 1 and 4096"),
    "one for a fraction": (
        f"lambda1 = {NINES[:400]}",
        "lambda1 is a number beyond all; it must lie between 0 and 1000",
    ),
    "a hexadecimal one": ("k = 0x" + "f" * 8000, "k is a number beyond all"),
    "a hexadecimal one in a list": ("decoder_blocks = [2, 0x" + "f" * 8000 + "]", "decoder_blocks is a tuple"),
    "one of 400 digits in a list": (f"round_scales = [1, {NINES[:400]}]", "round_scales is (1, 99"),
    "an infinite one in a list": ("round_scales = [inf]", "round_scales is (inf,); it must be numbers, such as 1 0.75"),
    "an infinite one": ("grad_clip = inf", "grad_clip is inf; it must lie between 0 and 1e+06"),
    "no number": ("theta = nan", "theta is nan; it must be a number"),
    "a day": ("lr = 2020-01-01", "lr is datetime.date(2020, 1, 1); it must be a number"),
    "a table": ("[encoder]\na = 1", "encoder is {'a': 1}; it must be a str"),
    "two lines": ('weights = "a\\nb"', r"weights is 'a\nb'; it must be one line"),
    "a NUL byte": ('root = "a\\u0000b"', r"root is 'a\x00b'; it must be one line"),
    "a field without end": ("x" * 5000 + " = 1", "c.toml: there is no field 'xxx"),
    "a choice without end": (f'mce = "{"x" * 5000}"', "xx...; choose from log_space, clamped"),
    "a list without end": (f"decoder_blocks = [{'1,' * 5000}]", "1,...; give rising block numbers"),
    "no UTF-8": ("weights = '\udce9'", "c.toml: not a TOML file ('utf-8' codec"),
}


@pytest.mark.parametrize("kind", TOML)
def test_a_config_file(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, told = TOML[kind]
    (tmp_path / "c.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
    refused(["train", "--config", str(tmp_path / "c.toml"), "--runs", str(tmp_path / "runs")], capsys, told)
    assert not (tmp_path / "runs").exists()


def test_a_config_file_that_is_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["train", "--config", str(tmp_path)], capsys, f"{tmp_path}: Is a directory")


FLAGS = {
    "--warmup-steps 1e15": "warmup_steps is '1e15'; it must be a whole number",
    "--warmup-steps 1000000000000000": "warmup_steps is 1000000000000000; it must lie between 0 and 1e+09",
    "--lambda1 1e300": "lambda1 is 1e+300; it must lie between 0 and 1000",
    "--teacher 0.2 --lambda1 0": "teacher is 0.2; the decoder that it teaches learns nothing, as lambda1 is 0",
    "--pseudo-label levels --pseudo-threshold 0.5": "pseudo_threshold is 0.5; with pseudo_label levels it must be 0",
    "--image-size 48 --seg-stride 49": "seg_stride is 49; it cannot exceed image_size, which is 48",
    "--config a.toml --k 3 --config=b.toml": "--config is given twice",
    "--threads 1000000000000000": "--threads is '1000000000000000'; it must be a whole number below 1e+15",
    f"--threads {NINES}": "99...; it must be a whole number",
    f"--k {NINES}": "k is '999",
    f"--{NINES}": "there is no flag --999",
    NINES: "there is no preset '999",
    f"--config {NINES}": "9999: File name too long",
}


@pytest.mark.parametrize("words", FLAGS, ids=lambda words: words[:40])
def test_a_flag_of_a_verb(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["train", *words.split()], capsys, FLAGS[words])


SEARCH = {
    "--hours nan": "--hours is 'nan'; it must be a finite number",
    "--gpu-hours inf": "--gpu-hours is 'inf'; it must be a finite number",
    "--gpus nan": "--gpus is 'nan'; it must be a finite number",
    "--gpus -1": "--gpus is -1; it cannot be below 0",
    "--cpus 10000000000000000000": "--cpus is '10000000000000000000'; it must be a whole number below 1e+15",
    "--trials 2000000": "--trials is 2,000,000; it must be at most 1,000,000",
    "--seeds 1,99999999999": "--seeds is '1,99999999999'; the largest seed is 2147483648",
    f"--seeds {NINES}": "99...; give how many",
    "--config a --config b": "--config is given twice",
}


@pytest.mark.parametrize("words", SEARCH, ids=lambda words: words[:40])
def test_a_flag_of_a_search(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["search", "simple", "--runs", str(tmp_path / "runs"), *words.split()], capsys, SEARCH[words])
    assert not (tmp_path / "runs").exists()


def test_a_line_break_in_an_old_spelling(capsys: pytest.CaptureFixture[str]) -> None:
    refused(["train", "--set", "theta=0.8\nk=3"], capsys, "--set is gone; every field is a flag: write --theta")
    refused(["train", "--weights", "a\nb"], capsys, r"weights is 'a\nb'; it must be one line")


def test_a_stride_as_wide_as_the_image_is_taken() -> None:
    assert replace(pocket(), image_size=48, seg_stride=48).seg_stride == 48


def test_more_classes_than_a_mask_of_bytes_can_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"c{number}" for number in range(MOST_CLASSES + 1)]
    (tmp_path / "classes.txt").write_text("\n".join(names))
    told = "classes.txt: names 255 classes; 254 are the most, since masks are 8-bit"
    refused(["data", "check", "folder", "--root", str(tmp_path)], capsys, told)
    (tmp_path / "classes.txt").write_text("\n".join(names[:-1]))
    assert len(read_classes(str(tmp_path))) == 255


def test_a_class_name_with_a_blank_is_told_how_to_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndining  table\n")
    told = "classes.txt, line 2: the name 'dining  table' has a space; write dining_table"
    refused(["data", "check", "folder", "--root", str(tmp_path)], capsys, told)


def test_no_input_is_a_screenful(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "a" * 6000]) == 2
    assert len(capsys.readouterr().err) < 400
    assert main(["eval", "a " * 6000]) == 2
    assert 2000 < len(capsys.readouterr().err) < 2100
