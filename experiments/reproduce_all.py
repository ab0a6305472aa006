"""Every table and figure of the paper, one script after the other; runs that several share are trained once.

    python experiments/reproduce_all.py --dry-run
    python experiments/reproduce_all.py
    python experiments/reproduce_all.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

A run is its setting, seed, data and code, so a later script finds what an earlier one has trained: Table 7's adaptive-K
row, Table 8's last row and the paper's point of Figures 4 and 5 are one run. Tables 5 and 6, which report times, train
one run at a time unless --max-concurrent says otherwise; all other flags go to every script. `--dry-run` tells for each
what is done and what is to do, and the hours to expect, with `--price` the money. Figures 6 and 7 are drawn of the
finished runs at the end. About 250 minutes on the embedded data with two cores.
Expect failed runs to stop nothing: the exit code is 1 in the end and the same command tries them again.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Annotated

from apc.escaping import complain
from apc.experiment import deciding
from apc.experiment import pictures as pictured
from apc.experiment.config_flags import preset_of
from apc.experiment.definition import Experiment
from apc.experiment.dry_run import expected
from apc.experiment.flags import Deciding, Flags, Workers, add_place, command_line
from apc.experiment.forecast import Hours
from apc.experiment.main import flags_of, in_turn
from apc.experiment.pictures import without
from apc.experiment.runner import ExperimentRun
from apc.experiment.settings import ExperimentSettings, for_step, settings_of
from apc.experiment.workers import costs_of, places
from apc.files import end_if_unread
from apc.flags import Flag, choose_from, flag_of, taken
from apc.reporting.catalogue import modules_of, pictures_of, tables_of
from apc.reporting.table_entry import PageEntry

NAME = "reproduce_all"
TRAINING = {flag_of(field.name) for kind in (Workers, Deciding) for field in fields(kind)}
"""Flags that say how to train, and how long: a script that draws finished runs has none of them."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which scripts are run."""

    only: Annotated[tuple[str, ...], Flag(repeated=True, metavar="NAME")] = ()
    """These scripts alone."""

    def __post_init__(self) -> None:
        for name in self.only:
            if name not in names():
                raise ValueError(f"--only {name}: there is no such script; {choose_from(names(), name)}")


def names() -> list[str]:
    """All scripts that are experiments or pictures, in the order they are run."""
    places: dict[str, int] = {}
    for name, module in modules_of("experiments").items():
        shown: list[PageEntry] = [*tables_of(module), *pictures_of(module)]
        places |= {name: shown[0].place} if shown else {}
    return sorted(places, key=lambda name: (places[name], name))


def steps_of(module: ModuleType) -> list[Experiment]:
    """The experiments of a script, one after the other; none where it draws a picture."""
    return [step for step in tables_of(module) if isinstance(step, Experiment)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the scripts in turn; returns 0, 1 where a run failed, 2 for bad input, 130 after Ctrl-C."""
    try:
        code = _in_turn(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except OSError as error:
        end_if_unread(error)
        complain(f"{NAME}: {error.filename or 'a file'}: {error.strerror or error}")
        return 2


def _in_turn(words: list[str]) -> int:
    """Run the scripts that a command line names; the exit code."""
    try:
        flags = _flags(words)
        only = taken(Choice, flags.values).only
        there = modules_of("experiments")
        modules = {name: there[name] for name in only or names()}
        loaded = {name: steps for name, module in modules.items() if (steps := steps_of(module))}
        if not only:
            loaded = {name: steps for name, steps in loaded.items() if steps[0].by_default}
        pictures = {name: module.PICTURE for name, module in modules.items() if pictures_of(module)}
        words = without(words, {"--only"})
        handed = _handed(loaded, words, flags)
        settings = {name: _settings(name, steps, handed[name]) for name, steps in loaded.items()}
        dry = "dry_run" in flags.values
        if dry and loaded:
            _tell(loaded, settings, flags)
    except ValueError as error:
        complain(f"{NAME}: {error}")
        return 2
    failed = 0
    for name, steps in () if dry else loaded.items():
        print(f"\n== {name}", flush=True)
        code = in_turn(steps, handed[name])
        if code > 1:
            return code
        failed |= code
    for name, picture in pictures.items():
        print(f"\n== {name}", flush=True)
        code = pictured.main(picture, without(words, TRAINING))
        if code > 2:
            return code
        failed = max(failed, code)  # one whose runs are missing names the command that makes them
    return failed


def _flags(words: Sequence[str]) -> Flags:
    """What the command line says: the flags of all experiments, and `--only`."""
    preset, rest = preset_of(words)
    line = command_line(
        NAME, "Every table and figure of the paper, runs that several share once", {}, {"pocket": 250}, preset
    )
    line.add(Deciding, "how much")
    line.add(Choice, "which scripts")
    add_place(line)
    return Flags(preset, line.read(rest))


def _handed(loaded: dict[str, list[Experiment]], words: Sequence[str], flags: Flags) -> dict[str, list[str]]:
    """The words that each script gets: those with seeds of their own no `--seeds`, unless it is for no other; those
    whose rows are times one run at a time, since runs side by side slow each other."""
    own = {name for name, steps in loaded.items() if all(step.own_seeds for step in steps)}
    rest = without(words, {"--seeds"})
    handed = {name: rest if name in own and len(own) < len(loaded) else list(words) for name in loaded}
    alone = [] if "max_concurrent" in flags.values else ["--max-concurrent", "1"]
    return {name: [*mine, *(alone if loaded[name][0].timed else [])] for name, mine in handed.items()}


def _settings(name: str, steps: list[Experiment], words: Sequence[str]) -> dict[str, ExperimentSettings]:
    """What the words come to for each step of a script, but for one whose plan others will have found: a slip is said
    before the first script has trained for hours."""
    try:
        flags = flags_of(steps, words)
        planned = [step for step in steps if not step.plan_of_results]
        return {step.name: settings_of(step, for_step(step, steps, flags)) for step in planned}
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _tell(
    loaded: dict[str, list[Experiment]], settings_by: dict[str, dict[str, ExperimentSettings]], flags: Flags
) -> None:
    """What is done and what is to do, a run that several scripts share counted with the first; and the hours."""
    width = max(map(len, loaded))
    print(f"{'':<{width}}  {'done':>5} {'to do':>6} {'shared':>7}  hours on this machine (10 % to 90 %)")
    known: set[str] = set()
    total: Hours | None = Hours(0.0, 0.0, 0.0)
    of_processes, runs, beside = Hours(0.0, 0.0, 0.0), 0, ""
    for name, steps in loaded.items():
        for step in steps:
            if step.plan_of_results:
                print(f"{'':<{width}}  and a comparison of what the searches choose")
                continue
            settings = settings_by[name][step.name]
            if settings.search:
                print(f"{step.name:<{width}}  a search of {settings.search.trials} trials")
                beside = " beside the searches"
                continue
            queue = ExperimentRun(step, settings).queue()
            todo = [job for job in queue.waiting if job.run not in known]
            shared, later = len(queue.waiting) - len(todo), queue.counts.later + queue.counts.perhaps
            known |= {job.run for job in todo}
            hours = expected(step, settings, [job.config for job in todo])
            side = places(settings.workers) or 1  # on GPUs and a cluster nobody knows
            wall = Hours(*(each / side for each in hours)) if hours else None
            total = total.plus(wall) if total and wall else None
            of_processes = of_processes.plus(hours) if hours else of_processes
            runs += len(todo)
            later += deciding.most_runs(step, settings, queue.plan) if settings.decide else 0
            more = f", and at most {later} more runs" if later else ""
            counts = f"{queue.counts.done:>5} {len(todo):>6} {shared:>7}"
            print(f"{step.name:<{width}}  {counts}  {wall or 'unknown'}{more}")
    cost = costs_of(taken(Workers, flags.values)).told(3600 * of_processes.low, 3600 * of_processes.high)
    print(f"\n{runs} runs to do{beside}, about {f'{total}: {cost}' if total else 'an unknown number of hours'}")


if __name__ == "__main__":
    raise SystemExit(main())
