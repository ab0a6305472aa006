"""What MLflow and W&B are told, with a stand-in for Ray's callbacks: neither package need be there."""

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
