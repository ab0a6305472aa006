"""`apc train`: one setting, trained and scored."""

from pathlib import Path
from typing import Annotated

from apc.config import Config
from apc.verbs import base_config, device_of, parse, scores, unnamed


def command(words: list[str]) -> None:
    base, rest = base_config(words)

    def train(
        cfg: Annotated[Config, unnamed()] = base, runs: Path = Path("runs"), device: str = "auto", threads: int = 1
    ) -> tuple[Config, Path, str, int]:
        """Train one setting and score it. Presets: pocket (embedded data, the default) and folder (your photographs).
        `--config FILE` lays a TOML file, such as best.toml, under the flags. The same command continues a stopped run.

        Args:
            cfg: The setting.
            runs: Folder that keeps the runs.
            device: auto, cpu, cuda or cuda:N.
            threads: Threads torch may use on the CPU.
        """
        return cfg, runs, device, threads

    cfg, runs, device, threads = parse(train, rest, "apc train")
    import torch

    from apc.results import require_writable
    from apc.run import run

    if not cfg.weights:
        print("no --weights: the encoder starts from random numbers", flush=True)
    require_writable(runs)
    torch.set_num_threads(threads)
    row = run(cfg, runs=runs.resolve(), device=device_of(device), report=_print_epoch)
    kept = runs / row.run
    print(f"\n{scores(row.metrics)}\n\n{kept}: weights, config and scores; score it again with `apc eval {kept}`")


def _print_epoch(numbers: dict[str, float]) -> None:
    if "final" not in numbers:
        named = "  ".join(f"{k} {v:.4g}" for k, v in numbers.items() if k not in ("epoch", "epochs", "seconds"))
        print(f"epoch {numbers['epoch']:.0f}/{numbers['epochs']:.0f}  {numbers['seconds']:.0f} s  {named}", flush=True)
