"""The command line as a user meets it: train, score again, ask for the state of things."""

from pathlib import Path

import pytest
from opened import opened_files
from PIL import Image
from printed import scores_in, unread
from refusal import flags

from apc.cli.main import main


def test_what_train_prints_eval_prints_again(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened_files() as opened:
        assert main(flags(photographs, "--crf", "pocket")) == 0
    masks = {Path(path).stem for path in opened if path.startswith(str(photographs / "masks"))}
    assert masks == {f"photo {i}" for i in (8, 9, 10, 11)}  # those that score; of training images none
    trained = capsys.readouterr().out
    assert "epoch 1/1" in trained
    (run,) = (photographs.parent / "runs").iterdir()
    assert main(["eval", str(run), "--device", "cpu"]) == 0
    evaluated = capsys.readouterr().out
    assert scores_in(evaluated) == scores_in(trained) and len(scores_in(trained)) == 8
    assert "IoU of red" in evaluated and "4 images, squashed to 48 pixels" in evaluated
    assert main(["eval", str(run), "--sizes", "64", "--crf", "none", "--device", "cpu"]) == 0
    assert len(scores_in(capsys.readouterr().out)) == 4


def test_eval_refuses_photographs_of_other_classes(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flags(photographs)) == 0
    (run,) = (photographs.parent / "runs").iterdir()
    (photographs / "classes.txt").write_text("blue\nred\n")
    assert main(["eval", str(run)]) == 2
    assert "names blue, red; the model knows red, blue" in capsys.readouterr().err


def test_photographs_of_any_kind_are_read(photographs: Path) -> None:
    for number, mode in ((0, "L"), (1, "RGBA"), (2, "P"), (3, "CMYK")):
        path = photographs / "images" / f"photo {number}.png"
        image = Image.open(path).convert(mode)
        image.save(path, format="TIFF" if mode == "CMYK" else "PNG")
    assert main(flags(photographs)) == 0


def test_without_a_verb_the_verbs_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2 and main(["--help"]) == 0
    assert capsys.readouterr().out.count("apc train") == 4


@pytest.mark.parametrize("words", [["--help"], ["status", "."], ["search", "simple", "--dry-run", "--weights="]])
def test_a_command_whose_reader_has_seen_enough_ends_silently(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with unread(), pytest.raises(SystemExit) as ended:
        main(words)
    assert (ended.value.code, capsys.readouterr().err) == (0, "")


def test_an_error_names_a_file_without_its_escape_sequences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "cats\x1b[2J\u202e"
    assert main(["status", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "cats[2J: there is no such folder" in said and not set(said) & set("\x1b\u202e")


def test_status_shows_a_reason_without_its_escape_sequences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "error.txt").write_text("ValueError: no cat\x1b]0;owned\x07 here")
    assert main(["status", str(tmp_path)]) == 0
    assert "ValueError: no cat]0;owned here" in capsys.readouterr().out
