"""What a careful reader asks of an ablation, answered from the rows: runs, ranges, selection, compute and seeds.

The questions are those of reproducibility checklists of conferences: number of runs, ranges and choice of
hyperparameters, the criterion of selection, error bars, computing infrastructure and cost.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apc.config import Config, to_dict
from apc.escaping import in_markdown
from apc.reporting import tables
from apc.reporting.catalogue import described, entries
from apc.reporting.groups import read, selection_rules
from apc.reporting.searches.trials import goes_by
from apc.runs.rows import Row

_SHOWN = 6
"""Values of a knob that are listed one by one; more are told as a range."""


def checklist(results: Path) -> list[str]:
    """The checklist section: one line for each experiment and data set with rows, and the sums."""
    from pandas import DataFrame

    recorded = _rows(results)
    if not recorded:
        return []
    lines = [_line(name, dataset, rows) for (name, dataset), rows in recorded.items()]
    every = sorted((row for rows in recorded.values() for row in rows), key=lambda row: "@" not in row.run)
    runs = _distinct(every)
    finished = [row for row in runs.values() if not (row.error or row.stopped)]
    hours = _hours(list(runs.values()))
    machines = sorted({str(row.stamp["machine"]) for row in finished if row.stamp.get("machine")})
    return [
        "## Checklist",
        "What a reviewer would ask, answered from the rows below `results/`; nothing here was typed by hand.",
        tables.markdown(DataFrame(lines), left=True, marked_up=["chosen by"]),
        "\n".join(
            [
                f"- Distinct runs: {len(runs)}, of them {len(finished)} finished; a run that stands in several tables "
                "was trained once and counts once.",
                f"- Compute: {hours:.1f} core-hours of training ("
                + (f"{in_markdown(', '.join(machines))}" if machines else "machine not stamped")
                + "), scoring not counted; GPU time, where there is any, counts as the hours of its host's cores.",
                "- Error bars: mean ± sample standard deviation over seeds, 95 % intervals over seeds and over images; "
                "see above.",
                "- Kept: every finished run of an experiment stands in its table, or in the figures and trials.csv of "
                "a search; failed ones are named, and results against the paper stay in.",
            ]
        ),
    ]


def _distinct(rows: Sequence[Row]) -> dict[tuple[str, float], Row]:
    """Rows by run and seconds of training: a run that two machines trained took two times. RUN@WHAT is RUN measured
    again, without a time of its own where nothing but that is known; RUN's own row comes last."""
    found = {(row.run.split("@")[0], row.seconds.get("train", 0.0)): row for row in rows}
    timed = {run for run, seconds in found if seconds}
    return {(run, seconds): row for (run, seconds), row in found.items() if seconds or run not in timed}


def _rows(results: Path) -> Mapping[tuple[str, str], list[Row]]:
    folders = sorted(path.name for path in results.iterdir() if path.is_dir()) if results.is_dir() else []
    known = [name for name in entries() if name in folders]
    paths = [path for name in dict.fromkeys([*known, *folders]) for path in sorted((results / name).glob("*.jsonl"))]
    return {(path.parent.name, path.stem): rows for path in paths if (rows := read(path)[0])}


def _line(name: str, dataset: str, rows: Sequence[Row]) -> dict[str, str]:
    seeds = sorted({int(row.config.get("seed", 0)) for row in rows})
    rules = [rule for rule in selection_rules(rows) if rule != "not stamped"]
    bad = {"failed": sum(bool(row.error) for row in rows), "stopped early": sum(bool(row.stopped) for row in rows)}
    unfinished = ", ".join(f"{n} {what}" for what, n in bad.items() if n)
    return {
        "experiment": described(name).title.split(":")[0],
        "data": dataset,
        "settings": str(len({row.row for row in rows})),
        "runs": f"{len(rows)}" + (f" ({unfinished})" if unfinished else ""),
        "seeds": f"{seeds[0]}–{seeds[-1]}"
        if seeds == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 2
        else ", ".join(map(str, seeds)),
        "what varies, over what": _ranges(name, rows),
        "chosen by": f"`{goes_by(rows, described(name).metric)}`, " + in_markdown("/".join(rules) or "not stamped"),
        "core-hours": f"{_hours([row for row in rows if '@' not in row.run]):.2f}",  # of what was trained for it
    }


def _ranges(name: str, rows: Sequence[Row]) -> str:
    """Fields that differ between the rows, each with its values or their range."""
    default = to_dict(Config())
    wanted = described(name).knobs
    fields = wanted if wanted is not None else [field for field in default if field not in ("seed", "root", "weights")]
    ranges = []
    for field in fields:
        values: list[Any] = [row.config.get(field, default.get(field)) for row in rows]
        distinct = list({_key(value): value for value in values}.values())
        if len(distinct) < 2:
            continue
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in distinct):
            ordered = sorted(distinct)
            listed = ", ".join(f"{v:g}" for v in ordered)
            ranges.append(f"{field} {listed if len(distinct) <= _SHOWN else f'{ordered[0]:.3g} to {ordered[-1]:.3g}'}")
        else:
            ranges.append(f"{field} {', '.join(sorted(map(str, distinct)))}")
    return "; ".join(ranges) or "the seed alone"


def _key(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _hours(rows: Sequence[Row]) -> float:
    """Core-hours of training: CPU seconds where the row has them, else wall seconds times its threads."""
    total = 0.0
    for row in rows:
        cpu, wall = row.value("train_cpu_seconds"), row.value("train_seconds")
        threads = row.stamp.get("threads")
        spent = cpu if cpu == cpu else wall * (threads if isinstance(threads, int) else 1)
        total += spent / 3600 if spent == spent else 0.0
    return total
