"""`apc train`: one setting, trained and scored."""

import os
import shlex
from pathlib import Path
from typing import Annotated

from apc.cli.parsing import base_config, parse, scores, unnamed
from apc.config import Config


def _told(base: Config, rest: list[str]) -> tuple[Config, Path, str, int]:
    """What the flags come to over a base."""
    usual = Path(os.environ.get("APC_RUNS", "runs"))

    def train(
        cfg: Annotated[Config, unnamed()] = base, runs: Path = usual, device: str = "auto", threads: int = 1
    ) -> tuple[Config, Path, str, int]:
        """Train one setting and score it. A preset may stand first: pocket (embedded data, the default), folder (your
        photographs), voc or coco (what `apc data prepare` made). `--config FILE` lays a TOML file, such as best.toml,
        under the flags. The same command continues a stopped run. It trains in one process: over N GPUs the same
        setting trains with `python experiments/paper_setting.py --preset voc --num-workers N`.

        Args:
            cfg: The setting.
            runs: Folder that keeps the runs (default: $APC_RUNS, or runs).
            device: auto, cpu, cuda or cuda:N.
            threads: Threads torch may use on the CPU; 0 is a thread a core. A number of its own changes last digits.
        """
        return cfg, runs, device, threads

    return parse(train, rest, "apc train")


def command(words: list[str]) -> None:
    cfg, runs, device, threads = _told(*base_config(words))
    if cfg.method != "apc":  # file and flags lie over the preset of their method
        cfg, runs, device, threads = _told(*base_config(words, cfg))
    from apc.api import train
    from apc.parallel import cores

    if not cfg.weights:
        print("no --weights: the encoder starts from random numbers", flush=True)
    run = train(cfg, runs=runs, device=device, threads=threads, report=_print_epoch, crf_workers=cores())
    print(f"\n{scores(run.metrics)}\n\n{_next(cfg, run.folder)}")


def _next(cfg: Config, kept: Path) -> str:
    """What could not be scored for lack of masks, the run's folder, and what can be done with it."""
    from apc.runs.folder import load_tallies

    scored = [bool(counts.any()) for counts in load_tallies(kept)]
    lines, run = [], shlex.quote(str(kept))
    photographs = shlex.quote(f"{cfg.root}/images") if cfg.dataset == "folder" else "photos/"
    commands = {
        f"apc eval {run}": "score it again, under other protocols",
        f"apc predict {run} {photographs} --out predictions": "masks and pictures of photographs",
        f"apc export {run} --out model": "weights and a model card, to give away",
    }
    if not any(scored):
        del commands[f"apc eval {run}"]
        where = f" below {cfg.root}/masks" if cfg.dataset == "folder" else ""
        lines = [f"no validation image has a mask{where}, so there is no mIoU: look at what it finds", ""]
    elif not all(scored):
        bare = f"{scored.count(False)} of {len(scored)} validation images have no mask"
        lines = [f"{bare}; the scores are of the others", ""]
    wide = max(map(len, commands))
    lines += [f"{kept}: weights, config and scores"]
    return "\n".join([*lines, *(f"  {command:{wide}}  # {told}" for command, told in commands.items())])


def _print_epoch(numbers: dict[str, float]) -> None:
    if "final" not in numbers:
        named = "  ".join(f"{k} {v:.4g}" for k, v in numbers.items() if k not in ("epoch", "epochs", "seconds"))
        print(f"epoch {numbers['epoch']:.0f}/{numbers['epochs']:.0f}  {numbers['seconds']:.0f} s  {named}", flush=True)
