"""What MLflow and W&B are told, with a stand-in for Ray's callbacks, and which trial is next."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apc.search import callbacks


@pytest.mark.parametrize(
    ("name", "base", "told"),
    [
        ("mlflow", "MLflowLoggerCallback", {"tracking_uri": "sqlite:///{runs}/mlflow.db", "experiment_name": "s"}),
        ("wandb", "WandbLoggerCallback", {"project": "apc", "group": "s"}),
    ],
)
def test_a_tracker_is_told_the_fields_of_each_trial(
    name: str, base: str, told: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Base:
        def __init__(self, **given: str) -> None:
            self.given, self.starts = given, list[dict[str, Any]]()

        def log_trial_start(self, trial: Any) -> None:
            self.starts.append(trial.config)
            if self.given.get("group") == "down":
                raise ConnectionError

    for variable in ("MLFLOW_TRACKING_URI", "WANDB_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(f"ray.air.integrations.{name}.{base}", Base)
    monkeypatch.setattr(callbacks, "find_spec", lambda package: package == name)
    (tracker,) = callbacks.trackers([name], "s", tmp_path)
    made: Any = tracker
    assert made.given == {key: value.format(runs=tmp_path) for key, value in told.items()}
    configs = [{"theta": 0.5, "seed": 0}, {"theta": 0.5, "seed": 1}]
    task = {"label": "theta=0.5", "configs": configs, "ids": ["a", "b"]}
    trial = SimpleNamespace(config=task)
    made.log_trial_start(trial)
    assert made.starts == [{"theta": 0.5, "seed": "0, 1", "label": "theta=0.5", "runs": "a, b"}]
    made.given["group"] = "down"
    with pytest.raises(ConnectionError):
        made.log_trial_start(trial)
    assert trial.config is task and configs[0]["seed"] == 0  # whatever a tracker does, the worker gets its task
    assert made.__getstate__() == {}  # Tune pickles its callbacks at every snapshot


def test_the_next_trial_is_the_earliest_that_waits_and_one_that_is_tried_again_keeps_its_place() -> None:
    scheduler = callbacks.GiveUp(SimpleNamespace(give_up=lambda trial_id: False, attempt_failed=lambda trial_id: None))
    first, second, third = (SimpleNamespace(trial_id=name, status="PENDING") for name in "cab")
    live = [third, second, first]
    controller = SimpleNamespace(get_live_trials=lambda: live)
    for trial in (first, second, third):
        scheduler.on_trial_add(controller, trial)
    assert scheduler.choose_trial_to_run(controller) is first
    first.status = "RUNNING"
    assert scheduler.choose_trial_to_run(controller) is second
    second.status = "PAUSED"
    assert scheduler.choose_trial_to_run(controller) is third  # what waits goes before what is paused
    third.status = "RUNNING"
    assert scheduler.choose_trial_to_run(controller) is second
    first.status = "PENDING"  # its process was lost
    assert scheduler.choose_trial_to_run(controller) is first
    live.clear()
    assert scheduler.choose_trial_to_run(controller) is None
