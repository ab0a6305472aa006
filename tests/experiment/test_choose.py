"""What settings are chosen by: --choose in grids, staged searches and Optuna's."""

import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import apc.experiment.runner
from apc.config import to_dict
from apc.experiment.definition import Experiment
from apc.experiment.flags import read_flags
from apc.experiment.main import in_turn, main, search_space, space_experiment
from apc.experiment.settings import ExperimentSettings, chosen_by, settings_of
from apc.reporting.catalogue import described
from apc.runs.compared import Compared
from apc.runs.rows import Row, load_rows
from apc.search.plans import Point, Points, Result, Staged
from experiments import choosing, grid_lambda, search_joint, search_without_masks, table7_pooling

pytestmark = pytest.mark.usefixtures("sketched")

SMALL = "--image-size 64 --crf none --batch-size 4 --num-train 8 --num-val 3 --seeds 1"


def settings(experiment: Experiment, words: str) -> ExperimentSettings:
    return settings_of(experiment, read_flags(experiment, words.split()))


@pytest.mark.parametrize(
    ("words", "metric", "name"),
    [
        ("", "miou", "grid_lambda"),
        ("--choose val", "miou", "grid_lambda"),
        ("--choose half", "tune_miou", "grid_lambda_by_half"),
        ("--choose labels", "branch_rule", "grid_lambda_by_labels"),
    ],
)
def test_a_staged_search_goes_by_what_is_chosen_and_has_a_name_of_its_own(words: str, metric: str, name: str) -> None:
    found = settings(grid_lambda.EXPERIMENT, words)
    assert isinstance(found.plan, Staged) and found.plan.metric == metric
    assert (found.metrics, found.name) == ((metric,), name)


def test_a_joint_search_chooses_by_half_the_masks_unless_it_is_told() -> None:
    assert settings(search_joint.JOINT, "").name == "search_joint"
    found = settings(search_joint.JOINT, "--choose labels")
    assert found.search and found.search.objectives == ("branch_rule",) and found.name == "search_joint_by_labels"
    voting = settings(search_joint.JOINT, "--choose vote").search
    assert voting and voting.objectives == ("border_rule",)
    judged = chosen_by(search_joint.COMPARISON, "labels")  # compares what was chosen, on masks nobody chose by
    assert (judged.name, judged.metric) == ("search_judged_by_labels", "held_miou")
    entry = described(judged.name)
    assert (entry.metric, entry.compares) == ("held_miou", ("search_staged_by_labels", "search_joint_by_labels"))


def test_the_comparison_of_choosers_is_told_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_turn(search_without_masks.STEPS, ["--choose", "labels"]) == 2
    assert "compares what settings may be chosen by; leave it out" in capsys.readouterr().err
    by_masks, by_labels, judged = search_without_masks.STEPS
    assert (by_masks.metric, by_labels.metric, judged.metric) == ("tune_miou", "branch_rule", "held_miou")
    assert {5, 6, 7, 8, 9, 10} == {*judged.own_seeds} - {*by_masks.own_seeds, *by_labels.own_seeds}  # fresh ones


def test_a_table_has_nothing_to_choose_and_shows_it() -> None:
    found = settings(table7_pooling.EXPERIMENT, "--choose labels")
    assert isinstance(found.plan, Points) and found.metrics == ("branch_rule",)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--choose masks", "--choose is 'masks'; choose from val, half, labels, vote"),
        ("--choose labels --objectives miou", "--choose labels names the objective itself; leave out --objectives"),
        ("--choose labels --sampler grid --stop-early median", "trains every setting of its grid"),
        (
            "--choose vote --sampler grid",
            "--choose vote: settings vote in a search that proposes them, not in one that",
        ),
    ],
)
def test_what_cannot_be_chosen_by_is_a_sentence(words: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        settings(space_experiment("joint"), words)


def test_scores_without_masks_may_give_a_trial_up_but_not_those_of_the_crf() -> None:
    joint = space_experiment("joint")
    assert settings(joint, "--choose labels --stop-early asha").search
    with pytest.raises(ValueError, match="and not label_f1_crf"):
        settings(joint, "--objectives label_f1_crf --stop-early asha")


def test_a_search_of_a_space_halves_where_it_can_and_nobody_says_otherwise() -> None:
    def rule(words: str, experiment: Experiment | None = None) -> tuple[str, tuple[int, ...]]:
        search = settings(experiment or space_experiment("joint"), words).search
        assert search
        return search.stop_early, search.rungs

    assert rule("") == rule("", search_joint.JOINT) == ("halving", (4, 10))
    assert rule("--rungs 2 --choose labels") == ("halving", (2, 10))
    assert rule("--smoke") == ("halving", (1, 2))
    for words in ("--epochs 1", "--objectives miou_crf", "--objectives miou,train_seconds"):
        assert rule(words) == ("none", ())
    assert rule("--stop-early none --trials 9") == ("none", ())
    assert rule("", choosing.EXPERIMENT) == ("none", ())
    assert settings(grid_lambda.EXPERIMENT, "").search is None


def test_a_number_that_was_given_is_kept_under_smoke() -> None:
    joint = space_experiment("joint")
    given, own = settings(joint, "--smoke --trials 5").search, settings(joint, "--smoke").search
    assert given and own and (given.trials, own.trials) == (5, 2)


def test_photographs_without_masks_are_searched_by_their_labels(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photographs.parent)
    shutil.rmtree(photographs / "masks")
    words = ["folder", "--root", "photos", *SMALL.split()]
    assert search_space(["pooling", *words, "--choose", "half"]) == 2
    assert "no validation image has a mask, so tune_miou cannot be chosen by; add --choose labels" in (
        capsys.readouterr().err
    )

    rules = {"average": 10.0, "max": 30.0, "top_k": 20.0, "adaptive_k": 5.0}

    def scored(run: apc.experiment.runner.ExperimentRun) -> list[Any]:
        assert run.plan
        stamp = {"commit": "c", "selection": "val"}  # as a run bears it
        row = Row(run="", config=to_dict(run.base), metrics={}, seconds={}, stamp=stamp)
        points = run.plan.next([])
        return [
            (point, [replace(row, run=point.label, metrics={"branch_rule": rules[point.label]})]) for point in points
        ]

    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", scored)
    assert search_space(["pooling", *words, "--choose", "labels"]) == 0
    results = Path("reports/results/space_pooling_by_labels")
    best = tomllib.loads((results / "photos.best.toml").read_text())
    rows = load_rows(results / "photos.jsonl")
    assert best["pooling"] == "max" and {row.stamp["selection"] for row in rows} == {"labels"}
    assert "branch_rule" in Path("reports/details/space_pooling_by_labels.photos.md").read_text()
    assert main(table7_pooling.EXPERIMENT, words) == 0
    page = " ".join(Path("reports/ablation.md").read_text().split())
    assert "chosen by image labels alone" in page and "validation masks" not in page
    table7 = Path("reports/details/table7_pooling.photos.md").read_text()
    assert "selection rule: none: no run was scored by masks" in table7
    assert "`miou`, not stamped" in Path("reports/details/checklist.md").read_text()


@pytest.mark.parametrize("voted", [True, False])
def test_a_search_by_the_vote_says_what_compared_its_settings_and_chooses_by_it(
    voted: bool, photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photographs.parent)
    rules, votes = {"max": 30.0, "average": 20.0}, {"max": 40.0, "average": 50.0}
    compared = (
        Compared("vote", 24, 4) if voted else Compared("border_rule", 2, why="2 settings can vote and it takes 24")
    )

    def scored(run: apc.experiment.runner.ExperimentRun) -> Result:
        def row(pooling: str) -> Row:
            cfg = to_dict(replace(run.base, pooling=pooling))
            scores = {"border_rule": rules[pooling]} | ({"vote": votes[pooling]} if voted else {})
            return Row(run=pooling, config=cfg, metrics=scores, seconds={}, stamp={"commit": "c"} | compared.stamp)

        return [(Point(f"pooling={pooling}", {"pooling": pooling}), [row(pooling)]) for pooling in rules]

    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "search", scored)
    assert search_space(["joint", "folder", "--root", "photos", *SMALL.split(), "--choose", "vote"]) == 0
    told, results = capsys.readouterr().out, Path("reports/results/space_joint_by_vote")
    best = (results / "photos.best.toml").read_text()
    page = Path("reports/details/space_joint_by_vote.photos.md").read_text()
    sentence = f"Settings were compared by {compared.told}."
    assert sentence in told and f"# {sentence}\n" in best and sentence in page
    assert tomllib.loads(best)["pooling"] == ("average" if voted else "max")
    score = "vote" if voted else "border_rule"
    assert f"by the mean {score} of seeds 0." in best and f"{score}, mean" in told
    assert {row.stamp["selection"] for row in load_rows(results / "photos.jsonl")} == {"vote"}
    assert "settings chosen by their vote, by image labels alone" in " ".join(
        Path("reports/ablation.md").read_text().split()
    )
    assert f"**Best: pooling={'average' if voted else 'max'}**, `{score}`" in page


@pytest.mark.parametrize(
    ("words", "epochs", "rungs"),
    [
        ("", 2, (1, 2)),
        ("--epochs 5", 5, (2, 5)),
        ("--rungs 2 5", 5, (2, 5)),
        ("--rungs 3", 4, (3, 4)),
        ("--epochs 9 --rungs 3", 9, (3, 9)),
        ("--epochs 1", 1, ()),
    ],
)
def test_a_smoke_run_has_the_epochs_and_rungs_that_are_named(words: str, epochs: int, rungs: tuple[int, ...]) -> None:
    found = settings(search_joint.JOINT, f"--smoke {words}")
    assert found.search and (found.base.epochs, found.search.rungs) == (epochs, rungs)


def test_one_trial_halves_so_that_its_study_goes_on_with_more() -> None:
    one, more = (settings(search_joint.JOINT, f"--trials {trials}").search for trials in (1, 40))
    assert one and more and replace(one, trials=40) == more and one.stop_early == "halving"
