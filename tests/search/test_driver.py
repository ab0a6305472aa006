"""The driver against real trainings of a tiny config: same numbers, failures, resources, what it goes on from."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from notes import Notes
from rows import stripped
from safetensors.torch import load_file, save_file

import search_spaces
from apc.config import Config, to_dict
from apc.runs.folder import load_run, load_runs, save_run
from apc.runs.rows import Row
from apc.runs.status import status
from apc.search.plans import points
from apc.search.spaces import SearchSettings
from apc.search.study_settings import StudyDefinition
from apc.search.view import NoView
from apc.training.run import run

ROOT = Path(__file__).resolve().parents[2]
TWO = points({"low": {"theta": 0.5}, "high": {"theta": 0.9}})


@pytest.mark.slow
def test_a_trial_of_two_cores_runs_its_crf_in_two_processes(warm_ray: None, tiny: Config, tmp_path: Path) -> None:
    from apc.search.driver import search
    from apc.search.ray_session import Resources

    base = replace(tiny, crf="pocket")
    plan = points({"low": {"theta": 0.5}})
    ((_, (row,)),) = search(
        plan, base=base, seeds=[0], runs=tmp_path, view=NoView(), resources=Resources(cpus_per_trial=2)
    )
    assert not row.error and row.stamp["threads"] == 2 and "miou_crf" in row.metrics


def test_ray_gives_the_numbers_of_plain_python_and_nothing_twice(warm_ray: None, tiny: Config, tmp_path: Path) -> None:
    from apc.search.driver import search

    plain = [run(replace(tiny, theta=t), runs=tmp_path / "plain", device="cpu") for t in (0.5, 0.9)]
    notes = Notes()
    found = search(TWO, base=tiny, seeds=[0], runs=tmp_path / "ray", view=notes)
    assert [point.label for point, _ in found] == ["low", "high"]
    assert [stripped(rows[0]) for _, rows in found] == [stripped(row) for row in plain]
    assert sorted(notes.starts) == ["high seed 0", "low seed 0"]
    assert notes.epochs == [1.0, 1.0] * 2  # each run reports its epoch, then its final scores

    again = Notes()
    assert search(TWO, base=tiny, seeds=[0], runs=tmp_path / "ray", view=again) == found
    assert again.starts == []


def test_files_named_from_here_are_found_by_workers_which_work_elsewhere(
    warm_ray: None, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apc.search.driver import search

    monkeypatch.chdir(tmp_path)
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet.safetensors")  # read for the run's identity
    plan, base = points({"low": {"theta": 0.5}}), replace(tiny, deeplab_weights="resnet.safetensors")
    ((_, (row,)),) = search(plan, base=base, seeds=[0], runs=Path("runs"))
    assert not row.error and row.config["deeplab_weights"] == "resnet.safetensors"


def test_a_failing_run_is_recorded_with_its_reason_and_stops_no_other(
    warm_ray: None, tiny: Config, tmp_path: Path
) -> None:
    from apc.search.driver import search

    settings: dict[str, dict[str, Any]] = {"good": {"theta": 0.5}, "bad": {"decoder_blocks": (1, 2, 9)}}
    plan = points(settings | {"fine": {"theta": 0.9}})
    found = {point.label: rows[0] for point, rows in search(plan, base=tiny, seeds=[0], runs=tmp_path)}
    assert found["bad"].error.startswith("ValueError: decoder_blocks")
    assert found["bad"].metrics == {} and load_run(tmp_path, found["bad"].run) is None
    assert found["good"].metrics["miou"] > 0 and found["fine"].metrics["miou"] > 0
    told = status(tmp_path)
    assert "2 finished, 1 failed" in told and "ValueError: decoder_blocks" in told and "(bad, seed 0)" in told


def test_a_crash_of_rays_own_loop_is_survived(
    warm_ray: None, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apc.search import driver

    make, crashes = driver.tuner, []

    class Crash:
        def __init__(self, searcher: Any) -> None:
            self.searcher = searcher

        def fit(self) -> None:
            crashes.append(self.searcher.suggest("lost"))  # a trial is under way when it happens
            raise RuntimeError("Caught unexpected exception: OutOfMemoryError")

    def tuner(searcher: Any, *more: Any) -> Any:
        return make(searcher, *more) if crashes else Crash(searcher)

    monkeypatch.setattr(driver, "tuner", tuner)
    found = driver.search(TWO, base=tiny, seeds=[0], runs=tmp_path)
    assert crashes[0]["label"] == "high"  # the paper's theta, which is trained first
    assert [(point.label, rows[0].error) for point, rows in found] == [("low", ""), ("high", "")]


def test_a_loop_that_crashes_goes_on_as_long_as_runs_end_and_no_longer(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apc.search import driver

    fits = []

    class Crash:
        def __init__(self, searcher: Any, *more: Any) -> None:
            self.searcher = searcher

        def fit(self) -> None:
            task = self.searcher.suggest("one")
            fits.append(task["label"])
            if task["label"] != "last":
                save_run(tmp_path, Row(run=task["ids"][0], config=task["configs"][0], metrics={"miou": 1}, seconds={}))
                self.searcher.on_trial_complete("one")
            raise RuntimeError("Caught unexpected exception")

    @contextmanager
    def no_ray(*more: Any, **how: Any) -> Iterator[Any]:
        yield SimpleNamespace(check=lambda: None, settle=lambda: None)

    monkeypatch.setattr(driver, "session", no_ray)
    monkeypatch.setattr(driver, "fit", lambda resources: (replace(resources, gpus_per_trial=0.0), 1))
    monkeypatch.setattr(driver, "Slots", lambda *more: SimpleNamespace(count=1, limit=lambda n: 1, look=None))
    monkeypatch.setattr(driver, "tuner", Crash)
    settings: dict[str, dict[str, Any]] = {f"run {n}": {"theta": 0.1 + n / 10} for n in range(driver.ATTEMPTS + 1)}
    plan = points(settings | {"last": {"theta": 0.95}})
    with pytest.raises(RuntimeError, match="Caught unexpected exception"):
        driver.search(plan, base=replace(tiny, theta=0.01), seeds=[0], runs=tmp_path)
    assert fits == [*settings, *["last"] * (driver.ATTEMPTS - 1)]  # the first of the four was that of the run before it


@pytest.mark.slow
def test_two_processes_a_trial_give_the_numbers_of_one(warm_ray: None, tiny: Config, tmp_path: Path) -> None:
    from apc.search.driver import search
    from apc.search.ray_session import Resources

    cfg = replace(tiny, num_train=16, epochs=2)
    one = run(replace(cfg, theta=0.5), runs=tmp_path / "plain", device="cpu")
    notes = Notes()
    settings: dict[str, dict[str, Any]] = {"low": {"theta": 0.5}, "bad": {"decoder_blocks": (1, 2, 9)}}
    plan = points(settings)
    found = search(
        plan, base=cfg, seeds=[0], runs=tmp_path / "ray", resources=Resources(num_workers=2, retries=0), view=notes
    )
    (low,), (bad,) = (rows for _, rows in found)
    assert low.stamp["processes"] == 2 and low.run == one.run
    models = [load_file(tmp_path / where / one.run / "model.safetensors") for where in ("plain", "ray")]
    apart = torch.cat([(models[0][name] - models[1][name]).flatten() for name in models[0]]).abs().mean()
    assert apart < 1e-5
    assert low.metrics["miou"] == pytest.approx(one.metrics["miou"], abs=0.5)
    assert 2.0 in notes.epochs
    assert bad.error.startswith("ValueError: decoder_blocks")


def test_resources_that_can_never_be_met_are_refused_with_the_arithmetic(
    warm_ray: None, tiny: Config, tmp_path: Path
) -> None:
    from apc.search.driver import search
    from apc.search.ray_session import Resources

    with pytest.raises(ValueError, match=r"asks for 6 CPUs \(3 processes with 2 each\) and there are 2"):
        search(TWO, base=tiny, seeds=[0], runs=tmp_path, resources=Resources(num_workers=3, cpus_per_trial=2))
    with pytest.raises(ValueError, match="asks for 1 GPUs .* and there are 0"):
        search(TWO, base=tiny, seeds=[0], runs=tmp_path, resources=Resources(gpus_per_trial=1))
    assert load_runs(tmp_path) == []


def test_a_finished_search_does_not_start_ray(tiny: Config, tmp_path: Path) -> None:
    for theta in (0.5, 0.9):
        run(replace(tiny, theta=theta), runs=tmp_path, device="cpu")
    code = f"""
from pathlib import Path
import ray
from apc.config import from_dict
from apc.search.plans import points
from apc.search.driver import search
ray.init = None  # calling it would raise
plan = points([{{"theta": 0.5}}, {{"theta": 0.9}}])
print(len(search(plan, base=from_dict({to_dict(tiny)!r}), seeds=[0], runs=Path({str(tmp_path)!r}))))
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "2\n"


def test_optuna_goes_on_where_it_was_and_proposes_what_it_would_have(
    warm_ray: None, tiny: Config, tmp_path: Path
) -> None:
    import optuna

    from apc.search.driver import optuna_search
    from apc.search.ray_session import Resources
    from search_spaces import simple

    def ask(runs: Path, trials: int, **more: Any) -> list[dict[str, Any]]:
        settings = SearchSettings(trials=trials, search_seed=more.pop("search_seed", 0))
        fields: dict[str, Any] = {"name": "study", "base": tiny, "seeds": [0], "first": simple.FIRST} | more
        definition = StudyDefinition(search_spaces.draw_of(simple, tiny), settings=settings, **fields)
        found = optuna_search(definition, runs=runs, resources=Resources(max_concurrent=1))
        assert all(rows[0].metrics for _, rows in found)
        return [point.values for point, _ in found]

    whole = ask(tmp_path / "whole", 4)
    assert whole[0] == simple.FIRST[0]
    assert ask(tmp_path / "parts", 2) == whole[:2]
    assert ask(tmp_path / "parts", 4) == whole
    assert ask(tmp_path / "parts", 4, search_seed=0) == whole  # through already: nothing is added

    journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / "parts" / "study.journal"))
    kept = optuna.load_study(study_name="study", storage=optuna.storages.JournalStorage(journal)).trials
    assert [trial.params for trial in kept] == whole
    scores = {row.config["lambda1"]: row.metrics["miou"] for row in load_runs(tmp_path / "parts")}
    assert [trial.value for trial in kept] == [scores[values["lambda1"]] for values in whole]

    with pytest.raises(ValueError, match=r"begun with other settings \(epochs was 1, is 2\)"):
        ask(tmp_path / "parts", 5, base=replace(tiny, epochs=2))


def test_a_space_with_a_misspelt_knob_is_refused_before_anything_starts(tiny: Config, tmp_path: Path) -> None:
    from apc.search.driver import optuna_search

    settings = SearchSettings(trials=1)
    wrong = StudyDefinition(
        lambda trial: {"lamda1": trial.suggest_float("lamda1", 0, 1)}, name="x", base=tiny, seeds=[0], settings=settings
    )
    with pytest.raises(ValueError, match="no field 'lamda1'; did you mean lambda1"):
        optuna_search(wrong, runs=tmp_path)
    assert list(tmp_path.iterdir()) == []
