"""All tables and figures as one plan, and the whole way in small."""

import errno
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from printed import unread
from report_rows import whole

from apc.config import pocket, to_dict
from apc.experiment import pictures as pictured
from apc.experiment.forecast import Told, hours
from apc.experiment.main import in_turn
from apc.experiment.pictures import Picture
from apc.experiment.runner import ExperimentRun
from apc.reporting.catalogue import entries, modules_of, pictures, pictures_of
from apc.runs.folder import save_run
from apc.runs.rows import Row, load_rows
from apc.training.run import identity
from experiments import grid_lambda, reproduce_all

BASE = replace(pocket(), weights="")


def test_hours_follow_the_finished_runs_that_are_alike() -> None:
    def done(seconds: float, method: str = "apc", epochs: int = 10) -> Row:
        config, spent = to_dict(replace(BASE, method=method)), {"train": seconds, "eval": 0.0}  # type: ignore[arg-type]
        curve: list[dict[str, float]] = [{"epoch": e} for e in range(epochs)]
        return Row(run="x", config=config, metrics={}, seconds=spent, curve=curve, stamp={"images": {"train": 960}})

    past = [done(360.0), done(720.0), done(7200.0, method="vit_pcm")]
    found = hours([BASE, replace(BASE, epochs=20)], past, None)
    assert found and found == pytest.approx((0.15 + 0.3, 0.1 + 0.2, 0.2 + 0.4))
    alone = hours([BASE], past[:1], None)
    assert alone and alone == pytest.approx((0.1, 0.05, 0.2))
    assert hours([replace(BASE, method="afa")], past, None) is None
    half_an_hour = Told.by(1800.0, [BASE], images=960)
    guess = hours([replace(BASE, method="afa")], past, half_an_hour)
    assert guess and guess == pytest.approx((0.5, 0.25, 1.0))
    assert hours([replace(BASE, epochs=20, num_train=480)], [], half_an_hour) == guess


def test_a_dry_run_of_everything_counts_shared_runs_once_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--runs", str(tmp_path / "runs"), "--seeds", "1", "--weights=", "--dry-run"]
    only = ["--only", "table7_pooling", "--only=table8_components", "--only", "table9_cosine"]
    save_run(tmp_path / "runs", Row(run=identity(BASE), config=to_dict(BASE), metrics={"miou": 9.0}, seconds={}))
    assert reproduce_all.main([*place, *only, "--cpus", "2", "--price", "0.5"]) == 0
    said = capsys.readouterr().out.splitlines()
    lines = [line.split() for line in said if line.startswith("table")]
    assert re.fullmatch(
        r"6 runs to do, .*: [\d.]+ to [\d.]+ core-hours \([\d.]+ to [\d.]+ at 0.5 a core-hour\)", said[-1]
    )
    told = {name: counts[:3] for name, *counts in lines}
    assert told == {
        "table7_pooling": ["1", "3", "0"],
        "table8_components": ["1", "3", "0"],
        "table9_cosine": ["1", "0", "1"],
    }
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["row.json"]


@pytest.mark.parametrize("script", ["table7_pooling", "figure7_qualitative"])
def test_a_list_whose_reader_has_seen_enough_ends_silently(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with unread(), pytest.raises(SystemExit) as ended:
        reproduce_all.main([f"--only={script}", "--dry-run", "--weights=", "--runs", str(tmp_path)])
    assert (ended.value.code, capsys.readouterr().err) == (0, "")


def test_a_pipe_that_breaks_while_the_output_is_read_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(run: Any) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(ExperimentRun, "go", broken)
    assert in_turn([grid_lambda.EXPERIMENT], ["--weights="]) == 2
    assert "Broken pipe; the same command goes on where it was" in capsys.readouterr().err


def test_every_table_of_the_paper_has_a_script_an_entry_and_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    for table in ("table1", "table2", "table5", "table6", "table7", "table8", "table9", "figure4", "grid_lambda"):
        (name,) = [name for name in reproduce_all.names() if name.startswith(table)]
        assert name in entries()
    assert reproduce_all.main(["--dry-run", "--sedes", "3"]) == 2
    assert capsys.readouterr().err.endswith("did you mean --seeds?\n")


@pytest.mark.slow
@pytest.mark.usefixtures("sketched")
def test_everything_small_goes_the_whole_way(warm_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("table8_components", "table9_cosine", "table6_peers", "table2_pseudo_masks", "table1_image_size")
    assert reproduce_all.main(["--smoke", "--seeds", "1", *(f"--only={name}" for name in names)]) == 0
    results = tmp_path / "runs" / "smoke" / "reports" / "results"
    labels = {path.parent.name: [row.row for row in load_rows(path)] for path in results.glob("*/pocket.jsonl")}
    assert labels["table8_components"] == ["vit", "hv_bilstm", "akp", "pcl", "crf"]
    assert labels["table9_cosine"] == ["without_pcl", "with_pcl"]
    assert len(list((tmp_path / "runs" / "smoke").glob("*/row.json"))) == 4 + len(labels["table6_peers"])
    page = whole(tmp_path / "runs" / "smoke" / "reports")
    columns = ("inter_cosine", "ladder_miou", "to_95_cpu_seconds", "peak_gib", "train_pseudo_miou", "network_seconds")
    for word in columns:
        assert f" {word} " in page


def test_every_picture_script_has_a_place_on_the_page() -> None:
    drawn = {name for name in reproduce_all.names() if name.startswith(("figure6", "figure7"))}
    assert drawn == set(pictures())


def test_scripts_with_seeds_of_their_own_are_run_beside_others_and_refuse_seeds_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--runs", str(tmp_path), "--seeds", "2", "--weights=", "--dry-run", "--only=choosing"]
    assert reproduce_all.main([*words, "--only=table7_pooling"]) == 0
    told = capsys.readouterr().out
    assert "\ntable7_pooling      0      8" in told and "\nchoosing " in told
    assert reproduce_all.main(words) == 2
    assert capsys.readouterr().err == (
        "reproduce_all: choosing: --seeds 2: this script has seeds of its own (0); leave it out\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--theta", "0.8", "--only=figure4_theta_epsilon"], "figure4_theta_epsilon: --theta: this experiment varies"),
        (["--choose", "labels", "--only=search_without_masks"], "search_without_masks: --choose: this script compares"),
    ],
)
def test_what_a_later_script_refuses_is_said_before_the_first_one_begins(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reproduce_all, "in_turn", lambda *_: pytest.fail("a script has begun"))
    assert reproduce_all.main(["--only=table7_pooling", "--weights=", *words]) == 2
    assert capsys.readouterr().err.startswith(f"reproduce_all: {told}")


def test_no_more_runs_are_told_to_go_side_by_side_than_the_machine_has_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("apc.parallel.cores", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    words = [
        "--only=table7_pooling",
        "--only=choosing",
        "--only=grid_lambda",
        "--weights=",
        "--dry-run",
        "--runs",
        str(tmp_path),
    ]
    for more in ([], ["--max-concurrent", "16"]):
        assert reproduce_all.main([*words, *more]) == 0
        told = capsys.readouterr().out
        assert re.search(r"\ngrid_lambda +0 +12 +3  0.1 hours .*, and at most 18 more runs\n", told)
        assert "\n32 runs to do beside the searches, about 0.4 hours (0.2 to 0.7): " in told


def test_no_picture_is_handed_a_flag_that_it_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--decide", "10", "--cpus=2", "--dry-run", "--weights="]
    drawn = pictures_of(modules_of("experiments")["figure6_heatmaps"])
    assert isinstance(drawn[0], Picture)
    assert pictured.main(drawn[0], pictured.without(words, reproduce_all.TRAINING)) == 0
    assert capsys.readouterr().err == ""


def test_reproduce_all_draws_the_pictures_after_the_runs_without_the_flags_of_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[tuple[str, list[str]]] = []

    def trained(steps: Any, words: list[str]) -> int:
        called.append((steps[0].name, words))
        return 1

    def drawn(picture: Any, words: list[str]) -> int:
        called.append((picture.name, words))
        return 2 if picture.name == "figure6_heatmaps" else 0

    monkeypatch.setattr(reproduce_all, "in_turn", trained)
    monkeypatch.setattr(reproduce_all.pictured, "main", drawn)
    only = [f"--only={name}" for name in ("figure7_qualitative", "figure6_heatmaps", "table7_pooling")]
    assert reproduce_all.main([*only, "--cpus", "2", "--retries=2", "--verbose", "--smoke", "--seeds", "1"]) == 2
    assert [name for name, _ in called] == ["table7_pooling", "figure7_qualitative", "figure6_heatmaps"]
    assert called[0][1] == ["--cpus", "2", "--retries=2", "--verbose", "--smoke", "--seeds", "1"]
    assert called[1][1] == called[2][1] == ["--smoke", "--seeds", "1"]
