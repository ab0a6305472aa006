"""`apc train`: one setting, trained and scored."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from apc import devices
from apc.config import PRESETS, Config
from apc.escaping import have, say
from apc.experiment import small_folders
from apc.experiment.config_flags import COMMON, add_all_fields, add_common_fields, config_of, preset_of
from apc.flags import CommandLine, Flag, runs_folder, taken
from apc.runs.scores import CHOOSERS, EpochChooser


@dataclass(frozen=True, kw_only=True)
class TrainFlags:
    """Train one setting and score it. A preset may stand first: pocket (embedded data, the default), folder (your
    photographs), voc or coco (what `apc data prepare` made). `--config FILE` lays a TOML file, such as best.toml, under
    the flags. The same command continues a stopped run. It trains in one process: over N GPUs the same setting trains
    with `python experiments/paper_setting.py voc --root DATA --num-workers N --seeds 1`."""

    runs: Path = field(default_factory=runs_folder)
    """Folder that keeps the runs, or s3://BUCKET/PREFIX (default: $APC_RUNS, or runs)."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    choose: EpochChooser | None = None
    """By what the epoch kept in best/ is chosen (with --eval-every): masks, every second mask, image labels alone
    (default: val)."""
    threads: int = 1
    """Threads torch may use on the CPU; 0 is a thread a core. A number of its own changes last digits."""
    cache_gib: Annotated[float, Flag(metavar="GIB")] = 0.0
    """Keep what closed blocks of the encoder give for each image on this machine's disk, in at most so many GiB, for
    later runs too (default: in memory, for this run)."""


def read_flags(words: Sequence[str]) -> tuple[Config, TrainFlags]:
    """The setting and the flags of its training."""
    preset, rest = preset_of(words)
    line = CommandLine("apc train", TrainFlags.__doc__ or "", usage=f"apc train [{'|'.join(PRESETS)}] [flags]")
    add_common_fields(line, preset)
    line.add(TrainFlags, "where it is trained")
    add_all_fields(line, preset, but=COMMON)
    values = line.read(rest)
    return config_of(preset, values), taken(TrainFlags, values)


def command(words: list[str]) -> None:
    cfg, flags = read_flags(words)
    from apc.api import train
    from apc.parallel import cores

    if not cfg.weights:
        print("no --weights: the encoder starts from random numbers", flush=True)
    if cfg.stage2_epochs:
        first = cfg.epochs - cfg.stage2_epochs
        print(f"epochs: {cfg.epochs}, {first} of vit_pcm and then {cfg.stage2_epochs} of its DeepLab", flush=True)
    if cfg.rounds:
        rounds = f"{cfg.rounds} x {cfg.round_epochs} in rounds of self-training"
        print(f"epochs: {cfg.epochs}, {cfg.first_stage_epochs} and then {rounds}", flush=True)
    for told in (small_folders.told(cfg), devices.told(cfg.amp, devices.device_of(flags.device))):
        if told:
            print(told, flush=True)
    run = train(
        cfg,
        runs=flags.runs,
        device=flags.device,
        threads=flags.threads,
        report=_print_epoch,
        crf_workers=cores(),
        choose=flags.choose,
        cache_gib=flags.cache_gib,
    )
    say(f"\n{_scores(run.metrics)}\n\n{_next(cfg, run.folder)}")


def _next(cfg: Config, folder: Path) -> str:
    """What could not be scored for lack of masks, the run's folder, and what can be done with it."""
    from apc.runs.folder import load_tallies

    scored = [bool(counts.any()) for counts in load_tallies(folder)]
    lines, run = [], shlex.quote(str(folder))
    photographs = shlex.quote(f"{cfg.root}/images") if cfg.dataset == "folder" else "photos/"
    commands = {
        f"apc eval {run}": "score it again, under other protocols",
        f"apc predict {run} {photographs} --out predictions": "masks and pictures of photographs",
        f"apc export {run} --out model": "weights and a model card, to give away",
    }
    if not any(scored):
        del commands[f"apc eval {run}"]
        where = f" below {cfg.root}/masks" if cfg.dataset == "folder" else ""
        instead = f"compare {CHOOSERS['labels']}, and look at what it finds"
        lines = [f"no validation image has a mask{where}, so there is no mIoU: {instead}", ""]
    elif not all(scored):
        without = scored.count(False)
        bare = f"{without} of {len(scored)} validation images {have(without)} no mask"
        lines = [f"{bare}; the scores are of the others", ""]
    wide = max(map(len, commands))
    lines += [f"{folder}: weights, config and scores"]
    return "\n".join([*lines, *(f"  {command:{wide}}  # {purpose}" for command, purpose in commands.items())])


_OF_THE_LINE = ("epoch", "epochs", "seconds", "cpu_seconds")
"""What an epoch's line begins with, and the processor's seconds, which its row keeps."""


def _print_epoch(numbers: dict[str, float]) -> None:
    if "final" not in numbers:
        named = "  ".join(f"{k} {v:.4g}" for k, v in numbers.items() if k not in _OF_THE_LINE)
        print(f"epoch {numbers['epoch']:.0f}/{numbers['epochs']:.0f}  {numbers['seconds']:.0f} s  {named}", flush=True)


def _scores(metrics: dict[str, float]) -> str:
    """Scores as lines for a terminal, each with what its name means."""
    from apc.runs.scores import in_a_line

    return "\n".join(f"  {name:18} {value:6.2f}  {in_a_line(name)}".rstrip() for name, value in metrics.items())
