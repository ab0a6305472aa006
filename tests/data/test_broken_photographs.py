"""One broken photograph among many, photographs beyond the limit, masks of the photograph before it was turned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exif import tagged
from PIL import Image
from refusal import flags, refused
from spoilt import as_jpeg, cut

from apc import data
from apc.cli.main import main
from apc.config import Config
from apc.runs.folder import load_runs


def test_a_run_leaves_broken_photographs_out_where_it_is_told_to_and_lists_them(
    photographs: Path, cfg: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(as_jpeg(photographs, 3))
    (photographs / "images" / "photo 8.png").write_text("no image")
    refused(flags(photographs), capsys, "photo 3.png: the image cannot be decoded")
    assert main(flags(photographs, "--skip-broken", "--crf", "none")) == 0
    said = capsys.readouterr()
    images = photographs / "images"
    lines = said.err.splitlines()
    assert lines[0] == "note: 2 photographs cannot be decoded and are left out"
    assert lines[1].startswith(f"  {images}/photo 3.png: the image cannot be decoded (")
    assert lines[2] == f"  {images}/photo 8.png: the image cannot be decoded (of none of the formats that are read)"
    (row,) = load_runs(photographs.parent / "runs")
    assert row.stamp["images"] == {"train": 7, "val": 3}
    assert row.stamp["skipped"] == {"train": ["photo 3.png"], "val": ["photo 8.png"]}
    assert row.config["skip_broken"] is True and "miou" in row.metrics


def test_numbers_of_images_count_those_that_are_whole(photographs: Path, cfg: Config) -> None:
    (photographs / "images" / "photo 8.png").write_text("no image")
    val = data.load(replace(cfg, skip_broken=True, num_val=2), "val")
    assert val.names == ["photo 9.png", "photo 10.png"] and val.labels.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ValueError, match="num_val is 4; the val list has 3 images"):
        data.load(replace(cfg, skip_broken=True, num_val=4), "val")


def test_photographs_that_are_all_broken_are_no_data_set(photographs: Path, cfg: Config) -> None:
    for path in (photographs / "images").iterdir():
        path.write_text("no image")
    with pytest.raises(ValueError, match=r"train.csv: none of its 8 photographs can be decoded"):
        data.load(replace(cfg, skip_broken=True), "train")


def test_check_lists_broken_photographs_and_finds_all_else_well(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(as_jpeg(photographs, 3))
    words = ["data", "check", "folder", "--root", str(photographs)]
    assert main([*words, "--skip-broken"]) == 0
    told = capsys.readouterr().out
    assert "note: 1 photograph cannot be decoded and is left out\n" in told and "photo 3.png: the image cannot" in told
    refused(words, capsys, "photo 3.png: the image cannot be decoded")
    (photographs / "masks" / "photo 9.png").write_text("no mask")
    refused([*words, "--skip-broken"], capsys, "masks/photo 9.png: the mask cannot be decoded")


@pytest.mark.parametrize(("most", "read"), [(49 * 51, True), (49 * 51 - 1, False)])
def test_the_limit_of_pixels_is_a_flag(
    photographs: Path, capsys: pytest.CaptureFixture[str], most: int, read: bool
) -> None:
    for path in (photographs / "images").iterdir():
        if path.stem not in ("photo 0", "photo 9"):
            path.unlink()
    for name, image in (("train.csv", "photo 0.png"), ("val.csv", "photo 9.png")):  # of 40x60 and 49x51 pixels
        (photographs / name).write_text(f"image,labels\n{image},red\n")
    words = ["data", "check", "folder", "--root", str(photographs), "--max-pixels", str(most)]
    if read:
        assert main(words) == 0
        return
    told = "its header says 0 megapixels, and at most 0.0025 are read; save it smaller, or raise --max-pixels"
    refused(words, capsys, "photo 9.png", told)
    refused(flags(photographs, "--max-pixels", str(most)), capsys, "photo 9.png", told)


def test_a_mask_of_the_photograph_before_it_was_turned_says_so(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tagged(as_jpeg(photographs, 9), 6)  # 49x51 pixels as stored, as its mask is
    told = ["masks/photo 9.png", "the mask is 51x49, its image 49x51 (it fits the photograph as it is stored, before"]
    refused(["data", "check", "folder", "--root", str(photographs)], capsys, *told)
    refused(flags(photographs), capsys, *told)
    mask = Image.open(photographs / "masks" / "photo 9.png")
    Image.fromarray(np.rot90(np.array(mask), -1)).save(photographs / "masks" / "photo 9.png")
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 0
