"""What Ray adds to a trial, in percent of a 60-second trial: at most 5.

    python benchmarks/ray_overhead.py

The same short trainings twice with the same number of processes: once through the driver (Tune, one process a trial,
actors reused, Ray's own start included), once in plain Python. The difference, divided by the number of trials, is what
Ray adds to each. Beside it the other launcher: a TorchTrainer a trial, less the seconds its rows say were spent on
training and scoring. Trainings are short and each side takes its best of three rounds, turn about: other work on
the machine would drown the difference. About four minutes on two cores.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from apc.config import Config
from apc.runs.stamp import machine
from apc.search.plans import points

TRIAL = 60.0  # seconds of the trial that the share refers to
LIMIT = 5.0  # percent
SHORT = Config(
    num_train=16,
    num_val=4,
    batch_size=16,
    image_size=96,
    encoder="pocket",
    decoder_blocks=(1, 2, 3),
    decoder_width=16,
    decoder_norm="layer",
    epochs=2,
    frozen_epochs=0,
    unfreeze_blocks=3,
    crf="none",
)


def plain(cfg: Config, runs: Path) -> None:
    """One training in this process."""
    import torch

    from apc.training.run import run

    torch.set_num_threads(1)
    run(cfg, runs=runs)


def in_plain_python(trials: int, processes: int, runs: Path) -> float:
    """Wall seconds of all trainings in a pool of processes."""
    began = time.perf_counter()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(plain, [replace(SHORT, seed=seed) for seed in range(trials)], [runs] * trials))
    return time.perf_counter() - began


def through_the_driver(trials: int, workers: int, slots: int, runs: Path) -> tuple[float, float]:
    """Wall seconds of all trainings through apc.search, and the part its rows count as training and scoring."""
    from apc.search.driver import search
    from apc.search.ray_session import Resources

    plan, resources = points([{"theta": SHORT.theta}]), Resources(num_workers=workers, max_concurrent=slots)
    began = time.perf_counter()
    ((_, rows),) = search(plan, base=SHORT, seeds=range(trials), runs=runs, resources=resources)
    wall = time.perf_counter() - began
    if any(row.error for row in rows):
        raise SystemExit(f"a run failed: {next(row.error for row in rows if row.error)}")
    return wall, sum(row.seconds["train"] + row.seconds["eval"] for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="What Ray adds to a trial.")
    parser.add_argument("--trials", type=int, default=40, help="trials of one process each (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the best counts (default: 3)")
    parser.add_argument("--trainer-trials", type=int, default=3, help="trials with a TorchTrainer each (default: 3)")
    args = parser.parse_args()
    slots, n = os.cpu_count() or 1, args.trials
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}; {slots} trials side by side")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        rounds = [
            (in_plain_python(n, slots, here / f"plain{i}"), through_the_driver(n, 1, slots, here / f"tune{i}")[0])
            for i in range(args.rounds)
        ]
        base, tune = (min(walls) for walls in zip(*rounds, strict=True))
        added = (tune - base) / n
        print(f"plain Python:        {n} trainings in {base:5.1f} s")
        print(f"Tune, actors reused: {n} trials in {tune:9.1f} s, {added:+.2f} s a trial, Ray's start included")
        if args.trainer_trials:
            wall, inside = through_the_driver(args.trainer_trials, min(2, slots), 1, here / "trainer")
            more = (wall - inside) / args.trainer_trials
            print(f"a TorchTrainer each: {args.trainer_trials} trials in {wall:10.1f} s, {more:+.2f} s a trial")
    share = 100 * added / TRIAL
    print(f"Ray adds {share:.1f} % to a {TRIAL:.0f}-second trial (at most {LIMIT:g})")
    return 0 if share <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
