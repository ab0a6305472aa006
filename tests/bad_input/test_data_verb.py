"""`apc data`: bad words, full disks and Ctrl-C; one sentence, and the same command goes on or starts over."""

from pathlib import Path

import exports
import pytest
from refusal import left_below, refused, small_files
from trees import make_coco, make_voc

from apc.cli.main import main
from apc.folders import UNFINISHED


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["prepare", "pascal", "--root", "."], ["dataset is 'pascal'; choose from voc, coco"]),
        (["prepare", "voc", "--root", "absent"], ["root is 'absent'", "no such folder"]),
        (["check", "voc", "--root", "absent"], ["root is 'absent'", "no such folder"]),
        (["check", "folder", "--root", "absent"], ["root is 'absent'", "no such folder"]),
        (["check", "folder", "--root", ".", "--lists"], ["--lists needs a value"]),
        (["cache", "folder", "--root", ".", "--lists"], ["--lists needs a value"]),
        (["chekc", "voc"], ["'chekc'", "prepare, check, cache"]),
        (["prepare", "voc"], ["--root"]),
        (["cache", "folder", "--root", ".", "--image-size", "3"], ["image_size is 3", "between 16"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_verb(capsys: pytest.CaptureFixture[str], words: list[str], told: list[str]) -> None:
    refused(["data", *words], capsys, *told)


def test_a_root_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_voc(tmp_path)
    (root / "apc").write_text("a file")
    refused(["data", "prepare", "voc", "--root", str(root), "--partial"], capsys, "apc", "cannot be written")


def making(action: str, tmp_path: Path, photographs: Path) -> tuple[list[str], Path]:
    """A data verb on whole data, and the folder it writes to."""
    if action in ("voc", "coco"):
        root = (make_voc if action == "voc" else make_coco)(tmp_path / action)
        return ["data", "prepare", action, "--root", str(root), "--partial"], root / "apc"
    if action == "draw":
        return ["data", "draw", "--root", str(tmp_path / "new"), "--num-train", "3", "--num-val", "2"], tmp_path / "new"
    if action == "import":
        exports.cvat(tmp_path / "source")
        return ["data", "import", str(tmp_path / "source"), "--out", str(tmp_path / "new"), "--copy"], tmp_path / "new"
    return ["data", action, "folder", "--root", str(photographs)], photographs / "apc"


def again(action: str) -> str:
    """What is said of a command that was stopped."""
    if action == "import":
        return "nothing was written, and the same command starts over"
    return "the same command goes on where it was"


@pytest.mark.parametrize(
    ("action", "most", "file"),
    [
        ("voc", 300, "masks/2008_000002.png"),
        ("coco", 300, "masks/train2014/COCO_train"),
        ("cache", 2000, "train-256.npy"),
        ("draw", 300, "images/train_000"),
        ("import", 300, "new/images/"),
    ],
)
def test_a_disk_that_fills_up(
    tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str], action: str, most: int, file: str
) -> None:
    words, made = making(action, tmp_path, photographs)
    with small_files(most):
        refused(words, capsys, file, "File too large", again(action))
    left = {path.name for path in left_below(made)}
    unfinished = {UNFINISHED} if action == "draw" else set()
    assert not any(n.startswith(".") or n.endswith((".csv", ".json", ".npy")) for n in left - unfinished), left
    assert main(words) == 0


@pytest.mark.parametrize(
    ("action", "where"),
    [
        ("voc", "apc.data.voc.made_of"),
        ("voc", "apc.data.preparing.values_in"),
        ("coco", "apc.data.coco.paint"),
        ("check", "apc.data.checking.decode"),
        ("cache", "apc.data.cache.squash"),
        ("draw", "apc.data.pocket_folder.write_mask"),
        ("import", "apc.data.importing.writing.write_mask"),
    ],
)
def test_ctrl_c_ends_in_one_sentence_and_the_same_command_ends_well(
    tmp_path: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    action: str,
    where: str,
) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    words, made = making(action, tmp_path, photographs)
    monkeypatch.setattr(where, stop)
    assert main(words) == 130
    said = capsys.readouterr().err
    assert said == f"stopped; {again(action)}\n"
    assert action != "import" or not made.exists()
    assert not [path for path in left_below(made) if path.suffix != ".png" and path.name != UNFINISHED]
    monkeypatch.undo()
    assert main(words) == 0
