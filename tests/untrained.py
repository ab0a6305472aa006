"""A Tune function that trains nothing: made-up epochs and scores, written and reported as a worker's are."""

from collections.abc import Callable
from typing import Any

from apc.search.worker import Task


def untrained(before: Callable[[str, int], None] | None = None, pause: float = 0.0) -> Callable[[Task], None]:
    """Stands in for worker.in_process: the worker's own code, with a training of `pause` seconds an epoch.

    A run goes on from the epochs that it has, each with the `moment` when it was made; its miou comes from lambda1,
    theta and the seed. Its file `attempts` gets an x each time that it is tried; then `before(label, attempts so far)`
    may raise, or kill. All is nested, for Ray sends to its workers by value what no module of theirs has, and a
    worker that trains nothing loads no torch.
    """

    def in_process(task: Task) -> None:
        import math
        import time
        from pathlib import Path

        from apc.config import Config, without_paths
        from apc.runs.folder import RunFolder, save_run
        from apc.runs.rows import Row
        from apc.search import worker

        def train_one(cfg: Config, *, runs: Path, report: worker.Report, name: str, **how: Any) -> None:
            folder, until = RunFolder(runs / name), int(how.get("until", 0))
            attempts = folder.path / "attempts"
            with attempts.open("a") as file:
                file.write("x")
            if before:
                before(task["label"], len(attempts.read_text()))
            curve = folder.epochs()
            for epoch in range(len(curve) + 1, (until or cfg.epochs) + 1):
                time.sleep(pause)
                curve.append({"epoch": epoch, "loss": 1 / epoch, "seconds": 1.0 * epoch, "moment": time.time()})
                folder.write_epochs(curve)
                report({"epochs": float(cfg.epochs), **curve[-1]})
            if until:
                return
            of_lambda1 = 5 * abs(math.log10(cfg.lambda1 or 1e-3) + 1)
            miou = 50 - of_lambda1 - 20 * abs(cfg.theta - 0.7) + (7 * cfg.seed + 100 * cfg.theta) % 3 / 10
            row = Row(run=name, config=without_paths(cfg), metrics={"miou": miou}, seconds={"train": 1.0}, curve=curve)
            save_run(runs, row)
            report({"final": 1.0, "epoch": float(cfg.epochs), "epochs": float(cfg.epochs), "miou": miou})

        real = worker.train_one
        worker.train_one = train_one  # type: ignore[assignment]
        try:
            worker.in_process(task)
        finally:  # the process is reused
            worker.train_one = real

    return in_process
