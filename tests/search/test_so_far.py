"""How far a study has come, for whoever only asks."""

from pathlib import Path

import pytest
from refusal import contents
from studies import BASE, advance, arrive, drive, finish, halving, study

from apc.runs.folder import RunFolder
from apc.search.journal import exclusive
from apc.search.so_far import SoFar, so_far
from apc.search.study import Study, Trial


def trained_to(s: Study, epochs: int) -> Trial:
    """The next trial, killed when its first run had so many epochs."""
    trial = s.take()
    assert trial
    folder = RunFolder(s.runs / trial.ids[0])
    folder.path.mkdir(exist_ok=True)
    folder.write_epochs([{"epoch": n + 1, "seconds": 1.0} for n in range(epochs)])
    return trial


def test_trials_that_ended_are_done_and_a_killed_one_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    s = study(tmp_path, 4, seeds=(0, 1))
    assert so_far(s.definition, tmp_path) is None
    for _ in range(2):
        trial = s.take()
        assert trial
        advance(s, trial)
        s.finish(trial)
    done = 2 * 2 * BASE.epochs
    assert so_far(s.definition, tmp_path) == SoFar(4, 2, done, done)
    trained_to(s, 5)
    assert so_far(s.definition, tmp_path) == SoFar(4, 2, done + 5, done - 5)
    finish(study(tmp_path, 4, seeds=(0, 1)))
    found = so_far(s.definition, tmp_path)
    assert found == SoFar(4, 4, 2 * done, 0)
    assert SoFar(1, 1, 1, 0).told == "1 of 1 trial is done, 1 epoch trained: nothing is left to train"
    assert found.told == "4 of 4 trials are done, 72 epochs trained: nothing is left to train"


def test_what_is_left_of_a_search_in_rungs_is_what_it_still_trains(tmp_path: Path) -> None:
    s = halving(tmp_path)
    whole = 9 * 1 + 3 * 2 + 1 * 7
    for count in range(1, 9):
        arrive(s)
        assert so_far(s.definition, tmp_path) == SoFar(9, 0, count, whole - count)
    arrive(s)
    trained_to(s, 2)  # on its way from the rung of epoch 1 to that of epoch 3
    assert so_far(s.definition, tmp_path) == SoFar(9, 6, 10, whole - 10)
    s = halving(tmp_path)
    assert len(finish(s)) == whole - 10
    assert so_far(s.definition, tmp_path) == SoFar(9, 9, whole, 0)


def test_a_look_writes_nothing_and_needs_no_lock(tmp_path: Path) -> None:
    s = halving(tmp_path)
    for _ in range(9):
        arrive(s)
    with open(s.path, "ab") as file:
        file.write(b'{"op_code":')  # another process is writing
    before = contents(tmp_path)
    with exclusive(tmp_path, "s"):
        assert so_far(s.definition, tmp_path) == SoFar(9, 0, 9, 13)
    assert contents(tmp_path) == before
    assert so_far(s.definition, tmp_path / "nowhere") is None
    assert not (tmp_path / "nowhere").exists()


def test_a_look_refuses_what_a_search_would(tmp_path: Path) -> None:
    drive(study(tmp_path, 2))
    other = study(tmp_path / "other", 2, search_seed=3).definition
    for ask in (so_far, Study):
        with pytest.raises(ValueError, match=r"s\.journal: this study was begun with .* \(search_seed was 0, is 3\)"):
            ask(other, tmp_path)
    (tmp_path / "s.journal").write_bytes(b"no line\n")
    for ask in (so_far, Study):
        with pytest.raises(ValueError, match=r"s\.journal: the journal is damaged \(line 1"):
            ask(other, tmp_path)
