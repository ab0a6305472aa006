"""Record the golden runs and studies anew: `python tests/record_golden.py`, about a minute of one core.

This is legitimate where a commit means to change what training, scoring or proposing computes (the first two together
with RECIPE_VERSION, so that no finished run passes for a new one), where it adds a run, a study or a field of Config
(which the journal lists), and where a new version of torch or Optuna gives other numbers with the code as it was. The
commit says which and why. It is never the answer to a refactoring that fails a test.

On the machine that recorded last, named in the first line of runs.jsonl, a refactoring is proved by recording: `git
diff tests/golden` stays empty, to six digits, where the tests leave another processor its own last ones.
"""

import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from golden_files import GOLDEN
from golden_runs import RUNS, measured
from golden_studies import JOURNAL, SETTINGS, conduct, journal

from apc.runs.stamp import machine


def write(name: str, lines: list[dict[str, Any]]) -> None:
    (GOLDEN / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(f"{GOLDEN / name}: {len(lines)} lines")


def main() -> None:
    versions = {name: version(name) for name in ("torch", "timm", "numpy", "optuna")}
    runs = [{"recorded": {"machine": machine(), "python": platform.python_version(), **versions}}]
    runs += [{"name": name} | line for name in RUNS for line in measured(name)]
    studies = []
    for name in SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            studies += [{"name": name} | line for line in conduct(name, Path(folder))]
            if name == JOURNAL:
                write("journal.jsonl", journal(Path(folder)))
    write("runs.jsonl", runs)
    write("studies.jsonl", studies)


if __name__ == "__main__":
    main()
