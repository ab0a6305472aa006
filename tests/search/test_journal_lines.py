"""Journals of others and journals that are damaged: judged whole, never shortened, and the torn end of ours is cut."""

import json
from pathlib import Path

import optuna
import pytest

from apc.config import pocket
from apc.search.journal import open_study
from apc.search.journal_lines import whole_lines
from apc.search.search_settings import SearchSettings
from apc.search.study_settings import StudyDefinition

LINES = [
    '{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [2]}',
    '{"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": null, "state": 4}',
    '{"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 0, "values": null}',
    '{"op_code": 8, "worker_id": "w", "trial_id": 0, "user_attr": {"a": 1}}',
    '{"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 1, "values": [1.0]}',
]


def text(*lines: str) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


FOREIGN = {
    "a line of something else": (text(*LINES[:2], "hello"), "line 3: no line of Optuna's"),
    "a list": (text(*LINES[:2], "[1, 2]"), "line 3: no line of Optuna's"),
    "an object of something else": (text('{"name": 1}'), "line 1: no line of Optuna's"),
    "an empty line": (text(LINES[0], "", LINES[1]), "line 2: no line of Optuna's"),
    "an unknown operation": (text(LINES[0], '{"op_code": 77}'), "line 2: an unknown operation, 77"),
    "an operation that is a text": (text('{"op_code": "0"}'), "line 1: an unknown operation, 0"),
    "the first line doubled": (text(LINES[0], *LINES), "line 2: a study that is there already"),
    "a start doubled": (text(*LINES[:3], *LINES[2:]), "line 4: trial 0 started twice"),
    "an end doubled": (text(*LINES, LINES[4]), "line 6: trial 0 after its end"),
    "every line reversed": (text(*reversed(LINES)), "line 1: a trial that is not there yet, 0"),
    "two lines reversed": (text(LINES[1], LINES[0], *LINES[2:]), "line 1: a study that is not there yet, 0"),
    "the last two reversed": (text(*LINES[:3], LINES[4], LINES[3]), "line 5: trial 0 after its end"),
    "a line that is absent": (text(LINES[0], *LINES[2:]), "line 2: a trial that is not there yet"),
    "a trial by a name": (text(*LINES[:2], '{"op_code": 8, "trial_id": "0"}'), "line 3: no line of Optuna's"),
    "a binary file": (bytes(range(256)), "line 1: no line of Optuna's"),
    "a file without a line": (b"notes of mine", "line 1: no line of Optuna's"),
    "a foreign end": (text(*LINES) + b"and so on", "line 6: no line of Optuna's"),
    "a line that is deep": (text(LINES[0]) + b"[" * 100_000 + b"\n", "line 2: no line of Optuna's"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_journal_that_is_not_ours_is_refused_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    content, why = FOREIGN[name]
    path = tmp_path / "s.journal"
    path.write_bytes(content)
    settings = SearchSettings(trials=1)
    definition = StudyDefinition(lambda t: {}, name="s", base=pocket(), seeds=[0], settings=settings, first=())
    with pytest.raises(ValueError) as told:
        open_study(path, definition, {})
    assert f"{path}: the journal is damaged ({why}" in str(told.value) and "move it away" in str(told.value)
    assert path.read_bytes() == content and [each.name for each in tmp_path.iterdir()] == ["s.journal"]


@pytest.mark.parametrize("torn", [b"", b"{", b'{"op_c', b'{"op_code": 6, "worker_id": "w", "tri', LINES[4].encode()])
def test_only_a_torn_end_of_our_own_is_cut(torn: bytes) -> None:
    assert whole_lines(text(*LINES) + torn) == text(*LINES)
    assert whole_lines(torn) == b""


def test_what_optuna_writes_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "s.journal"
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    optuna.create_study(study_name="s", storage=storage)
    optuna.delete_study(study_name="s", storage=storage)
    study = optuna.create_study(study_name="s", storage=storage)
    study.enqueue_trial({"x": 1.0})
    study.add_trial(optuna.trial.create_trial(value=1.0))
    for state in (optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL, None):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 1)
        trial.set_user_attr("a", [1])
        study.tell(trial, 1.0 if state is None else None, state=state)
    assert whole_lines(path.read_bytes()) == path.read_bytes()
    assert {json.loads(line)["op_code"] for line in path.read_text().splitlines()} >= {0, 1, 4, 5, 6, 7, 8}
