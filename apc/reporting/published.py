"""The paper's printed numbers, published.csv: every one with its table, row, column, spread and place."""

import csv
from pathlib import Path


def published(table: str, column: str = "miou", what: str = "value") -> dict[str, float]:
    """The paper's numbers of one table ("table7") and column, by row; with `what` "spread" their ±, of those that have
    one."""
    with open(Path(__file__).with_name("published.csv"), newline="", encoding="utf-8") as file:
        return {
            line["row"]: float(line[what])
            for line in csv.DictReader(file)
            if (line["table"], line["column"]) == (table, column) and line[what]
        }


def gain(table: str, better: str, worse: str, column: str = "miou") -> float:
    """Difference of two of the paper's rows, to the digit that it prints."""
    numbers = published(table, column)
    return round(numbers[better] - numbers[worse], 1)


def printed_cells(table: str, column: str, unit: str = "", prefix: str = "") -> dict[str, str]:
    """The paper's cells of one column by row, each with its spread, of the rows whose names begin with `prefix`."""
    spread = published(table, column, "spread")
    return {
        row.removeprefix(prefix): f"{value:g}" + (f" ± {spread[row]:g}" if row in spread else "") + unit
        for row, value in published(table, column).items()
        if row.startswith(prefix)
    }
