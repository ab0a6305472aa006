"""Rows compared however they were made."""

from typing import Any

from apc.runs.rows import Row


def stripped(row: Row) -> dict[str, Any]:
    """What must be the same however a run was made: everything but times."""
    curve = [{k: v for k, v in epoch.items() if not k.endswith("seconds")} for epoch in row.curve]
    return {"run": row.run, "config": row.config, "metrics": row.metrics, "per_class": row.per_class, "curve": curve}
