"""Finished runs of a plan's settings, by a score that a test makes up."""

from typing import Any

from apc.config import Config, to_dict
from apc.runs.rows import Row
from apc.search.plans import Point
from search_spaces import theta_epsilon


def rows_of(plan: list[Point], score: Any, seeds: int = 3) -> list[Row]:
    """Finished runs of a plan's settings; `score` of a setting's config, and a little by seed."""
    made = []
    for point in plan:
        for seed in range(seeds):
            config = to_dict(Config()) | point.values | {"seed": seed}
            miou = score(config) + 0.1 * seed * (1 + len(made) / 50)
            made.append(
                Row(run=f"{point.label} {seed}", row=point.label, config=config, metrics={"miou": miou}, seconds={})
            )
    return made


def of_thresholds(config: dict[str, Any]) -> float:
    return float(50 - 40 * abs(config["theta"] - 0.7) - 20 * abs(config["epsilon"] - 0.85))


FIGURE4 = rows_of(theta_epsilon.LINES.next([]), of_thresholds)
