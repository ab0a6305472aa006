"""Seconds of the processor for what answers from files alone, over folders of made-up finished runs."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from apc.config import from_dict, to_dict
from apc.runs.folder import RunFolder, Setting
from apc.runs.rows import Row, run_id, save_rows

PLAN = """
from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.search.plans import points

PLAN = points([{{"theta": round(0.5 + 0.4 * i / {count}, 6)}} for i in range({count})])
raise SystemExit(main(Experiment(name="plan", title="A plan", plan=PLAN)))
"""


class Took(NamedTuple):
    """What a command took."""

    cpu: float
    wall: float


def made_up(count: int, like: Row) -> list[Row]:
    """Finished runs of a search over theta, and one other."""
    base = from_dict(like.config)
    configs = [to_dict(replace(base, theta=round(0.5 + 0.4 * i / count, 6))) for i in range(count)]
    rows, stamp = [], like.stamp | {"search": {"trials": count, "sampler": "random"}}
    for i, cfg in enumerate(configs):
        metrics = {name: value + i % 97 / 10 for name, value in like.metrics.items()}
        run, label = run_id(cfg, "data", "weights"), f"theta={cfg['theta']:g}"
        rows.append(
            replace(like, config=cfg, metrics=metrics, stamp=stamp, run=run, row=label, experiment="space_made")
        )
    return rows


def write(runs: Path, rows: Sequence[Row]) -> None:
    """Their folders, with the files that a search's runs have but for the model."""
    for row in rows:
        folder = RunFolder(runs / row.run)
        folder.path.mkdir(parents=True)
        folder.row.write_text(json.dumps(asdict(row), indent=1))
        folder.curve.write_text("".join(json.dumps(epoch) + "\n" for epoch in row.curve))
        folder.task.write_text(json.dumps(Setting(row.row, 0)._asdict()))
        folder.lock.write_text("nobody")


def took(words: Sequence[str], home: Path) -> Took:
    """What Python takes for a command, its start included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(cpu, time.perf_counter() - began)


def time_verbs(sizes: Sequence[int], like: Row) -> None:
    """Print what each verb takes over each number of runs; over one it takes little but its start."""
    verbs = {
        "status": ["-m", "apc", "status", "runs"],
        "report": ["-m", "apc", "report", "reports"],
        "report, again": ["-m", "apc", "report", "reports"],
        "plan, dry run": ["plan.py", "--dry-run", "--runs", "runs", "--reports", "reports"],
    }
    print("runs   " + "   ".join(f"{name:>18}" for name in verbs), flush=True)
    for count in sizes:
        with tempfile.TemporaryDirectory() as folder:
            home, rows = Path(folder), made_up(count, like)
            write(home / "runs", rows)
            save_rows(home / "reports" / "results" / "space_made" / "pocket.jsonl", rows)
            (home / "plan.py").write_text(PLAN.format(count=count))
            each = [took(words, home) for words in verbs.values()]
        print(f"{count:6} " + "   ".join(f"{one.cpu:6.2f} s ({one.wall:6.1f})" for one in each), flush=True)
