"""A race behind a search: what it leaves in best.toml, the rows and the page, and what is said of it."""

import json
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import apc
import apc.experiment.runner
from apc.config import Config, from_dict, pocket, to_dict
from apc.experiment.dry_run import to_do
from apc.experiment.flags import read_flags
from apc.experiment.main import main, search_space, space_experiment
from apc.experiment.settings import settings_of
from apc.runs.folder import save_run
from apc.runs.rows import Row, load_rows
from apc.search.plans import Interrupted, Plan, Result, points
from apc.search.run_queue import RunQueue
from experiments import search_joint, table7_pooling

pytestmark = pytest.mark.usefixtures("sketched")

WORDS = ["pooling", "--seeds", "1", "--weights="]
FOUND = {"average": 20.0, "max": 50.0, "top_k": 52.0, "adaptive_k": 51.0}
"""What the search found, with a lucky top_k."""
RACED = {"average": 20.0, "max": 30.0, "top_k": 48.0, "adaptive_k": 49.0}
SECONDS = {"average": 1.0, "max": 5.0, "top_k": 20.0, "adaptive_k": 30.0}
RESULTS = Path("reports/results/space_pooling")
PAGE = Path("reports/details/space_pooling.pocket.md")

UNSTEADY = {100: 3.0, 101: -4.0, 102: 3.0, 103: -3.0, 104: 2.0}
"""What seeds do to top_k alone."""

Score = Callable[[Config], float | None]


def name_of(cfg: Config) -> str:
    return f"{cfg.pooling}-{cfg.seed}"


def scored(cfg: Config) -> float:
    own = UNSTEADY.get(cfg.seed, 0.0) if cfg.pooling == "top_k" else 0.0
    return (RACED if cfg.seed else FOUND)[cfg.pooling] + cfg.seed % 3 + own


def trained(
    plan: Plan,
    base: Config,
    seeds: Any,
    runs: Path,
    score: Score,
    stop_after: int = 1000,
    name: Callable[[Config], str] = name_of,
) -> Result:
    """The driver's search with made-up scores, interrupted after so many runs."""
    queue = RunQueue(plan, base=base, seeds=seeds, runs=runs, identify=name)
    for _ in range(stop_after):
        if not (job := queue.take()):
            return queue.result()
        value = score(job.config)
        metrics, error = ({}, "ValueError: told to fail") if value is None else ({"miou": value}, "")
        stamp = {} if error else {"commit": "c"}
        row = Row(run=job.run, config=to_dict(job.config), metrics=metrics, seconds={}, stamp=stamp, error=error)
        row.seconds["train"] = SECONDS[job.config.pooling]
        if not error:
            save_run(runs, row)
        queue.finish(job.run, row)
    raise Interrupted(queue.result())


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A folder to work in, and a driver that trains nothing; call it to change how it scores, or when it stops."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(apc.experiment.runner.ExperimentRun, "prepare", lambda run: None)

    def like(score: Score = scored, stop_after: int = 1000) -> None:
        def search(plan: Plan, *, base: Config, seeds: Any, runs: Path, **more: Any) -> Result:
            return trained(plan, base, seeds, runs, score, stop_after)

        monkeypatch.setitem(sys.modules, "apc.search.driver", SimpleNamespace(search=search, optuna_search=None))

    like()
    return like


def test_the_best_settings_race_and_best_toml_is_the_winner_with_the_set_above_it(
    driver: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert search_space([*WORDS, "--race", "3"]) == 0
    said = capsys.readouterr().out
    assert (
        "race: the best 3 of 4 settings get 3 to 5 further seeds each (100, 101, 102, 103, 104), at most 15 runs"
        in said
    )
    assert "adaptive_k  50.20 (5)  leads  chosen" in said and "max         31.00 (3)  -19.00 (" in said
    text = (RESULTS / "pocket.best.toml").read_text()
    assert tomllib.loads(text)["pooling"] == "adaptive_k"
    assert from_dict(tomllib.loads(text)).pooling == "adaptive_k"  # nothing that no field is
    above = [line for line in text.splitlines() if line.startswith("#")]
    assert above[0] == (
        "# Best of space_pooling on pocket, by a race over miou with up to 5 seeds that the search (0) has not."
    )
    assert above[1] == "# Not worse than the leader, as far as these seeds tell (2 of 3):"
    assert above[3].startswith("#   top_k  49.40 (5)  -0.80 (") and above[3].endswith(")  not worse")
    assert above[5].startswith("#   max  31.00 (3)  ") and above[5].endswith("left after 3 seeds: worse")
    stored = json.loads((RESULTS / "pocket.race.json").read_text())
    assert (stored["winner"], stored["set"], stored["seeds"]) == (
        "adaptive_k",
        ["adaptive_k", "top_k"],
        [100, 101, 102, 103, 104],
    )
    assert [(r["label"], r["left"], len(r["scores"]), r["paper"]) for r in stored["racers"]] == [
        ("adaptive_k", None, 5, True),
        ("top_k", None, 5, False),
        ("max", 3, 3, False),
    ]


def test_rows_of_a_race_are_stamped_and_stand_in_no_mean_of_the_search(driver: Callable[..., None]) -> None:
    assert search_space([*WORDS, "--race", "2"]) == 0
    rows = load_rows(RESULTS / "pocket.jsonl")
    of_race = [row for row in rows if "race" in row.stamp]
    assert len(rows) == 4 + len(of_race) == 14 and {row.row for row in of_race} == {"top_k", "adaptive_k"}
    assert {row.config["seed"] for row in of_race} == {100, 101, 102, 103, 104}
    page = PAGE.read_text()
    assert "**The race of the best 2**, over seeds 100, 101, 102, 103, 104, none of them the search's: 2 of 2" in page
    (leader,) = [line for line in page.splitlines() if "chosen (best.toml)" in line and "leader" in line]
    assert [cell.strip() for cell in leader.split("|")[1:4]] == ["adaptive_k", "50.2 (5)", "leader"]
    searched = [line for line in page.splitlines() if line.startswith("| top_k") and "52.0" in line]
    assert searched and "±" not in "".join(searched)  # one seed, that of the search
    (made_by,) = [line for line in page.splitlines() if line.startswith("apc search pooling ")]
    assert made_by.endswith("--seeds 1 --race 2")

    assert search_space(WORDS) == 0  # without a race best.toml is the search's, and no race is shown
    assert tomllib.loads((RESULTS / "pocket.best.toml").read_text())["pooling"] == "top_k"
    assert not (RESULTS / "pocket.race.json").exists()
    assert "The race of" not in PAGE.read_text()
    assert len(load_rows(RESULTS / "pocket.jsonl")) == 14


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["--race", "2", "--prefer", "cheapest"], "top_k"),
        (["--race", "2", "--prefer", "paper"], "adaptive_k"),
        (["--race", "3", "--prefer", "cheapest"], "top_k"),  # max is cheaper, and worse
    ],
)
def test_what_is_preferred_is_taken_of_those_that_are_not_worse(
    words: list[str], chosen: str, driver: Callable[..., None]
) -> None:
    assert search_space([*WORDS, *words]) == 0
    text = (RESULTS / "pocket.best.toml").read_text()
    assert tomllib.loads(text)["pooling"] == chosen and f"(--prefer {words[-1]})." in text


def test_a_racer_that_fails_is_named_and_the_others_race_on(
    driver: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    driver(lambda cfg: None if (cfg.pooling, cfg.seed) == ("adaptive_k", 101) else scored(cfg))
    assert search_space([*WORDS, "--race", "3"]) == 1
    said = capsys.readouterr().out
    assert "adaptive_k left the race after 2 seeds: ValueError: told to fail" in said.splitlines()
    assert "1 of 13 runs failed; the same command tries them again" in said
    assert tomllib.loads((RESULTS / "pocket.best.toml").read_text())["pooling"] == "top_k"
    assert "out after 2 seeds: ValueError: told to fail" in PAGE.read_text()
    driver()
    assert search_space([*WORDS, "--race", "3"]) == 0
    assert tomllib.loads((RESULTS / "pocket.best.toml").read_text())["pooling"] == "adaptive_k"


def test_an_interrupted_race_keeps_its_rows_and_best_toml_and_the_same_command_goes_on(
    driver: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert search_space(WORDS) == 0
    driver(stop_after=5)
    assert search_space([*WORDS, "--race", "2"]) == 130
    assert "interrupted: 9 finished runs are kept; the same command goes on from there" in capsys.readouterr().err
    assert tomllib.loads((RESULTS / "pocket.best.toml").read_text())["pooling"] == "top_k"
    assert len(load_rows(RESULTS / "pocket.jsonl")) == 9 and not (RESULTS / "pocket.race.json").exists()
    begun: list[str] = []

    def noted(cfg: Config) -> float:
        begun.append(name_of(cfg))
        return scored(cfg)

    driver(noted)
    assert search_space([*WORDS, "--race", "2"]) == 0
    assert len(begun) == len(set(begun)) == 5
    assert tomllib.loads((RESULTS / "pocket.best.toml").read_text())["pooling"] == "adaptive_k"


def test_ctrl_c_while_the_racers_are_chosen_keeps_what_the_search_has_found(
    driver: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("apc.experiment.racing.race_of", stopped)
    assert search_space([*WORDS, "--race", "3"]) == 130
    assert "interrupted: 4 finished runs are kept; the same command goes on from there" in capsys.readouterr().err
    assert len(load_rows(RESULTS / "pocket.jsonl")) == 4


def test_a_race_takes_what_there_is_and_says_so(
    driver: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert search_space([*WORDS, "--race", "9", "--race-seeds", "2"]) == 0
    said = capsys.readouterr().out
    assert "race: all 4 settings that have a miou, which are fewer than --race 9, get 2 further seeds each" in said
    driver(lambda cfg: scored(cfg) if cfg.pooling == "max" else None)
    assert search_space([*WORDS, "--race", "2", "--runs", "others", "--reports", "others"]) == 1
    assert "no race: 1 of the settings tried have a miou, and a race needs two" in capsys.readouterr().out
    best = Path("others/results/space_pooling/pocket.best.toml").read_text()
    assert tomllib.loads(best)["pooling"] == "max" and best.startswith("# Best of space_pooling on pocket by the mean")


def test_a_damaged_record_of_a_race_is_named_on_the_page(driver: Callable[..., None]) -> None:
    from apc.reporting.page import build

    assert search_space([*WORDS, "--race", "2"]) == 0
    (RESULTS / "pocket.race.json").write_text('{"racers": [3]}')
    build(Path("reports"))
    page = PAGE.read_text()
    assert "Damaged and left out" in page and "pocket.race.json: TypeError" in page and "The race of" not in page


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--race 1", "--race is 1; it must be at least 2"),
        ("--race 3 --race-seeds 1", "--race-seeds is 1; it must be at least 2"),
        ("--race 100000", "--race is 100000; it must be at most 1000"),
        ("--race many", "--race is 'many'; it must be a whole number"),
        ("--prefer cheapest", "--prefer is for a race; add --race N, such as --race 3"),
        ("--race-seeds 3", "--race-seeds is for a race; add --race N, such as --race 3"),
        ("--race 3 --prefer fast", "--prefer is 'fast'; choose from best, cheapest, paper"),
        ("--price -1", "--price is -1; it cannot be below 0"),
        ("--price 2 --address auto", "--price 2: is it of a GPU or of a core? Add --gpus, 0 for cores"),
    ],
)
def test_a_race_that_cannot_be_is_one_sentence(
    words: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert search_space(["pooling", *words.split()]) == 2
    assert capsys.readouterr().err.splitlines() == [f"apc search pooling: {sentence}"]
    assert list(tmp_path.iterdir()) == []


def test_a_table_has_no_best_setting_to_race(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(table7_pooling.EXPERIMENT, ["--race", "3"]) == 2
    assert "--race 3: there is no best setting of an experiment that shows all its rows; race a search" in (
        capsys.readouterr().err
    )


def test_of_a_longer_experiment_the_searches_race_and_what_compares_them_does_not() -> None:
    flags = read_flags(search_joint.JOINT, ["--race", "3"])
    raced = [settings_of(step, flags).racing.race for step in (search_joint.JOINT, search_joint.STAGED)]
    assert raced == [3, 3]
    comparison = settings_of(replace(search_joint.COMPARISON, plan=points([{"k": 3}])), flags)
    assert comparison.racing.race is None
    assert settings_of(
        space_experiment("joint"), read_flags(search_joint.JOINT, ["--smoke", "--race", "2"])
    ).racing == (
        settings_of(
            space_experiment("joint"), read_flags(search_joint.JOINT, ["--race", "2", "--race-seeds", "2"])
        ).racing
    )


def test_more_racers_than_halving_trains_to_the_end_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert search_space(["simple", "--trials", "7", "--race", "2"]) == 2
    assert capsys.readouterr().err == (
        "apc search simple: --race 2: of 7 trials halving trains 1 to the end, and no other has a score to race by; "
        "raise --trials, or add --stop-early none\n"
    )
    with pytest.raises(ValueError, match="--race 3: of 8 trials halving trains 2 to the end"):
        apc.search("simple", trials=8, race=3, stop_early="halving", progress=False)
    simple = space_experiment("simple")
    small = settings_of(simple, read_flags(simple, ["--smoke", "--race", "2"]))
    assert small.search and small.search.halving and small.search.halving.plan(small.search.trials) == [(1, 8), (2, 2)]
    whole = settings_of(simple, read_flags(simple, ["--smoke", "--race", "3", "--stop-early", "none"]))
    assert whole.search and whole.search.trials == 3


def test_a_dry_run_counts_the_papers_own_and_halvings_epochs_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["simple", "--dry-run", "--runs", str(tmp_path), "--trials", "8", "--race", "2"]
    assert search_space([*words, "--prefer", "paper"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "an Optuna search (tpe) of 8 trials, each with seeds 0",
        "halving: 8 to epoch 4, 2 or 3 to epoch 10: at most 50 epochs instead of 80",
        "at most 50 epochs for the runs to do; no finished run like them tells the hours",
        "then a race of the best 2 and the paper's own, each with at most 5 further seeds: at most 15 runs, 150 epochs",
    ]
    flags = read_flags(space_experiment("simple"), [*words[1:], "--prefer", "paper"])
    todo = to_do(space_experiment("simple"), settings_of(space_experiment("simple"), flags), None)
    assert (todo.least, todo.most) == (2 * 3, 3 * 5)
    few = ["pooling", "--dry-run", "--runs", str(tmp_path), "--weights=", "--race", "9"]
    assert search_space(few) == 0
    assert "then a race of the best 4, each with at most 5 further seeds: at most 20 runs" in capsys.readouterr().out


def test_a_dry_run_tells_of_the_race(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--runs", str(tmp_path / "runs"), "--reports", str(tmp_path / "reports")]
    assert search_space(["simple", "--dry-run", "--stop-early", "none", "--race", "3", *place]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "an Optuna search (tpe) of 20 trials, each with seeds 0",
        "200 epochs for the runs to do; no finished run like them tells the hours",
        "then a race of the best 3, each with at most 5 further seeds: at most 15 runs, 150 epochs",
    ]
    assert list(tmp_path.iterdir()) == []
    stamp = {"images": {"train": 960}}
    done = Row(run="r", config=to_dict(pocket()), metrics={}, seconds={"train": 360.0}, curve=[{}] * 10, stamp=stamp)
    save_run(tmp_path / "runs", done)
    assert search_space(["simple", "--dry-run", "--stop-early", "none", "--race", "3", "--price", "0.5", *place]) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .endswith(
            "at most 15 runs, 150 epochs, about 1.5 hours (0.8 to 3.0) of one process: "
            "0.75 to 3.00 core-hours (0.38 to 1.50 at 0.5 a core-hour)"
        )
    )


@pytest.fixture
def studied(driver: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Result:
    """What a search of a space finds: two settings with a score, one that failed and one that was given up."""
    base = replace(from_dict({}, settings_of(SIMPLE, read_flags(SIMPLE, ["--weights="])).base), seed=0)
    left: list[dict[str, Any]] = [{"metrics": {"miou": 50.0}}, {"metrics": {"miou": 49.0}}]
    left += [{"error": "ValueError: nan"}, {"stopped": "stopped at rung epoch 4 of 10 (halving)"}]
    settings = points([{"lambda1": 0.1 * (n + 1)} for n in range(4)]).points
    usual: dict[str, Any] = {"metrics": {}, "seconds": {}, "stamp": {"commit": "c"}}
    found = [
        (point, [Row(run=f"{n:012x}", config=to_dict(from_dict(point.values, base)), **usual | more)])
        for n, (point, more) in enumerate(zip(settings, left, strict=True))
    ]
    search = sys.modules["apc.search.driver"].search
    stub = SimpleNamespace(search=search, optuna_search=lambda study, **how: found)
    monkeypatch.setitem(sys.modules, "apc.search.driver", stub)
    return found


SIMPLE = space_experiment("simple")
STUDIED = ["simple", "--weights=", "--stop-early", "none"]


def test_a_failed_run_of_a_race_is_told_apart_from_the_studys(
    studied: Result, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def search(plan: Any, *, base: Config, seeds: Any, runs: Path, **more: Any) -> Result:
        def value(cfg: Config) -> float | None:
            return None if (cfg.lambda1, cfg.seed) == (0.2, 100) else 50.0

        return trained(plan, base, seeds, runs, value, name=lambda cfg: f"{cfg.lambda1}-{cfg.seed}")

    monkeypatch.setattr(sys.modules["apc.search.driver"], "search", search)
    assert search_space([*STUDIED, "--race", "2"]) == 1
    assert [line for line in capsys.readouterr().out.splitlines() if "failed;" in line] == [
        "1 of 4 runs failed; the study keeps them as failed trials",
        "1 of 6 runs of the race failed; the same command tries them again",
    ]


def test_a_trial_that_was_given_up_is_no_finished_run(
    studied: Result, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(study: Any, **how: Any) -> Result:
        raise Interrupted(studied)

    monkeypatch.setattr(sys.modules["apc.search.driver"], "optuna_search", interrupted)
    assert search_space(STUDIED) == 130
    assert "interrupted: 2 finished runs are kept; the same" in capsys.readouterr().err
    assert len(load_rows(Path("reports/results/space_simple/pocket.jsonl"))) >= 2
