"""The table of APC-Bench: every real run of the embedded data, a line for each epoch that was scored.

    python -m benchmarks.apc_bench.table --runs RUNS

takes the rows that the project ships (reports/reference/results/*/pocket.jsonl) and the finished runs of a folder, as
`python -m benchmarks.apc_bench.train` leaves them, and writes benchmarks/apc_bench/table.parquet. Without `--runs` what
the table has of earlier folders stays, if the preset is still the same. Its columns are COLUMNS; what its numbers
depend on is in its schema's metadata, as JSON.
"""

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.config import pocket, to_dict
from apc.files import write_encoded
from apc.runs.folder import load_runs
from apc.runs.rows import Row, load_rows
from apc.runs.scores import RECIPE_VERSION
from apc.search.spaces import holds
from search_spaces import joint

if TYPE_CHECKING:
    from pandas import DataFrame

PATH = Path(__file__).with_name("table.parquet")
RESULTS = Path(__file__).parents[2] / "reports" / "reference" / "results"
STAMP = b"apc_bench"
"""Key of the schema's metadata."""
SPACE = joint.SPACE(pocket())
KNOBS = tuple(SPACE)
BY_LABELS = ("label_f1", "label_rule", "border_rule", "branch_rule")
"""Scores without any mask, which are taken at a rung and at the end; `--choose labels` goes by the last."""
SCORES = ("miou", "tune_miou", "held_miou", *BY_LABELS)
COLUMNS = {
    "run": "identity of the run",
    "source": "experiment whose rows have it",
    "variant": "other fields that differ from the preset `pocket`, as JSON; empty of a setting of the space",
    **dict.fromkeys(KNOBS, "field of Config; empty where the setting has no such knob"),
    "seed": "seed of the run",
    "epochs": "epochs of the whole run",
    "epoch": "epoch after which it was scored",
    "miou": "percent, all validation images",
    "tune_miou": "percent, every second one: what a search chooses by",
    "held_miou": "percent, the others: what judges",
    **dict.fromkeys(BY_LABELS, "score without any mask, in percent; empty where it was not taken"),
    "cpu_seconds": "processor seconds of training until then; empty of older runs' early epochs",
    "commit": "of the code that trained it",
    "machine": "that trained it, in words",
}
NO_VARIANT = ("seed", "eval_every", "crf", *KNOBS)
"""Fields that make a setting or a seed, or change no number of COLUMNS."""


def lines_of(row: Row, preset: dict[str, Any]) -> list[dict[str, Any]]:
    """A line for each scored epoch of a run; fields that the row is too old to know are the preset's."""
    config = preset | row.config
    other = {name: value for name, value in config.items() if name not in NO_VARIANT and value != preset[name]}
    fixed = {
        "run": row.run,
        "source": row.experiment or "apc_bench",
        "variant": json.dumps(other, sort_keys=True) if other else "",
        **setting_of(config),
        "seed": config["seed"],
        "epochs": config["epochs"],
        "commit": row.stamp.get("commit", ""),
        "machine": row.stamp.get("machine", ""),
    }
    last = {name: row.metrics[name] for name in SCORES if name in row.metrics}
    last |= {"cpu_seconds": row.seconds["train_cpu"]} if "train_cpu" in row.seconds else {}
    entries = [*row.curve[:-1], {**row.curve[-1], **last}]
    names = (*SCORES, "cpu_seconds")
    return [
        {**fixed, "epoch": int(entry["epoch"]), **{name: entry.get(name, math.nan) for name in names}}
        for entry in entries
        if math.isfinite(entry.get("tune_miou", math.nan))
    ]


def setting_of(config: dict[str, Any]) -> dict[str, Any]:
    """The knobs of the space that exist in this config; None for the others."""
    values: dict[str, Any] = {}
    for name, knob in SPACE.items():
        if holds(knob.when, values):
            values[name] = config[name]
    return {name: values.get(name) for name in KNOBS}


def frame_of(rows: Iterable[Row]) -> "DataFrame":
    """The table of runs with a curve, each once."""
    import pandas as pd

    preset = to_dict(pocket())
    own = {row.run: row for row in reversed(list(rows)) if row.metrics and row.curve and of_preset(row)}
    lines = [line for row in own.values() for line in lines_of(row, preset)]
    return sorted_frame(pd.DataFrame(lines, columns=list(COLUMNS)))


def of_preset(row: Row) -> bool:
    """Whether a run is of the embedded data as they are; before they were mended its HV-BiLSTM had a residual."""
    return row.config["dataset"] == "pocket" and not row.config.get("bilstm_residual", True)


def sorted_frame(frame: "DataFrame") -> "DataFrame":
    """In an order that does not depend on when runs ended."""
    types = {"k": "Int16", "seed": "int16", "epochs": "int16", "epoch": "int16"}
    types |= dict.fromkeys((*SCORES, "cpu_seconds"), "float32") | dict.fromkeys(("theta", "epsilon"), "float64")
    return frame.astype(types).sort_values(["source", "variant", "run", "epoch"], ignore_index=True)


def stamp_of(frame: "DataFrame") -> dict[str, Any]:
    """What the table's numbers depend on."""
    runs = frame.drop_duplicates("run")
    return {
        "recipe": RECIPE_VERSION,
        "preset": to_dict(pocket()),
        "columns": COLUMNS,
        "runs": len(runs),
        "settings": len(runs.drop_duplicates(["variant", *KNOBS])),
        "seeds": sorted(int(seed) for seed in runs["seed"].unique()),
        "runs_by_source": {
            str(name): int(number) for name, number in runs["source"].value_counts().sort_index().items()
        },
        "commits": sorted(runs["commit"].unique()),
        "machines": sorted(runs["machine"].unique()),
    }


def write(frame: "DataFrame", path: Path = PATH) -> None:
    """Write the table with its stamp, in one small file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**table.schema.metadata, STAMP: json.dumps(stamp_of(frame)).encode()})
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    write_encoded(path, buffer.getvalue().to_pybytes())


def load(path: Path = PATH) -> "DataFrame":
    """The table."""
    import pandas as pd

    return pd.read_parquet(path)


def stamp(path: Path = PATH) -> dict[str, Any]:
    """The table's stamp."""
    import pyarrow.parquet as pq

    found: dict[str, Any] = json.loads(pq.read_schema(path).metadata[STAMP])
    return found


def build(folders: Sequence[Path], path: Path = PATH) -> "DataFrame":
    """The table of the committed rows, of finished runs in the folders, and of those that the table has of others."""
    import pandas as pd

    rows = [row for each in sorted(RESULTS.glob("*/pocket.jsonl")) for row in load_rows(each)]
    frame = frame_of([*rows, *(row for folder in folders for row in load_runs(folder))])
    if path.is_file() and stamp(path)["preset"] == json.loads(json.dumps(to_dict(pocket()))):
        earlier = load(path)
        frame = pd.concat([frame, earlier[~earlier["run"].isin(frame["run"])]], ignore_index=True)
    return sorted_frame(frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="folders of finished runs")
    frame = build(parser.parse_args().runs)
    write(frame)
    made = stamp_of(frame)
    print(
        f"{made['runs']} runs of {made['settings']} settings, {len(frame)} scored epochs, {PATH.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
