"""Numbers and promises of pages, held against the rows and the code that they are of."""

import re
from pathlib import Path

from apc.config import PRESETS, folder, plus, pocket
from apc.reporting.catalogue import described, pictures
from apc.runs.rows import Row, load_rows

ROOT = Path(__file__).parents[2]
LIMITS = "docs/explanation/limits.md"
RESULTS = ROOT / "reports" / "reference" / "results"


def text_of(page: str) -> str:
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def rows_of(table: str) -> list[Row]:
    return load_rows(RESULTS / table / "voc-animals.jsonl")


def test_the_seed_that_a_gpu_trained_otherwise_has_the_scores_of_the_tables() -> None:
    told = re.search(r"one seed of the paper's setting had ([\d.]+) on a CPU and ([\d.]+) on a GPU", text_of(LIMITS))
    assert told
    on = {name: rows_of(name) for name in ("table6_peers", "table8_components")}
    pairs = [
        (f"{cpu.metrics['miou']:.1f}", f"{gpu.metrics['miou']:.1f}")
        for cpu in on["table6_peers"]
        for gpu in on["table8_components"]
        if (cpu.row, gpu.row) == ("apc", "pcl") and cpu.config["seed"] == gpu.config["seed"]
    ]
    assert told.groups() in pairs


def test_the_readme_s_photographs_have_the_epochs_of_their_tables() -> None:
    assert "8 epochs, 15 in Tables 6 and 8, three seeds" in text_of("README.md")
    assert {row.config["epochs"] for row in rows_of("table7_pooling")} == {8}
    assert {row.config["epochs"] for row in rows_of("table8_components")} == {15}
    table6 = {row.config["epochs"] - row.config["stage2_epochs"] for row in rows_of("table6_peers")}
    assert table6 == {15}


def test_published_rounds_are_those_of_the_presets_and_as_short_as_their_page_says() -> None:
    page = text_of("docs/how-to/voc-and-coco.md")
    told = re.findall(r"\| `(\w+) --plus` \| (\d+) \| (\d+) \| (\d+) \|", page)
    assert told == [("voc", "1", "2", "17"), ("coco", "1", "2", "17")]
    for preset, rounds, each, epochs in told:
        cfg = plus(PRESETS[preset]())
        assert (cfg.rounds, cfg.round_epochs, cfg.epochs) == (int(rounds), int(each), int(epochs))
    assert (plus(pocket()).rounds, plus(pocket()).round_epochs) == (1, 3)  # of 10 epochs
    assert (plus(folder()).rounds, plus(folder()).round_epochs) == (1, 4)  # of 15
    assert [count // 16 for count in (651, 10_582, 82_081)] == [40, 661, 5130]
    assert "40 steps, one of VOC 660 and one of COCO 5,100" in page


def test_what_apc_plus_costs_is_what_its_rows_took_of_their_own_first_epochs() -> None:
    times: dict[int, list[str]] = {}
    for row in rows_of("apc_plus"):
        if row.row in ("+ a round: APC+", "+ a second round") and row.config["train_list"] == "train_small.csv":
            took = [epoch["cpu_seconds"] for epoch in row.curve]
            times.setdefault(row.config["rounds"], []).append(f"{took[-1] / took[14]:.2f}")
    assert {rounds: sorted(found) for rounds, found in times.items()} == {
        1: ["1.62", "1.67", "1.68"],
        2: ["2.26", "2.27", "2.29"],
    }
    page = text_of("docs/how-to/own-photographs.md")
    assert "| 1.62 to 1.68 |" in page and "| 2.26 to 2.29 |" in page and "at 1.7 times the time" in page


def test_no_section_takes_runs_of_another_table_for_its_own_whatever_rows_are_there() -> None:
    figure6, figure7 = (pictures()[name] for name in ("figure6_heatmaps", "figure7_qualitative"))
    assert described("table2_pseudo_masks").about.startswith("The settings of Table 6; where both have the same epochs")
    assert "a network of the paper's setting, that of Table 8's last row" in figure6.about
    assert "the settings of Table 8's rows 2, 4 and 5, one seed of each" in figure7.about
