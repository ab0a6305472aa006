"""`apc train | eval | search | status | report`. Heavy imports are local to the verb that needs them."""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from apc.config import PRESETS, Config, from_toml

USAGE = """apc: train, score and search Adaptive Patch Contrast, weakly supervised segmentation from image labels

  apc train [pocket|folder] [flags]   train one setting and score it; `apc train --help` lists every knob
  apc eval RUN_FOLDER [flags]         score a finished run again: another size, another CRF, other photographs
  apc search SPACE [flags]            search a space of search_spaces/ with Ray Tune and Optuna
  apc status [RUNS]                   what is finished, under way and failed below a runs folder
  apc report [REPORTS]                build ablation.md, tables and figures from the rows below reports/results

  python experiments/grid_lambda.py   the paper's lambda search (section 4.1, Figure 5)
  python experiments/table7_pooling.py  the paper's pooling comparison (Table 7)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0, 2 for bad input, 130 where it was interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    if words[0] not in VERBS:
        return fail(f"there is no verb {words[0]!r}; choose from {', '.join(VERBS)}")
    try:
        return VERBS[words[0]](words[1:]) or 0
    except ValueError as error:
        return fail(str(error))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:  # a full disk, a folder that went away: nothing finished is lost
        return fail(f"{error.filename or 'a file'}: {error.strerror or error}; the same command goes on where it was")
    except FloatingPointError as error:
        return fail(f"{error}; try a lower learning rate or smaller lambdas")
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        return 130


def fail(sentence: str) -> int:
    """Say in one sentence on stderr what is wrong with the input; returns exit code 2."""
    print(f"apc: {sentence}", file=sys.stderr)
    return 2


def parse(function: Callable[..., Any], words: Sequence[str], prog: str) -> Any:
    """Call `function` with flags made from its signature (tyro); a slip becomes a ValueError of one sentence."""
    import tyro

    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard):
            return tyro.cli(function, args=list(words), prog=prog, config=(tyro.conf.FlagConversionOff,))
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ValueError(_one_sentence(heard.getvalue())) from None


def _one_sentence(box: str) -> str:
    """tyro's framed message as one sentence."""
    told = re.sub(r"\s+", " ", re.sub(r"[─-╿]+", " ", box)).strip()
    told = re.split(r" Argument helptext:| For full helptext", told)[0]
    unknown = re.search(r"[Uu]nrecognized options: (\S+?),? ", told + " ")
    if unknown:
        meant = re.search(r"Perhaps you meant: (--[\w-]+)", told)
        hint = f"did you mean {meant[1]}?" if meant else "--help lists them all"
        return f"there is no flag {unknown[1]}; {hint}"
    return re.sub(r"^(Invalid choice|Value error|Missing value|Required options?) (?=[A-Zi])", "", told)


def base_config(words: list[str]) -> tuple[Config, list[str]]:
    """Preset and --config taken off the front of the flags: what the other flags change, and those flags."""
    preset = words[0] if words and not words[0].startswith("-") else "pocket"
    if preset not in PRESETS:
        raise ValueError(f"there is no preset {preset!r}; choose from {', '.join(PRESETS)}")
    cfg, rest = PRESETS[preset](), words[1:] if words and words[0] == preset else list(words)
    if "--config" in rest:
        at = rest.index("--config")
        if at + 1 == len(rest):
            raise ValueError("--config needs the name of a TOML file, such as best.toml")
        cfg, rest = from_toml(rest[at + 1], cfg), rest[:at] + rest[at + 2 :]
    return cfg, rest


def device_of(name: str) -> str:
    """A torch device: `auto` is a GPU where there is one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if name not in ["cpu", *gpus] and not (name == "cuda" and gpus):
        raise ValueError(f"device is {name!r}; choose from {', '.join(['auto', 'cpu', *gpus])}")
    return name


def _train(words: list[str]) -> None:
    base, rest = base_config(words)

    def train(
        cfg: Annotated[Config, _unnamed()] = base, runs: Path = Path("runs"), device: str = "auto", threads: int = 1
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


def _eval(words: list[str]) -> None:
    def evaluate(
        folder: Annotated[Path, _positional()],
        root: str = "",
        val_list: str = "",
        eval_size: int = 0,
        crf: str = "",
        device: str = "auto",
        threads: int = 1,
    ) -> tuple[Path, dict[str, Any], str, int]:
        """Score a finished run again on its validation images, under every protocol.

        Args:
            folder: Folder of a finished run, below runs/.
            root: Folder of other photographs; default: the run's own.
            val_list: Another list of validation images.
            eval_size: Side in pixels of the images; default: as trained.
            crf: Parameters of the dense CRF: none, vit_pcm, afa, toco or pocket; default: the run's own.
            device: auto, cpu, cuda or cuda:N.
            threads: Threads torch may use on the CPU.
        """
        given = {"root": root, "val_list": val_list, "eval_size": eval_size, "crf": crf}
        return folder, {k: v for k, v in given.items() if v}, device, threads

    folder, changes, device, threads = parse(evaluate, words, "apc eval")
    import torch

    from apc import data
    from apc.checkpoint import load_model
    from apc.config import from_dict
    from apc.evaluate.segmentation import iou, miou, score

    torch.set_num_threads(threads)
    method, trained, classes = load_model(folder, device_of(device))
    cfg = from_dict(changes, trained, "apc eval")
    split = data.load(cfg, "val")
    if split.classes != classes:
        theirs, ours = ", ".join(split.classes[1:]), ", ".join(classes[1:])
        raise ValueError(f"{cfg.root}/classes.txt: names {theirs}; the model knows {ours}")
    counts = score(method, split, cfg, device=device_of(device))
    totals = {name: matrices.sum(0) for name, matrices in counts.items()}
    if not totals["miou"].any():
        raise ValueError(f"{cfg.root}: no validation image has a mask, so nothing can be scored")
    print(f"{len(split)} images, squashed to {cfg.scored_size} pixels\n")
    print(f"{scores({name: miou(total) for name, total in totals.items()})}\n")
    for name, value in zip(classes, iou(totals["miou"]), strict=True):
        shown = f"{value:6.2f}" if value == value else "     –  (not in the truth)"
        print(f"  IoU of {name:20} {shown}")


def scores(metrics: dict[str, float]) -> str:
    """Scores as lines for a terminal, each with what its name means."""
    meaning = {
        "miou": "decoder, no image labels", "patch_miou": "patch branch, no image labels",
        "labelled_miou": "decoder, image labels given", "pseudo_miou": "patch branch, image labels given",
        "test_miou": "decoder, no image labels, untouched test split",
    }
    lines = []
    for name, value in metrics.items():
        plain = name.removesuffix("_crf")
        told = meaning.get(plain, "") + (", dense CRF" if name != plain else "")
        lines.append(f"  {name:18} {value:6.2f}  {told}".rstrip())
    return "\n".join(lines)


def _search(words: list[str]) -> int | None:
    from apc.experiment import search_space

    return search_space(words)


def _status(words: list[str]) -> None:
    def status(runs: Annotated[Path, _positional()] = Path("runs")) -> Path:
        """What is finished, under way and failed below a folder of runs.

        Args:
            runs: Folder that keeps the runs.
        """
        return runs

    folder = parse(status, words, "apc status")
    from apc import progress

    print(progress.status(folder))


def _report(words: list[str]) -> None:
    def report(reports: Annotated[Path, _positional()] = Path("reports")) -> Path:
        """Build ablation.md, tables and figures from the rows below REPORTS/results; trains nothing.

        Args:
            reports: Folder of the report.
        """
        return reports

    folder = parse(report, words, "apc report")
    from apc.report.build import build
    from apc.results import require_writable

    if not (folder / "results").is_dir():
        raise ValueError(f"{folder}/results: there is no such folder; run an experiment, or name its --reports folder")
    require_writable(folder)
    print(build(folder))


def _unnamed() -> Any:
    import tyro

    return tyro.conf.arg(name="")


def _positional() -> Any:
    import tyro

    return tyro.conf.Positional


VERBS: dict[str, Callable[[list[str]], int | None]] = {
    "train": _train,
    "eval": _eval,
    "search": _search,
    "status": _status,
    "report": _report,
}

if __name__ == "__main__":
    sys.exit(main())
