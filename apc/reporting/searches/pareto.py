"""The Pareto front of a search with two objectives, and how a space was searched, in sentences."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from apc.escaping import as_code, in_markdown
from apc.reporting.searches.trials import Trial
from apc.runs.rows import unbeaten

SHOWN = 10
"""Settings of a front in its sentence."""


def with_two(tried: Sequence[Trial]) -> list[Trial]:
    """Complete trials that have both objectives of the first of them."""
    done = [t for t in tried if t.state == "complete" and t.objectives]
    return [t for t in done if t.search["objectives"] == done[0].search["objectives"]]


def front(tried: Sequence[Trial]) -> list[Trial]:
    """Trials that none beats in one objective without losing in the other, by the second objective."""
    done = with_two(tried)
    best = unbeaten([t.objectives for t in done], done[0].search["objectives"]) if done else []
    return sorted((t for t, is_best in zip(done, best, strict=True) if is_best), key=lambda t: t.objectives[1])


def sentences(tried: Sequence[Trial]) -> list[str]:
    """How the trials were searched, a sentence a search, and the settings on the front."""
    lines = []
    for search in {json.dumps(t.search, sort_keys=True): t.search for t in tried if t.search}.values():
        how = {name: value for name, value in search.items() if name != "space"}
        settings = [f"{in_markdown(name.replace('_', ' '))} {_written(value)}" for name, value in how.items()]
        lines.append(f"Searched with {', '.join(settings)}{_space(search.get('space'))}.")
    if best := front(tried):
        first, other = best[0].search["objectives"]
        points = "; ".join(
            f"{in_markdown(t.label)} ({t.objectives[0]:.1f}, {t.objectives[1]:.1f})" for t in best[:SHOWN]
        )
        more = f"; and {len(best) - SHOWN} more" if len(best) > SHOWN else ""
        lines.append(
            f"**The front of {as_code(first)} and {as_code(other)}, {len(best)} settings** that none beats in one "
            "without losing in the other (on the right of the search's history; column `front` of all trials): "
            f"{points}{more}."
        )
    return lines


def _space(space: Mapping[str, Any] | None) -> str:
    """The ends of the numbers that were searched; empty where there are none or the rows do not say them."""
    ends = [f"{in_markdown(n)} {a:g} to {b:g}{' (log)' if log else ''}" for n, (a, b, log) in (space or {}).items()]
    return f"; in the ranges {', '.join(ends)}" if ends else ""


def _written(value: Any) -> str:
    return " and ".join(map(as_code, value)) if isinstance(value, list) else in_markdown(value)
