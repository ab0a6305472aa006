"""The way into an experiment from the command line."""

import functools
import sys
from collections.abc import Sequence
from dataclasses import replace

import search_spaces
from apc.config import PRESETS
from apc.escaping import complain, say
from apc.experiment.definition import Experiment
from apc.experiment.flags import Flags, read_flags
from apc.experiment.runner import ExperimentRun
from apc.experiment.settings import for_step, settings_of
from apc.files import end_if_unread


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Run an experiment from the command line; returns the exit code: 0, 1 (a run failed), 2 (bad input), 3 (Ray is
    lost), 130."""
    return in_turn([experiment], argv)


def in_turn(steps: Sequence[Experiment], argv: Sequence[str] | None = None) -> int:
    """Run steps one after another under one command line, that of the first; returns the exit code as `main`. A run
    that failed keeps no later step from its turn: of a study it stays failed, however often the command is given."""
    first = steps[0]
    try:
        flags = flags_of(steps, sys.argv[1:] if argv is None else argv)
        settings = settings_of(first, for_step(first, steps, flags))
        if "decide" in flags.values and not any(step.claims or step.bests for step in steps):
            complain(f"{first.called}: note: there is no claim to decide, so --decide adds no seeds")
        code = ExperimentRun(first, settings).go()
        for step in steps[1:]:
            if code > 1:
                break
            if step.plan_of_results:
                by = settings.name.removeprefix(first.name)
                try:
                    plan = step.plan_of_results(settings.reports / "results", settings.dataset, by)
                except FileNotFoundError:
                    if not (settings.dry_run or code):
                        raise
                    print(f"{step.name}: its settings are what the steps before it will have chosen")
                    break
                step = replace(step, plan=plan)
            code = max(code, ExperimentRun(step, settings_of(step, for_step(step, steps, flags))).go())
        sys.stdout.flush()
        return code
    except ValueError as error:
        complain(f"{first.called}: {error}")
        return 2
    except OSError as error:  # a full disk, a folder that went away: nothing finished is lost
        end_if_unread(error)
        reason = f"{error.filename or 'a file'}: {error.strerror or error}"
        complain(f"{first.called}: {reason}; the same command goes on where it was")
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        return 130


def flags_of(steps: Sequence[Experiment], words: Sequence[str]) -> Flags:
    """The command line of a script; ValueError for a slip."""
    flags = read_flags(of_all(steps), words)
    if "choose" in flags.values and len({step.metric for step in steps if step.chooses}) > 1:
        raise ValueError("--choose: this script compares what settings may be chosen by; leave it out")
    return flags


def of_all(steps: Sequence[Experiment]) -> Experiment:
    """What the help of a script is about: its first step, with the titles of all in order, their claims, and their
    minutes, to five where they add up."""
    first, *later = steps
    if not later:
        return first
    known = {preset for preset in first.minutes if all(preset in step.minutes for step in later)}
    sums = {preset: 5 * round(sum(step.minutes[preset] for step in steps) / 5) for preset in known}
    titles = "; ".join(f"{number}. {step.title}" for number, step in enumerate(steps, 1))
    return replace(first, title=titles, minutes=sums, claims=tuple(claim for step in steps for claim in step.claims))


def search_space(words: Sequence[str]) -> int:
    """`apc search NAME [PRESET] [flags]`: search a module of search_spaces; returns the exit code."""
    if not words or words[0] in ("-h", "--help"):
        say(spaces_told())
        return 0 if words else 2
    try:
        experiment = space_experiment(words[0])
    except ValueError as error:
        complain(f"apc search: {error}")
        return 2
    return main(experiment, words[1:])


def spaces_told() -> str:
    """What `apc search --help` prints."""
    about = search_spaces.abouts()
    wide = max(map(len, about))
    lines = [f"  {name:{wide}}  {sentence}" for name, sentence in about.items()]
    return SEARCH_USAGE.replace("SPACES", "\n".join(lines))


SEARCH_USAGE = f"""apc search SPACE [{"|".join(PRESETS)}] [flags]: settings tried on this machine or a cluster

A space says which settings are tried: ranges that Optuna draws from, trial by trial, or a plan of points that are all
run. Each setting is trained with every seed and scored; the first ones are the paper's, so that what comes can be
compared. Finished runs are kept, and the same command goes on where it was stopped.

SPACES

A new file in search_spaces/ is a new space. What a space tries, and every flag: apc search SPACE --help

  apc search pooling --dry-run                       only list the runs, and what they will take
  apc search lambdas --smoke                         the whole way in a minute or two; numbers mean nothing
  apc search simple --trials 12 --hours 2            Optuna over three knobs of the embedded data
  apc search joint folder --root photos --weights timm --seeds 2   your photographs, two seeds a setting

It ends with a table on the terminal, best.toml (train it with --config), rows and a page below reports/.
"""


def space_experiment(name: str) -> Experiment:
    """A module of search_spaces as an experiment; ValueError where it is none.

    Its study, rows and best.toml are called space_NAME: search_NAME may be a script with settings of its own.
    """
    module = search_spaces.load(name)
    plan = vars(module).get("PLAN")
    plan = functools.partial(search_spaces.plan_of, module) if callable(plan) else plan
    return Experiment(
        name=f"space_{name}",
        prog=f"apc search {name}",
        title=search_spaces.title_of(module),
        plan=plan,
        space=None if plan else vars(module).get("SPACE"),
        draw=None if plan else vars(module).get("space"),
        first=functools.partial(search_spaces.first_of, module, source=f"search_spaces/{name}.py"),
        stop_early="halving",
        chooses=True,
        seeds=dict.fromkeys(PRESETS, 1),
    )
