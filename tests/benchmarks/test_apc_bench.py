"""The table of APC-Bench: what a run's lines are, and that the file that ships is what it says."""

import math
from pathlib import Path

import numpy as np
import pytest

from apc.config import pocket, to_dict
from apc.runs.rows import Row
from benchmarks.apc_bench import model, table


def a_row(run: str, seed: int = 0, epochs: int = 3, **config: object) -> Row:
    curve = [
        {"epoch": e, "cpu_seconds": 3.0 * e, "tune_miou": 10.0 * e, "held_miou": 9.0 * e} for e in range(1, epochs)
    ]
    own = to_dict(pocket()) | {"seed": seed, "epochs": epochs, **config}
    return Row(
        run=run,
        config=own,
        metrics={"miou": 29.0, "tune_miou": 30.0, "held_miou": 28.0},
        seconds={"train_cpu": 9.5},
        curve=[*curve, {"epoch": epochs, "cpu_seconds": 9.0}],
        stamp={"commit": "abc", "machine": "a machine"},
    )


def test_a_run_has_a_line_for_each_scored_epoch_and_only_the_knobs_of_its_setting() -> None:
    frame = table.frame_of(
        [a_row("r", pooling="max"), a_row("r", pooling="max"), a_row("s", pooling="top_k", lambda2=0.0)]
    )
    assert list(frame.columns) == list(table.COLUMNS)
    own = frame[frame["run"] == "r"]
    assert own["epoch"].tolist() == [1, 2, 3] and own["tune_miou"].tolist() == [10.0, 20.0, 30.0]
    assert own["cpu_seconds"].tolist() == [3.0, 6.0, 9.5] and own["held_miou"].tolist() == [9.0, 18.0, 28.0]
    assert own["k"].isna().all() and own["theta"].isna().all() and own["epsilon"].tolist() == [0.85] * 3
    other = frame[frame["run"] == "s"]
    assert other["k"].tolist() == [6] * 3 and other["epsilon"].isna().all()
    assert frame["variant"].tolist() == ['{"epochs": 3}'] * 6


def test_what_the_space_does_not_have_is_told_by_name_and_unscored_epochs_have_no_line() -> None:
    row = a_row("r", bilstm=False)
    row.curve = [{"epoch": e} for e in (1, 2, 3)]
    frame = table.frame_of([row])
    assert frame["epoch"].tolist() == [3] and frame["variant"].tolist() == ['{"bilstm": false, "epochs": 3}']


def test_the_table_comes_back_with_its_stamp(tmp_path: Path) -> None:
    frame = table.frame_of([a_row("r"), a_row("s", seed=1)])
    table.write(frame, tmp_path / "t.parquet")
    assert table.load(tmp_path / "t.parquet").equals(frame)
    made = table.stamp(tmp_path / "t.parquet")
    assert (made["runs"], made["settings"], made["seeds"], made["commits"]) == (2, 1, [0, 1], ["abc"])


def test_the_table_that_ships_is_small_has_every_column_and_says_what_it_holds() -> None:
    frame, made = table.load(), table.stamp()
    assert table.PATH.stat().st_size < 2**20
    assert list(frame.columns) == list(table.COLUMNS) == list(made["columns"])
    assert made["runs"] == frame["run"].nunique() and made["recipe"] == 1
    assert frame["tune_miou"].between(0, 100).all() and (frame["epoch"] <= frame["epochs"]).all()
    assert not frame.duplicated(["run", "epoch"]).any()


def test_a_seed_s_effect_is_what_it_adds_to_every_setting() -> None:
    rows = []
    for i, final in enumerate((50.0, 60.0)):
        for seed, effect in enumerate((3.0, 0.0, -3.0)):
            row = a_row(f"{i}{seed}", seed, k=3 + i)
            row.metrics |= {"tune_miou": final + effect, "held_miou": final + effect}
            rows.append(row)
    frame = table.frame_of(rows)
    effects = model.seed_effects(frame[frame["epoch"] == 3])
    assert np.round([effects[seed][0] for seed in range(3)], 6).tolist() == [3.0, 0.0, -3.0]


@pytest.mark.parametrize(
    ("setting", "count", "adaptive"),
    [
        ({"pooling": "max"}, 1, 0.0),
        ({"pooling": "average"}, 144, 0.0),
        ({"pooling": "top_k", "k": 12}, 12, 0.0),
        ({"pooling": "adaptive_k", "k": 6, "theta": 0.75}, 6, 0.5),
    ],
)
def test_poolings_lie_on_one_line_by_how_many_patches_count(
    setting: dict[str, object], count: int, adaptive: float
) -> None:
    code = model.encoded({**setting, "lambda1": 0.02, "lambda2": 0.0})
    assert code[0] == pytest.approx(math.log(count) / math.log(12)) and code[1] == adaptive
