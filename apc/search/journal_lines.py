"""The lines of an Optuna journal, judged before anything reads or changes them.

A line is a JSON object of an operation; Optuna applies them in turn and numbers studies and trials as they come, so
what a line may name is known from the lines before it.
"""

import json
from dataclasses import dataclass, field
from typing import Any

CREATE_STUDY, DELETE_STUDY, SET_STUDY_USER_ATTR, SET_STUDY_SYSTEM_ATTR, CREATE_TRIAL = range(5)
SET_TRIAL_PARAM, SET_STATE, SET_INTERMEDIATE_VALUE, SET_TRIAL_USER_ATTR, SET_TRIAL_SYSTEM_ATTR = range(5, 10)
RUNNING, WAITING = 0, 4
ENDED = (1, 2, 3)
"""Optuna's numbers of operations and of states of a trial."""
START = b'{"op_code":'
"""How every line begins that this program has Optuna write."""


def whole_lines(content: bytes) -> bytes:
    """The content without a last line that a kill left half-written; ValueError where anything else is wrong."""
    lines = content.split(b"\n")
    torn = lines.pop()
    replay = _Replay()
    for number, line in enumerate(lines, start=1):
        try:
            replay.apply(json.loads(line))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            why = str(error) if type(error) is ValueError else "no line of Optuna's"
            raise ValueError(f"line {number}: {why}") from None
    if not (torn.startswith(START) or START.startswith(torn)):
        raise ValueError(f"line {len(lines) + 1}: no line of Optuna's")
    return content[: len(content) - len(torn)]


@dataclass
class _Replay:
    """Studies and trials as far as the lines have come."""

    studies: list[str | None] = field(default_factory=list)
    """Name of each study, by its number; None once it is deleted."""
    trials: list[int] = field(default_factory=list)
    """State of each trial, by its number."""

    def apply(self, line: dict[str, Any]) -> None:
        """Take one operation; ValueError says why it cannot come here, any other error that it is none."""
        operation = line["op_code"]
        if type(operation) is not int or not CREATE_STUDY <= operation <= SET_TRIAL_SYSTEM_ATTR:
            raise ValueError(f"an unknown operation, {str(operation)[:20]}")
        if operation == CREATE_STUDY:
            if line["study_name"] in self.studies:
                raise ValueError("a study that is there already; the line is doubled")
            self.studies.append(str(line["study_name"]))
        elif operation <= CREATE_TRIAL:
            self._apply_to_study(operation, line)
        else:
            self._apply_to_trial(operation, line)

    def _apply_to_study(self, operation: int, line: dict[str, Any]) -> None:
        study = line["study_id"]
        if not 0 <= study < len(self.studies) or self.studies[study] is None:
            raise ValueError(f"a study that is not there yet, {study}; lines are missing or out of order")
        if operation == DELETE_STUDY:
            self.studies[study] = None
        elif operation == CREATE_TRIAL:
            self.trials.append(int(line.get("state", RUNNING)))

    def _apply_to_trial(self, operation: int, line: dict[str, Any]) -> None:
        trial = line["trial_id"]
        if not 0 <= trial < len(self.trials):
            raise ValueError(f"a trial that is not there yet, {trial}; lines are missing or out of order")
        if self.trials[trial] in ENDED:
            raise ValueError(f"trial {trial} after its end; lines are doubled or out of order")
        if operation == SET_STATE:
            state = int(line["state"])
            if state == RUNNING == self.trials[trial]:
                raise ValueError(f"trial {trial} started twice; the line is doubled")
            self.trials[trial] = state
