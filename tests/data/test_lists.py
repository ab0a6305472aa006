"""Lists of images as CSV files: every slip is one sentence with file and line."""

from pathlib import Path

import pytest

from apc.data.folder import scan
from apc.data.lists import open_list
from apc.prediction.photographs import image_labels

HEAD = "image,labels\n"
BAD = {
    "a quote that is not closed": (HEAD + 'a,red\n"b,red\nc,red\n', "line 3: no line of a CSV file (a quote is opened"),
    "a quote in the first line": ('"image,labels\na,red\n', "line 1: no line of a CSV file (a quote is opened"),
    "letters behind a quote": (HEAD + '"a"b,red\n', "line 2: no line of a CSV file (',' expected after '\"')"),
    "a cell that is too long": (HEAD + "a" * 200_000 + ",red\n", "line 2: no line of a CSV file (field larger than"),
    "a NUL byte": (HEAD + "a,red\nb\0,red\n", "line 3: has a NUL byte; save the list as plain text in UTF-8"),
    "a file of NUL bytes": ("\0" * 99, "line 1: has a NUL byte"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_list_that_is_no_csv_is_refused_with_file_and_line(tmp_path: Path, name: str) -> None:
    text, sentence = BAD[name]
    path = tmp_path / "train.csv"
    path.write_text(text)
    with pytest.raises(ValueError) as told:
        list(open_list(path).rows())
    assert str(told.value).startswith(f"{path}, {sentence}")


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,labels, labels\na,red,blue\n")
    with pytest.raises(ValueError, match="two columns are called 'labels'"):
        open_list(tmp_path / "a.csv")


def test_rows_come_with_the_line_they_end_in_and_without_the_cells_they_lack(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('labels , image\n"red\nblue",a\n\nred\n', encoding="utf-8-sig")
    listed = open_list(tmp_path / "a.csv")
    assert listed.columns == ["labels", "image"]
    assert list(listed.rows()) == [(3, {"labels": "redblue", "image": "a"}), (5, {"labels": "red"})]


def test_names_that_no_file_can_have_are_images_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("red\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "train.csv").write_text(HEAD + "a" * 5000 + ",red\n \t,red\n.,red\n,red\n")
    listing, problems = scan(str(tmp_path), "train.csv")
    assert listing.names == []
    assert [problem.split(": ")[0] for problem in problems] == [f"{tmp_path}/train.csv, line {n}" for n in range(2, 6)]
    assert all("there is no image" in problem for problem in problems)


def test_labels_for_prediction_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(HEAD + '"a,red\n')
    with pytest.raises(ValueError, match="labels.csv, line 2: no line of a CSV file"):
        image_labels(str(tmp_path / "labels.csv"), ["background", "red"], [])
