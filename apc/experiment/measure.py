"""Every row of a result measured again."""

from pathlib import Path

from apc.evaluation.remeasure import Measure, Read, measured_once, with_measurement
from apc.runs.rows import Row
from apc.search.plans import Result


def measured_result(
    result: Result, runs: Path, root: str, name: str, measure: Measure, read: Read | None = None
) -> Result:
    """Every row that did not fail, measured on the photographs below `root`; `read` as in measured_once."""

    def measured(row: Row) -> Row:
        return row if row.error else with_measurement(row, measured_once(row, runs, root, name, measure, read))

    return [(point, [measured(row) for row in rows]) for point, rows in result]
