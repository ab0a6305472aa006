"""What a minute of training gains, and the best of other methods beside a table of ours."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_rows import a_row, cells, page

from apc.runs.rows import Row, save_rows

pytestmark = pytest.mark.usefixtures("sketched")


def rows_of(label: str, scores: list[float], minutes: float, **config: object) -> list[Row]:
    """A row a seed; whatever it holds of the other scores is no matter."""
    made = [a_row(label, seed, score, {"held_miou": score}, **config) for seed, score in enumerate(scores)]
    curve = [{"epoch": 1.0, "cpu_seconds": 30.0}, {"epoch": 2.0, "cpu_seconds": 60.0}]
    return [replace(row, seconds={"train": 9.0, "train_cpu": 60 * minutes}, curve=curve) for row in made]


def on_a_machine_twice_as_fast(row: Row) -> Row:
    """The row with epochs of half the seconds, and a round, which is no measure of a machine."""
    halved = [epoch | {"cpu_seconds": epoch["cpu_seconds"] / 2} for epoch in row.curve]
    curve = [*halved, {"epoch": 3.0, "cpu_seconds": 300.0, "round": 1.0}]
    return replace(row, curve=curve, stamp=row.stamp | {"machine": "a faster one"})


def test_the_gain_over_the_paper_s_setting_is_divided_by_the_minutes_beyond_it_and_the_peers_stand_beside(
    tmp_path: Path,
) -> None:
    peers = [
        *rows_of("apc", [80.0, 80.0], 9, method="apc"),
        *rows_of("vit_pcm", [30.0, 34.0], 9, method="vit_pcm"),
        *rows_of("toco", [20.0], 9, method="toco"),
        *rows_of("toco at a higher rate", [25.0], 9, method="toco"),
    ]
    save_rows(tmp_path / "results/table6_peers/pocket.jsonl", peers)
    text = page(
        tmp_path,
        "apc_plus",
        [
            *rows_of("paper's setting", [40.0, 42.0], 10),
            *rows_of("+ shown larger", [41.0, 43.0], 10),
            *rows_of("+ a round: APC+", [43.0, 45.0, 90.0], 12),  # paired by seed: 3 points in 2 minutes
            *rows_of("+ a second round", [39.0, 41.0], 14),
            *map(on_a_machine_twice_as_fast, rows_of("a round, masks not refined", [44.0, 46.0], 6)),  # 4 in 2 minutes
            *map(on_a_machine_twice_as_fast, rows_of("the same with crops", [44.0, 46.0], 6, crop_scale=0.5)),
        ],
    )
    found = {label: cells(text, label)[-1] for label in ("+ shown larger", "+ a round: APC+", "+ a second round")}
    assert found == {"+ shown larger": "no longer", "+ a round: APC+": "+1.50", "+ a second round": "−0.25"}
    assert cells(text, "a round, masks not refined")[-1] == "+2.00" and cells(text, "the same with crops")[-1] == "–"
    assert cells(text, "paper's setting")[-1] == "ref." and cells(text, "large K, short, and a round")[-1] == "–"
    link = "[Table 6](details/table6_peers.pocket.md)"
    told = "ViT-PCM 32.0 ± 2.8 (2 seeds), toco at a higher rate 25.0 (1 seed)."
    assert f"Beside it {link} has, by mIoU: {told}" in " ".join(text.split())
