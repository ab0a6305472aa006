"""Whatever makes a folder, killed or without room on the disk at one moment after the other: nothing
finished is lost, and the same command ends as if nothing had been."""

import io
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from faults import killed_at, tree, without_room_at
from predictions import picture
from refusal import flags
from report_rows import pooling_rows
from trees import make_coco, make_voc

from apc.cli.main import main
from apc.config import pocket
from apc.data.voc import CLASSES
from apc.evaluation.scoring import LabelMap
from apc.evaluation.voc_submission import submission
from apc.experiment.outputs import write_best, write_images, write_rows, write_trials
from apc.files import sweep
from apc.folders import UNFINISHED
from apc.methods.checkpoint import load_model, save_model
from apc.runs.folder import RunFolder, save_run
from apc.runs.protocols import parse
from apc.runs.rows import Row, save_rows
from apc.search.plans import Point

pytestmark = [pytest.mark.usefixtures("sketched"), pytest.mark.timeout(180)]


def finished_run(where: Path, model: Path) -> Path:
    """A run of the untrained model, as `apc export` takes it."""
    method, cfg, classes = load_model(model)
    save_model(where, method, cfg, classes)
    save_run(where.parent, Row(run=where.name, config=vars(cfg), metrics={}, seconds={}, classes=classes))
    return where


def few(photographs: Path) -> Path:
    """Two of the photographs, to train on and to score."""
    lines = (photographs / "train.csv").read_text().splitlines()
    for name in ("train", "val"):
        (photographs / f"{name}.csv").write_text("\n".join(lines[:3]) + "\n")
    for image in sorted((photographs / "images").iterdir())[2:]:
        image.unlink()
    return photographs


def command(verb: str, tmp_path: Path, photographs: Path, model: Path) -> tuple[list[str], Path]:
    """Words of a command on little data, and the folder that it makes."""
    if verb == "train":
        return flags(few(photographs), "--crf", "none", "--batch-size", "2"), tmp_path / "runs"
    if verb in ("voc", "coco"):
        root = (make_voc if verb == "voc" else make_coco)(tmp_path / verb)
        return ["data", "prepare", verb, "--root", str(root), "--partial"], root / "apc"
    made = tmp_path / "made" / "here"
    if verb == "draw":
        return ["data", "draw", "--root", str(made), "--num-train", "1", "--num-val", "1"], made
    if verb == "cache":
        photographs = few(photographs)
        return ["data", "cache", "folder", "--root", str(photographs), "--image-size", "16"], photographs / "apc"
    if verb == "import":
        for number, name in enumerate(("red", "red", "blue", "blue")):
            (tmp_path / "classes" / name).mkdir(parents=True, exist_ok=True)
            picture(20, 30, number).save(tmp_path / "classes" / name / f"{number}.png")
        return ["data", "import", str(tmp_path / "classes"), "--out", str(made)], made
    if verb == "export":
        return ["export", str(finished_run(tmp_path / "runs" / "abc", model)), "--out", str(made)], made
    if verb == "predict":
        images = str(few(photographs) / "images")
        return ["predict", str(model), images, "--out", str(made), "--eval-size", "16", "--device", "cpu"], made
    assert verb == "report"
    (made / "results" / "table7_pooling").mkdir(parents=True)
    save_rows(made / "results" / "table7_pooling" / "pocket.jsonl", pooling_rows(seeds=1))
    return ["report", str(made)], made


MOMENTS = {"draw": 1, "voc": 3, "coco": 3, "cache": 1, "import": 1, "export": 1, "predict": 3, "report": 20, "train": 5}
"""Of every verb how many changes lie between the moments that are tried."""


def experiments_files(made: Path) -> None:
    """What an experiment leaves beside its page."""
    rows = pooling_rows(seeds=1)
    result = [(Point(row.row, {"pooling": row.row}), [row]) for row in rows]
    path, runs = made / "results" / "x" / "pocket.jsonl", made / "runs"
    run = RunFolder(runs / rows[0].run)
    run.path.mkdir(parents=True, exist_ok=True)
    np.savez(run.tallies, miou=np.ones((2, 3, 2), np.int64))
    write_rows(path, "x", result, [], "miou")
    write_images(path.with_suffix(".images.npz"), runs, rows)
    write_trials(path, result, ["pooling"])
    write_best(path.with_suffix(".best.toml"), result[0][0], pocket(), ["best"])


def submitted(made: Path) -> None:
    """Masks for the VOC server."""
    with submission(made, ["2008_000001.jpg"], CLASSES) as keep:
        keep(LabelMap(0, parse("miou"), np.zeros((3, 4), np.uint8)))


@pytest.mark.parametrize("work", [experiments_files, submitted])
def test_killed_at_any_moment_the_same_files_are_written_again(tmp_path: Path, work: Callable[[Path], None]) -> None:
    made, n = tmp_path / "made", 1
    work(made)
    whole = without_times(made)
    shutil.rmtree(made)
    while killed_at(n, made, lambda: work(made)):
        work(made)
        sweep(made, below=True)  # as the report does
        assert without_times(made) == whole, f"killed at change {n}"
        shutil.rmtree(made)
        n += 1
    assert n > 10


@pytest.mark.parametrize("verb", MOMENTS)
def test_killed_at_any_moment_the_same_command_goes_on(
    tmp_path: Path, photographs: Path, model: Path, verb: str
) -> None:
    words, made = command(verb, tmp_path, photographs, model)
    again = started_over(made)
    assert main(words) == 0
    whole, n = without_times(made), 1
    again()
    while killed_at(n, tmp_path, lambda: main(words)):
        assert main(words) == 0
        assert without_times(made) == whole, f"killed at change {n}"
        assert not list(made.parent.glob(".*")), f"killed at change {n}"
        again()
        n += MOMENTS[verb]
    assert n > 4 * MOMENTS[verb] or verb == "report"


@pytest.mark.parametrize("verb", MOMENTS)
def test_without_room_one_sentence_names_the_file_and_the_same_command_goes_on(
    tmp_path: Path, photographs: Path, model: Path, verb: str
) -> None:
    words, made = command(verb, tmp_path, photographs, model)
    again = started_over(made)
    assert main(words) == 0
    whole, n = without_times(made), 1
    again()
    while (code := without_room_at(n, tmp_path, lambda: in_one_sentence(words, tmp_path))) != 0:
        assert code == 2, f"full at change {n}"
        assert not [path for path in made.rglob(".apc-*") if path.name != UNFINISHED], f"full at change {n}"
        assert main(words) == 0
        assert without_times(made) == whole, f"full at change {n}"
        again()
        n += 2 * MOMENTS[verb]


def started_over(made: Path) -> Callable[[], None]:
    """What brings the folder that a command makes back to what it was before."""
    before = tree(made)

    def again() -> None:
        shutil.rmtree(made, ignore_errors=True)
        for name, content in before.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(content)

    return again


def without_times(made: Path) -> dict[str, bytes]:
    """Every file of a folder, but for what tells of seconds and of the moment."""
    timed = ("prediction.json", "row.json", "curve.jsonl", "comp6_test_cls.tar.gz")
    return {name: b"" if Path(name).name in timed else content for name, content in tree(made).items()}


def in_one_sentence(words: list[str], below: Path) -> int:
    """The exit code of a command; 3 where it was refused otherwise than in one sentence that names a file, behind notes
    on the photographs."""
    said = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        code = main(words)
    told = said.getvalue()
    *notes, last = told.splitlines() or [""]
    refused = last.startswith("apc: ") and str(below) in last and "No space left" in last
    if code and not (refused and all(line.startswith(("note: ", "  ")) for line in notes)):
        os.write(2, f"{told!r}\n".encode())
        return 3
    return code
