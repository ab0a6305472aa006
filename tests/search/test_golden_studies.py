"""Small studies propose, tell and write what was recorded; see record_golden.py."""

from pathlib import Path

import pytest
from golden_files import recorded
from golden_studies import JOURNAL, SETTINGS, TRIALS, conduct, journal

GP = 1e-5
"""Relative tolerance: the Gaussian process's proposals go through an optimiser, whose last digits are a machine's."""


@pytest.mark.parametrize("name", SETTINGS)
def test_a_study_proposes_and_tells_what_was_recorded(name: str, tmp_path: Path) -> None:
    before = [line for line in recorded("studies.jsonl") if line["name"] == name]
    now = conduct(name, tmp_path)
    assert len(now) == len(before) == TRIALS
    for mine, theirs in zip(now, before, strict=True):
        assert mine["state"] == theirs["state"]
        assert mine["setting"].pop("pooling") == theirs["setting"].pop("pooling")
        assert mine["setting"] == pytest.approx(theirs["setting"], rel=GP)
        assert mine["told"] == pytest.approx(theirs["told"], rel=GP)


def test_a_study_that_gives_trials_up_leaves_the_journal_that_was_recorded(tmp_path: Path) -> None:
    states = [line["state"] for line in conduct(JOURNAL, tmp_path)]
    assert "PRUNED" in states and "COMPLETE" in states
    assert journal(tmp_path) == recorded("journal.jsonl")
