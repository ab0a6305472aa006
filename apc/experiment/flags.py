"""The flags of an experiment: every field of Config, and how much, how and where it is run."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from apc.config import PRESETS, Config, bounds
from apc.escaping import short
from apc.experiment.config_flags import ConfigFile, add_all_fields, add_fields, answer_old_spellings, preset_of
from apc.experiment.definition import Experiment
from apc.flags import REPEATED, CommandLine, Flag, at_least, flag_of, runs_folder
from apc.reporting.verdicts.looks import FIRST_LOOK, MOST
from apc.runs.scores import Chooser
from apc.search.race import Prefer
from apc.search.search_settings import SearchSettings
from apc.search.spaces import MOST_RUNS

Tracker = Literal["mlflow", "wandb"]
MOST_RACED = 1000
"""Settings of a race, and seeds of each, at most."""
USUAL_SEEDS = 3
"""Seeds of a preset for which an experiment names none."""
TRACKERS = get_args(Tracker)
"""Names of --log, which are those of their packages too."""

SHOWN = ("root", "weights", "train_list", "epochs")
"""Fields of Config that the help of a script names; `--help-fields` has them all."""


WHAT = """The first word is the preset: pocket (embedded data, the default), folder (your photographs), voc or coco
(what `apc data prepare` made). Every field of Config is a flag too, as --theta 0.8: --help-fields lists them all."""


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much of an experiment is run."""

    seeds: Annotated[str, Flag(metavar="N")] = ""
    """How many, or which: 0,3,4; `3,` is seed 3 alone."""
    smoke: bool = False
    """The whole way in a minute or two, below RUNS/smoke; numbers mean nothing."""
    dry_run: bool = False
    """Only list which runs are done and which are to do."""


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """What becomes of claims that the seeds of a table leave undecided."""

    decide: Annotated[int | None, Flag(metavar="N")] = None
    """Run further seeds for the claims that are undecided, rows in turn, until each is decided or has N seeds; the
    intervals are widened for looking so often."""

    def __post_init__(self) -> None:
        if self.decide is not None and not FIRST_LOOK < self.decide <= MOST:
            why = f"the first look is at {FIRST_LOOK} seeds"
            raise ValueError(
                f"--decide is {short(self.decide)}; it must lie between {FIRST_LOOK + 1} and {MOST}: {why}"
            )


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an experiment lies."""

    runs: Annotated[Path, Flag(metavar="DIR")] = field(default_factory=runs_folder)
    """Folder of the run folders, or s3://BUCKET/PREFIX (default: $APC_RUNS, or runs)."""
    reports: Annotated[Path | None, Flag(metavar="DIR")] = None
    """Rows, tables and figures (default: $APC_REPORTS, or reports)."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who trains an experiment."""

    address: str | None = field(default_factory=lambda: os.environ.get("APC_ADDRESS") or None)
    """Ray cluster: auto on one of its nodes, or local (default: $APC_ADDRESS, or local: this machine alone)."""
    num_workers: int = 1
    """Processes a trial, data-parallel."""
    cpus: int = 1
    """CPUs, and torch threads, of each process."""
    gpus: float | None = None
    """GPUs of each process (default: 1 where there are any)."""
    max_concurrent: int | None = None
    """Most trials side by side (default: as many as fit)."""
    retries: int = 1
    """Times a trial that fails or loses its process is tried again, from its last epoch; one more epoch in between
    begins the count anew."""
    cache_gib: Annotated[float, Flag(metavar="GIB")] = 0.0
    """Keep what closed blocks of the encoder give for each image on the disk of each machine, in at most so many GiB,
    for all trials and later runs (default: each trial keeps its own, in memory)."""
    log: Annotated[tuple[Tracker, ...], REPEATED] = ()
    """Tell trackers too, through Ray's callbacks (TensorBoard files are always below RUNS/.tune)."""
    verbose: bool = False
    """Show Ray's own messages too."""
    price: float | None = None
    """Money that an hour of one GPU costs or, where trials have none, of one core: what is said of hours is then said
    of money too."""

    def __post_init__(self) -> None:
        if self.price is not None:
            if self.price < 0:
                raise ValueError(f"--price is {self.price:g}; it cannot be below 0")
            if self.address not in (None, "local") and self.gpus is None:
                raise ValueError(f"--price {self.price:g}: is it of a GPU or of a core? Add --gpus, 0 for cores")
        at_least(1, num_workers=self.num_workers, cpus=self.cpus, max_concurrent=self.max_concurrent)
        for flag, value in {"--retries": self.retries, "--gpus": self.gpus or 0, "--cache-gib": self.cache_gib}.items():
            if value < 0:
                raise ValueError(f"{flag} is {value:g}; it cannot be below 0")
        for name in self.log:
            if find_spec(name) is None:
                raise ValueError(f"--log {name}: the package {name} is not installed; run `pip install {name}`")


@dataclass(frozen=True, kw_only=True)
class Choosing:
    """What settings, and epochs, are chosen by."""

    choose: Chooser | None = None
    """Masks of all validation images, masks of every second one, their image labels alone (`branch_rule`), or image
    labels by the vote of 24 settings or more (default: val, unless the script says another)."""


@dataclass(frozen=True, kw_only=True)
class Racing:
    """A race of its best settings over further seeds."""

    race: int | None = None
    """So many settings, the best of the search, get further seeds, the same for all, until it is known which are worse;
    best.toml is then of the race."""
    race_seeds: int | None = None
    """Most further seeds of each (default: 5)."""
    prefer: Prefer | None = None
    """Of the settings that the race finds not worse than its leader: the leader, the one that trained in the fewest
    seconds, or the paper's own, which then races in any case (default: best)."""

    def __post_init__(self) -> None:
        given = {"race_seeds": self.race_seeds, "prefer": self.prefer}
        if self.race is None and (idle := [flag_of(name) for name, value in given.items() if value is not None]):
            raise ValueError(f"{idle[0]} is for a race; add --race N, such as --race 3")
        if self.prefer is not None and self.prefer not in get_args(Prefer):  # from Python
            raise ValueError(f"prefer is {self.prefer!r}; choose from {', '.join(get_args(Prefer))}")
        at_least(2, race=self.race, race_seeds=self.race_seeds)
        for name, count in {"race": self.race, "race_seeds": self.race_seeds}.items():
            if count and count > MOST_RACED:
                raise ValueError(f"{flag_of(name)} is {short(count)}; it must be at most {MOST_RACED}")


class Flags(NamedTuple):
    """What a command line says, before it is held against an experiment."""

    preset: str
    values: dict[str, Any]
    """Value of each flag that was named."""


def read_flags(experiment: Experiment, words: Sequence[str]) -> Flags:
    """The command line of an experiment; ValueError for a slip."""
    preset, rest = preset_of(words)
    seeds = {} if experiment.own_seeds else experiment.seeds
    line = command_line(experiment.called, experiment.told(PRESETS[preset]()), seeds, experiment.minutes, preset)
    if experiment.searches:
        usual = usual_search(experiment)
        line.add(SearchSettings, "how it is searched", defaults=usual)
    line.add(Deciding, "how much", hidden=not (experiment.claims or experiment.bests))
    line.add(Racing, "how much", hidden=not experiment.chooses)
    add_place(line)
    flags = Flags(preset, line.read(rest))
    if "race" in flags.values and not experiment.chooses:
        wanted = f"--race {short(flags.values['race'])}"
        raise ValueError(f"{wanted}: there is no best setting of an experiment that shows all its rows; race a search")
    return flags


def usual_search(experiment: Experiment) -> dict[str, Any]:
    """How an experiment's space is searched where no flag says otherwise."""
    usual = {"sampler": experiment.sampler, "trials": experiment.trials, "objectives": (experiment.metric,)}
    return usual | {"stop_early": experiment.stop_early}


def command_line(
    name: str, title: str, seeds: Mapping[str, int], minutes: Mapping[str, int], preset: str
) -> CommandLine:
    """What all scripts share: flags of what is trained, and how much of it."""
    expected = "; ".join(f"about {m} minutes on {preset} with two cores" for preset, m in minutes.items())
    line = CommandLine(
        name,
        f"{title}{f' ({expected})' if expected else ''}.",
        usage=_usage(name),
        epilog="Finished runs are kept and never done again: after an interruption the same command goes on.",
    )
    line.group("what is trained", WHAT)
    line.add(ConfigFile, "what is trained")
    add_fields(line, "what is trained", SHOWN, preset)
    add_fields(line, "fields", {f.name for f in fields(Config)} - {*SHOWN}, preset, hidden=True)
    line.on("--help-fields", lambda: fields_help(name, preset))
    answer_old_spellings(line)
    usual = _seeds_told(seeds) if seeds else "the script's own"
    line.add(Choosing, "how much")
    line.add(
        Amount, "how much", texts={"seeds": f"How many, or which: 0,3,4; `3,` is seed 3 alone (default: {usual})."}
    )
    return line


def _seeds_told(seeds: Mapping[str, int]) -> str:
    """`5 on pocket, 3 on folder, 3 on voc, 3 on coco`, or `1` where all presets have as many"""
    counts = {preset: seeds.get(preset, USUAL_SEEDS) for preset in PRESETS}
    first, *others = {*counts.values()}
    return ", ".join(f"{count} on {preset}" for preset, count in counts.items()) if others else str(first)


def add_place(line: CommandLine, *, trains: bool = True) -> None:
    """Flags of where it all is; a script that draws finished runs needs no place to train."""
    line.add(Place, "where")
    if trains:
        line.add(Workers, "where")


def fields_help(name: str, preset: str) -> str:
    """Help of `--help-fields`: every field of Config, by its part."""
    line = CommandLine(name, "Every field of Config is a flag.", usage=_usage(name))
    add_all_fields(line, preset)
    return line.help()


def _usage(name: str) -> str:
    return f"{name} [{'|'.join(PRESETS)}] [flags]"


def seeds_of(text: str, default: int) -> list[int]:
    """`3` -> 0, 1, 2; `0,3,4` -> those; `3,` -> that one; empty -> the default number."""
    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")] if text else [default]
    except ValueError:
        numbers = []
    listed = "," in text
    if not numbers or min(numbers) < (0 if listed else 1) or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"--seeds is {short(text)}; give how many, such as 3, or different seeds, such as 0,3,4 (or 3, for one)"
        )
    if not listed and numbers[0] > MOST_RUNS:
        told = f"{numbers[0]:,}" if numbers[0] < 10**30 else short(numbers[0])
        raise ValueError(f"--seeds is {told}; {MOST_RUNS:,} are the most that can be run")
    if (most := bounds()["seed"].high) < max(numbers):
        raise ValueError(f"--seeds is {short(text)}; the largest seed is {most}")
    return numbers if listed else list(range(numbers[0]))
