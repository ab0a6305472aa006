"""Rows of tables for tests of the report, and the page made of them."""

from pathlib import Path
from typing import Any

from apc.config import Config, to_dict
from apc.reporting.page import build
from apc.runs.rows import Row, run_id, save_rows

STAMP: dict[str, Any] = {
    "commit": "c0ffee123456",
    "dirty": False,
    "machine": "box",
    "device": "cpu",
    "python": "3.11",
    "torch": "2.15",
    "data": "pocket-1",
    "weights": "w1",
    "selection": "val",
    "images": {"train": 960, "val": 256},
    "time": "2026-11-22",
}


def a_row(label: str, seed: int, miou: float, more: dict[str, float] | None = None, **fields: Any) -> Row:
    """A finished run; `fields` go to the stamp, to the row (error) or to the config, wherever they belong."""
    stamp = STAMP | {k: fields.pop(k) for k in list(fields) if k in STAMP}
    error = fields.pop("error", "")
    config = to_dict(Config()) | {"seed": seed} | fields
    return Row(
        run=run_id(config, stamp["data"], label),
        row=label,
        config=config,
        seconds={"train": 60.0},
        stamp=stamp,
        metrics={} if error else {"miou": miou, "patch_miou": miou + 1} | (more or {}),
        error=error,
        experiment="x",
        classes=["background", "ring"],
        per_class={"miou": [90.0, None if seed == 1 else miou]},
        curve=[{"epoch": e, "mce": 1 / e, "loss": 2 / e} for e in (1, 2)],
    )


def pooling_rows(seeds: int = 3, **fields: Any) -> list[Row]:
    base = {"average": 30.0, "max": 31.0, "top_k": 46.0, "adaptive_k": 41.0}
    mean_k = {"average": 144.0, "max": 1.0, "top_k": 6.0, "adaptive_k": 5.8}
    return [
        a_row(
            p, s, base[p] + s * (1 + len(p) / 10), {"miou_crf": base[p] + 5, "mean_k": mean_k[p]}, pooling=p, **fields
        )
        for p in base
        for s in range(seeds)
    ]


def lambda_rows(points: list[tuple[float, float, float]], seeds: int = 2) -> list[Row]:
    return [
        a_row(f"lambda1={l1:g} lambda2={l2:g}", s, miou + 0.5 * s * (1 + l1), lambda1=l1, lambda2=l2)
        for l1, l2, miou in points
        for s in range(seeds)
    ]


def page(reports: Path, experiment: str, rows: list[Row]) -> str:
    save_rows(reports / "results" / experiment / "pocket.jsonl", rows)
    return whole(reports)


def whole(reports: Path) -> str:
    """All that a report says: each experiment's details, whose tables are the whole ones, those of all, the page."""
    text = build(reports).read_text()
    names = ("claims", "specification-curves", "optimism", "how-to-read", "other-methods", "checklist")
    of_all = [reports / "details" / f"{name}.md" for name in names]
    own = sorted(path for path in (reports / "details").glob("*.md") if path not in of_all)
    details = [path.read_text() for path in (*own, *of_all) if path.is_file()]
    return "\n\n".join([*details, text]).replace("](../", "](")


def cells(text: str, label: str) -> list[str]:
    """Cells of the first table line that starts with `label`."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def verdicts(text: str, source: str) -> dict[str, str]:
    """Claim -> verdict of the summary's lines that come from `source`, as "Table 7"."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return {
        line[1]: line[5]
        for line in lines
        if line[0] == source and len(line) == 8 and ("(n=" in line[4] or line[4] == "–")
    }
