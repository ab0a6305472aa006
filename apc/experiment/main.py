"""The way into an experiment from the command line."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from apc.config import PRESETS
from apc.experiment.definition import Experiment
from apc.experiment.flags import parser
from apc.experiment.runner import ExperimentRun


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Run an experiment from the command line; returns the exit code: 0, 1 (a run failed), 2 (bad input), 130."""
    return in_turn([experiment], argv)


def in_turn(steps: Sequence[Experiment], argv: Sequence[str] | None = None) -> int:
    """Run steps one after another under one command line, that of the first; returns the exit code as `main`."""
    first = steps[0]
    try:
        args = parser(
            first.name,
            first.title,
            first.seeds,
            first.minutes,
            trials=first.trials if first.draw else None,
            objectives=first.metric,
        ).parse_args(argv)
        run = ExperimentRun(first, args)
        code = run.go()
        for step in steps[1:]:
            if code:
                break
            if step.plan_of_results:
                step = replace(step, plan=step.plan_of_results(run.reports / "results", run.dataset))
            run = ExperimentRun(step, args)
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
        name=f"space_{name}",
        title=title,
        plan=plan,
        draw=None if plan else search_spaces.draw_of(module),
        space=getattr(module, "SPACE", None),
        first=tuple(getattr(module, "FIRST", ())),
        chooses=True,
        seeds=dict.fromkeys(PRESETS, 1),
    )
    return main(experiment, flags)
