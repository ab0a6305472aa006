"""The vote of a search, by hand."""

from pathlib import Path

import numpy as np
import pytest

from apc.runs.folder import RunFolder
from apc.search import vote as votes
from apc.search.vote import Ballot, Jury, ballot_of, vote

A, B, BG = (np.full((1, 2, 2), label, np.uint8) for label in (1, 2, 0))


def left(label: int) -> np.ndarray:
    """The class on the left of a photograph and background on the right, (1,2,2)."""
    return np.array([[[label, 0], [label, 0]]], np.uint8)


def test_a_run_is_judged_by_what_the_others_vote_with_their_weights() -> None:
    ballots = [
        Ballot("x", 0.9, left(1), left(1)),
        Ballot("y", 0.5, left(2), left(1)),
        Ballot("z", 0.3, left(2), BG),
    ]
    # x: the others say 2 on the left; it says 1 there. y: x outvotes z, so 1 is true. z: x outvotes y.
    assert vote(ballots) == pytest.approx([50.0, 100.0, (50 + 0) / 2])


def test_a_run_has_no_vote_about_itself_nor_about_its_other_seeds() -> None:
    alone = [Ballot("x", 9.0, left(1), left(1)), Ballot("x", 9.0, left(1), left(1)), Ballot("y", 0.1, left(2), left(2))]
    assert vote(alone) == pytest.approx([50.0, 50.0, 50.0])


def test_where_no_other_has_weight_there_is_no_score() -> None:
    scores = vote([Ballot("x", 0.5, left(1), left(1)), Ballot("y", 0.0, left(1), left(1))])
    assert np.isnan(scores[0]) and scores[1] == 100


def test_photographs_a_few_at_a_time_give_what_all_together_give(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 4, (2, 7, 8, 8)).astype(np.uint8) for _ in range(5)]
    ballots = [Ballot(i % 4, 0.2 + 0.1 * i, *pair) for i, pair in enumerate(maps)]
    together = vote(ballots)
    monkeypatch.setattr(votes, "AT_ONCE", 2 * 8 * 8 * 4)
    assert vote(ballots) == together


def test_each_setting_is_judged_by_all_ballots_but_its_own_though_they_are_counted_once() -> None:
    """Small weights that are often level, many classes that are: every mask is that of a count without the setting."""
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 3, (7, 5, 8, 8)).astype(np.uint8)
    ballots = [Ballot(min(i, 5), 0.5 * (1 + i % 2), own, own) for i, own in enumerate(maps)]  # the last has two seeds
    jury = Jury(ballots)
    for setting in (*range(6), "another"):
        others = [ballot for ballot in ballots if ballot.setting != setting]
        votes = np.stack([sum(b.weight * (b.patch == label) for b in others) for label in range(3)])
        assert jury.score(setting, votes.argmax(0).astype(np.uint8)) == 100
        assert jury.score(setting, maps[0]) < 100


def test_the_best_of_many_is_found_though_no_mask_is_opened() -> None:
    """Twelve runs that err each in its own way, three that fill photographs: the vote ranks as the truth does."""
    rng = np.random.default_rng(1)
    truth = np.repeat(np.repeat(rng.integers(0, 4, (20, 4, 4)), 4, 1), 4, 2).astype(np.uint8)
    ballots, true = [], []
    for number, share in enumerate(np.linspace(0.05, 0.6, 12)):
        wrong = rng.random(truth.shape) < share
        labels = np.where(wrong, rng.integers(0, 4, truth.shape), truth).astype(np.uint8)
        ballots.append(Ballot(number, 1 - share, labels, labels))
        true.append(float((labels == truth).mean()))
    for number, label in enumerate((0, 1, 2), start=12):
        filled = np.full_like(truth, label)
        ballots.append(Ballot(number, 0.05, filled, filled))
        true.append(float((filled == truth).mean()))
    scores = vote(ballots)
    assert int(np.argmax(scores)) == int(np.argmax(true)) == 0
    assert max(scores[12:]) < min(scores[:12])


def test_ballots_are_read_from_the_folder_of_a_run(tmp_path: Path) -> None:
    assert ballot_of(tmp_path, "x", 1.0) is None
    np.savez_compressed(RunFolder(tmp_path).ballots, patch=left(1), decoder=left(2))
    ballot = ballot_of(tmp_path, "x", 0.5)
    assert ballot and (ballot.setting, ballot.weight) == ("x", 0.5)
    assert (ballot.patch == left(1)).all() and (ballot.decoder == left(2)).all()


def test_a_ballot_that_is_damaged_is_none_whichever_byte_it_is(tmp_path: Path) -> None:
    path, rng = RunFolder(tmp_path).ballots, np.random.default_rng(0)
    maps = rng.integers(0, 3, (2, 9, 9)).astype(np.uint8)
    np.savez_compressed(path, patch=maps, decoder=maps)
    whole = path.read_bytes()
    found = []
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        found.append(ballot_of(tmp_path, "x", 1.0))
    assert found.count(None) > len(found) / 2  # the time of a file, for one, is nothing to a ballot


def test_of_many_photographs_a_share_at_even_distances_is_voted_on(tmp_path: Path) -> None:
    numbered = np.zeros((640, 2, 2), np.uint8)
    numbered[:, 0] = np.arange(640)[:, None] % 256
    numbered[:, 1] = np.arange(640)[:, None] // 256
    for count in (640, 256):
        np.savez_compressed(RunFolder(tmp_path).ballots, patch=numbered[:count], decoder=numbered[:count])
        ballot = ballot_of(tmp_path, "x", 1.0)
        assert ballot and len(ballot.patch) == 256 and (ballot.patch == ballot.decoder).all()
        positions = ballot.patch[:, 1, 0].astype(int) * 256 + ballot.patch[:, 0, 0]
        distance = count / 256
        assert positions.tolist() == [int(n * distance) for n in range(256)]
