"""Rows to pages: a page that says what it mixes, misses and leaves out."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apc.config import Config, folder, pocket, to_dict
from apc.reporting.catalogue import EXPERIMENTS, described
from apc.reporting.command import command
from apc.reporting.figures import staged
from apc.reporting.figures.qualitative import PICTURES
from apc.reporting.groups import Group, read, separate
from apc.reporting.page import build
from apc.reporting.tables import PENDING, difference, mean_std, published
from apc.reporting.verdicts.statistics import summary
from apc.runs.rows import Row, run_id, save_rows

STAMP: dict[str, Any] = {
    "commit": "c0ffee123456",
    "dirty": False,
    "machine": "box",
    "device": "cpu",
    "python": "3.11",
    "torch": "2.15",
    "data": "pocket-1",
    "weights": "w1",
    "selection": "val",
    "images": {"train": 960, "val": 256},
    "time": "2026-11-22",
}


def a_row(label: str, seed: int, miou: float, more: dict[str, float] | None = None, **fields: Any) -> Row:
    """A finished run; `fields` go to the stamp, to the row (error) or to the config, wherever they belong."""
    stamp = STAMP | {k: fields.pop(k) for k in list(fields) if k in STAMP}
    error = fields.pop("error", "")
    config = to_dict(Config()) | {"seed": seed} | fields
    return Row(
        run=run_id(config, stamp["data"], label),
        row=label,
        config=config,
        seconds={"train": 60.0},
        stamp=stamp,
        metrics={} if error else {"miou": miou, "patch_miou": miou + 1} | (more or {}),
        error=error,
        experiment="x",
        classes=["background", "ring"],
        per_class={"miou": [90.0, None if seed == 1 else miou]},
        curve=[{"epoch": e, "mce": 1 / e, "loss": 2 / e} for e in (1, 2)],
    )


def pooling_rows(seeds: int = 3, **fields: Any) -> list[Row]:
    base = {"average": 30.0, "max": 31.0, "top_k": 46.0, "adaptive_k": 41.0}
    mean_k = {"average": 144.0, "max": 1.0, "top_k": 6.0, "adaptive_k": 5.8}
    return [
        a_row(
            p, s, base[p] + s * (1 + len(p) / 10), {"miou_crf": base[p] + 5, "mean_k": mean_k[p]}, pooling=p, **fields
        )
        for p in base
        for s in range(seeds)
    ]


def lambda_rows(points: list[tuple[float, float, float]], seeds: int = 2) -> list[Row]:
    return [
        a_row(f"lambda1={l1:g} lambda2={l2:g}", s, miou + 0.5 * s * (1 + l1), lambda1=l1, lambda2=l2)
        for l1, l2, miou in points
        for s in range(seeds)
    ]


def page(reports: Path, experiment: str, rows: list[Row]) -> str:
    save_rows(reports / "results" / experiment / "pocket.jsonl", rows)
    return build(reports).read_text()


# --- the paper's numbers and their format ------------------------------------------------------------


def test_published_numbers_are_the_papers() -> None:
    assert published("table7") == {"average": 61.7, "max": 70.5, "top_k": 71.8, "adaptive_k": 72.3}
    assert published("table8") == {"vit": 62.6, "hv_bilstm": 65.3, "crf": 68.6, "akp": 70.3, "pcl": 72.3}
    assert published("table1")["1120"] == 72.0 and published("table1", "inference_seconds")["960"] == 483
    assert published("table2", "pseudo_miou")["apc"] == 74.6 and len(published("table2", "pseudo_miou")) == 15
    assert published("table3")["toco"] == 70.5 and published("table4")["apc"] == 45.7
    assert published("table5", "hours")["voc_akp_pcl"] == 1.5 and published("table6")["vit_pcm"] == 69.3
    assert published("table9", "intra_class") == {"with_pcl": 0.5664, "without_pcl": 0.7152}
    assert staged.PAPER == {"lambda1": 0.02, "lambda2": 0.01}


def test_a_cell_shows_mean_spread_and_a_smaller_n_and_never_a_blank() -> None:
    assert mean_std(summary([40.0, 42.0])) == "41.0 ± 1.4"
    assert mean_std(summary([40.0])) == "40.0" and mean_std(summary([])) == PENDING
    assert mean_std(summary([40.0, 42.0]), expected=3) == "41.0 ± 1.4 (n=2)"
    assert difference(summary([-1.0, -2.0, -3.0])) == "−2.0 [−4.5, +0.5]"


# --- groups ---------------------------------------------------------------------------------------


def test_rows_of_other_data_settings_or_selection_are_separated_and_commits_are_told() -> None:
    rows = (
        pooling_rows()
        + pooling_rows(2, data="pocket-2")
        + pooling_rows(1, epochs=3)
        + pooling_rows(1, selection="half")
    )
    rows[0].stamp["commit"] = "0ther"
    groups = separate(rows, ("pooling", "k", "theta"))
    assert [len(g.rows) for g in groups] == [12, 8, 4, 4]
    assert groups[1].what == {"data": "pocket-2", "selection": "val", "epochs": "15"}
    told = "c0ffee1234: `max`, `top_k`, `adaptive_k`, `average` in part (11 runs); 0ther: `average` in part (1 run)."
    assert f"2 commits. {told}" in groups[0].notes[0] and groups[0].scores("max", "miou")[0] == 31.0
    assert groups[1].notes == []


def test_a_label_that_stands_for_two_settings_is_split() -> None:
    rows = [a_row("adaptive_k", s, 40.0, k=k) for k in (6, 12) for s in range(2)]
    assert [g.what for g in separate(rows, ("pooling", "k"))] == [{"k": "6"}, {"k": "12"}]


def test_a_run_recorded_twice_counts_once() -> None:
    (group,) = separate([a_row("max", 0, 30.0), a_row("max", 0, 31.0)])
    assert group.scores("max", "miou") == {0: 31.0} and "more than once" in group.notes[0]


def test_damaged_lines_cost_themselves_only(tmp_path: Path) -> None:
    path = tmp_path / "pocket.jsonl"
    save_rows(path, [a_row("max", 0, 30.0)])
    path.write_text(
        path.read_text() + '{"run": "half\n[]\n' + '{"run": "r9", "config": {}, "metrics": 3, "seconds": {}}\n'
    )
    rows, problems = read(path)
    assert len(rows) == 1 and len(problems) == 3
    assert "line 2" in problems[0] and "line 3" in problems[1] and "r9" in problems[2]


# --- the page -------------------------------------------------------------------------------------


def test_an_empty_page_names_the_commands_that_fill_it(tmp_path: Path) -> None:
    text = build(tmp_path).read_text()
    assert "### pocket: pending" in text and "\npython experiments/table7_pooling.py\n" in text
    assert "python experiments/grid_lambda.py folder --root PHOTOGRAPHS" in text and "None yet" in text


POOLED = [*pooling_rows(), a_row("max", 7, 0.0, pooling="max", error="FloatingPointError: mce is nan")]


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of Table 7 with three seeds and one failed run."""
    reports = tmp_path_factory.mktemp("pooled")
    page(reports, "table7_pooling", POOLED)
    return reports


def cells(text: str, label: str) -> list[str]:
    """Cells of the first table line that starts with `label`."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_pooling_page_says_plainly_what_it_found(pooled: Path) -> None:
    text = (pooled / "ablation.md").read_text()
    expected = ["adaptive_k", "3", "43.0 ± 2.0", "46.0 ± 0.0", "44.0 ± 2.0"]  # seeds add 0, 2 and 4 to 41
    assert cells(text, "adaptive_k")[:5] == expected and cells(text, "adaptive_k")[-2:] == ["72.3", "+1.8"]
    assert "**Contradicted by the measurements here:** adaptive-K beats top-K (`miou`)" in text
    assert "2 reproduced, 1 contradicted, 1 undecided, 22 pending, of 26 claims of the paper. **Contradicted: " in text
    assert "The paper has another order: average < max < top_k < adaptive_k" in text and "nearly k of k" in text
    assert "**1 failed run, in no mean above:**" in text and "mce is nan" in text
    assert cells(text, "max")[1] == "3" and "runs: 12, seeds 0, 1, 2" in text
    assert "c0ffee123456" in text and "`pocket-1`" in text and all(row.run in text for row in POOLED)
    for kind in ("rows", "classes", "time", "curves"):
        assert f"(figures/table7_pooling.pocket.{kind}.png)" in text
        assert (pooled / f"figures/table7_pooling.pocket.{kind}.png").stat().st_size > 1000
    assert "\\toprule" in (pooled / "tables/table7_pooling.pocket.tex").read_text()
    assert (pooled / "tables/table7_pooling.pocket.csv").read_text().startswith("row,metric,n,mean,std,low,high")


def test_equal_rows_give_equal_bytes(pooled: Path, tmp_path: Path) -> None:
    page(tmp_path, "table7_pooling", POOLED)
    files = [path.relative_to(pooled) for path in pooled.rglob("*") if path.is_file()]
    assert len(files) == 17 and all((pooled / f).read_bytes() == (tmp_path / f).read_bytes() for f in files)


def test_mixed_data_stand_in_tables_of_their_own_and_rows_not_run_are_pending(tmp_path: Path) -> None:
    other = [row for row in pooling_rows(2, data="pocket-2") if row.row != "average"]
    text = page(tmp_path, "table7_pooling", pooling_rows() + other)
    assert "2 groups that are neither averaged nor compared: they differ in `data`" in text
    second = text.split("#### Group 2: data = pocket-2")[1]
    assert cells(second, "average")[1:4] == [PENDING] * 3 and cells(second, "average")[-2] == "61.7"
    assert (tmp_path / "tables/table7_pooling.pocket.2.md").is_file()
    page(tmp_path, "table7_pooling", [])
    assert not (tmp_path / "tables/table7_pooling.pocket.2.md").exists()  # no leftover passes for a result


def test_the_lambda_page_shows_both_stages_and_a_best_on_the_boundary(tmp_path: Path) -> None:
    rows = lambda_rows([(0, 0, 5), (0.02, 0, 40), (0.1, 0, 44), (0.1, 0.01, 45), (0.1, 0.05, 30), (0.02, 0.01, 41)])
    text = page(tmp_path, "grid_lambda", rows)
    assert "Stage 1: lambda1, with lambda2 = 0" in text and "Stage 2: lambda2, at lambda1 = 0.1" in text
    assert "Best here, by the mean of `miou`: lambda1=0.1 lambda2=0.01; the paper's choice: lambda1=0.02" in text
    assert "The best lambda1 = 0.1 is the largest of the searched values" in text
    assert "nothing trains the decoder" in text and (tmp_path / "figures/grid_lambda.pocket.sweeps.pdf").is_file()


def test_a_best_outside_the_stages_leaves_them_as_they_were_run(tmp_path: Path) -> None:
    rows = lambda_rows([(0.02, 0, 40), (0.1, 0, 44), (0.1, 0.01, 45), (0.1, 0.05, 43), (0.02, 0.01, 47)])
    found = staged.stages(Group(rows), {"lambda1": 0.02, "lambda2": 0.01})
    assert (found.best1, found.best2, found.best) == (0.1, 0.01, "lambda1=0.02 lambda2=0.01")
    results = tmp_path / "results/grid_lambda"
    save_rows(results / "pocket.jsonl", rows)
    (results / "pocket.best.toml").write_text("lambda1 = 0.02\nlambda2 = 0.01\n")
    text = build(tmp_path).read_text()
    stage2 = text.split("**Stage 2: lambda2, at lambda1 = 0.1**")[1]
    assert cells(stage2, "lambda1=0.1 lambda2=0.01")[-1] == "best of stage 2" and "lambda2=0.05 " in stage2
    assert cells(stage2, "lambda1=0.02 lambda2=0.01")[-1] == "best here and paper's choice"
    assert "**Best here, by the mean of `miou`: lambda1=0.02 lambda2=0.01;" in text
    assert "The two stages lead to lambda1=0.1 lambda2=0.01" in text


def test_without_best_toml_the_stages_lead_to_the_best_and_a_failed_setting_never_is_it() -> None:
    group = Group(lambda_rows([(0.02, 0, 40), (0.1, 0, 44)]))
    assert staged.stages(group, {}).best1 == 0.1
    assert staged.stages(group, {}, {"lambda1=0.1 lambda2=0"}).best1 == 0.02
    assert staged.stages(group, {"lambda1": 0.5, "lambda2": 0.0}).best == ""  # a best.toml of other points


def test_five_hundred_rows_and_an_unknown_experiment_build(tmp_path: Path) -> None:
    rows = [a_row(f"theta={t / 100:g}", s, 30 + t / 10 + s, theta=t / 100) for t in range(100) for s in range(5)]
    text = page(tmp_path, "joint", rows)
    assert "no entry in apc/reporting/catalogue.py" in text and text.count("| theta=0.5 ") == 2 and "runs: 500" in text


def test_photographs_stand_under_their_folders_name_and_the_chosen_setting_is_marked(tmp_path: Path) -> None:
    rows = [a_row(f"theta={t}", 0, 40 + t, theta=t, dataset="folder") for t in (0.5, 0.9)]
    results = tmp_path / "results/space_theta"
    save_rows(results / "my cats.jsonl", rows)
    save_rows(tmp_path / "results/table7_pooling/my cats.jsonl", pooling_rows(1))
    (results / "my cats.best.toml").write_text("theta = 0.5\nk = 6\n")
    text = build(tmp_path).read_text()
    assert "apc search theta folder --root 'my cats'" in text and "### my cats" in text
    assert cells(text, "theta=0.5")[-1] == "chosen (best.toml)" and cells(text, "theta=0.9")[-1] == ""
    assert "(tables/space_theta.my-cats.csv)" in text and (tmp_path / "tables/space_theta.my-cats.csv").is_file()
    of_photographs = sum("folder" in experiment.presets for experiment in EXPERIMENTS.values())
    of_photographs += sum("folder" in picture.presets for picture in PICTURES.values())
    assert text.count("### folder: pending") == of_photographs - 1  # not of Table 7, which has its photographs


def test_the_printed_command_is_the_one_that_made_the_rows() -> None:
    table7 = EXPERIMENTS["table7_pooling"]

    def made(seeds: Sequence[int], cfg: Config) -> list[Row]:
        values = {name: value for name, value in to_dict(cfg).items() if name != "seed"}
        return [a_row("max", seed, 30.0, **values) for seed in seeds]

    usual = made(range(5), replace(pocket(), pooling="max"))
    assert command(table7, "pocket", usual) == "python experiments/table7_pooling.py --seeds 5"
    rows = made((0, 3), replace(folder(), root="/data/cats", train_list="train_small.csv", epochs=6, jitter=0.1))
    for row in rows:
        row.stamp["weights_name"] = "deit tiny.safetensors"
    assert command(table7, "cats", rows) == (
        "python experiments/table7_pooling.py folder --root cats --weights 'deit tiny.safetensors' "
        "--train-list train_small.csv --epochs 6 --jitter 0.1 --seeds 0,3"
    )
    assert command(table7, "pocket", made([0], replace(pocket(), pooling="max", k=9))).endswith("--k 9 --seeds 1")
    assert command(described("space_simple"), "pocket", usual[:1]) == "apc search simple --seeds 1"
    assert command(described("joint"), "pocket", usual) == ""
    by_hand = made([0], replace(pocket(), pooling="max"))
    by_hand[0].stamp["search"] = {
        "sampler": "gp",
        "search_seed": 3,
        "objectives": ["miou", "train_seconds"],
        "stop_early": "none",
        "trials": 30,
    }
    assert command(described("space_simple"), "pocket", by_hand) == (
        "apc search simple --trials 30 --sampler gp --search-seed 3 --objectives miou,train_seconds --seeds 1"
    )
    by_hand[0].stamp["search"] = {"sampler": "grid", "objectives": ["miou"], "grid_points": 4}
    assert command(described("space_simple"), "pocket", by_hand) == (
        "apc search simple --sampler grid --grid-points 4 --seeds 1"
    )
    assert command(described("search_joint"), "pocket", by_hand) == "python experiments/search_joint.py"


def test_the_page_says_what_the_data_is_what_is_held_and_what_single_seeds_scored(pooled: Path) -> None:
    text = (pooled / "ablation.md").read_text()
    assert "drawn miniature of VOC" in text and "only `test_miou` is untouched by tuning" in text
    assert "settings held: k 6, theta 0.9, lambda1 0.02, lambda2 0.01, epsilon 0.85; other fields" in text
    assert "Algorithm 1 takes 5.80 patches on average of at most 6" in text
    assert cells(text, "max")[-1] == "ref." and "| 41.0 43.0 45.0 |" in text  # adaptive_k, seeds 0, 1 and 2
    details = (pooled / "tables/table7_pooling.pocket.csv").read_text()
    assert "adaptive_k,miou,3," in details and "0:41 1:43 2:45" in details
    assert "differs much between seeds" not in text


def test_each_data_set_is_told_once_with_what_was_trained_and_what_waits(tmp_path: Path) -> None:
    rows = [
        a_row("max", s, 30.0 + s, dataset="folder", pooling="max", encoder="deit", images={"train": 651, "val": 225})
        for s in range(2)
    ]
    for row in rows:
        row.stamp |= {"weights_name": "deit.safetensors", "measured": {"commit": "beefbeef", "device": "H100"}}
    save_rows(tmp_path / "results/table7_pooling/voc-animals.jsonl", rows)
    text = page(tmp_path, "table7_pooling", pooling_rows())
    head, body = text.split("## Figure 5")
    told = head.split("### Verdicts on voc-animals")[1]
    assert "photographs of PASCAL VOC 2012" in told and "651 for training, 225 for validation" in told
    assert "- 15 epochs, 651 training images, encoder `deit` with the weights `deit.safetensors`: Table 7\n" in told
    assert "pending: `python experiments/table8_components.py`" in told
    assert "add `folder --root voc-animals --weights deit.safetensors`" in told
    assert text.count("drawn miniature of VOC") == 1 and "Tables 3 and 4 cannot be tested here" in head
    assert "measured afterwards: commit `beefbeef` on H100" in body and "protocol: 1" not in body.split("beefbeef")[1]
    assert "`python experiments/reproduce_all.py`" in head


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
    assert told[2:4] == ["+1.5 h", "`to_95_cpu_seconds`"] and told[4].startswith("−4.4 s [") and "(n=3)" in told[4]
    assert told[5] == "**contradicted**" and "`train_cpu_seconds` −4.4 s" in told[6]
    assert "1 reproduced, 1 contradicted, 0 undecided, 24 pending, of 26 claims of the paper." in text
    assert cells(text, "akp_pcl")[-1] == "1.5 ± 0.5" and "seconds saved" in text


def test_a_wide_spread_is_told_seed_by_seed(tmp_path: Path) -> None:
    text = page(tmp_path, "joint", [a_row("theta=0.9", s, v) for s, v in enumerate((48.7, 47.3, 30.8))])
    assert "`theta=0.9` 42.3 (n = 3, single seeds: 48.7 47.3 30.8)" in text
    assert "Made by the experiment `joint`." in text and "experiments/joint.py" not in text


def test_reports_need_neither_torch_nor_ray_nor_optuna(tmp_path: Path) -> None:
    save_rows(tmp_path / "results/table7_pooling/pocket.jsonl", pooling_rows())
    code = (
        "import sys; from pathlib import Path; from apc.reporting.page import build; light = set(sys.modules); "
        "build(Path(sys.argv[1])); "
        "assert not light & {'pandas', 'matplotlib', 'scipy'}, light; "
        "assert not set(sys.modules) & {'torch', 'ray', 'optuna'}"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
