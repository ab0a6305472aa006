"""The trials of a study that ended, so that a look at them costs as much after a thousand as after ten."""

import bisect
from collections import Counter

import optuna
from optuna.trial import FrozenTrial, TrialState


class Ended:
    """Trials that ended; each look is at those only that had not ended at the last one."""

    def __init__(self, study: optuna.Study) -> None:
        self.study = study
        self.states: Counter[TrialState] = Counter()
        """How many ended in which state, at the last look."""
        self._trials: list[FrozenTrial] = []
        self._open: list[int] = []  # numbers of those seen that had not ended
        self._seen = 0

    def trials(self) -> list[FrozenTrial]:
        """In the order proposed; earlier results that the study started with left out."""
        known = self.study.get_trials(deepcopy=False)
        numbers = [*self._open, *range(self._seen, len(known))]
        self._open, self._seen = [number for number in numbers if not known[number].state.is_finished()], len(known)
        for trial in (known[number] for number in numbers if known[number].state.is_finished()):
            if "warm" not in trial.user_attrs:
                bisect.insort(self._trials, trial, key=lambda each: each.number)
                self.states[trial.state] += 1
        return self._trials
