"""`apc eval`: what it prints, writes and refuses."""

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from printed import scores_in
from refusal import left_below, refused

from apc.cli.main import main
from apc.config import Config, folder
from apc.data.voc import CLASSES
from apc.evaluation.miou import Counts, iou, miou, tallies
from apc.evaluation.score_tables import with_a_tally
from apc.files import write_atomically
from apc.methods.checkpoint import save_model
from apc.methods.registry import build
from apc.runs.protocols import DEFAULT_SCALES, combinations, parse
from apc.runs.scores import LABEL_SCORES, SCORES

HERE = ["--device", "cpu", "--crf-workers", "0"]


def checkpoint(root: Path, where: Path, classes: list[str], **fields: str | int) -> Path:
    """An untrained model as a finished run leaves it."""
    cfg: Config = replace(
        folder(),
        root=str(root),
        encoder="pocket",
        decoder_blocks=(1, 3),
        image_size=48,
        decoder_width=16,
        crf="pocket",
        **fields,
    )  # type: ignore[arg-type]
    torch.manual_seed(0)
    save_model(where, build(cfg, len(classes)), cfg, classes)
    return where


@pytest.fixture
def run(photographs: Path, tmp_path: Path) -> Path:
    return checkpoint(photographs, tmp_path / "run", ["background", "red", "blue"])


def test_every_combination_is_scored_in_one_pass_and_written_with_its_stamp(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "scores.json"
    words = ["--sizes", "48", "64", "--aspect", "squash", "keep", "--multi-scale", "--crf", "own", "toco"]
    assert main(["eval", str(run), *words, *HERE, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    wanted = combinations(
        sizes=(48, 64), keep_aspect=(False, True), scales=((), DEFAULT_SCALES), crf=("", "own", "toco")
    )
    told = json.loads(out.read_text())
    assert list(told["protocols"]) == [p.name for p in wanted] and len(wanted) == 4 * 2 * 2 * 2 * 3
    assert list(scores_in(said)) == [p.name for p in wanted]
    assert "4 images, squashed to 48, 64 pixels and aspect kept with a long side of 48, 64 pixels" in said
    assert "max RSS grew by" in said and "probabilities averaged" in said
    with np.load(out.with_suffix(".npz")) as kept:
        for name, found in told["protocols"].items():
            total = np.array(found["confusion"])
            assert (kept[name].sum(0) == tallies(total)).all() and total.sum() > 0
            assert found["miou"] == pytest.approx(miou(total)) and found["meaning"] == parse(name).meaning
            assert list(found["iou"].values()) == pytest.approx(iou(total).tolist())
            assert found["seconds"] > 0 and (found["crf_seconds"] is not None) == ("crf" in name)
    assert told["protocols"]["miou_64_keep_ms_crf"]["crf_parameters"]["bi_xy"] == 20  # the run's own is `pocket`
    assert told["protocols"]["miou_48"]["protocol"]["size"] == 48
    assert {"commit", "machine", "torch", "val_data", "model", "device", "threads", "images"} <= told["stamp"].keys()
    assert str(tmp_path) not in json.dumps({k: v for k, v in told.items() if k != "config"})


def test_the_greatest_logits_stand_beside_the_mean_of_probabilities(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(run), "--multi-scale", "0.5", "1", "--combine", "max", "mean", "--image-labels", "without"]
    assert main(["eval", *words, "--crf", "none", *HERE]) == 0
    said = capsys.readouterr().out
    assert list(scores_in(said)) == ["miou", "miou_max_50_100", "miou_ms_50_100", "patch_miou", "patch_miou_ms_50_100"]
    assert "greatest logits: a scale's plain and flipped logits summed" in said and "probabilities averaged" in said
    refused(["eval", str(run), "--combine", "max"], capsys, "combine is max", "name them with --multi-scale")


def test_what_one_pass_over_all_says_each_says_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run), "--sizes", "48", "64", *HERE]) == 0
    together = scores_in(capsys.readouterr().out)
    assert main(["eval", str(run), "--sizes", "64", "--branches", "patch", "--image-labels", "with", *HERE]) == 0
    alone = scores_in(capsys.readouterr().out)
    assert list(alone) == ["pseudo_miou_64", "pseudo_miou_64_crf"] and len(together) == 16
    assert all(together[name] == value for name, value in alone.items())


def test_crf_processes_print_the_same(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run), "--device", "cpu", "--crf-workers", "2"]) == 0
    spread = scores_in(capsys.readouterr().out)
    assert main(["eval", str(run), *HERE]) == 0
    assert spread == scores_in(capsys.readouterr().out) and len(spread) == 8


def test_the_best_folder_of_a_run_is_a_checkpoint_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run, run / "best")
    assert main(["eval", str(run / "best"), *HERE, "--crf", "none"]) == 0
    assert len(scores_in(capsys.readouterr().out)) == 4


def test_without_a_terminal_a_line_of_progress_comes_now_and_then(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apc.parallel.BEAT", 0.0)
    assert main(["eval", str(run), *HERE, "--crf", "none"]) == 0
    said = capsys.readouterr()
    assert "photographs: 4 of 4, about 0 s left" in said.err and "about 0 s" not in said.out


def test_a_class_that_is_nowhere_in_the_truth_has_no_iou(
    run: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (photographs / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy()
        mask[mask == 2] = 0
        Image.fromarray(mask).save(path)
    listed = (photographs / "val.csv").read_text()  # a class that a line names must have a pixel: see agreement.py
    (photographs / "val.csv").write_text(listed.replace("red blue", "red").replace(",blue", ",red"))
    assert main(["eval", str(run), *HERE]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "IoU of blue" in line]
    assert line.split()[3:] == ["–", "–", "(not", "in", "the", "truth)"]


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """A VOC devkit's test images: a bare list, no masks."""
    root, rng = tmp_path / "voc", np.random.default_rng(0)
    voc = root / "VOCdevkit" / "VOC2012"
    (voc / "JPEGImages").mkdir(parents=True)
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    names = ["2008_000006", "2008_000011"]
    for i, name in enumerate(names):
        image = rng.integers(0, 255, (40 + i, 60, 3), dtype=np.uint8)
        Image.fromarray(image).save(voc / "JPEGImages" / f"{name}.jpg")
    (voc / "ImageSets" / "Segmentation" / "test.txt").write_text("\n".join(names) + "\n")
    return root


TEST_LIST = ["--val-list", "VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt"]


def test_the_test_server_gets_its_folder_and_archive(
    devkit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, out = checkpoint(devkit, tmp_path / "run", CLASSES), tmp_path / "submission"
    for _ in range(2):  # the second one replaces the first
        assert main(["eval", str(trained), *TEST_LIST, "--export-submission", str(out), *HERE]) == 0
        assert "2 masks (miou_crf)" in capsys.readouterr().out
    below = out / "results" / "VOC2012" / "Segmentation" / "comp6_test_cls"
    assert sorted(p.name for p in below.iterdir()) == ["2008_000006.png", "2008_000011.png"]
    with Image.open(below / "2008_000006.png") as mask:
        assert mask.size == (60, 40)
    with Image.open(below / "2008_000011.png") as mask:
        assert (mask.mode, mask.size) == ("P", (60, 41)) and np.asarray(mask).max() <= 20
        assert mask.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
    with tarfile.open(out / "comp6_test_cls.tar.gz") as tar:
        files = [m.name for m in tar.getmembers() if m.isfile()]
    assert sorted(files) == [f"results/VOC2012/Segmentation/comp6_test_cls/2008_0000{n}.png" for n in ("06", "11")]
    assert sorted(p.name for p in out.iterdir()) == ["comp6_test_cls.tar.gz", "results"]


def test_which_combination_is_packed_is_said_and_a_list_with_masks_is_noted(
    devkit: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, out = checkpoint(devkit, tmp_path / "run", CLASSES), tmp_path / "submission"
    words = ["eval", str(trained), "--export-submission", str(out), *HERE]
    assert main([*words, *TEST_LIST, "--sizes", "48", "56", "--crf", "none"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("packed")]
    assert "miou_56" in line and "the last of 2 combinations" in line and "note" not in line
    (photographs / "classes.txt").write_text("\n".join(CLASSES[1:]) + "\n")
    for name in ("train.csv", "val.csv"):
        listed = (photographs / name).read_text()
        (photographs / name).write_text(listed.replace("red", CLASSES[1]).replace("blue", CLASSES[2]))
    assert main([*words, "--root", str(photographs), "--crf", "none"]) == 0
    assert "note: val.csv has masks, so it is not the server's list" in capsys.readouterr().out


def test_a_submission_that_breaks_off_leaves_nothing(
    devkit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, out = checkpoint(devkit, tmp_path / "run", CLASSES), tmp_path / "submission"
    image = devkit / "VOCdevkit" / "VOC2012" / "JPEGImages" / "2008_000011.jpg"
    image.write_bytes(image.read_bytes()[:200])
    words = ["eval", str(trained), *TEST_LIST, "--export-submission", str(out), *HERE]
    refused(words, capsys, "2008_000011.jpg", "cannot be decoded")
    assert left_below(out) == []
    image.unlink()
    refused(words, capsys, "test.txt", "no image 2008_000011.jpg")


def _save(run: Path, name: str, text: str) -> None:
    write_atomically(run / name, text)


SPOIL: dict[str, tuple[Callable[[Path], object], list[str], list[str]]] = {
    "classes of other names": (
        lambda r: _save(r, "classes.txt", "background\nred\ngreen\n"),
        [],
        ["names red, blue; the model knows red, green"],
    ),
    "a size off the patch": (lambda r: None, ["--sizes", "48", "50"], ["sizes has 50", "multiples", "8"]),
    "a size that is no number": (lambda r: None, ["--sizes", "big"], ["--sizes", "big"]),
    "a negative size": (lambda r: None, ["--sizes", "-48"], ["sizes has -48"]),
    "scales that fall": (lambda r: None, ["--multi-scale", "1", "0.5"], ["multi_scale is (1.0, 0.5)", "rising"]),
    "an unknown CRF": (lambda r: None, ["--crf", "tco"], ["crf is 'tco'", "vit_pcm, afa, toco"]),
    "an unknown aspect": (lambda r: None, ["--aspect", "wide"], ["--aspect is 'wide'; choose from squash, keep"]),
    "no branch": (lambda r: None, ["--branches"], ["branches"]),
    "fewer than no processes": (lambda r: None, ["--crf-workers", "-1"], ["crf_workers is -1"]),
    "an output that is no JSON": (lambda r: None, ["--out", "scores.csv"], ["out is scores.csv", ".json"]),
    "a submission that cannot be written": (
        lambda r: _save(r.parent, "file", "x"),
        ["--export-submission", "{}/file"],
        ["file", "cannot be written"],
    ),
    "a submission of other classes": (
        lambda r: None,
        ["--export-submission", "{}/sent"],
        ["export_submission", "VOC's classes", "red, blue"],
    ),
    "a submission with image labels": (
        lambda r: None,
        ["--export-submission", "{}/sent", "--image-labels", "with"],
        ["image_labels is with"],
    ),
    "an old flag": (lambda r: None, ["--eval-size", "48"], ["--eval-size"]),
    "a list that is not there": (lambda r: None, ["--val-list", "absent.csv"], ["absent.csv", "no such file"]),
    "names that are not there": (lambda r: None, ["--val-list", "absent.txt"], ["absent.txt", "no such list"]),
}


@pytest.mark.parametrize("name", SPOIL)
def test_bad_input(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, words, told = SPOIL[name]
    spoil(run)
    before = left_below(tmp_path)
    device = [] if "--device" in words else ["--device", "cpu"]
    refused(["eval", str(run), *device, *(word.format(tmp_path) for word in words)], capsys, *told)
    assert left_below(tmp_path) == before


def test_without_a_mask_photographs_are_scored_by_their_labels(
    run: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(photographs / "masks")
    assert main(["eval", str(run), *HERE]) == 0
    said = capsys.readouterr().out
    assert "no validation image has a mask, so 4 images by their labels alone" in said and not scores_in(said)
    assert all(f"  {n} " in said for n in LABEL_SCORES if SCORES[n].in_rows and "crf" not in n)
    told = "no validation image has a mask", "without --out and the flags of protocols"
    refused(["eval", str(run), *HERE, "--sizes", "64"], capsys, *told)
    refused(["eval", str(run), *HERE, "--out", str(tmp_path / "scores.json")], capsys, *told)


def test_images_that_are_scored_are_those_with_a_tally() -> None:
    images = np.zeros((5, 3, 2), np.int32)
    images[[1, 4], 0, 1] = 7
    assert with_a_tally({"miou": Counts(images, np.zeros((2, 2), np.int64))}) == 2
    assert with_a_tally({}) == 0
