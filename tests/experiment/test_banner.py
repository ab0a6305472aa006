"""What is said before a search starts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fitting import folder_config

from apc.config import Config, folder, plus, pocket, to_dict
from apc.experiment.banner import banner
from apc.experiment.flags import Workers, read_flags
from apc.experiment.forecast import hours
from apc.experiment.main import space_experiment
from apc.experiment.settings import settings_of
from apc.experiment.workers import places
from apc.models.crf import CRFParameters
from apc.runs.folder import save_run
from apc.runs.rows import Row
from apc.search.run_queue import RunQueue
from apc.training import speed
from apc.training.effort import epochs_of_masks
from experiments import grid_lambda

IMAGES = {"train": 960, "val": 256, "test": 256}


def name_of(cfg: Config) -> str:
    return f"{cfg.lambda1} {cfg.lambda2} {cfg.seed}"


def said(words: list[str], capsys: pytest.CaptureFixture[str], experiment: object = grid_lambda.EXPERIMENT) -> str:
    """The banner's last part."""
    flags = read_flags(experiment, words)  # type: ignore[arg-type]
    settings = settings_of(experiment, flags)  # type: ignore[arg-type]
    queue = None
    if settings.plan:
        queue = RunQueue(settings.plan, base=settings.base, seeds=settings.seeds, runs=settings.runs, identify=name_of)
    banner(experiment, settings, queue, IMAGES)  # type: ignore[arg-type]
    return capsys.readouterr().out.strip().split("; ")[-1]


def test_a_schedule_too_short_for_a_rung_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    told = "every trial trains to its end: halving has no rung in 3 epochs, 1 of them frozen (--rungs names one)"
    simple = ["--trials", "4", "--epochs", "3", *words]
    assert told in said(simple, capsys, space_experiment("simple"))
    assert told not in said([*simple, "--stop-early", "none"], capsys, space_experiment("simple"))


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two places, and a step that takes a tenth of a second: a run of 600 takes a minute."""
    monkeypatch.setattr(speed, "speed", lambda cfg, images, threads: speed.Speed(0.1, 0.0, 0.0))
    monkeypatch.setattr("apc.parallel.cores", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    return ["--runs", str(tmp_path), "--reports", str(tmp_path)]


def test_the_minutes_are_those_of_this_machine_and_of_all_stages(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # 5 settings now and 4 to 6 later, with 2 seeds: 18 minutes of work at least and 22 at most, half or double
    assert said(["--seeds", "2", *words], capsys) == (
        "18 to 22 runs, 2 at a time: 5 min to 22 min (a step takes 0.1 s here just now, and Ray 20 s to start), "
        "180 to 220 epochs, 0.15 to 0.73 core-hours"
    )
    assert said(["--seeds", "2", "--max-concurrent", "1", *words], capsys).startswith(
        "18 to 22 runs, 1 at a time: 9 min to 44 min"
    )
    simple = space_experiment("simple")
    all_of_them = ["--stop-early", "none"]
    assert said(["--trials", "4", "--price", "2", *all_of_them, *words], capsys, simple) == (
        "4 runs, 2 at a time: 1 min to 4 min (a step takes 0.1 s here just now, and Ray 20 s to start), 40 epochs, "
        "0.03 to 0.13 core-hours (0.07 to 0.27 at 2 a core-hour)"
    )
    # a race of three: to the first look three seeds more, and five at most
    assert said(["--trials", "4", "--race", "3", *all_of_them, *words], capsys, simple).startswith(
        "13 to 19 runs, 2 at a time: "
    )
    assert said(["--trials", "24", *words], capsys, simple) == (
        "24 runs (24 to epoch 4, 6 or 7 to epoch 10, in 3 brackets), 2 at a time: 4 min to 14 min "
        "(a step takes 0.1 s here just now, and Ray 20 s to start), at most 138 epochs instead of 240, "
        "0.11 to 0.46 core-hours"
    )


def test_finished_runs_tell_more_than_a_step(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = [{"epoch": float(number)} for number in range(1, 11)]
    for seed in range(5):
        seconds = {"train": 100.0 + seed, "eval": 20.0}
        row = Row(run=f"{seed}", config=to_dict(replace(pocket(), seed=seed)), metrics={}, seconds=seconds, curve=curve)
        row.stamp["images"] = IMAGES
        save_run(tmp_path, row)
    whole = ["--trials", "4", "--stop-early", "none", *words]
    assert said(whole, capsys, space_experiment("simple")) == (
        "4 runs, 2 at a time: about 4 min (as those that are finished took, and Ray 20 s to start), 40 epochs, "
        "0.13 to 0.14 core-hours"
    )
    on_gpus = said([*whole, "--gpus", "0.5", "--price", "3"], capsys, space_experiment("simple"))
    assert on_gpus == (
        "4 runs, 40 epochs, 0.07 GPU-hours (0.20 to 0.21 at 3 a GPU-hour), as those that are finished took"
    )


def test_of_other_machines_and_of_gpus_a_step_here_says_nothing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert places(Workers(address="auto")) is None and places(Workers(gpus=0.5)) is None
    assert places(Workers(cpus=2)) == 1 and places(Workers(num_workers=4)) == 1
    assert said(["--gpus", "1", *words], capsys) == ("27 to 33 runs, 270 to 330 epochs, about 21 minutes on two cores")


def test_a_run_is_its_epochs_and_its_scorings() -> None:
    cfg = replace(pocket(), epochs=10, batch_size=16, eval_every=0)
    found = speed.Speed(step=0.5, beside=1.0, photograph=2.0)
    assert found.run(cfg, {"train": 64, "val": 6}) == 10 * (4 * 0.5 + 1.0) + 6 * 2.0
    with_rounds = found.run(replace(cfg, rounds=2, round_epochs=2), {"train": 64, "val": 6})
    assert with_rounds == pytest.approx((10 + 2 * 3.5) * (4 * 0.5 + 1.0) + 6 * 2.0)  # the masks of a round: 3.5 epochs
    # at epochs 4 and 8 a scoring without CRF, a quarter of a whole one, and so at the end of the test images
    more = found.run(replace(cfg, eval_every=4), {"train": 64, "val": 6, "test": 8})
    assert more == 30.0 + (6 * 1.5 + 8 * 0.25) * 2.0


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ({}, 2 * 0.55 + 2.4),  # the image and its mirror image, then the CRF
        ({"round_scales": (1.2,)}, 2 * 0.85 * 1.44 + 2.4),  # measured: 4.7 to 5.3
        ({"round_scales": (1.0, 1.2)}, 2 * (0.55 + 0.85 * 1.44) + 2.4),
        ({"flip": "none", "round_refine": "none"}, 0.55),
    ],
)
def test_masks_of_a_round_take_as_long_as_what_they_are_made_of(changes: dict[str, Any], epochs: float) -> None:
    cfg = replace(plus(folder()), round_scales=(1.0,))
    assert epochs_of_masks(replace(cfg, **changes)) == pytest.approx(epochs)


def test_finished_runs_tell_the_time_of_others_with_their_rounds() -> None:
    plain, rounds = pocket(), plus(pocket())  # 10 epochs; and 3.5 of masks and 3 more
    curve = [{"epoch": epoch + 1.0} | ({"round": 1.0} if epoch > 9 else {}) for epoch in range(13)]

    def row(cfg: Config, seconds: float) -> Row:
        made = Row(run="r", config=to_dict(cfg), metrics={}, seconds={"train": seconds}, curve=curve[: cfg.epochs])
        return replace(made, stamp={"images": IMAGES})

    newer = row(plain, 1.0)
    newer.config["knob_of_a_newer_version"] = 1
    for todo, done, expected in ((rounds, row(plain, 100.0), 165.0), (plain, row(rounds, 165.0), 100.0)):
        found = hours([todo], [done, newer], None)
        assert found and found.mean * 3600 == pytest.approx(expected)


def test_photographs_without_masks_are_scored_by_the_forecast_as_a_run_would(
    photographs: Path, refined: list[tuple[CRFParameters, int]]
) -> None:
    for mask in (photographs / "masks").iterdir():
        mask.unlink()
    cfg = replace(folder_config(photographs), decoder_norm="layer")
    speed.speed(cfg, {"train": 8, "val": 3})
    assert [contests for _, contests in refined] == [1, 1, 1]


def test_a_few_steps_are_made_and_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = speed.speed(replace(pocket(), weights="", crf="none"), IMAGES)
    assert 0 < found.step < found.run(pocket(), IMAGES) and found.photograph > 0
    assert list(tmp_path.iterdir()) == []
