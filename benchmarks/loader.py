"""The whole input pipeline over JPEG decoding alone, in samples a second, without the decoded cache and with it.

    python benchmarks/loader.py

Pipeline: files to batches of 16 flipped images of 384 pixels as bytes, as training hands them to the device. Decoding
alone: Pillow's `np.asarray(Image.open(path).convert("RGB"))`; the pipeline's own decoder, torchvision's, is shown too.
All with the same threads, in turn, best of 15 rounds; files come from the system's memory. 80 drawn JPEGs of VOC's
size (500x375), or the photographs of $APC_REFERENCE/coco-sample (640x480). Wanted: at least 0.8 without the cache, at
least 5 with it.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from apc.config import Config, voc
from apc.data import cache
from apc.data.images import Images, Lazy, decode
from apc.data.transforms import augment, squash, stack
from apc.parallel import cores, prefetch

SIZE, BATCH, ROUNDS = 384, 16, 15


def photographs(folder: Path) -> list[Path]:
    """Real photographs where there are some, else drawn ones with a photograph's share of edges and texture."""
    reference = Path(os.environ.get("APC_REFERENCE", "")) / "coco-sample"
    if reference.is_dir():
        return sorted(reference.glob("*2014/*.jpg"))
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:375, :500]
    for number in range(20):
        image = np.full((375, 500, 3), 120.0)
        for frequency in np.geomspace(1, 200, 30):
            angle, phase = rng.uniform(0, 2 * np.pi, 2)
            wave = np.sin(2 * np.pi * frequency / 500 * (x * np.cos(angle) + y * np.sin(angle)) + phase)
            image += (wave * (wave > rng.uniform(-1, 0.5)))[..., None] * rng.normal(0, 40 / frequency**0.3, 3)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=92)
    return 4 * sorted(folder.glob("*.jpg"))


def pillow(path: Path) -> np.ndarray:
    """Pillow's decoder."""
    return np.asarray(Image.open(path).convert("RGB"))


def decode_alone(paths: list[Path], decoder: Callable[[Path], np.ndarray]) -> Callable[[range], object]:
    """Decodes the images of these numbers and does nothing else."""

    def make(numbers: range) -> list[np.ndarray]:
        return [decoder(paths[i]) for i in numbers]

    return make


def pipeline(images: Images, cfg: Config) -> Callable[[range], object]:
    """Makes the batch of the images of these numbers as training does."""

    def make(numbers: range) -> Tensor:
        return stack([augment(images[i], cfg, np.random.default_rng([0, i]))[0] for i in numbers])

    return make


def seconds(make: Callable[[range], object], count: int, threads: int) -> float:
    """Wall seconds of one pass over all images."""
    start = time.perf_counter()
    for _ in prefetch([range(at, at + BATCH) for at in range(0, count, BATCH)], make, threads):
        pass
    return time.perf_counter() - start


def main() -> None:
    torch.set_num_threads(1)
    cfg = replace(voc(), image_size=SIZE)
    with tempfile.TemporaryDirectory() as name:
        paths = photographs(Path(name))
        files = cache.Files(paths, [str(path) for path in paths], Path(name) / "cache", "")
        cache.build(files, SIZE)
        stored = cache.find(files, SIZE)
        assert stored is not None
        lazy = Lazy(lambda i: squash(decode(paths[i]), SIZE), len(paths))
        cached = cache.cached(stored, list(range(len(paths))))
        assert torch.equal(lazy[[0, 7]], cached[[0, 7]])
        ways = {
            "Pillow decoding alone": decode_alone(paths, pillow),
            "own decoder alone": decode_alone(paths, decode),
            "pipeline": pipeline(lazy, cfg),
            "pipeline with the cache": pipeline(cached, cfg),
        }
        kilobytes = np.mean([path.stat().st_size for path in paths]) / 1e3
        print(f"{len(paths)} JPEGs of {kilobytes:.0f} KB on average")
        for threads in sorted({1, cores()}):
            best = dict.fromkeys(ways, float("inf"))
            for _ in range(ROUNDS):
                for way, make in ways.items():
                    best[way] = min(best[way], seconds(make, len(paths), threads))
            rates = {way: len(paths) / value for way, value in best.items()}
            print(f"{threads} threads: " + ", ".join(f"{way} {rate:.0f}/s" for way, rate in rates.items()))
            alone, _, without, with_cache = rates.values()
    print(f"ratio {without / alone:.2f} without the cache (wanted: at least 0.8)")
    print(f"ratio {with_cache / alone:.1f} with the cache (wanted: at least 5)")


if __name__ == "__main__":
    main()
