"""Flags that all experiments share, and what a slip in one of them is answered with."""

import argparse
import difflib
import functools
import os
import tomllib
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from apc.config import PRESETS, Config, default_of, fields_of, from_dict, from_toml
from apc.runs.scores import IN_CURVES
from apc.search.spaces import SAMPLERS, STOPPERS, SearchSettings

SMOKE = {"num_train": 32, "num_val": 8, "epochs": 1, "frozen_epochs": 0, "eval_every": 0, "warmup_steps": 0}
"""Settings of a smoke run: the whole way, and numbers that mean nothing."""

TRACKERS = ("mlflow", "wandb")
"""Names of --log, which are those of their packages too."""


OF_A_GRID = ("--sampler", "--grid-points", "--objectives")
"""Flags of a search that mean something to a grid."""


class Parser(argparse.ArgumentParser):
    """A slip is answered with one sentence, which names the nearest flag."""

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[0] if "unrecognized" in message else ""
        flags = [flag for action in self._actions for flag in action.option_strings]
        close = difflib.get_close_matches(unknown.split("=")[0], flags, n=1)
        hint = f"; did you mean {close[0]}?" if close else "; --help lists the flags" if unknown else ""
        raise ValueError(f"{message}{hint}")


class _Given(argparse.Action):
    """Keeps the value, and that the user gave it."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values)
        namespace.given = [*getattr(namespace, "given", []), option_string]


def parser(
    name: str,
    title: str,
    seeds: Mapping[str, int],
    minutes: Mapping[str, int],
    trials: int | None = None,
    objectives: str = "miou",
    *,
    trains: bool = True,
) -> Parser:
    """Parser of an experiment; `trials` is the default number of Optuna trials, None for a plan of points. One that
    `trains` nothing, but draws runs that are there, needs no place to train."""
    expected = "; ".join(f"about {m} minutes on {preset} with two cores" for preset, m in minutes.items())
    parser = Parser(
        prog=name,
        allow_abbrev=False,
        description=f"{title}{f' ({expected})' if expected else ''}.",
        epilog="Finished runs are kept and never done again: after an interruption the same command goes on.",
    )
    what = parser.add_argument_group("what is trained").add_argument
    what("--preset", choices=list(PRESETS), default="pocket", help="embedded data (default), photographs, VOC, COCO")
    photographs = "images/, masks/, train.csv, val.csv, classes.txt, or what `apc data prepare` made"
    what("--root", default="", metavar="DIR", help=f"the images: {photographs}")
    what("--weights", default="", metavar="FILE", help="encoder weights: a .safetensors or .pth file, or timm")
    what("--train-list", default="", metavar="CSV", help="list of training images below --root (default: train.csv)")
    what("--config", default="", metavar="TOML", help="Config fields to start from, such as a best.toml")
    what("--epochs", type=int, metavar="N", help="passes over the training images (default: the preset's)")
    what("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="any field; repeatable")
    default = ", ".join(f"{count} on {preset}" for preset, count in seeds.items())
    what("--seeds", default="", metavar="N", help=f"how many, or a list such as 0,3,4 (default: {default})")

    how = parser.add_argument_group("how much").add_argument
    how("--smoke", action="store_true", help="the whole way in a minute or two, below RUNS/smoke; numbers mean nothing")
    how("--dry-run", action="store_true", help="only list which runs are done and which are to do")

    if trials is not None:
        _search_flags(parser, trials, objectives)
    where = parser.add_argument_group("where").add_argument
    runs, address = os.environ.get("APC_RUNS"), os.environ.get("APC_ADDRESS")
    folder = "folder of the run folders (default: $APC_RUNS, or runs)"
    where("--runs", type=Path, default=Path(runs or "runs"), metavar="DIR", help=folder)
    tables = "rows, tables and figures (default: $APC_REPORTS, or reports)"
    where("--reports", type=Path, metavar="DIR", help=tables)
    if not trains:
        return parser
    cluster = "Ray cluster: auto on one of its nodes, or local (default: $APC_ADDRESS, or local: this machine alone)"
    where("--address", default=address, metavar="ADDRESS", help=cluster)
    where("--num-workers", type=int, default=1, metavar="N", help="processes a trial, data-parallel (default: 1)")
    where("--cpus", type=int, default=1, metavar="N", help="CPUs, and torch threads, of each process (default: 1)")
    where("--gpus", type=float, metavar="X", help="GPUs of each process (default: 1 where there are any)")
    where("--max-concurrent", type=int, metavar="N", help="most trials side by side (default: as many as fit)")
    again = "times a trial that fails or loses its process is tried again, from its last epoch (default: 1)"
    where("--retries", type=int, default=1, metavar="N", help=again)
    tell = "tell a tracker too, through Ray's callback; repeatable (TensorBoard files are always below RUNS/.tune)"
    where("--log", action="append", default=[], choices=TRACKERS, help=tell)
    where("--verbose", action="store_true", help="show Ray's own messages too")
    return parser


def _search_flags(parser: Parser, trials: int, objectives: str) -> None:
    search = functools.partial(parser.add_argument_group("how it is searched").add_argument, action=_Given)
    search("--trials", type=int, default=trials, metavar="N", help=f"trials, earlier ones too (default: {trials})")
    search("--hours", type=float, default=0.0, metavar="H", help="start no trial after H hours of this call")
    search("--gpu-hours", type=float, default=0.0, metavar="H", help="start no trial after H GPU-hours of its trials")
    search("--sampler", choices=SAMPLERS, default="tpe", help="how settings are proposed (default: tpe)")
    search("--grid-points", type=int, default=3, metavar="N", help="values of a number in --sampler grid (default: 3)")
    scores = f"score to raise, or two for a Pareto front, such as miou,train_seconds (default: {objectives})"
    search("--objectives", default=objectives, metavar="SCORES", help=scores)
    give_up = "give bad trials up after a part of their epochs; needs --set eval_every=1 (default: none)"
    search("--stop-early", choices=STOPPERS, default="none", help=give_up)
    search("--warm-start", type=Path, metavar="DIR", help="earlier, finished runs to learn from, such as runs")
    search("--search-seed", type=int, default=0, metavar="N", help="seed of the search itself (default: 0)")


def how_of(args: argparse.Namespace, reported: Collection[str]) -> SearchSettings:
    """How the flags say a space is searched; `reported` are the scores that a run will have."""
    given = getattr(args, "given", [])
    if args.sampler == "grid" and (idle := [flag for flag in given if flag not in OF_A_GRID]):
        raise ValueError(f"--sampler grid trains every setting of its grid; leave out {', '.join(idle)}")
    if args.sampler != "grid" and "--grid-points" in given:
        raise ValueError(f"--grid-points is for --sampler grid, and the sampler is {args.sampler}")
    objectives = tuple(args.objectives.split(","))
    for name in objectives:
        if name not in reported:
            raise ValueError(f"--objectives {name}: no run reports it; choose from {', '.join(reported)}")
    if args.stop_early != "none" and objectives[0] not in IN_CURVES:
        raise ValueError(
            f"--stop-early {args.stop_early}: epochs report {', '.join(IN_CURVES)} and not {objectives[0]}, by which "
            "the search goes; leave it out"
        )
    if args.warm_start and not args.warm_start.is_dir():
        raise ValueError(f"--warm-start {args.warm_start}: there is no such folder")
    if args.grid_points < 2:
        raise ValueError(f"--grid-points is {args.grid_points}; it must be at least 2")
    return SearchSettings(
        trials=args.trials,
        sampler=args.sampler,
        objectives=objectives,
        stop_early=args.stop_early,
        search_seed=args.search_seed,
        hours=args.hours,
        gpu_hours=args.gpu_hours,
        warm_start=args.warm_start.resolve() if args.warm_start else None,
    )


def seeds_of(text: str, default: int) -> list[int]:
    """`3` -> 0, 1, 2; `0,3,4` -> those; empty -> the default number."""
    try:
        numbers = [int(part) for part in text.split(",")] if text else [default]
    except ValueError:
        numbers = []
    listed = "," in text
    if not numbers or min(numbers) < (0 if listed else 1) or len(set(numbers)) < len(numbers):
        raise ValueError(f"--seeds is {text!r}; give how many, such as 3, or different seeds, such as 0,3,4")
    return numbers if listed else list(range(numbers[0]))


def override(text: str) -> tuple[str, Any]:
    """`key=value` -> (key, value as the field's type has it)."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text}: write KEY=VALUE")
    fields_of({key: value}, source="--set")
    hint = get_type_hints(Config)[key]
    if hint is str:
        return key, value
    try:
        parsed = tomllib.loads(f"value = {f'[{value}]' if isinstance(default_of(key), tuple) else value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value  # a choice, or a slip that Config will name
    return key, float(parsed) if hint is float and type(parsed) is int else parsed


def config_of(args: argparse.Namespace, knobs: Collection[str]) -> Config:
    """Config that the flags describe; `knobs` are what the experiment varies itself and a flag must not fix."""
    cfg = from_toml(args.config, PRESETS[args.preset]()) if args.config else PRESETS[args.preset]()
    given = {"root": args.root, "weights": args.weights, "train_list": args.train_list}
    cfg = from_dict({name: value for name, value in given.items() if value}, cfg)
    if args.smoke:
        small = SMOKE | {"weights": "", "num_train": 64} if cfg.dataset == "pocket" else dict(SMOKE)
        cfg = from_dict(small, cfg)
    values = dict(override(text) for text in args.overrides)
    values |= {"epochs": args.epochs} if args.epochs is not None else {}
    taken = set(values) & {*knobs, "seed"}
    if taken:
        name = taken.pop()
        instead = "use --seeds" if name == "seed" else "this experiment varies it itself"
        raise ValueError(f"--set {name}: {instead}")
    cfg = from_dict(values, cfg, source="--set")
    if cfg.dataset != "pocket" and not cfg.root:
        raise ValueError(f"--root is missing: --preset {args.preset} needs the folder of its images")
    if cfg.dataset == "pocket" and cfg.root:
        raise ValueError(f"--root is {cfg.root}, but pocket data lies in no folder; add --preset folder")
    return cfg


def check_trackers(names: Sequence[str]) -> None:
    """ValueError where the package of a tracker is missing."""
    for name in names:
        if find_spec(name) is None:
            raise ValueError(f"--log {name}: the package {name} is not installed; run `pip install {name}`")
