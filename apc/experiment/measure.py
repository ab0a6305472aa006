"""Every row of a result measured again."""

from pathlib import Path

from apc.evaluation.remeasure import Measure, kept, measured
from apc.search.plans import Result


def measured_result(result: Result, runs: Path, name: str, measure: Measure) -> Result:
    """Every row that did not fail, `measured`."""
    return [
        (point, [row if row.error else measured(row, kept(row, runs, name, measure)) for row in rows])
        for point, rows in result
    ]
