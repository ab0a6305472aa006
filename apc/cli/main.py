"""The command line: verbs, exit codes, and one sentence for whatever is wrong. Only the verb asked for is imported."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from apc import __version__
from apc.escaping import complain, one_line
from apc.files import end_if_unread

USAGE = """apc: train, score and search Adaptive Patch Contrast, weakly supervised segmentation from image labels

  apc data prepare voc|coco --root DIR   the paper's data sets made ready, from the archives' contents or --download
  apc data check|cache voc|coco|folder --root DIR   every file read to its end; images decoded ahead of training
  apc data import SOURCE --out DIR    labels of CVAT, Label Studio, labelme, Roboflow, COCO, VOC or a table as a folder
  apc data split --root DIR           training and validation lists: groups together, classes in equal shares
  apc data draw --root DIR            the embedded miniature as a folder of photographs, to try things on
  apc train [pocket|folder|voc|coco] [flags]   train one setting and score it; `apc train --help` lists every knob
  apc eval RUN_FOLDER [flags]         score a finished run again: another size, another CRF, other photographs
  apc predict RUN_FOLDER IMAGES... --out DIR   masks, overlays, heat maps and a contact sheet of your photographs
  apc export RUN_FOLDER --out DIR     weights, config, class names and a model card, to give away
  apc search SPACE [flags]            search a space of search_spaces/ with Ray Tune and Optuna
  apc status [RUNS]                   what is finished, under way and failed below a runs folder
  apc doctor [flags]                  what would fail on this machine or a cluster, before anything long starts
  apc report [REPORTS] [--runs RUNS]  build ablation.md, tables and figures from the rows below REPORTS/results

  python experiments/grid_lambda.py   the paper's lambda search (section 4.1, Figure 5)
  python experiments/table7_pooling.py  the paper's pooling comparison (Table 7)
  apc --version                       the version of what runs
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0, 2 for bad input, 130 where it was interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _answer(words)
        sys.stdout.flush()  # what cannot be written any more is noticed here
        return code
    except ValueError as error:
        return fail(str(error))
    except OSError as error:  # a full disk, a folder that went away: nothing finished is lost
        end_if_unread(error)
        return fail(f"{error.filename or 'a file'}: {error.strerror or error}; {_again(words)}")
    except FloatingPointError as error:
        return fail(str(error))
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, told by its name: torch is not imported for it
            raise
        return fail(f"the GPU's memory is too small; {_SMALLER.get(words[0], 'use --device cpu')}")
    except KeyboardInterrupt:
        print(f"stopped; {_again(words)}", file=sys.stderr)
        return 130


def _answer(words: list[str]) -> int:
    """Answer what is asked without a verb, or have the verb's module answer; the exit code."""
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"apc {__version__}")
        return 0
    warnings.formatwarning = lambda message, *of_code: f"note: {one_line(str(message))}\n"
    if words[0] not in VERBS:
        return fail(f"there is no verb {words[0]!r}; choose from {', '.join(VERBS)}")
    code: int | None = import_module(f"apc.cli.{VERBS[words[0]]}").command(words[1:])
    return code or 0


_SMALLER = {
    "train": "lower --micro-batch (images held at once; default: the whole batch) or, if it was scoring, --eval-size",
    "eval": "lower --sizes (default: the run's eval_size)",
    "predict": "lower --eval-size",
}
"""What makes a verb need less memory on a GPU."""


def _again(words: list[str]) -> str:
    """What becomes of work that was stopped."""
    if words[0] in ("eval", "export"):
        return "nothing was written"
    if words[:2] == ["data", "import"]:
        return "nothing was written, and the same command starts over"
    return "the same command goes on where it was"


def fail(sentence: str) -> int:
    """Say in one sentence on stderr what is wrong with the input; returns exit code 2."""
    complain(f"apc: {sentence}")
    return 2


VERBS = {
    "data": "data",
    "train": "train",
    "eval": "evaluate",
    "predict": "predict",
    "export": "export",
    "search": "search",
    "status": "status",
    "doctor": "doctor",
    "report": "report",
}
"""Verbs, each with its module in apc/cli/."""

if __name__ == "__main__":
    sys.exit(main())
