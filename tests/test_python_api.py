"""`import apc`: light, whole, and the numbers of what it wraps."""

import doctest
import inspect
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from untrained import untrained

import apc
import apc.api
from apc.cli import evaluate
from apc.cli.main import main
from apc.config import Config, pocket
from apc.experiment.flags import read_flags
from apc.experiment.main import space_experiment
from apc.experiment.settings import settings_of
from apc.runs.folder import load_runs
from apc.runs.rows import Row, save_rows
from apc.search.plans import Interrupted, Point, points
from apc.search.study_settings import StudyDefinition, journal_settings
from apc.training.run import identity
from search_spaces import lambdas

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = ["evaluate", "load_model", "load_rows", "predict", "search", "train"]


def printed_by(code: str) -> list[str]:
    """Lines that a fresh Python prints."""
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return out.stdout.splitlines()


@pytest.fixture(scope="module")
def short() -> Config:
    """A run of a second on the embedded data, from random weights."""
    cfg = replace(pocket(), weights="", num_train=8, num_val=4, batch_size=4, epochs=1, frozen_epochs=0)
    return replace(cfg, warmup_steps=0, decoder_width=16)


@pytest.fixture(scope="module")
def run(short: Config, tmp_path_factory: pytest.TempPathFactory) -> apc.Run:
    return apc.train(short, runs=tmp_path_factory.mktemp("runs"), device="cpu")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photographs of different sizes."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name, size in (("a", (40, 60, 3)), ("b", (50, 30, 3))):
        pixels = rng.integers(0, 255, size, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path / "photos"


def test_import_apc_needs_no_other_package() -> None:
    loaded = printed_by("import sys, apc\nprint('\\n'.join(m.split('.')[0] for m in sys.modules))")
    assert "apc" in loaded and not {"torch", "ray", "optuna", "numpy", "pandas", "tyro"} & set(loaded)


def test_the_presets_need_no_torch() -> None:
    code = "import sys, apc\nprint(apc.voc().eval_size, apc.PRESETS['coco']().dataset, 'torch' in sys.modules)"
    assert printed_by(code) == ["960 coco False"]


def test_every_name_is_there_and_listed() -> None:
    assert {"Config", "PRESETS", "coco", "folder", "pocket", "voc", *FUNCTIONS} <= set(apc.__all__) <= set(dir(apc))
    assert all(getattr(apc, name).__doc__ for name in apc.__all__)
    assert apc.Config is Config and apc.pocket is pocket and apc.train is apc.api.train


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'apc' has no attribute 'tran'"):
        apc.tran  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "statement",
    [
        "import apc\nsearch = apc.search",
        "from apc import search",
        "import apc.search.plans\nsearch = apc.search",
        "import apc\napc.search\nimport apc.search.plans\nsearch = apc.search",
        "from apc.search import plans\nfrom apc import search\nassert search.plans is plans",
        "import apc.api\nfrom apc import *",
    ],
)
def test_search_is_the_function_and_the_package_whatever_is_imported_first(statement: str) -> None:
    called = "try:\n    search('joined', trials=1)\nexcept ValueError as error:\n    print(error)"
    assert printed_by(f"{statement}\n{called}") == ["there is no search space 'joined'; did you mean joint?"]


def test_the_search_package_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(apc.search)) is sys.modules["apc.search"]


def test_train_gives_the_folder_and_the_row_of_the_run(run: apc.Run, short: Config) -> None:
    assert run.folder.name == run.row.run == identity(short)
    assert (run.folder / "model.safetensors").is_file()
    assert 0 <= run.metrics["miou"] <= 100 and run.metrics is run.row.metrics


def test_train_returns_a_finished_run_and_reports_the_epochs_of_a_new_one(short: Config, tmp_path: Path) -> None:
    heard: list[dict[str, float]] = []
    first = apc.train(short, runs=tmp_path, device="cpu", report=heard.append)
    assert [numbers["epoch"] for numbers in heard] == [1.0, 1.0] and heard[-1]["final"] == 1.0
    assert apc.train(short, runs=str(tmp_path), device="cpu", report=heard.append).row == first.row
    assert len(heard) == 2


def test_evaluate_gives_the_scores_of_the_row(run: apc.Run) -> None:
    scores = apc.evaluate(run, device="cpu")
    assert scores.miou.to_dict() == {name: run.metrics[name] for name in scores.index} and len(scores) == 8
    assert [f"iou_{name}" for name in run.row.classes] == [c for c in scores.columns if c.startswith("iou_")]
    assert scores.meaning["pseudo_miou"] == "patch branch, image labels given"


def test_evaluate_takes_a_loaded_model_and_names_of_protocols(run: apc.Run) -> None:
    model = apc.load_model(run.folder, device="cpu")
    assert model.classes == run.row.classes and not model.method.training
    scores = apc.evaluate(model, ["miou_48", "miou"])
    assert list(scores.index) == ["miou_48", "miou"] and scores.miou["miou"] == run.metrics["miou"]


def test_evaluate_refuses_a_name_that_tells_no_protocol(run: apc.Run) -> None:
    with pytest.raises(ValueError, match="'mioo' names no protocol"):
        apc.evaluate(run, ["mioo"], device="cpu")


def test_predict_writes_masks_of_the_photographs_own_size(run: apc.Run, photos: Path, tmp_path: Path) -> None:
    summary = apc.predict(run, photos, out=tmp_path / "out", only=["masks"], crf="none", device="cpu")
    masks = [np.asarray(Image.open(tmp_path / "out" / name)) for name in summary["mask"]]
    assert [mask.shape for mask in masks] == [(40, 60), (50, 30)]
    shares = summary[[f"percent_{name}" for name in run.row.classes]]
    assert shares.sum(axis=1).tolist() == pytest.approx([100, 100], abs=0.05)
    assert shares["percent_background"][0] == pytest.approx(100 * (masks[0] == 0).mean(), abs=0.01)


def test_predict_leaves_a_broken_photograph_out_and_says_so(run: apc.Run, photos: Path, tmp_path: Path) -> None:
    whole = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match=r"left out: .*b\.png"):
        summary = apc.predict(run, photos, out=tmp_path / "out", only=["masks"], crf="none", device="cpu")
    assert [Path(image).name for image in summary["image"]] == ["a.png"]


def test_predict_leaves_out_what_is_no_image_or_too_large_where_it_is_told_to(
    run: apc.Run, photos: Path, tmp_path: Path
) -> None:
    (photos / "c.png").write_text("no image")
    asked: dict[str, Any] = {"out": tmp_path / "out", "only": ["masks"], "crf": "none", "device": "cpu"}
    with pytest.raises(ValueError, match=r"2 of 3 files are no images that can be read: .*a\.png \(.*c\.png"):
        apc.predict(run, photos, max_pixels=2000, **asked)
    assert not (tmp_path / "out").exists()
    with pytest.warns(UserWarning, match="left out: ") as warned:
        summary = apc.predict(run, photos, max_pixels=2000, skip_broken=True, **asked)
    assert [Path(image).name for image in summary["image"]] == ["b.png"]
    assert [Path(str(each.message).split(" (")[0]).name for each in warned] == ["a.png", "c.png"]


def test_load_rows_reads_folders_and_files_alike(run: apc.Run, tmp_path: Path) -> None:
    runs = run.folder.parent
    save_rows(tmp_path / "results" / "an_experiment" / "pocket.jsonl", [replace(run.row, row="ours")])
    places = [runs, run.folder, tmp_path / "results" / "an_experiment" / "pocket.jsonl", tmp_path]
    frames = [apc.load_rows(place) for place in places]
    for frame in frames:
        assert frame.run.tolist() == [run.row.run] and frame.theta.tolist() == [0.9]
        assert frame.miou.tolist() == [run.metrics["miou"]]
        assert frame.train_seconds.tolist() == [run.row.seconds["train"]]
    assert [frame["row"].tolist() for frame in frames] == [[""], [""], ["ours"], ["ours"]]


def test_load_rows_names_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: there is no such file or folder of rows"):
        apc.load_rows(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("space", "more", "told"),
    [
        ("simple", {}, "trials is not given; a space needs their number"),
        ({"thetta": None}, {"trials": 1}, "space: there is no field 'thetta'; did you mean theta?"),
        (points([{"theta": 0.5}]), {"trials": 1}, "a plan runs its own settings"),
        ("pooling", {"sampler": "tpe"}, "a plan runs its own settings"),
        ("simple", {"trials": 1, "sampler": "grid"}, "sampler is grid; give a plan"),
        ("simple", {"trials": 1, "sampler": "tpee"}, "choose from tpe, gp"),
        ("simple", {"trials": 2, "stop_when": "iou 70"}, "--stop-when iou 70: no run reports iou; choose from miou, "),
        ("simple", {"trials": 2, "objectives": ("miuo",)}, "--objectives miuo: no run reports it; choose from miou, "),
        ("simple", {"trials": 2, "race": 1}, "race is 1; it must be at least 2"),
        ("simple", {"trials": 2, "prefer": "paper"}, "--prefer is for a race"),
        (points([{"theta": 0.5}]), {"seeds": ()}, "seeds is (); give different seeds from 0 on, such as (0, 1, 2)"),
        ("simple", {"trials": 2, "seeds": (1, 1)}, "seeds is (1, 1); give different seeds"),
        ("simple", {"trials": 2, "seeds": 3}, "seeds is 3; give different seeds"),
        (points([{"seed": 3}, {"seed": 4}]), {}, "the plan: seed is no knob; seeds=(0, 1) says which are run"),
    ],
)
def test_search_refuses_in_one_sentence(space: Any, more: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as error:
        apc.search(space, runs=tmp_path, **more)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_search_takes_a_mapping_or_a_plan_and_gives_the_runs_of_train(
    warm_ray: None, run: apc.Run, short: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apc.search.spaces import Real

    monkeypatch.setattr("apc.search.worker.in_process", untrained())
    chosen = {"theta": short.theta}
    found = apc.search({"theta": Real(0.5, 0.9)}, base=short, trials=2, first=[chosen], runs=tmp_path, name="theta")
    assert found.trials.theta.tolist()[0] == 0.9 and found.trials.state.tolist() == ["done", "done"]
    scores = {row.run: row.metrics["miou"] for row in load_runs(tmp_path)}
    assert found.trials.run[0] == run.row.run
    assert found.trials.miou.tolist() == [scores[name] for name in found.trials.run]
    best = found.trials.loc[found.trials.miou.idxmax()]
    assert found.best == replace(short, theta=best.theta)
    assert (tmp_path / "theta.journal").is_file()
    planned = apc.search(
        points({"paper": {"theta": 0.9}, "other": {"theta": 0.5}}), base=short, runs=tmp_path, race=2, race_seeds=2
    )
    assert [point.label for point, _ in planned.points] == ["paper", "other"]
    assert {seed for standing in planned.race for seed in standing.scores} == {100, 101}
    assert planned.best == replace(short, **planned.race[0].racer.values)


@pytest.mark.slow
def test_the_examples_of_the_docstrings_run(
    warm_ray: None, short: Config, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, with a short setting in the place of the preset; the search's runs are made up."""
    monkeypatch.setattr("apc.search.worker.in_process", untrained())
    monkeypatch.chdir(photos.parent)
    monkeypatch.setattr(apc, "pocket", lambda: short)
    order = ("train", "load_model", "evaluate", "predict", "search", "load_rows")
    text = "\n\n".join(inspect.getdoc(getattr(apc.api, name)) or "" for name in order)
    examples = doctest.DocTestParser().get_doctest(text, {"apc": apc}, "apc.api", None, None)
    assert len(examples.examples) == 13
    assert doctest.DocTestRunner().run(examples).failed == 0


@pytest.mark.slow
def test_a_user_of_mypy_sees_the_types(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "import apc\nimport apc.search.plans\nfrom apc import search\n"
        "reveal_type(apc.train(apc.voc()))\nreveal_type(apc.search('joint', trials=3).best)\n"
        "reveal_type(search('joint', trials=3))\napc.train(3)\n"
    )
    command = [sys.executable, "-m", "mypy", str(tmp_path / "user.py")]  # with what the gate's mypy has kept
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    for kind in ('"apc.api.models.Run"', '"apc.config.fields.Config | None"', '"apc.api.searches.SearchResult"'):
        assert f"Revealed type is {kind}" in told, told
    assert 'Argument 1 to "train" has incompatible type "int"' in told and "Found 1 error" in told


def test_the_version_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"apc {apc.__version__}\n"
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("asked", [{"root": "elsewhere"}, {"val_list": "other.csv"}])
def test_pocket_has_no_other_photographs_to_score(model: Path, asked: dict[str, str]) -> None:
    (name, value), *_ = asked.items()
    with pytest.raises(ValueError, match=f"{name} is '{value}'; the run's data set is pocket, which is drawn"):
        apc.evaluate(model, device="cpu", **asked)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{name} is '{value}'"):
        evaluate.command([str(model), "--device", "cpu", f"--{name.replace('_', '-')}", value])


def test_a_device_beside_a_loaded_model_is_refused(model: Path) -> None:
    loaded = apc.load_model(model, device="cpu")
    with pytest.raises(ValueError, match="device is 'cuda'; the model is on cpu"):
        apc.evaluate(loaded, device="cuda")


def test_a_search_by_masks_of_photographs_without_any_is_refused_before_anything_is_trained(
    photographs: Path, tmp_path: Path
) -> None:
    shutil.rmtree(photographs / "masks")
    small: dict[str, Any] = {"encoder": "pocket", "decoder_blocks": (1, 3), "image_size": 48}
    base = replace(apc.folder(), root=str(photographs), **small)
    for space, more, instead in (
        ("simple", {"trials": 2}, r"so miou cannot be chosen by; give objectives=\('branch_rule',\)"),
        (
            "simple",
            {"trials": 2, "objectives": "branch_rule", "stop_when": "miou 70"},
            "so no run will have the miou of --stop-when miou 70; name a score by image labels, such as branch_rule",
        ),
        (lambdas.PLAN, {}, "so miou cannot be chosen by; give the plan metric='branch_rule'"),
        (points([{"theta": 0.5}, {"theta": 0.9}]), {"race": 2}, "so miou cannot be chosen by; leave out race"),
    ):
        with pytest.raises(ValueError, match=f"photos: no validation image has a mask, {instead}"):
            apc.search(space, base=base, runs=tmp_path / "runs", progress=False, **more)
    assert not (tmp_path / "runs").exists()


def test_a_search_gives_trials_up_as_the_command_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[StudyDefinition] = []
    monkeypatch.setattr("apc.experiment.before.prepared", lambda *_: {})
    monkeypatch.setattr("apc.search.driver.optuna_search", lambda study, **_: asked.append(study) or [])
    base = replace(pocket(), weights="")
    for more in ({}, {"objectives": ("miou", "train_seconds")}, {"stop_early": "median"}, {"objectives": "tune_miou"}):
        apc.search("simple", base=base, trials=8, runs=tmp_path, **more)
    apc.search("simple", base=replace(base, epochs=3), trials=8, runs=tmp_path)
    rules = [(study.settings.stop_early, study.settings.objectives[0]) for study in asked]
    assert rules == [
        ("halving", "miou"),
        ("none", "miou"),
        ("median", "miou"),
        ("halving", "tune_miou"),
        ("none", "miou"),  # no rung lies between its frozen epochs and its end
    ]
    command = ["--trials", "8", "--weights="]
    experiment = space_experiment("simple")
    settings = settings_of(experiment, read_flags(experiment, command))
    assert settings.search and journal_settings(asked[0]) == journal_settings(
        replace(asked[0], settings=settings.search)
    )


def test_a_race_that_is_interrupted_gives_what_search_and_race_have_finished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = points([{"theta": 0.5}, {"theta": 0.9}])

    def driver(plan: Any, *, seeds: list[int], **_: Any) -> list[tuple[Point, list[Row]]]:
        row = Row(run="r", config={"seed": seeds[0]}, metrics={"miou": 9.0}, seconds={})
        done = [(point, [row]) for point in plan.next([])]
        if plan is settings:
            return done
        raise Interrupted(done[:1])

    monkeypatch.setattr("apc.experiment.before.prepared", lambda *_: {})
    monkeypatch.setattr("apc.search.driver.search", driver)
    with pytest.raises(Interrupted) as stop:
        apc.search(settings, base=replace(pocket(), weights=""), runs=tmp_path, race=2, progress=False)
    assert [rows[0].config["seed"] for _, rows in stop.value.result] == [0, 0, 100]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda runs: apc.train(pocket(), runs=runs, choose="masks"),
            "choose is 'masks'; choose from val, half, labels",
        ),
        (
            lambda runs: apc.search("simple", trials=3, runs=runs, race=3, prefer="cheep"),
            "prefer is 'cheep'; choose from best, cheapest, paper",
        ),
    ],
)
def test_a_choice_that_there_is_not_is_refused_before_anything_is_made(
    call: Callable[[Path], Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=told):
        call(tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_protocol_may_stand_without_a_list(run: apc.Run) -> None:
    assert list(apc.evaluate(run, "miou", device="cpu").index) == ["miou"]


def test_the_plan_of_a_module_may_be_made_of_the_base(monkeypatch: pytest.MonkeyPatch, short: Config) -> None:
    monkeypatch.setattr(lambdas, "PLAN", lambda base: points([{"lambda1": base.lambda1}]))
    with pytest.raises(ValueError, match="a plan runs its own settings"):
        apc.search("lambdas", base=short, trials=2)


@pytest.mark.parametrize("call", [lambda: apc.train("pocket"), lambda: apc.search("simple", base="pocket")])  # type: ignore[arg-type]
def test_the_name_of_a_preset_is_no_config_and_the_refusal_says_what_makes_one(call: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match=r"takes a Config, as apc.pocket\(\), .*'pocket' is a str"):
        call()
