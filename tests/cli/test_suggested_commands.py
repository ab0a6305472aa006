"""What a command says to do next can be pasted, whatever the folder is called."""

import re
import shlex
from pathlib import Path

import pytest
from exports import table
from trees import make_voc

from apc import data
from apc.cli.main import main
from apc.cli.train import read_flags
from apc.data import prepared


def roots(said: str) -> list[str]:
    """What a shell makes of the word behind --root, of every command in a text."""
    commands = [shlex.split(command) for command in re.findall(r"(?:`|^ +)(apc [^`\n]+)", said, re.MULTILINE)]
    return [words[words.index("--root") + 1] for words in commands]


def test_a_drawn_folder_with_a_blank_in_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(tmp_path / "My Photos")
    assert main(["data", "draw", "--root", root, "--num-train", "2", "--num-val", "2"]) == 0
    assert roots(capsys.readouterr().out) == [root, root]
    assert roots(f"`{data.files('folder', root, 'val.csv').command}`") == [root]


def test_an_imported_folder_with_a_blank_in_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table("image,labels\na.jpg,red\nb.jpg,blue\nc.jpg,red\nd.jpg,blue\n")(tmp_path / "source")
    assert main(["data", "import", str(tmp_path / "source"), "--out", str(tmp_path / "My Photos")]) == 0
    said = capsys.readouterr().out
    assert roots(said) == [str(tmp_path / "My Photos")] * 2
    cfg, _ = read_flags(shlex.split(said.split("`")[-2])[2:])
    assert cfg.weights == "timm"  # the preset's are none


def test_a_prepared_folder_with_a_blank_in_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(make_voc(tmp_path / "My Data"))
    assert main(["data", "check", "voc", "--root", root]) == 2
    assert roots(capsys.readouterr().err) == [root]
    assert main(["data", "prepare", "voc", "--root", root, "--partial"]) == 0
    assert roots(capsys.readouterr().out) == [root]
    assert roots(f"`{data.files('voc', root, 'val.csv').command}`") == [root]
    Path(root, "VOCdevkit/VOC2012/JPEGImages/2007_000033.jpg").unlink()
    with pytest.raises(ValueError) as refused:
        prepared.require_unchanged(root, "voc", prepared.read_entries(root, "voc", "val.csv"))
    assert roots(str(refused.value)) == [root]
