"""A study that cannot go on: one sentence, exit code 2, before Ray starts, and nothing of what was there is touched."""

import fcntl
import os
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from refusal import contents, refused

from apc.config import Config
from apc.experiment.flags import read_flags
from apc.experiment.main import space_experiment
from apc.experiment.settings import settings_of
from apc.search.journal import exclusive
from apc.search.study import Study
from apc.search.study_settings import StudyDefinition
from search_spaces import simple

NAME = "space_simple.pocket"
TINY = "--num-train 16 --num-val 4 --weights= --crf none --epochs 1 --frozen-epochs 0 --warmup-steps 0"
FLAGS = [*TINY.split(), "--seeds", "1", "--trials", "5"]
pytestmark = pytest.mark.usefixtures("nothing_starts")


def begun(runs: Path) -> Study:
    """The study that `apc search simple` with FLAGS has begun, one trial of it asked for."""
    experiment = space_experiment("simple")
    settings = settings_of(experiment, read_flags(experiment, FLAGS))
    draw = experiment.drawn(settings.base)
    assert settings.search and draw
    definition = StudyDefinition(
        draw, name=NAME, base=settings.base, seeds=[0], settings=settings.search, first=simple.FIRST
    )
    study = Study(definition, runs)
    assert study.take()
    return study


CHANGED: dict[str, tuple[list[str], list[str]]] = {
    "the base config": (["--lr", "0.5"], ["begun with other settings", "lr was 0.002, is 0.5", "--runs"]),
    "the epochs": (["--epochs", "3"], ["epochs was 1, is 3"]),
    "the seeds": (["--seeds", "2"], ["seeds was [0], is [0, 1]"]),
    "the sampler": (["--sampler", "random"], ["sampler was tpe, is random"]),
    "the search's seed": (["--search-seed", "7"], ["search_seed was 0, is 7"]),
    "the objective": (["--objectives", "patch_miou"], ["objectives was ['miou'], is ['patch_miou']"]),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_search_that_goes_on_with_something_changed_is_told_what(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more, told = CHANGED[what]
    path = begun(tmp_path / "runs").path
    before = contents(tmp_path)
    refused(["search", "simple", *FLAGS, *more], capsys, path.name, *told)
    assert contents(tmp_path) == before


def test_a_search_that_goes_on_with_a_changed_space_is_told_which_knob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path / "runs")
    before = contents(tmp_path)
    narrower = dict(simple.SPACE) | {"theta": type(simple.SPACE["theta"])(0.5, 0.8)}  # type: ignore[arg-type]
    monkeypatch.setattr(simple, "SPACE", narrower)
    refused(["search", "simple", *FLAGS], capsys, "space of theta was FloatDistribution", "high=0.8")
    assert contents(tmp_path) == before


def test_a_study_begun_before_a_field_was_added_goes_on(tmp_path: Path) -> None:
    study = begun(tmp_path)
    settings = dict(study.study.user_attrs["settings"])
    assert settings.pop("amp") == Config().amp
    study.study.set_user_attr("settings", settings)
    assert begun(tmp_path).study.user_attrs["settings"] == settings


def test_a_journal_that_is_damaged_in_its_middle_is_named_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = begun(tmp_path / "runs").path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\x00\x00not a line\n", *lines[2:]]))
    before = contents(tmp_path)
    refused(["search", "simple", *FLAGS], capsys, path.name, "damaged", "finished runs")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["other", NAME])
def test_a_study_of_somebody_else_is_left_alone(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    backend = JournalFileBackend(str(tmp_path / "runs" / f"{NAME}.journal"))
    optuna.create_study(study_name=name, storage=optuna.storages.JournalStorage(backend)).ask()
    before = contents(tmp_path)
    refused(["search", "simple", *FLAGS], capsys, f"{NAME}.journal: holds the study", name, "--runs another folder")
    assert contents(tmp_path) == before


def test_a_study_that_another_search_works_on_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(tmp_path / "runs")
    with open(tmp_path / "runs" / f".{NAME}.lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        refused(["search", "simple", *FLAGS], capsys, f"{NAME}.journal", "another search works on this study")


def test_locks_that_a_killed_driver_left_stop_nobody(tmp_path: Path) -> None:
    study = begun(tmp_path)
    (tmp_path / f".{NAME}.lock").touch()
    left = tmp_path / f"{NAME}.journal.lock"
    os.symlink(study.path, left)  # as Optuna holds it while it writes
    with exclusive(tmp_path, NAME):
        assert not left.is_symlink()
        study.study.set_user_attr("written", True)  # at once; Optuna alone would wait for half a minute
