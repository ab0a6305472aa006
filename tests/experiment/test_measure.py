"""What is measured on finished runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apc import data
from apc.config import Config
from apc.evaluation import remeasure
from apc.evaluation.class_distances import distances
from apc.experiment.measure import measured_result
from apc.runs.rows import Row
from apc.search.plans import Point, Result


def test_a_finished_run_is_measured_once_from_its_checkpoint(
    trained: tuple[Path, Row], capsys: pytest.CaptureFixture[str]
) -> None:
    runs, row = trained

    def measure(method: Any, cfg: Config, device: str) -> dict[str, Any]:
        return {"metrics": distances(method, data.load(cfg, "val"), cfg, device)}

    result: Result = [(Point("a", {}), [row, replace(row, run="gone", error="lost")])]
    ((_, (found, failed)),) = measured_result(result, runs, "", "cosine", measure)
    assert set(found.metrics) - set(row.metrics) >= {"inter_cosine", "background_cosine"}
    assert 0 <= found.metrics["inter_cosine"] <= 200 and found.metrics["miou"] == row.metrics["miou"]
    assert failed.error == "lost" and found.stamp["measured"]["device"] == "cpu"

    def twice(*words: Any) -> dict[str, Any]:
        raise AssertionError("measured again")

    assert (
        remeasure.measured_once(row, runs, "", "cosine", twice)["metrics"]["inter_cosine"]
        == found.metrics["inter_cosine"]
    )
    path = runs / row.run / "measured" / "cosine.json"
    path.write_text(path.read_text()[:20])  # a damaged file is measured again
    assert (
        remeasure.measured_once(row, runs, "", "cosine", measure)["metrics"] == json.loads(path.read_text())["metrics"]
    )
    capsys.readouterr()
    assert remeasure.measured_once(replace(row, run="elsewhere"), runs, "", "cosine", twice) == {}
    assert "not measured: " in (told := capsys.readouterr().err) and "elsewhere" in told
