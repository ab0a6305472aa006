"""Trials that raise or lose their process; a disk that fills up; what trackers are told."""

import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from untrained import untrained

import search_spaces
from apc.config import Config, to_dict
from apc.runs.folder import load_run, load_runs
from apc.runs.rows import Row
from apc.runs.status import status
from apc.search import spaces, worker
from apc.search.plans import points
from apc.search.search_settings import SearchSettings
from apc.search.study import Study
from apc.search.study_settings import StudyDefinition
from apc.search.view import NoView
from search_spaces import joint

pytestmark = pytest.mark.usefixtures("warm_ray")

TINY = Config(
    num_train=8,
    num_val=4,
    batch_size=4,
    image_size=96,
    encoder="pocket",
    decoder_blocks=(1, 2, 3),
    decoder_width=16,
    decoder_norm="layer",
    epochs=2,
    frozen_epochs=0,
    unfreeze_blocks=3,
    crf="none",
    dropout=0.0,
    decoder_dropout=0.0,
)


@pytest.mark.slow
def test_whatever_ends_a_trial_it_is_tried_again_as_often_as_told_then_recorded_and_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apc.search.driver import search
    from apc.search.ray_session import Resources

    def spoil(label: str, attempt: int) -> None:
        import os
        import signal

        if label == "killed":  # as the system does where memory runs out
            os.kill(os.getpid(), signal.SIGKILL)
        if label == "nan":
            raise FloatingPointError("the loss is not finite in epoch 1")
        if label == "flaky" and attempt < 3:
            raise RuntimeError(f"attempt {attempt}")

    monkeypatch.setattr(worker, "in_process", untrained(spoil))
    thetas = {"killed": 0.5, "nan": 0.6, "flaky": 0.7, "good": 0.9}
    settings: dict[str, dict[str, Any]] = {label: {"theta": theta} for label, theta in thetas.items()}
    runs, once = tmp_path / "runs", points({"flaky": settings["flaky"]})
    result = search(points(settings), base=TINY, seeds=[0], runs=runs, resources=Resources(retries=2))
    rows = {point.label: row for point, (row,) in result}
    tries = {label: len((runs / row.run / "attempts").read_text()) for label, row in rows.items()}
    assert tries == {"killed": 3, "nan": 3, "flaky": 3, "good": 1}
    assert rows["killed"].error.startswith("its process was lost") and "out of memory" in rows["killed"].error
    assert rows["nan"].error == "FloatingPointError: the loss is not finite in epoch 1"
    assert rows["nan"].metrics == {} and load_run(runs, rows["nan"].run) is None
    assert (rows["flaky"].error, rows["good"].error) == ("", "")
    told = status(runs)
    assert "2 finished, 2 failed" in told and "(nan, seed 0)" in told
    assert all(row.error in told for row in rows.values())
    ((_, (first,)),) = search(once, base=TINY, seeds=[0], runs=tmp_path / "once", resources=Resources(retries=0))
    assert first.error == "RuntimeError: attempt 1"

    curves = {folder.name: scalars(folder) for folder in (runs / ".tune").glob("*/*/") if folder.is_dir()}
    (name,) = [name for name in curves if name.startswith("good_seed_0.")]
    row = rows["good"]
    assert curves[name]["ray/tune/loss"] == pytest.approx([entry["loss"] for entry in row.curve])
    assert curves[name]["ray/tune/miou"] == pytest.approx([row.metrics["miou"]])
    assert curves[name]["ray/tune/epoch"] == [1, 2, 2]


def scalars(folder: Path) -> dict[str, list[float]]:
    """Curves of a trial's TensorBoard files, by tag."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)  # a record: size, its checksum, the event, its checksum
            event = Event.FromString(content[at + 12 : at + 12 + size])
            at += 16 + size
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(value.simple_value)
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root on Linux alone")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Fill(NoView):
    """Fills the disk as soon as one run has ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ended(self, run: str, label: str, rows: list[Row]) -> None:
        with open(self.folder / "filler", "ab", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plan", "study"])
def test_a_disk_that_fills_up_ends_the_search_in_one_sentence_and_loses_nothing_finished(
    kind: str, small_disk: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from apc.search.driver import optuna_search, search
    from apc.search.ray_session import Resources

    monkeypatch.setattr(worker, "in_process", untrained())
    runs = small_disk / "runs"
    plan = points({"a": {"theta": 0.5}, "b": {"theta": 0.9}, "c": {"theta": 0.7}})

    def go(view: NoView) -> Any:
        trained: dict[str, Any] = {"name": "study", "base": TINY, "seeds": [0]}
        where: dict[str, Any] = {"runs": runs, "resources": Resources(max_concurrent=1), "view": view}
        if kind == "plan":
            return search(plan, **trained, **where)
        draw = search_spaces.draw_of(joint, TINY)  # type: ignore[arg-type]
        definition = StudyDefinition(draw, settings=SearchSettings(trials=3), first=joint.FIRST, **trained)
        return optuna_search(definition, **where)

    with pytest.raises(ValueError, match=r"runs: cannot be written any more \(No space left on device\)") as caught:
        go(Fill(small_disk))
    assert str(caught.value).count("\n") == 0 and "the same command goes on" in str(caught.value)
    assert "Traceback" not in "".join(capfd.readouterr())
    (first,) = load_runs(runs)
    row = runs / first.run / "row.json"
    before = row.stat().st_mtime_ns
    (small_disk / "filler").unlink()
    rows = [rows[0] for _, rows in go(NoView())]
    began = {"plan": 1, "study": 0}[kind]  # the paper's theta is trained first, wherever a plan has it
    assert [row.error for row in rows] == ["", "", ""] and rows[began].run == first.run
    assert row.stat().st_mtime_ns == before


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_one_trial_at_a_time_proposes_the_same_with_ray_and_without(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainings are left out: a made-up score by the setting stands in for them."""
    from apc.search.driver import optuna_search
    from apc.search.ray_session import Resources

    def fake(values: dict[str, Any], run: str, runs: Path) -> None:
        import math

        from apc.runs.folder import save_run
        from apc.runs.rows import Row

        miou = 50 - 5 * abs(math.log10(values["lambda1"]) + 1) - values["k"] - 20 * abs(values["theta"] - 0.7)
        save_run(runs, Row(run=run, config=values, metrics={"miou": miou}, seconds={}))

    def train(task: worker.Task) -> None:
        from pathlib import Path

        from ray import tune

        for values, run in zip(task["configs"], task["ids"], strict=True):
            fake(values, run, Path(task["runs"]))
        tune.report({"epoch": 1.0})

    monkeypatch.setattr(worker, "in_process", train)
    base = replace(TINY, epochs=1)
    draw: spaces.Draw = search_spaces.draw_of(joint, base)
    settings = SearchSettings(trials=16, sampler=sampler, search_seed=5)
    definition = StudyDefinition(draw, name="study", base=base, seeds=[0, 1], settings=settings)
    found = optuna_search(definition, runs=tmp_path / "ray", resources=Resources(max_concurrent=1))

    study = Study(definition, tmp_path / "plain")
    while trial := study.take():
        for cfg, run in zip(trial.configs, trial.ids, strict=True):
            fake(to_dict(cfg), run, study.runs)
        study.finish(trial)
    assert [point.values for point, _ in found] == [point.values for point, _ in study.result()]
    assert len({point.key for point, _ in found}) > 12
    assert [trial.value for trial in study.ended] == [(rows[0].metrics["miou"]) for _, rows in found]


def test_an_actor_waits_for_a_trial_that_takes_its_time_to_end_before_it_takes_the_next(tmp_path: Path) -> None:
    """Tune waits two seconds for it, and fails the next one, which has not begun, whatever retries it has."""
    from ray import tune
    from ray.train._internal.storage import StorageContext
    from ray.tune.trainable.function_trainable import wrap_function

    def trial(config: dict[str, Any]) -> None:
        try:
            tune.report({"epoch": 1})
            tune.report({"epoch": 2})
        finally:
            time.sleep(2.5)

    storage = StorageContext(storage_path=str(tmp_path), experiment_dir_name="search", trial_dir_name="trial")
    actor = wrap_function(trial)(config={}, storage=storage)
    assert actor.train()["epoch"] == 1
    assert actor.reset({}, storage=storage)
