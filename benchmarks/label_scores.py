"""What the scores without masks cost: their share of the processor time of an evaluation that runs the CRF anyway.

    python benchmarks/label_scores.py RUN [RUN ...]

RUN is the folder of a finished run, whose photographs must lie where they did. Each is scored twice in turn, without
those scores and with them, in one process and with one thread, and nothing is written. At most 15 percent is wanted.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from apc import data
from apc.config import Config
from apc.data import Split
from apc.evaluation.evidence import AfterCRF, Evidence, Looking, gather
from apc.evaluation.miou import score
from apc.evaluation.scoring import Scoring
from apc.methods.base import Method
from apc.methods.checkpoint import load_model

ROUNDS = 2
LIMIT = 15.0  # percent


def seconds(method: Method, val: Split, cfg: Config, *, label_scores: bool) -> float:
    """Processor seconds of an evaluation."""
    scoring, start = Scoring(), time.process_time()
    if not label_scores:
        score(method, val, cfg, scoring=scoring)
        return time.process_time() - start
    evidence, after = Evidence(val.labels.numpy()), AfterCRF(val)
    score(
        method,
        val,
        cfg,
        scoring=replace(scoring, keep=after.keep, plain=Looking(method, evidence, cfg, scoring.device)),
    )
    assert gather(method, val, cfg, scoring, evidence).scores() and after.scores("cpu")
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--image-size", type=int, help="pixels, in place of the run's own")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for folder in args.runs:
        method, cfg, _ = load_model(folder)
        cfg = replace(cfg, image_size=args.image_size or cfg.image_size, crf="pocket" if cfg.crf == "none" else cfg.crf)
        val = data.load(cfg, "val")
        without, with_ = (
            min(seconds(method, val, cfg, label_scores=own) for _ in range(ROUNDS)) for own in (False, True)
        )
        share = 100 * (with_ - without) / with_
        name = Path(cfg.root).name or cfg.dataset
        print(f"{name}, {cfg.image_size} pixels: {without:.1f} s, {with_:.1f} s: {share:.1f} % (at most {LIMIT:g})")


if __name__ == "__main__":
    main()
