"""What a sweep costs whose trials share the outputs of closed blocks, over one whose trials compute their own.

    python -m benchmarks.features [--root DATA] [--weights FILE] [--images 64] [--epochs 4 8] [--trials 10]

The preset for photographs (DeiT-Tiny at 256 pixels, seven of twelve blocks closed, two frozen epochs) is prepared and
trained three times on the same images, in one process: with features in memory, as without `--cache-gib`; with a store
that is empty, as the first trial of a sweep has; with one that is full, as all others have. The curves must be equal to
the bit, and the third run decodes no training image. Then a batch of features is read from memory and from the store.
Seconds are the processor's, of reading the data and of training; scoring is left out. The ratios, printed last, are the
result. Wanted: at most 0.85.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from apc import data
from apc.config import Config, folder
from apc.data import images
from apc.models.feature_cache import TRAIN, FrozenFeatures, SharedFeatures, Shown
from apc.models.feature_store import FeatureStore
from apc.training.batches import decoded
from apc.training.loop import Prepared, train
from apc.training.run import prepare

GIB = 8.0


class Trial(NamedTuple):
    """What a run took, in seconds of the processor."""

    prepared: float
    """Until the first epoch."""
    epochs: list[float]
    losses: list[float]
    decoded: int
    """How many files were decoded for training."""

    def until(self, epochs: int) -> float:
        """Of so many epochs."""
        return self.prepared + sum(self.epochs[:epochs])


def seconds(function: Callable[[], object]) -> float:
    """The processor's, of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def trial(cfg: Config, gib: float) -> Trial:
    """One run."""
    calls, plain = list[str](), images.decode
    listed = {path.name for path in data.files(cfg.dataset, cfg.root, cfg.train_list).paths}

    def counted(path: Path, *how: images.Reading) -> object:
        calls.append(path.name)
        return plain(path, *how)

    vars(images)["decode"] = counted
    try:
        with tempfile.TemporaryDirectory() as below:
            start = time.process_time()
            prepared = prepare(cfg, lazily=gib > 0)
            before = time.process_time() - start
            curve = train(prepared, cfg, folder=Path(below), cache_gib=gib).curve
    finally:
        vars(images)["decode"] = plain
    spent = [0.0, *(line["cpu_seconds"] for line in curve)]
    epochs = [after - before for before, after in zip(spent, spent[1:], strict=False)]
    return Trial(before, epochs, [line["loss"] for line in curve], sum(name in listed for name in calls))


def reading(prepared: Prepared, cfg: Config, rounds: int = 20) -> list[float]:
    """Milliseconds to have the features of a batch at hand: from memory, and from the store."""
    encoder, split = prepared.method.encoder, prepared.train
    encoder.open_last(cfg.unfreeze_blocks)
    keys: list[tuple[int, ...]] = [(TRAIN, i, 0, 0) for i in range(cfg.batch_size)]
    shown = Shown("", {TRAIN: split.listed}, {TRAIN: split.rows}, lambda key: decoded(split, key))
    batch = torch.stack([shown.image(key) for key in keys])
    kept = FrozenFeatures(encoder, {TRAIN: len(keys)}), SharedFeatures(encoder, FeatureStore(GIB), cfg, "cpu", shown)
    for each in kept:
        each(batch, keys)  # computed
        each(batch, keys)
    times = [[seconds(lambda each=each: each(batch, keys)) for each in kept] for _ in range(rounds)]  # type: ignore[misc]
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
        data.fingerprint(cfg)  # which a search has read once, for all its trials
        alone, first, others = (trial(cfg, gib) for gib in (0.0, GIB, GIB))
        batch = reading(prepare(cfg), cfg)
    assert first.losses == others.losses == alone.losses, "shared features must change no bit"
    for name, one in {"in memory": alone, "store, empty": first, "store, full": others}.items():
        told = "  ".join(f"{of:.1f}" for of in one.epochs)
        print(
            f"{name:13} {one.prepared:.1f} s + {told} s an epoch of {args.images} images, {one.decoded} files decoded"
        )
    print(f"a batch of {cfg.batch_size}: {batch[0]:.1f} ms from memory, {batch[1]:.1f} ms from the store")
    for epochs in args.epochs:
        shared = first.until(epochs) + (args.trials - 1) * others.until(epochs)
        ratio = shared / (args.trials * alone.until(epochs))
        print(f"ratio {ratio:.2f} of {args.trials} trials of {epochs} epochs (wanted: at most 0.85)")


if __name__ == "__main__":
    main()
