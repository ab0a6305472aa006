"""Times of training: to 95 % of a run's own score, by which clock, and the paper's claims about them."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_rows import a_row, cells, page, verdicts

from apc.reporting.groups import Group, separate
from apc.reporting.timing import RULE, completed, seconds_to_share
from apc.runs.rows import Row
from apc.runs.scores import SCORES

pytestmark = pytest.mark.usefixtures("sketched")


def test_claims_about_time_are_the_papers_in_seconds_and_its_hours(tmp_path: Path) -> None:
    rows = [
        replace(a_row(label, s, 40.0), seconds={"train": 60.0, "train_cpu": seconds + s * (1 + len(label) / 10)})
        for label, seconds in (("baseline", 50.0), ("akp", 40.0), ("akp_pcl", 44.0))
        for s in range(3)
    ]
    for row in rows:
        row.curve = [{"epoch": 1, "seconds": 60.0, "cpu_seconds": row.seconds["train_cpu"]}]
        row.config |= {"eval_every": 1}
    text = page(tmp_path, "table5_efficiency", rows)
    summary_line = next(line for line in text.splitlines() if line.startswith("| Table 5") and "PCL saves time" in line)
    told = [cell.strip() for cell in summary_line.strip("|").split("|")]
    assert told[2:4] == ["+1.5 h", "CPU seconds to 95 %"] and told[4].startswith("−4.4 s [") and "(n=3)" in told[4]
    assert told[5] == "**contradicted**" and "CPU seconds of training −4.4 s" in told[6]
    assert verdicts(text, "Table 5")["adaptive-K takes less time than max pooling"] == "**reproduced**"
    assert cells(text, "akp_pcl")[-1] == "1.5 ± 0.5" and "seconds saved" in text


def scored(final: float, *scores: float, seconds: float = 10.0) -> Row:
    curve = [{"epoch": i + 1, "seconds": seconds * (i + 1), "miou": s} for i, s in enumerate(scores)]
    curve.append({"epoch": len(curve) + 1, "seconds": seconds * (len(curve) + 1)})
    return Row(
        run="a",
        config={"eval_every": 1},
        metrics={"miou": final},
        seconds={"train": seconds * len(curve)},
        curve=curve,
        stamp={"images": {"train": 40}, "peak_gib": 1.5},
    )


def test_a_run_has_converged_at_the_first_epoch_with_95_percent_of_its_own_score() -> None:
    assert seconds_to_share(scored(40, 30, 38, 37)) == 20  # 38 is 95 % of 40
    assert seconds_to_share(scored(40, 30, 37.9, 37)) == 40
    assert seconds_to_share(scored(20, 30, 38, 37)) == 10  # it fell afterwards
    assert seconds_to_share(scored(40)) == 10
    unscored = scored(40, 30, 38)
    del unscored.curve[0]["miou"]
    assert seconds_to_share(unscored) is None
    row = completed(scored(40, 30, 38, 37))
    assert row.value("to_95_seconds") == 20 and row.value("images_per_second") == 4 and row.value("peak_gib") == 1.5
    assert "to_95" not in completed(replace(row, config={"eval_every": 2}, seconds={"train": 40.0})).seconds


def test_a_method_with_two_stages_converges_in_the_second() -> None:
    row = scored(40, 39, 39, 20, 38, 39)  # 39 is 95 % of 40 and of the first stage's network
    assert seconds_to_share(row) == 10
    two_stages = {"eval_every": 1, "epochs": 6, "stage2_epochs": 3}
    assert seconds_to_share(replace(row, config=two_stages)) == 40
    assert seconds_to_share(replace(row, config=two_stages | {"stage2_epochs": 1})) == 60


def test_it_is_said_that_of_two_stages_the_second_is_scored_and_both_are_timed() -> None:
    for text in (RULE, SCORES["to_95_seconds"].meaning):
        assert "of ViT-PCM its second stage's epochs alone, both stages' time counted" in text


def test_a_cpu_is_timed_by_the_processors_clock_which_other_work_does_not_change() -> None:
    row = scored(40, 30, 38, 37)
    for entry in row.curve:
        entry["cpu_seconds"] = entry["seconds"] / 2
    row = replace(row, seconds=row.seconds | {"train_cpu": 20.0}, stamp=row.stamp | {"device": "cpu"})
    on_cpu, on_gpu = completed(row), completed(replace(row, stamp=row.stamp | {"device": "NVIDIA H100"}))
    assert on_cpu.value("to_95_cpu_seconds") == 10 and on_cpu.value("images_per_second") == 8
    assert "to_95" not in on_cpu.seconds and "to_95_cpu" not in on_gpu.seconds and "train_cpu" not in on_gpu.seconds
    assert on_gpu.value("to_95_seconds") == 20 and on_gpu.value("images_per_second") == 4
    assert completed(Row(run="a", config={}, metrics={}, seconds={}, error="lost")).metrics == {}


def test_a_row_keeps_the_most_memory_of_its_training(trained: tuple[Path, Row]) -> None:
    row = completed(trained[1])
    assert 0.05 < row.value("peak_gib") < 50 and row.value("images_per_second") > 0
    assert 0 < row.value("to_95_cpu_seconds") <= row.seconds["train_cpu"] + 0.001


def test_a_time_is_compared_with_those_of_the_same_kind_of_device_alone() -> None:
    on_cpu = [a_row(row, seed, 40.0) for row in "ab" for seed in (0, 1)]
    on_gpu = [replace(a_row("b", seed, 45.0, device="NVIDIA H200"), seconds={"train": 9.0}) for seed in (0, 1)]
    group = Group([*on_cpu[:3], on_gpu[1]])
    assert group.beside("a", "b", "train_seconds") == ({0: 60.0}, {0: 60.0})
    assert group.beside("a", "b", "miou") == ({0: 40.0, 1: 40.0}, {0: 40.0, 1: 45.0})
    assert Group([*on_cpu[:2], *on_gpu]).beside("a", "b", "train_seconds") == ({}, {})
    (mixed,) = separate([*on_cpu[:2], *on_gpu])
    assert any(
        note.endswith("give different numbers, and times are compared within one alone.") for note in mixed.notes
    )
