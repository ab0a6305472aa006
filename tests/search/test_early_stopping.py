"""Trials that are given up while they train, told as such with their curves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from studies import BASE, study, train

from apc.search.study import Study


def learn(s: Study, trial: Any, scores: list[float]) -> int:
    """Log epochs until the study gives the trial up; how many were logged."""
    folder = s.runs / trial.ids[0]
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for epoch, score in enumerate(scores, start=1):
        lines.append(json.dumps({"epoch": epoch, "seconds": 10.0 * epoch, "miou": score}) + "\n")
        (folder / "curve.jsonl").write_text("".join(lines))
        if s.should_stop(trial):
            return epoch
    return len(scores)


@pytest.mark.parametrize("rule", ["asha", "median"])
def test_a_bad_trial_is_given_up_and_told_as_pruned_with_its_curve(rule: str, tmp_path: Path) -> None:
    weights = tmp_path / "vit.safetensors"
    weights.write_bytes(b"weights")
    base = replace(BASE, weights=str(weights))
    s = study(tmp_path, 8, stop_early=rule, base=base)
    lengths = []
    for number in range(8):
        trial = s.take()
        assert trial
        good = number != 6
        lengths.append(learn(s, trial, [(5.0 if good else 0.1) * epoch + 0.01 * number for epoch in range(1, 9)]))
        if lengths[-1] == 8:
            train(s.runs, trial.configs[0], trial.ids[0])
        rows = s.finish(trial)
        if number == 6:
            assert rows[0].metrics == {} and rows[0].error == "" and "stopped early after epoch" in rows[0].stopped
            assert rows[0].config["weights"] == "vit.safetensors"  # and not where it lies
            assert len(rows[0].curve) == lengths[6] and rows[0].seconds == {"train": 10.0 * lengths[6]}
    assert lengths[6] < 4 and lengths[7] == 8
    state = optuna.trial.TrialState.PRUNED
    kept = optuna.load_study(
        study_name="s", storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(s.path)))
    ).trials
    assert kept[6].state == state
    assert list(kept[6].intermediate_values) == list(range(1, lengths[6] + 1))
    assert state not in [trial.state for trial in kept if trial.number not in (6,) and lengths[trial.number] == 8]
    assert s.counts.stopped == sum(length < 8 for length in lengths)
    again = study(tmp_path, 8, stop_early=rule, base=base)
    assert [bool(rows[0].stopped) for _, rows in again.result()] == [length < 8 for length in lengths]


def test_early_stopping_without_scores_on_the_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--stop-early asha needs scores while training; add --eval-every 1"):
        study(tmp_path, 2, stop_early="asha", base=replace(BASE, eval_every=0))


def test_a_trial_that_is_resumed_is_judged_at_the_last_epoch_that_its_study_has(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    s = study(tmp_path, 8, stop_early="median")
    cut = s.take()
    assert cut and learn(s, cut, [1.0] * 4) == 4  # nothing to compare it with yet
    for _ in range(4):
        trial = s.take()
        assert trial and learn(s, trial, [5.0] * 8) == 8
        train(s.runs, trial.configs[0], trial.ids[0])
        s.finish(trial)
    killed = study(tmp_path, 8, stop_early="median")
    again = killed.take()
    assert again and again.ids == cut.ids
    assert killed.should_stop(again) and again.stopped_epoch == 4
    assert killed.finish(again)[0].stopped.startswith("stopped early after epoch 4 of 9")
    assert not recwarn.list  # of epochs that the study has
