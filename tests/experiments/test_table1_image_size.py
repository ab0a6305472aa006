"""The sizes of Table 1."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from apc.runs.rows import Row
from apc.search.plans import Point
from experiments import table1_image_size


def test_at_its_own_size_a_run_scores_what_it_scored(trained: tuple[Path, Row]) -> None:
    runs, row = trained
    made = table1_image_size.at_sizes([(Point("training", {}), [row])], runs, "")
    assert [point.label for point, _ in made] == ["64", "96", "128", "160", "200", "240", "280"]
    own = made[1][1][0]
    assert all(own.metrics[name] == row.metrics[name] for name in ("miou", "tune_miou", "held_miou"))
    assert own.per_class["miou"] == row.per_class["miou"]
    assert own.run == f"{row.run}@96" and own.seconds["network"] > 0 and own.metrics["peak_gib"] > 0
    assert "train" not in own.seconds and own.config["eval_size"] == 96
    assert any(rows[0].metrics["miou"] != own.metrics["miou"] for _, rows in made)


def test_a_run_whose_weights_are_gone_is_named_and_left_out(
    trained: tuple[Path, Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, row = trained
    shutil.copytree(runs / row.run, tmp_path / row.run)
    (tmp_path / row.run / "model.safetensors").unlink()
    failed = replace(row, run="x", error="lost")
    made = table1_image_size.at_sizes([(Point("training", {}), [row, failed])], tmp_path, "")
    assert made == [(Point("training", {}), [failed])]
    said = f"not measured: {tmp_path / row.run}: not the folder of a finished run; model.safetensors is missing\n"
    assert capsys.readouterr().err == said


def test_the_sizes_at_the_papers_training_size_are_the_papers() -> None:
    assert table1_image_size.sizes(384, 16) == [256, 384, 512, 640, 800, 960, 1120]
    assert all(size % 14 == 0 for size in table1_image_size.sizes(224, 14))
