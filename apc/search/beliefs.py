"""What a sampler is shown of a study: a copy in memory, in which every trial stands with what is known of it now.

The journal keeps what happened; what is told of it may change while a search goes on. Trials that wait at a rung of a
halving search are shown with their scores there, and all of them with the values that `rescored` gives. A setting is
drawn of the copy, and what the sampler left there is written into the journal, the setting last: killed in between, the
next driver draws the same, all knobs anew, for one that was not drawn would leave its random number to the next.
"""

from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from apc.runs.compared import END
from apc.search.brackets import OUTSIDE, paused

Rescored = Callable[[int], Mapping[int, float]]
"""Values by number of the trials that have a score after an epoch, or of the finished ones where that is END; of no
trial, where those of the journal hold."""
STUDY = "apc:study"
"""System attribute of a trial: what its sampler noted of the study when it drew the trial's setting."""
KNOWS_RUNGS = ("tpe",)
"""Samplers that rank trials which were given up, the further trained ones first. To all others trials are shown as
finished at the first rung, where all of them have a score; an earlier run that was not scored there is not shown."""


def draw(
    study: optuna.Study,
    trial: optuna.Trial,
    sampler: BaseSampler,
    suggest: Callable[[optuna.Trial], dict[str, Any]],
    *,
    name: str,
    first_rung: int = 0,
    rescored: Rescored | None = None,
) -> dict[str, Any]:
    """The setting of a trial, suggested on the copy, and written to the trial but for its user attributes.

    `name` is the sampler's, `first_rung` the epoch of the first rung, 0 where there is none; without `rescored` trials
    have the values that they were told with. Without either the study's other trials are drawn of the journal itself,
    where their sampler notes what it notes of the study.
    """
    number, noted_there = trial.number, not first_rung and not rescored
    copy = _copy(study, sampler, name, first_rung, rescored, number)
    if noted_there:
        _note(copy, study._storage.get_study_system_attrs(study._study_id))
    known = dict(copy._storage.get_study_system_attrs(copy._study_id))
    drawn = optuna.trial.Trial(copy, number)
    values = suggest(drawn)
    made = copy._storage.get_trial(number)
    noted = copy._storage.get_study_system_attrs(copy._study_id)
    storage, own = study._storage, study._storage.get_trial(trial._trial_id)
    for knob, kind in made.distributions.items():
        if knob not in own.params or own.params[knob] != made.params[knob]:
            storage.set_trial_param(trial._trial_id, knob, kind.to_internal_repr(made.params[knob]), kind)
    attributes = {key: value for key, value in made.system_attrs.items() if own.system_attrs.get(key) != value}
    changed = {key: value for key, value in noted.items() if known.get(key) != value}
    if noted_there:
        _note(study, changed)
    else:
        attributes[STUDY] = changed
    for key, value in attributes.items():
        if value:
            storage.set_trial_system_attr(trial._trial_id, key, value)
    return values


def _note(study: optuna.Study, attributes: Mapping[str, Any]) -> None:
    for key, value in attributes.items():
        study._storage.set_study_system_attr(study._study_id, key, value)


def _copy(
    study: optuna.Study, sampler: BaseSampler, name: str, first_rung: int, rescored: Rescored | None, drawn: int
) -> optuna.Study:
    """The study as it is shown to the sampler of the trial with the number `drawn`."""
    trials = study.get_trials(deepcopy=False)
    epochs = {END, *(epoch for trial in trials for epoch in trial.intermediate_values)} if rescored else set[int]()
    values = {epoch: rescored(epoch) for epoch in epochs} if rescored else {}
    copy = optuna.create_study(directions=study.directions, sampler=sampler)
    for trial in trials:
        shown = _shown(trial, name in KNOWS_RUNGS, first_rung, values)
        if trial.number == drawn:
            shown.params, shown.distributions = {}, {}
        copy._storage.create_new_trial(copy._study_id, template_trial=shown)
        if "values" in trial.user_attrs:  # of one that was killed before it had its setting nothing is known yet
            _note(copy, trial.system_attrs.get(STUDY, {}))
    return copy


def _shown(
    trial: FrozenTrial, knows_rungs: bool, first_rung: int, rescored: Mapping[int, Mapping[int, float]]
) -> FrozenTrial:
    """A trial as the sampler is to know it."""
    now = {epoch: values[trial.number] for epoch, values in rescored.items() if trial.number in values}
    state, told = trial.state, [now[END]] if END in now else trial.values
    steps = {epoch: now.get(epoch, value) for epoch, value in trial.intermediate_values.items()}
    if first_rung and not knows_rungs and (state.is_finished() or steps):
        at_first = steps.get(first_rung)
        state = TrialState.FAIL if at_first is None or OUTSIDE in trial.user_attrs else TrialState.COMPLETE
        told = None if state == TrialState.FAIL or at_first is None else [at_first]
    elif state == TrialState.PRUNED or (first_rung and paused(trial)):
        state, told = TrialState.PRUNED, [steps[max(steps)]] if steps else None
    shown = create_trial(
        state=state,
        values=told if state != TrialState.FAIL else None,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        intermediate_values=steps,
    )
    # Behind the checks of create_trial and add_trial, which refuse a setting of FIRST that lies outside its range.
    shown.params, shown.distributions = trial.params, trial.distributions
    return shown
