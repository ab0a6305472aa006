"""Rows to pages: a page that says what it mixes, misses and leaves out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from report_rows import a_row, cells, page, pooling_rows, verdicts, whole

from apc.reporting.catalogue import entries, pictures
from apc.reporting.figures.choose import KINDS, Drawn
from apc.reporting.names import file_name
from apc.reporting.page import OPEN, build
from apc.reporting.tables import PENDING
from apc.runs.rows import save_rows


def test_an_empty_page_names_the_commands_that_fill_it(tmp_path: Path) -> None:
    text = build(tmp_path).read_text()
    assert "- Table 7 on pocket: `python experiments/table7_pooling.py`\n" in text
    assert "`python experiments/grid_lambda.py folder --root PHOTOGRAPHS" in text and "No run is recorded yet" in text


def test_what_was_not_run_is_folded_where_it_is_long(tmp_path: Path) -> None:
    missing = build(tmp_path).read_text().split("## Not run yet")[1].split("## Everything else")[0]
    lines = [line for line in missing.splitlines() if line.startswith("- ")]
    assert len(lines) > OPEN and f"<details><summary>All {len(lines)}, each with its command</summary>" in missing


POOLED = [*pooling_rows(), a_row("max", 7, 0.0, pooling="max", error="FloatingPointError: mce is nan")]


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of Table 7 with three seeds and one failed run."""
    reports = tmp_path_factory.mktemp("pooled")
    page(reports, "table7_pooling", POOLED)
    return reports


def test_the_pooling_page_says_plainly_what_it_found(pooled: Path) -> None:
    text = whole(pooled)
    expected = ["adaptive_k", "3", "43.0 ± 2.0", "46.0 ± 0.0", "44.0 ± 2.0"]  # seeds add 0, 2 and 4 to 41
    assert cells(text, "adaptive_k")[:5] == expected and cells(text, "adaptive_k")[-2:] == ["72.3", "+1.8"]
    assert "**Contradicted by the measurements here:** adaptive-K beats top-K (`miou`)" in text
    assert verdicts(text, "Table 7") == {
        "adaptive-K beats max pooling": "**reproduced**",
        "adaptive-K beats top-K": "**contradicted**",
        "top-K beats max pooling": "**reproduced**",
        "max pooling beats average pooling": "undecided",
    }
    assert (
        "The paper has another order: average pooling < max pooling < top-K pooling < adaptive-K pooling" in text
        and "nearly k of k" in text
    )
    assert "**1 failed run, in no mean above:**" in text and "mce is nan" in text
    assert cells(text, "max")[1] == "3" and "runs: 12, seeds 0, 1, 2" in text
    assert "c0ffee123456" in text and "`pocket-1`" in text and all(row.run in text for row in POOLED)
    for kind in ("rows", "classes", "time", "curves"):
        assert f"(figures/table7_pooling.pocket.{kind}.png)" in text
        assert (pooled / f"figures/table7_pooling.pocket.{kind}.png").stat().st_size > 1000
    assert "\\toprule" in (pooled / "tables/table7_pooling.pocket.tex").read_text()
    assert (pooled / "tables/table7_pooling.pocket.csv").read_text().startswith("row,metric,n,mean,std,low,high")


def test_a_figure_that_cannot_be_drawn_costs_the_page_that_figure_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(shown: object, path: Path) -> list[Drawn]:
        raise TypeError("no <b> axis")

    monkeypatch.setitem(KINDS, "curves", broken)
    with pytest.warns(UserWarning, match="the figure 'curves' cannot be drawn: TypeError.*made without it"):
        page(tmp_path, "table7_pooling", pooling_rows())
    text = whole(tmp_path)
    assert "curves.png" not in text and "(figures/table7_pooling.pocket.rows.png)" in text
    assert text.count("This is a fault of the program.") == 1 and "no <b> axis" not in text


def test_equal_rows_give_equal_bytes(pooled: Path, tmp_path: Path) -> None:
    page(tmp_path, "table7_pooling", POOLED)
    files = [path.relative_to(pooled) for path in pooled.rglob("*") if path.is_file()]
    assert len(files) == 29 and all((pooled / f).read_bytes() == (tmp_path / f).read_bytes() for f in files)


@pytest.mark.usefixtures("sketched")
def test_mixed_data_stand_in_tables_of_their_own_and_rows_not_run_are_pending(tmp_path: Path) -> None:
    other = [row for row in pooling_rows(2, data="pocket-2") if row.row != "average"]
    text = page(tmp_path, "table7_pooling", pooling_rows() + other)
    assert "2 groups that are neither averaged nor compared: they differ in `data`" in text
    second = text.split("#### Group 2: data = pocket-2")[1]
    assert cells(second, "average")[1:4] == [PENDING] * 3 and cells(second, "average")[-2] == "61.7"
    assert (tmp_path / "tables/table7_pooling.pocket.2.md").is_file()
    claims = (tmp_path / "details/claims.md").read_text()
    asides = [line for line in claims.splitlines() if line.startswith("| Table 7 (data pocket-2")]
    assert len(asides) == 3 and not any("pending" in line for line in asides)  # of four: `average` is not there
    page(tmp_path, "table7_pooling", [])
    assert not (tmp_path / "tables/table7_pooling.pocket.2.md").exists()  # no leftover passes for a result


@pytest.mark.usefixtures("sketched")
def test_five_hundred_rows_and_an_unknown_experiment_build(tmp_path: Path) -> None:
    rows = [a_row(f"theta={t / 100:g}", s, 30 + t / 10 + s, theta=t / 100) for t in range(100) for s in range(5)]
    text = page(tmp_path, "joint", rows)
    assert (
        "No script of this name lies below experiments/" in text
        and text.count("| theta=0.5 ") == 2
        and "runs: 500" in text
    )


@pytest.mark.usefixtures("sketched")
def test_photographs_stand_under_their_folders_name_and_the_chosen_setting_is_marked(tmp_path: Path) -> None:
    rows = [a_row(f"theta={t}", 0, 40 + t, theta=t, dataset="folder") for t in (0.5, 0.9)]
    results = tmp_path / "results/space_theta"
    save_rows(results / "my cats.jsonl", rows)
    save_rows(tmp_path / "results/table7_pooling/my cats.jsonl", pooling_rows(1))
    (results / "my cats.best.toml").write_text("theta = 0.5\nk = 6\n")
    text = whole(tmp_path)
    assert "apc search theta folder --root 'my cats'" in text and "### my cats" in text
    assert cells(text, "theta=0.5")[-1] == "chosen (best.toml)" and cells(text, "theta=0.9")[-1] == ""
    name = file_name("space_theta", "my cats")
    assert f"(tables/{name}.csv)" in text and (tmp_path / f"tables/{name}.csv").is_file()
    of_photographs = sum("folder" in entry.presets for entry in (*entries().values(), *pictures().values()))
    assert text.count(" on folder: `python ") == of_photographs - 1  # not of Table 7, which has its own


def test_the_page_says_what_the_data_is_what_is_held_and_what_single_seeds_scored(pooled: Path) -> None:
    text = whole(pooled)
    assert "drawn miniature of VOC" in text and "only `test_miou` is untouched by tuning" in text
    assert "settings held: k 6, theta 0.9, lambda1 0.02, lambda2 0.01, epsilon 0.85; other fields" in text
    assert "Algorithm 1 takes 5.80 patches on average of at most 6" in text
    assert cells(text, "max")[-1] == "ref." and "| 41.0 43.0 45.0 |" in text  # adaptive_k, seeds 0, 1 and 2
    details = (pooled / "tables/table7_pooling.pocket.csv").read_text()
    assert "adaptive_k,miou,3," in details and "0:41 1:43 2:45" in details
    assert "differs much between seeds" not in text


@pytest.mark.usefixtures("sketched")
def test_each_data_set_is_told_once_with_what_was_trained_and_what_waits(tmp_path: Path) -> None:
    rows = [
        a_row("max", s, 30.0 + s, dataset="folder", pooling="max", encoder="deit", images={"train": 651, "val": 225})
        for s in range(2)
    ]
    for row in rows:
        row.stamp |= {"weights_name": "deit.safetensors", "measured": {"commit": "beefbeef", "device": "H100"}}
    save_rows(tmp_path / "results/table7_pooling/voc-animals.jsonl", rows)
    text = page(tmp_path, "table7_pooling", pooling_rows())
    body, _, head = text.partition("# Every claim")
    told = head.split("## Verdicts on voc-animals")[1]
    assert "photographs of PASCAL VOC 2012" in told and "651 for training, 225 for validation" in told
    trained = (
        "- 15 epochs, 651 training images, encoder `deit` with the weights `deit.safetensors`; unlike the preset: "
    )
    assert trained in told and told.split(trained)[1].split("\n")[0].endswith(": Table 7")
    where = "folder --root voc-animals --weights deit.safetensors"
    assert f"pending: `python experiments/table8_components.py {where}`" in told
    assert (
        f"pending: `python experiments/table7_pooling.py {where} --image-size 384 --encoder deit" in told
    )  # as its rows
    assert head.count("a drawn miniature of VOC: small") == 1 and "Tables 3 and 4 cannot be tested here" in head
    assert "measured afterwards: commit `beefbeef` on H100" in body and "protocol: 1" not in body.split("beefbeef")[1]
    assert "`python experiments/reproduce_all.py` makes the tables and figures of the paper, " in head
    assert "all else has its own command alone" in " ".join(head.split())  # such as apc_plus, which that leaves out


@pytest.mark.usefixtures("sketched")
def test_a_wide_spread_is_told_seed_by_seed(tmp_path: Path) -> None:
    text = page(tmp_path, "joint", [a_row("theta=0.9", s, v) for s, v in enumerate((48.7, 47.3, 30.8))])
    assert "`theta=0.9` 42.3 (n = 3, single seeds: 48.7 47.3 30.8)" in text
    assert "Made by the experiment `joint`." in text and "experiments/joint.py" not in text


def test_reports_need_neither_torch_nor_ray_nor_optuna(tmp_path: Path) -> None:
    save_rows(tmp_path / "results/table7_pooling/pocket.jsonl", pooling_rows())
    code = (
        "import sys; from pathlib import Path; from apc.reporting.page import OPEN, build; light = set(sys.modules); "
        "import matplotlib.figure; matplotlib.figure.Figure.savefig = lambda *_, **__: None; "
        "build(Path(sys.argv[1])); "
        "assert not light & {'pandas', 'matplotlib', 'scipy'}, light; "
        "assert not set(sys.modules) & {'torch', 'ray', 'optuna'}"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("sketched")
def test_a_users_page_shows_the_paper_the_reference_and_their_own_side_by_side(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    shipped = reports / "reference" / "results" / "table7_pooling" / "pocket.jsonl"
    save_rows(shipped, pooling_rows(2))
    before = shipped.read_bytes()
    page(reports, "table7_pooling", pooling_rows(3))
    text = (reports / "ablation.md").read_text()

    assert "*reference* is what the project ships ([its page](reference/ablation.md))" in text
    table = {line.split("|")[1].strip(): line for line in text.split("### pocket")[1].splitlines() if "|" in line}
    assert [cell.strip() for cell in table["row"].strip("|").split("|")] == [
        "row", "n", "mIoU", "− max pooling", "reference", "paper", "mIoU after the CRF",
    ]  # fmt: skip
    assert "| 42.0 ± 1.4 (n=2) |    72.3 |" in table["adaptive-K pooling"] and "not made alike" not in text
    assert "| reference, pocket: drawn miniature of VOC and ViT | 2 | " in text
    assert "| yours, pocket: drawn miniature of VOC and ViT | 2 | 1 | 1 (1 ≪) | 22 | 26 |" in text
    assert shipped.read_bytes() == before
    assert sorted(path.name for path in (reports / "reference").iterdir()) == ["results"]  # nothing is written there

    save_rows(shipped, pooling_rows(2, epochs=3))
    build(reports)
    told = (reports / "ablation.md").read_text()
    assert "**The reference was not made alike: it differs in `epochs`.** Compare order, not levels." in told


ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "reports" / "reference"


def open_tables(text: str) -> int:
    """Columns of the widest table that stands in no fold."""
    while (less := re.sub(r"<details>(?:(?!<details>).)*?</details>", "", text, flags=re.DOTALL)) != text:
        text = less
    return max((line.count("|") - 1 for line in text.splitlines() if line.startswith("|")), default=0)


def test_the_shipped_page_has_names_for_people_and_its_details_no_wide_table() -> None:
    text = (SHIPPED / "ablation.md").read_text()
    assert re.findall(r"`(\w+_miou|miou|train_…|to_95_…|mean_k|\w+_rule)`|(\w+_miou|\w+_rule) of each", text) == []
    wide = {path.name: open_tables(path.read_text()) for path in (SHIPPED / "details").glob("*.md")}
    assert {name for name, columns in wide.items() if columns > 12} == set()


def test_the_readme_counts_the_claims_as_the_shipped_page_does() -> None:
    text = (SHIPPED / "ablation.md").read_text()
    told = " ".join((ROOT / "README.md").read_text().split("\n## ")[0].split())
    held, against, undecided, _, of = cells(text, "pocket:")[1:]
    said = f"{held} are reproduced, {against} contradicted and {undecided.split()[0]} undecided on the embedded data"
    assert f"of the paper's {of} claims {said}" in told

    held, against, undecided, waiting, _ = cells(text, "voc-animals:")[1:]
    beaten = "" if against == "0" else f"{against} contradicted, "
    single = "".join(f" ({n} rest on one seed)" for n in re.findall(r"(\d+) with one seed", undecided))
    said = f"{held} are reproduced, {beaten}{undecided.split()[0]} undecided{single} and {waiting} not run."
    assert f"on photographs {said}" in told


def test_the_shipped_page_begins_with_one_screen_and_has_no_wide_table() -> None:
    text = (SHIPPED / "ablation.md").read_text()
    first, _, _ = text.partition("\n## ")
    assert len(first.splitlines()) <= 45 and first.count("![") == 1
    assert max(len(line) for line in first.splitlines() if line.startswith("|")) <= 100
    outside = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert max(map(len, outside.splitlines())) <= 250
    assert max(line.count("|") - 1 for line in outside.splitlines() if line.startswith("|")) <= 7
    titles = [line.removeprefix("## ").split(":")[0] for line in text.splitlines() if line.startswith("## ")]
    assert titles[:7] == ["Table 5", "Table 6", "Table 7", "Table 8", "Table 1", "Table 2", "Table 9"]


def test_a_file_without_a_sound_row_is_named_with_its_command(tmp_path: Path) -> None:
    file = tmp_path / "results/table7_pooling/pocket.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("{half\n")
    text = build(tmp_path).read_text()
    section = text.split("## Table 7: pooling")[1].split("\n## ")[0]
    assert "No run has a score yet." in section and "\npython experiments/table7_pooling.py\n" in section
    assert "**1 damaged part left out**" in section
    assert "pocket.jsonl" in (tmp_path / "details/table7_pooling.pocket.md").read_text()


def test_the_head_of_a_column_cuts_no_value_in_two(tmp_path: Path) -> None:
    pairs = [(0.01234, 0.0), (0.01234, 0.01)]
    rows = [a_row(f"lambda1={a:g} lambda2={b:g}", 0, 40.0 + a, lambda1=a, lambda2=b) for a, b in pairs]
    page(tmp_path, "grid_lambda", rows)
    heads = [line for line in (tmp_path / "ablation.md").read_text().splitlines() if line.startswith("| row ")]
    assert heads and all("− lambda1=0.01234 ... |" in head for head in heads), heads
