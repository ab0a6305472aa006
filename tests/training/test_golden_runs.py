"""Tiny runs of every method give the losses, scores and identities that were recorded; see record_golden.py."""

import pytest
from golden_files import recorded
from golden_runs import RUNS, measured

LOSSES = 5e-5
"""Relative tolerance: between AVX-512, AVX2 and SSE a loss moved by 1e-5 at most; a learning rate 1 % larger fails."""
SCORES = 0.05
"""In points of mIoU; between those instruction sets a score moved by 0.004, a few pixels of four pictures."""


@pytest.mark.parametrize("name", RUNS)
def test_losses_scores_and_identity_are_those_recorded(name: str) -> None:
    before = [line for line in recorded("runs.jsonl") if line.get("name") == name]
    now = [{"name": name} | line for line in measured(name)]
    assert [line.keys() for line in now] == [line.keys() for line in before]
    for mine, theirs in zip(now[:-1], before[:-1], strict=True):
        assert mine["losses"] == pytest.approx(theirs["losses"], rel=LOSSES), f"epoch {theirs['epoch']}"
    assert now[-1]["scores"] == pytest.approx(before[-1]["scores"], abs=SCORES)
    assert now[-1]["run"] == before[-1]["run"]


def test_every_run_recorded_is_run_and_its_settings_differ_in_what_they_give() -> None:
    lines = recorded("runs.jsonl")[1:]
    assert {line["name"] for line in lines} == set(RUNS)
    last = [line["scores"] | {"run": line["run"]} for line in lines if "run" in line]
    assert len({line["run"] for line in last}) == len(RUNS)
    first = [line["losses"] for line in lines if line.get("epoch") == 2]
    assert len({losses["loss"] for losses in first}) == len(RUNS)
    assert {term for losses in first for term in losses} == {
        "loss",
        "mce",
        "pce",
        "seg",
        "et",
        "reg",
        "cls",
        "aff",
        "energy",
        "aux",
        "ptc",
        "ctc",
    }
