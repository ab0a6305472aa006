"""Seconds to build a report of 500 rows: from nothing, and again with the figures that have not changed.

    python benchmarks/report.py [--rows 500]

The rows are those of 20 experiments of five settings and five seeds with the curves and classes of a real run; two of
the experiments have figures. The aim is ten seconds on two cores (issue 6).
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from apc.config import Config, to_dict
from apc.reporting.page import build
from apc.runs.rows import Row, run_id, save_rows

SEEDS = 5
SETTINGS = 5
CLASSES = ["background", *(f"class {i}" for i in range(1, 9))]
AIM = 10.0


def rows_of(experiment: str, chance: random.Random, settings: int) -> list[Row]:
    """Rows of one experiment: `settings` values of k, five seeds each."""
    rows = []
    for i in range(settings):
        for seed in range(SEEDS):
            config = to_dict(Config()) | {"seed": seed, "k": 2 * (i + 1)}
            score = 40 + i + chance.gauss(0, 2)
            epochs = [float(e) for e in range(1, 16)]
            curve = [{"epoch": e, "mce": 1 / e, "pce": 0.1 * e, "seg": 0.5 / e, "loss": 2 / e} for e in epochs]
            metrics = {name: score + chance.gauss(0, 1) for name in ("miou", "miou_crf", "test_miou", "patch_miou")}
            per_class: dict[str, list[float | None]] = {"miou": [score + chance.gauss(0, 5) for _ in CLASSES]}
            stamp: dict[str, Any] = {"commit": "0" * 12, "machine": "benchmark", "data": "d", "weights": "w"}
            rows.append(
                Row(
                    run=run_id(config, experiment, "w"),
                    config=config,
                    metrics=metrics,
                    seconds={"train": 60.0},
                    per_class=per_class,
                    classes=CLASSES,
                    curve=curve,
                    stamp=stamp,
                    row=f"k={config['k']}",
                    experiment=experiment,
                )
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500)
    wanted = parser.parse_args().rows
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        names = ["table7_pooling", "search_joint"] + [f"other{i:02}" for i in range(wanted // (SEEDS * SETTINGS) - 2)]
        for name in names:
            save_rows(Path(folder) / "results" / name / "pocket.jsonl", rows_of(name, chance, SETTINGS))
        for what in ("from nothing", "again, nothing changed"):
            wall, cpu = time.perf_counter(), time.process_time()
            build(Path(folder))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            rows = len(names) * SETTINGS * SEEDS
            print(f"{rows} rows, {what}: {wall:.1f} s ({cpu:.1f} s of CPU), {wall / AIM:.2f} of the aim")
        print(f"torch or ray loaded: {sorted({'torch', 'ray'} & set(sys.modules)) or 'no'}")


if __name__ == "__main__":
    main()
