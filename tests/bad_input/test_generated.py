"""Input that Hypothesis makes up: whatever it is, the answer is an exit code and a sentence, never a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from generated import command_lines, spoilt, tomls, with_another_value
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apc.cli.main import main
from apc.runs.rows import Row
from apc.training.run import Found

EXAMPLES = [12, pytest.param(120, marks=pytest.mark.chaos)]
"""Of each of the five kinds: 60 in the gate, 600 where many are asked for."""
TINY = "--num-train 16 --num-val 4 --weights= --crf none --epochs 1 --frozen-epochs 0 --trials 5".split()


@pytest.fixture(autouse=True)
def nothing_long_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No run is trained, no Ray is started, nothing is downloaded: all that comes before is as ever."""

    def stop(*arguments: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("apc.training.run.preflight", lambda cfg: Found(True, {}))  # of no images, no speed is measured
    for name in ("training.speed.prepare", "training.run.prepare", "search.driver.session", "data.pocket_folder.write"):
        monkeypatch.setattr(f"apc.{name}", stop)
    for name in ("APC_RUNS", "APC_REPORTS", "APC_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def examples(number: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Hold `check` against so many examples, always the same ones."""
    phases = [Phase.generate, Phase.shrink]
    always = settings(
        max_examples=number, derandomize=True, deadline=None, database=None, phases=phases,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    always(given(strategy)(lambda example: check(example)))()


def answered(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, 2 with a sentence, or 130 where work would have begun; no traceback, no screenful."""
    try:
        code: Any = main(words)
    except SystemExit as ended:  # --help
        code = ended.code or 0
    said = capsys.readouterr()
    assert code in (0, 2, 130), (words, code, said.err)
    assert "Traceback" not in said.out + said.err, words
    if code == 2 and said.err:
        assert said.err.count("\n") == 1 and 5 < len(said.err) < 2200, (words, said.err)
    assert code == 0 or said.err or len(words) < 2, words


@pytest.mark.parametrize("number", EXAMPLES)
def test_words(number: int, trained: tuple[Path, Row], photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, photos = str(trained[0] / trained[1].run), str(photographs)

    def check(words: list[str]) -> None:
        answered([word.replace("RUN", run).replace("PHOTOS", photos) for word in words], capsys)

    examples(number, command_lines(), check)


@pytest.mark.parametrize("number", EXAMPLES)
def test_lists(number: int, photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: (photographs / name).read_bytes() for name in ("train.csv", "val.csv", "classes.txt")}

    def check(example: tuple[str, bytes]) -> None:
        name, content = example
        for each, good in files.items():
            (photographs / each).write_bytes(content if each == name else good)
        answered(["data", "check", "folder", "--root", str(photographs)], capsys)
        answered(["train", "folder", "--root", str(photographs), "--encoder", "pocket"], capsys)

    examples(number, st.one_of(*(st.tuples(st.just(n), spoilt(good)) for n, good in files.items())), check)


@pytest.mark.parametrize("number", EXAMPLES)
def test_configs(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def check(content: bytes) -> None:
        (tmp_path / "c.toml").write_bytes(content)
        answered(["train", "--config", "c.toml"], capsys)
        answered(["search", "pooling", "--config", "c.toml", "--dry-run"], capsys)

    examples(number, tomls(), check)


@pytest.mark.parametrize("number", EXAMPLES)
def test_journals(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "simple", *TINY]) == 130  # begins the study
    journal = tmp_path / "runs" / "space_simple.pocket.journal"
    good = journal.read_bytes()

    def check(content: bytes) -> None:
        journal.write_bytes(content)
        answered(["search", "simple", *TINY], capsys)

    capsys.readouterr()
    examples(number, spoilt(good), check)


@pytest.mark.parametrize("number", EXAMPLES)
def test_files_of_a_run(
    number: int, trained: tuple[Path, Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, row = trained
    good = {path.name: path.read_bytes() for path in sorted((runs / row.run).iterdir()) if path.is_file()}
    others = {"error.txt": b"ValueError: no\n", "stopped.txt": b"3\n", "task.json": b'{"label": "a", "seed": 0}'}
    row_json = json.loads(good["row.json"])

    def check(example: tuple[str, bytes]) -> None:
        name, content = example
        folder = tmp_path / "spoilt" / row.run
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        for each, bytes_ in good.items():
            (folder / each).write_bytes(bytes_)
        (folder / name).write_bytes(content)
        answered(["status", str(folder.parent)], capsys)
        answered(["export", str(folder), "--out", str(folder.parent / "out")], capsys)
        answered(["eval", str(folder), "--device", "cpu"], capsys)

    files = [st.tuples(st.just(name), spoilt(content)) for name, content in (good | others).items()]
    rows = with_another_value(row_json).map(lambda row: ("row.json", json.dumps(row).encode()))
    examples(number, st.one_of(*files, rows), check)
