"""An experiment or a search from its words: a dry run, the spaces there are, the stamp of a search."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refusal import contents
from studies import advance

import apc.experiment.runner
from apc.config import pocket, to_dict
from apc.experiment import pictures
from apc.experiment.definition import Experiment
from apc.experiment.flags import Flags, read_flags
from apc.experiment.main import in_turn, main, search_space, space_experiment, spaces_told
from apc.experiment.settings import for_step, settings_of
from apc.runs.rows import Row, load_rows
from apc.search.plans import points
from apc.search.spaces import first_over
from apc.search.study_in_rungs import study_of
from apc.search.study_settings import StudyDefinition
from apc.training.run import identity
from experiments import (
    choosing,
    figure6_heatmaps,
    grid_lambda,
    search_joint,
    table5_efficiency,
    table6_peers,
    table7_pooling,
)

pytestmark = pytest.mark.usefixtures("sketched")


def test_a_dry_run_lists_the_runs_and_starts_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--runs", str(tmp_path / "runs"), "--reports", str(tmp_path / "reports")]
    assert main(grid_lambda.EXPERIMENT, ["--dry-run", "--seeds", "2", "--weights=", *place]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("lambda1=0.02 lambda2=0.01 seed 0") and lines[0].startswith("to do")  # the paper's first
    assert lines[2].endswith("lambda1=0 lambda2=0 seed 0")
    assert lines[-1] == "0 runs done, 10 to do, and 8 to 12 more that depend on their scores"
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_space_says_what_halving_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search_space(["simple", "--dry-run", "--trials", "40", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "an Optuna search (tpe) of 40 trials, each with seeds 0",
        "halving: 40 to epoch 4, 10 or 11 to epoch 10, in 5 brackets: at most 226 epochs instead of 400",
        "at most 226 epochs for the runs to do; no finished run like them tells the hours",
    ]


def test_a_search_whose_schedule_is_too_short_for_a_rung_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["simple", "--dry-run", "--trials", "4", "--epochs", "3", "--runs", str(tmp_path)]
    told = "every trial trains to its end: halving has no rung in 3 epochs, 1 of them frozen (--rungs names one)"
    assert search_space(words) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        told,
        "12 epochs for the runs to do; no finished run like them tells the hours",
    ]
    for asked in (["--stop-early", "none"], ["--rungs", "2"], ["--sampler", "random", "--objectives", "miou_crf"]):
        assert search_space([*words, *asked]) == 0
        assert told not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("experiment", "words", "told"),
    [
        (table7_pooling.EXPERIMENT, [], "200 epochs, about 0.5 hours (0.2 to 0.9)"),  # 14 minutes of two cores
        (table7_pooling.EXPERIMENT, ["--epochs", "20"], "400 epochs, about 0.9 hours (0.5 to 1.9)"),
        (table7_pooling.EXPERIMENT, ["--seeds", "10"], "400 epochs, about 0.9 hours (0.5 to 1.9)"),
        (table7_pooling.EXPERIMENT, ["--smoke"], "8 epochs, about 0.0 hours (0.0 to 0.0)"),
        (table5_efficiency.EXPERIMENT, [], "150 epochs, about 0.4 hours (0.2 to 0.8)"),  # 25 minutes, a run at a time
        (search_joint.JOINT, [], "at most 226 epochs, about 0.4 hours (0.2 to 0.8)"),  # 12 minutes, with its rungs
        (search_joint.JOINT, ["--stop-early", "none"], "400 epochs, about 0.7 hours (0.4 to 1.4)"),
    ],
)
def test_the_minutes_of_a_script_are_those_of_its_epochs_and_tell_those_of_other_flags(
    experiment: Experiment, words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(experiment, [*words, "--weights=", "--dry-run", "--runs", str(tmp_path)]) == 0
    assert f"\n{told} of one process for the runs to do: " in capsys.readouterr().out


def begun(words: Sequence[str], runs: Path, ended: int, epochs: int) -> None:
    """The study of `apc search simple` with these words, with so many trials ended, and one killed after `epochs`."""
    simple = space_experiment("simple")
    settings = settings_of(simple, read_flags(simple, [*words, "--runs", str(runs)]))
    draw = simple.drawn(settings.base)
    assert draw and settings.search
    first = first_over(simple.first, settings.base)
    how: dict[str, Any] = {"base": settings.base, "seeds": settings.seeds, "settings": settings.search, "first": first}
    s = study_of(StudyDefinition(draw, name="space_simple.pocket", **how), runs)
    for _ in range(ended):
        trial = s.take()
        assert trial
        advance(s, trial)
        s.finish(trial)
    cut = s.take()
    assert cut
    advance(s, replace(cut, until=epochs))


FEW = ["--weights=", "--num-train", "16", "--num-val", "4", "--epochs", "2", "--stop-early", "none"]


def test_a_dry_run_counts_what_an_interrupted_search_has_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun([*FEW, "--trials", "4"], tmp_path, ended=2, epochs=1)
    before = contents(tmp_path)
    words = ["simple", *FEW, "--trials", "4", "--runs", str(tmp_path), "--dry-run"]
    assert search_space(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        "an Optuna search (tpe) of 4 trials, each with seeds 0",
        "2 of 4 trials are done, 5 epochs trained",
        "3 epochs for what is left; no finished run like them tells the hours",
    ]
    for path in tmp_path.glob("*/row.json"):
        row = json.loads(path.read_text())
        path.write_text(json.dumps(row | {"stamp": {"images": {"train": 16}}, "seconds": {"train": 7200.0}}))
    assert search_space([*words, "--price", "1"]) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .startswith("3 epochs, about 3.0 hours (3.0 to 3.0) of one process for what is left: 3.00 core-hours (3.00")
    )
    assert contents(tmp_path).keys() == before.keys()


def test_a_dry_run_says_what_halving_has_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--weights=", "--trials", "8"]
    begun(words, tmp_path, ended=3, epochs=2)
    assert search_space(["simple", *words, "--runs", str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "halving: 8 to epoch 4, 2 or 3 to epoch 10: at most 50 epochs instead of 80",
        "0 of 8 trials are done, 14 epochs trained",
        "at most 36 epochs for what is left; no finished run like them tells the hours",
    ]


def test_a_study_of_other_settings_is_refused_by_the_dry_run_and_by_the_search_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", lambda run: pytest.fail("the search has begun"))
    begun([*FEW, "--trials", "4"], tmp_path / "runs", ended=1, epochs=1)
    before = contents(tmp_path)
    place = ["--runs", str(tmp_path / "runs"), "--reports", str(tmp_path / "reports")]
    words = ["simple", *FEW, "--trials", "4", "--epochs", "3", *place]
    told = []
    for more in (["--dry-run"], []):
        assert search_space([*words, *more]) == 2
        told.append(capsys.readouterr())
    assert told[0].err == told[1].err and told[0].out == told[1].out == ""
    assert "this study was begun with other settings (epochs was 2, is 3)" in told[0].err
    assert contents(tmp_path) == before and not (tmp_path / "reports").exists()


def test_a_search_says_what_becomes_of_the_settings_tried_first(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", lambda run: [])
    place = ["--runs", str(tmp_path / "runs"), "--reports", str(tmp_path / "reports")]
    words = ["joint", *FEW, "--image-size", "32", *place]
    proposes = "all 4 trials are settings tried first: the sampler proposes none"
    outside = "2 settings tried first have k 6, outside the space's 2 to 4, and are trained all the same"
    for more in (["--dry-run"], []):
        assert search_space([*words, "--trials", "4", *more]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert (lines.count(proposes), lines.count(outside)) == (1, 1)
    assert search_space([*words, "--trials", "5", "--dry-run"]) == 0
    assert proposes not in (told := capsys.readouterr().out) and outside in told
    assert search_space(["joint", *FEW, "--trials", "1", *place, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "\nthe one trial is the setting tried first: the sampler proposes none\n" in told and "outside" not in told
    assert not [each for each in recwarn if "Fixed parameter" in str(each.message)]


def test_a_dry_run_refuses_what_the_search_would(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: str) -> str:
        words = ("simple", "folder", *words, "--dry-run", "--trials", "5", "--runs", str(tmp_path / "runs"))
        code, found = search_space(words), capsys.readouterr()
        return f"{code} {found.out}{found.err}"

    assert "2 " in told("--root", str(tmp_path / "nix")) and "nix" in told("--root", str(tmp_path / "nix"))
    assert told("--root", str(photographs), "--weights", "nix.safetensors").startswith("2 ")
    shutil.rmtree(photographs / "masks")
    assert "no validation image has a mask" in told("--root", str(photographs))
    found = told("--root", str(photographs), "--choose", "vote")
    assert found.startswith("0 few training photographs")
    assert "compared by border_rule; it takes 24 settings to vote" in found
    by_labels = "--root", str(photographs), "--choose", "labels"
    assert "vote" not in told(*by_labels)
    assert "no run will have the miou of --stop-when miou 70" in told(*by_labels, "--stop-when", "miou 70")
    assert told(*by_labels, "--stop-when", "label_f1 70").startswith("0 ")


def test_search_names_the_spaces_and_the_nearest_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert search_space([]) == 2  # as `apc` and `apc data` do
    assert capsys.readouterr().out == spaces_told() + "\n"
    assert search_space(["--help"]) == 0
    assert "\n  lambdas        The weights lambda1 and lambda2" in capsys.readouterr().out
    assert search_space(["lambads"]) == 2
    assert capsys.readouterr().err == "apc search: there is no search space 'lambads'; did you mean lambdas?\n"


def test_a_knob_that_an_optuna_space_draws_cannot_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert search_space(["simple", "--theta", "0.5"]) == 2
    assert capsys.readouterr().err == "apc search simple: --theta: this experiment varies it itself\n"


def test_a_search_stamps_its_rows_with_how_it_was_searched_and_shares_no_name_with_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = replace(pocket(), weights="", lambda1=0.3)
    row = Row(run=identity(cfg), config=to_dict(cfg), metrics={"tune_miou": 9.0}, seconds={}, stamp={"commit": "c"})
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "prepare", lambda run: None)
    found = [(points([{"lambda1": 0.3}]).points[0], [row])]
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", lambda run: found)
    words = ["--seeds", "1", "--weights=", "--search-seed", "4", "--sampler", "qmc", "--trials", "7", "--rungs", "2"]
    assert search_space(["joint", *words, "--objectives", "tune_miou"]) == 0
    (kept,) = load_rows(Path("reports/results/space_joint/pocket.jsonl"))
    assert kept.stamp == {
        "commit": "c",
        "selection": "half",
        "search": {
            "sampler": "qmc",
            "objectives": ["tune_miou"],
            "search_seed": 4,
            "stop_early": "halving",
            "rungs": [2, 10],
            "keep_share": 1 / 5,
            "bracket": 8,
            "trials": 7,
            "space": {
                "k": [2, 36, True],
                "theta": [0.5, 0.98, False],
                "lambda1": [0.001, 1.0, True],
                "lambda2": [0.0, 0.1, False],
                "epsilon": [0.6, 0.95, False],
            },
        },
    }
    assert [path.name for path in Path("reports/results").iterdir()] == ["space_joint"]


@pytest.mark.parametrize(
    ("method", "call", "told"),
    [
        ("toco", lambda words: search_space(["pooling", *words]), "apc search pooling: point 'average': pooling"),
        ("afa", lambda words: search_space(["simple", *words]), "simple: space_simple: theta, lambda1, lambda2"),
        ("afa", lambda words: main(table6_peers.EXPERIMENT, words), "table6_peers: point 'baseline': pooling, lambda2"),
        ("afa", lambda words: pictures.main(figure6_heatmaps.PICTURE, words), "figure6_heatmaps: APC: pooling"),
    ],
)
def test_what_only_apc_has_is_not_varied_over_another_method(
    method: str,
    call: Callable[[list[str]], int],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(["--method", method, "--weights=", "--dry-run", "--runs", str(tmp_path)]) == 2
    assert f"{told}: only method apc has that, and the method is {method}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("steps", "seeds", "sentence"),
    [
        (search_joint.STEPS, "nonsense", "search_joint: --seeds nonsense: this script has seeds of its own"),
        (search_joint.STEPS, "1", "seeds of its own (0; then 0, 1, 2; then 5, 6, 7, 8, 9); leave it out"),
        ([choosing.EXPERIMENT], "3", "choosing: --seeds 3: this script has seeds of its own (0); leave it out"),
        ([choosing.EXPERIMENT], "many", "choosing: --seeds is 'many'; give how many"),
    ],
)
def test_seeds_are_refused_where_an_experiment_has_its_own(
    steps: Sequence[Experiment], seeds: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_turn(steps, ["--seeds", seeds, "--dry-run"]) == 2
    assert sentence in capsys.readouterr().err


def test_seeds_that_are_its_own_may_be_named_and_a_step_without_its_own_has_those_of_the_flag() -> None:
    assert settings_of(choosing.EXPERIMENT, Flags("pocket", {"seeds": "1"})).seeds == (0,)  # as the page's command is
    steps, flags = (grid_lambda.EXPERIMENT, search_joint.STAGED), Flags("pocket", {"seeds": "2"})
    seeds = [settings_of(step, for_step(step, steps, flags)).seeds for step in steps]
    assert seeds == [(0, 1), (0, 1, 2)]


@pytest.mark.parametrize(
    ("codes", "gone", "returned"), [([1, 0, 0], 3, 1), ([0, 1, 0], 3, 1), ([0, 3, 0], 2, 3), ([1, 130, 0], 2, 130)]
)
def test_a_failed_run_of_a_step_keeps_no_later_step_from_its_turn_and_what_ends_a_step_does(
    codes: list[int], gone: int, returned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def go(run: apc.experiment.runner.ExperimentRun) -> int:
        begun.append(run.experiment.name)
        return codes[len(begun) - 1]

    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "go", go)
    steps = [replace(grid_lambda.EXPERIMENT, name=name) for name in ("one", "two", "three")]
    assert in_turn(steps, []) == returned
    assert begun == ["one", "two", "three"][:gone]


def test_ctrl_c_before_a_later_step_has_begun_does_not_say_that_nothing_was_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def go(run: apc.experiment.runner.ExperimentRun) -> int:
        if run.experiment.name == "two":  # as its data is opened
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "go", go)
    assert in_turn([replace(grid_lambda.EXPERIMENT, name=name) for name in ("one", "two")], []) == 130
    assert capsys.readouterr().err == "stopped; the same command goes on where it was\n"


def test_a_comparison_of_what_a_failed_search_has_not_chosen_is_told_and_not_begun(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "go", lambda run: 1)
    assert in_turn([search_joint.JOINT, search_joint.COMPARISON], ["--reports", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "search_judged: its settings are what the steps before it will have chosen\n"


@pytest.mark.parametrize("where", ["apc.reporting.page.build", "apc.experiment.outputs.write_rows"])
def test_ctrl_c_while_rows_and_page_are_written_says_that_finished_runs_are_kept(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    cfg = replace(pocket(), weights="", lambda1=0.3)
    row = Row(run=identity(cfg), config=to_dict(cfg), metrics={"tune_miou": 9.0}, seconds={}, stamp={"commit": "c"})
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "prepare", lambda run: None)
    found = [(points([{"lambda1": 0.3}]).points[0], [row])]
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", lambda run: found)
    monkeypatch.setattr(where, stopped)
    assert search_space(["joint", "--weights=", "--objectives", "tune_miou", "--rungs", "2"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        "interrupted while rows and page were written: 1 finished runs are kept; the same command goes on from there"
    )
