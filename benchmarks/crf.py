"""The dense CRF on the classes that win a pixel over the CRF on all 21, and several processes over one.

    APC_REFERENCE=... python benchmarks/crf.py [IMAGES]

Photographs of $APC_REFERENCE/voc-animals at 500 pixels, or drawn scenes where it is not set, with softmaxes over 21
classes made from their masks: blurred, with smooth noise, and one class too many, about as sure and as wrong as a
trained DeiT-Tiny on the same photographs (mean winning probability 0.92, losing classes together 0.015, 2.7 winners of
7). Two predictions a photograph, as of two branches, each without and with image labels: the four CRFs that `apc eval`
takes of a photograph. Parameters of ViT-PCM; CPU seconds of one core. Wanted: at least 2.5 times, 99.9 % of the labels
equal, and with 1, 2, 4 ... processes, up to the cores there are, a share of near 1 of that many times the photographs a
second. That share needs idle cores and falls with the load that is printed; the seconds of a core that a photograph
takes do not, and tell whether processes hinder one another.
"""

import csv
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

from apc.models.crf import CRF, Contest, CRFPool, crf_labels, crf_labels_of_all, dense_crf
from apc.parallel import cores

CLASSES, SIDE, SET = 21, 500, CRF["vit_pcm"]


def photographs(count: int) -> list[tuple[Image.Image, Image.Image]]:
    """Images and masks, spread over the validation list, or drawn."""
    if folder := os.environ.get("APC_REFERENCE", ""):
        root = Path(folder) / "voc-animals"
        names = [row["image"] for row in csv.DictReader((root / "val.csv").read_text().splitlines())]
        names = names[:: max(len(names) // count, 1)][:count]
        masks = [Image.open((root / "masks" / name).with_suffix(".png")) for name in names]
        images = [Image.open(root / "images" / name).convert("RGB") for name in names]
        return [(image, Image.fromarray(np.asarray(mask))) for image, mask in zip(images, masks, strict=True)]
    from apc.data import pocket

    drawn = (pocket.draw("val", i, 0) for i in range(count))
    return [(Image.fromarray(image), Image.fromarray(mask)) for image, mask in drawn]


def prediction(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Probabilities (21,H,W) of a network that half knows the truth (H,W)."""
    present = np.unique(truth[truth < CLASSES])
    likely = [*present, rng.choice(np.setdiff1d(np.arange(1, CLASSES), present))]
    logits = np.empty((CLASSES, *truth.shape), np.float32)
    for c in range(CLASSES):
        sure = gaussian_filter((truth == c).astype(np.float32), 12)
        coarse = rng.standard_normal((truth.shape[0] // 60 + 1, truth.shape[1] // 60 + 1))
        noise = zoom(coarse, (truth.shape[0] / coarse.shape[0], truth.shape[1] / coarse.shape[1]), order=1)
        logits[c] = 6 * sure + (2 * noise if c in likely else 0.5 * noise - 4)
    p: np.ndarray = np.exp(logits - logits.max(0))
    p /= p.sum(0)
    return p


def labelled(p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """A prediction with the classes ruled out that are not in the image."""
    present: np.ndarray = p * np.isin(np.arange(CLASSES), [0, *np.unique(truth)])[:, None, None]
    present /= present.sum(0).clip(1e-8)
    return present


def winners(p: np.ndarray) -> Contest:
    """The classes that win a pixel, which is what goes to a process of predictions as sure as these."""
    return Contest(p[np.unique(p.argmax(0))])


class Pace(NamedTuple):
    """How fast several processes are."""

    photographs_per_second: float
    """By the clock."""
    seconds: float
    """Of a core, a photograph."""


def pace(data: list[tuple[np.ndarray, list[np.ndarray]]], workers: int) -> Pace:
    """Of processes that have already started, on four photographs a process at least; `data` are photographs, each
    with its predictions (C,H,W)."""
    data = data * -(-4 * workers // len(data))
    jobs = [(image, [winners(p) for p in many], SET) for image, many in data]
    with CRFPool(workers) as pool:
        for future in [
            pool.submit(image[:64, :64], [Contest(p[:, :64, :64]) for p in many], SET) for image, many in data * 2
        ]:
            future.result()
        start = time.perf_counter()
        refined = [future.result() for future in [pool.submit(*job) for job in jobs]]
        wall = time.perf_counter() - start
    return Pace(len(data) / wall, sum(one.seconds for many in refined for one in many) / len(data))


def process_counts(most: int) -> list[int]:
    """1, 2, 4 ... below `most`, and `most`."""
    return [*(2**n for n in range(most.bit_length()) if 2**n < most), most]


def main(count: int = 10) -> None:
    data, right, won, equal = [], [], [], []
    seconds = {"all": 0.0, "one": 0.0, "four": 0.0}
    for number, (image, mask) in enumerate(photographs(count)):
        rng, scale = np.random.default_rng(number), SIDE / max(image.size)
        size = round(image.width * scale), round(image.height * scale)
        truth = np.asarray(mask.resize(size, Image.Resampling.NEAREST))
        photo = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
        plain = [prediction(truth, rng) for _ in range(2)]
        many = [*plain, *(labelled(p, truth) for p in plain)]
        data.append((photo, many))
        times = [time.thread_time()]
        whole = [dense_crf(photo, p, SET).argmax(0) for p in many]
        times.append(time.thread_time())
        crf_labels(photo, many[0], SET)
        times.append(time.thread_time())
        labels = crf_labels_of_all(photo, many, SET)
        times.append(time.thread_time())
        for name, start, end in zip(seconds, times, times[1:], strict=False):
            seconds[name] += (end - start) / count
        equal += [(a == b).mean() for a, b in zip(labels, whole, strict=True)]
        right += [(p.argmax(0) == truth)[truth < CLASSES].mean() for p in plain]
        won += [len(winners(p).probabilities) for p in plain]
    what = "photographs" if os.environ.get("APC_REFERENCE") else "drawn scenes"
    print(f"{len(data)} {what}, long side {SIDE}: {100 * np.mean(right):.1f} % of the pixels right, ", end="")
    print(f"{np.mean(won):.1f} winning classes; {cores()} cores, load {os.getloadavg()[0]:.1f}")
    one, four = seconds["all"] / 4 / seconds["one"], seconds["all"] / seconds["four"]
    print(f"one CRF: {seconds['all'] / 4:.2f} s on all classes, {seconds['one']:.2f} s on the winners: {one:.1f} times")
    print(f"the four of a photograph: {seconds['all']:.2f} s and {seconds['four']:.2f} s: {four:.1f} times")
    print(f"labels equal: {100 * np.mean(equal):.3f} % (wanted: at least 99.9)")
    paces = {workers: pace(data, workers) for workers in process_counts(cores())}
    for workers, (speed, each) in paces.items():
        share = speed / paces[1].photographs_per_second / workers
        print(f"processes: {workers}, {speed:.2f} photographs a second, {each:.2f} s of a core each, ", end="")
        print(f"efficiency {share:.2f} (wanted: near 1)")
    print(f"ratio {four:.1f} a photograph, {one:.1f} a CRF (wanted: at least 2.5)")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
