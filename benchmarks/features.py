"""What a sweep costs whose trials share the outputs of closed blocks, over one whose trials compute their own.

    python benchmarks/features.py [--root DATA] [--weights FILE] [--images 64] [--epochs 4 8] [--trials 10]

The preset for photographs (DeiT-Tiny at 256 pixels, seven of twelve blocks closed, two frozen epochs) is trained three
times on the same images, in one process: with features in memory, as without `--cache-gib`; with a store that is empty,
as the first trial of a sweep has; with one that is full, as all others have. The curves must be equal to the bit. Then
a batch of features is read from memory and from the store. Seconds are the processor's, and scoring is left out; the
ratios, printed last, are the result. Wanted: at most 0.85.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from apc.config import Config, folder
from apc.models.feature_cache import TRAIN, FrozenFeatures, SharedFeatures
from apc.models.feature_store import FeatureStore
from apc.training.loop import Prepared, train
from apc.training.run import prepare

GIB = 8.0


def seconds(function: Callable[[], object]) -> float:
    """The processor's, of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def epochs_of(cfg: Config, gib: float) -> tuple[list[float], list[float]]:
    """Processor seconds of each epoch of a run, and its losses."""
    with tempfile.TemporaryDirectory() as below:
        curve = train(prepare(cfg), cfg, folder=Path(below), cache_gib=gib).curve
    spent = [0.0, *(line["cpu_seconds"] for line in curve)]
    return [after - before for before, after in zip(spent, spent[1:], strict=False)], [line["loss"] for line in curve]


def reading(prepared: Prepared, cfg: Config, rounds: int = 20) -> list[float]:
    """Milliseconds to have the features of a batch at hand: from memory, and from the store."""
    encoder = prepared.method.encoder
    encoder.open_last(cfg.unfreeze_blocks)
    keys: list[tuple[int, ...]] = [(TRAIN, i, 0, 0) for i in range(cfg.batch_size)]
    images = prepared.train.images[torch.arange(cfg.batch_size)].contiguous().float() / 255
    kept = FrozenFeatures(encoder, {TRAIN: len(keys)}), SharedFeatures(encoder, FeatureStore(GIB), cfg, "cpu")
    for each in kept:
        each(images, keys)  # computed
        each(images, keys)
    times = [[seconds(lambda each=each: each(images, keys)) for each in kept] for _ in range(rounds)]  # type: ignore[misc]
    return [1e3 * min(column) for column in zip(*times, strict=True)]


def main() -> None:
    reference = os.environ.get("APC_REFERENCE", "")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=f"{reference}/voc-animals", help="photographs of your own")
    parser.add_argument("--weights", default=f"{reference}/weights/deit_tiny_patch16_224.safetensors")
    parser.add_argument("--images", type=int, default=64, help="training images")
    parser.add_argument("--epochs", type=int, nargs="+", default=[4, 8], help="of a trial")
    parser.add_argument("--trials", type=int, default=10, help="of a sweep")
    args = parser.parse_args()
    torch.set_num_threads(1)
    few = {"num_train": args.images, "num_val": 4, "epochs": max(args.epochs), "eval_every": 0}
    cfg = replace(folder(), root=args.root, weights=args.weights, **few)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["APC_CACHE"] = cache
        runs = [epochs_of(cfg, gib) for gib in (0.0, GIB, GIB)]
        batch = reading(prepare(cfg), cfg)
    (alone, losses), (first, _), (others, _) = runs
    assert all(found == losses for _, found in runs), "shared features must change no bit"
    for name, spent in {"in memory": alone, "store, empty": first, "store, full": others}.items():
        print(f"{name:13} {'  '.join(f'{of:.1f}' for of in spent)} s an epoch of {args.images} images")
    print(f"a batch of {cfg.batch_size}: {batch[0]:.1f} ms from memory, {batch[1]:.1f} ms from the store")
    for epochs in args.epochs:
        shared = sum(first[:epochs]) + (args.trials - 1) * sum(others[:epochs])
        ratio = shared / (args.trials * sum(alone[:epochs]))
        print(f"ratio {ratio:.2f} of {args.trials} trials of {epochs} epochs (wanted: at most 0.85)")


if __name__ == "__main__":
    main()
