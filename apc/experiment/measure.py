"""Every row of a result measured again."""

from pathlib import Path

from apc.evaluation.remeasure import Measure, measured_once, with_measurement
from apc.search.plans import Result


def measured_result(result: Result, runs: Path, name: str, measure: Measure) -> Result:
    """Every row that did not fail, `measured`."""
    return [
        (point, [row if row.error else with_measurement(row, measured_once(row, runs, name, measure)) for row in rows])
        for point, rows in result
    ]
