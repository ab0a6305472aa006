"""What an experiment is, as its script says it, and its way in from the command line; a call goes on in call.py."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apc import spaces
from apc.call import Call
from apc.config import PRESETS, Config
from apc.flags import parser
from apc.plans import Plan, Result


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One table or figure: what is run, how often, and what to expect."""

    name: str
    """Name of the script, of the folder of its rows and of its entry in the report."""
    title: str
    """What it is, in a line."""
    plan: Plan | Callable[[Config], Plan] | None = None
    """Points to run, or a function that makes them of the base setting; None where `draw` is searched with Optuna."""
    draw: spaces.Draw | None = None
    """Define-by-run space."""
    space: spaces.Space | None = None
    """The same as data, where it is."""
    first: tuple[dict[str, Any], ...] = ()
    """Settings of the space that are tried before the sampler's own."""
    trials: int = 20
    """Optuna trials, those of an earlier, interrupted search included."""
    smoke_plan: Plan | None = None
    """Small plan for `--smoke`; None runs the whole plan at smoke settings."""
    seeds: Mapping[str, int] = field(default_factory=lambda: {"pocket": 3, "folder": 3})
    """Seeds by preset; 3 for one that is not named."""
    own_seeds: tuple[int, ...] = ()
    """Seeds of one step of a longer experiment, which `--seeds` does not change."""
    metric: str = "miou"
    """Score a search chooses by."""
    chooses: bool = False
    """Whether it is a search, which ends with a best.toml."""
    measure: Callable[[Result, Path], Result] | None = None
    """What is measured on finished runs, whose folders lie below the path: the rows of the table, made of theirs."""
    minutes: Mapping[str, int] = field(default_factory=dict)
    """Minutes to expect on two cores, by preset."""


Step = Experiment | Callable[[Path, str], Experiment]
"""One step of an experiment; a function makes it of the results folder and the data set: what earlier steps left."""


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Run an experiment from the command line; returns the exit code: 0, 1 (a run failed), 2 (bad input), 130."""
    return in_turn([experiment], argv)


def in_turn(steps: Sequence[Step], argv: Sequence[str] | None = None) -> int:
    """Run steps one after another under one command line, that of the first; returns the exit code as `main`."""
    first = steps[0]
    assert isinstance(first, Experiment)
    try:
        args = parser(
            first.name, first.title, first.seeds, first.minutes,
            trials=first.trials if first.draw else None, objectives=first.metric,
        ).parse_args(argv)
        run = Call(first, args)
        code = run.go()
        for step in steps[1:]:
            if code:
                break
            run = Call(step if isinstance(step, Experiment) else step(run.reports / "results", run.dataset), args)
            code = run.go()
        return code
    except ValueError as error:
        print(f"{first.name}: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that went away: nothing finished is lost
        said = f"{error.filename or 'a file'}: {error.strerror or error}; the same command goes on where it was"
        print(f"{first.name}: {said}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted before anything was started", file=sys.stderr)
        return 130


def search_space(words: Sequence[str]) -> int:
    """`apc search NAME [flags]`: search a module of search_spaces; returns the exit code.

    Its study, rows and best.toml are called space_NAME: search_NAME may be a script with settings of its own.
    """
    import search_spaces

    if not words or words[0] in ("-h", "--help"):
        print(f"apc search SPACE [flags]: {', '.join(search_spaces.names())}; apc search SPACE --help lists the flags")
        return 0
    name, *flags = words
    try:
        module = search_spaces.load(name)
    except ValueError as error:
        print(f"apc search: {error}", file=sys.stderr)
        return 2
    plan = getattr(module, "PLAN", None)
    title = (module.__doc__ or name).strip().splitlines()[0].rstrip(".")
    experiment = Experiment(
        name=f"space_{name}", title=title, plan=plan, draw=None if plan else search_spaces.draw_of(module),
        space=getattr(module, "SPACE", None), first=tuple(getattr(module, "FIRST", ())), chooses=True,
        seeds=dict.fromkeys(PRESETS, 1),
    )
    return main(experiment, flags)
