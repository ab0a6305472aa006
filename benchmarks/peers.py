"""Seconds of a training step of APC and the methods of Table 6, on the same input, batch and encoder.

    python benchmarks/peers.py [--encoder deit_tiny_patch16_224] [--image-size 384] [--batch-size 4] [--device cpu]

A step is the forward pass with all loss terms on, the backward pass and the optimiser's step, with random weights, the
paper's open blocks and everything else as Config has it. A method of two stages has a line for each; its pseudo masks,
made once between them, are timed by themselves. Best of several alternating rounds in one process, wall seconds on a
GPU and processor seconds on a CPU, which other work on the machine hardly changes; the ratios to APC, printed last, are
the result.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import get_args, get_type_hints

import numpy as np
import torch
from torch import Tensor

from apc.config import Config, voc
from apc.data import Split
from apc.methods.base import Workplace
from apc.methods.registry import METHODS, build

NAMES = get_args(get_type_hints(Config)["method"])
CLASSES = ["background", *(f"class {number}" for number in range(1, 21))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="vit_base_patch16_384", help="a plain ViT of timm, or pocket")
    parser.add_argument("--image-size", type=int, default=384, help="side of the images in pixels")
    parser.add_argument("--batch-size", type=int, default=4, help="images a step")
    parser.add_argument("--deeplab", default="vit", help="network of ViT-PCM's second stage")
    parser.add_argument("--rounds", type=int, default=4, help="steps that are timed, of each method")
    parser.add_argument("--threads", type=int, default=1, help="threads torch may use on a CPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    base = replace(
        voc(),
        encoder=args.encoder,
        weights="",
        image_size=args.image_size,
        eval_size=0,
        batch_size=args.batch_size,
        decoder_blocks=(1, 2, 3) if args.encoder == "pocket" else voc().decoder_blocks,
        deeplab=args.deeplab,
        amp="bf16" if args.device != "cpu" else "none",
    )
    steps, mask_seconds = steps_of_all(base, args.device)
    times = {name: min(taken) for name, taken in timed(steps, args.rounds, args.device).items()}
    where = torch.cuda.get_device_name() if args.device != "cpu" else f"CPU, threads: {args.threads}"
    print(f"{args.encoder} at {args.image_size}, batch {args.batch_size}, {base.amp}, {where}, best of {args.rounds}")
    print(f"\n{'method':18} {'ms a step':>10} {'images/s':>10}")
    for name, least in times.items():
        print(f"{name:18} {1e3 * least:10.0f} {args.batch_size / least:10.2f}")
    for name in NAMES:
        if name not in METHODS:
            print(f"{name:18} absent: apc/methods/registry.py does not know it")
    if mask_seconds:
        rate = args.batch_size / mask_seconds
        print(f"{'vit_pcm, masks':18} {1e3 * mask_seconds:10.0f} {rate:10.2f}  once, of random noise")
    print("\nratio to APC: " + ", ".join(f"{name} {least / times['apc']:.2f}" for name, least in times.items()))


def steps_of_all(base: Config, device: str) -> tuple[dict[str, Callable[[], None]], float]:
    """A training step of every method, of ViT-PCM one a stage, and the seconds that its pseudo masks took."""
    steps: dict[str, Callable[[], None]] = {}
    mask_seconds, last = 0.0, base.epochs - 1
    for name in [name for name in NAMES if name in METHODS]:
        if name == "vit_pcm":
            cfg = replace(base, method=name, stage2_epochs=1)
            steps["vit_pcm, stage 1"], _ = step_of(cfg, last - 1, device)
            steps["vit_pcm, stage 2"], mask_seconds = step_of(cfg, last, device)
        else:
            steps[name], _ = step_of(replace(base, method=name), last, device)
    return steps, mask_seconds


def timed(steps: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each step, in turn, after one for warming up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            taken = seconds(step, device)
            if turn:
                times[name].append(taken)
    return times


def step_of(cfg: Config, epoch: int, device: str) -> tuple[Callable[[], None], float]:
    """A training step of a method in one of its epochs, and the seconds that `begin` took."""
    torch.manual_seed(0)
    method = build(cfg, len(CLASSES)).to(device).train()
    images = torch.randint(256, (cfg.batch_size, 3, cfg.image_size, cfg.image_size), dtype=torch.uint8)
    labels = torch.zeros(cfg.batch_size, len(CLASSES) - 1)
    labels[:, :2] = 1
    names = [str(number) for number in range(cfg.batch_size)]

    def photo(i: int) -> np.ndarray:
        return images[i].permute(1, 2, 0).numpy()

    method.encoder.open_last(cfg.unfreeze_blocks)
    split = Split(CLASSES, names, labels, images, photo)
    begin_seconds = seconds(lambda: method.begin(epoch, split, Workplace(device)), device)
    method.train()
    groups = [{"params": group["params"], "lr": cfg.lr * group["scale"]} for group in method.groups()]
    optimizer = torch.optim.Adam(groups, fused=True)
    index = torch.stack([torch.arange(cfg.batch_size), *2 * [torch.zeros(cfg.batch_size, dtype=torch.long)]], 1)
    batch = {"image": images.float().to(device) / 255, "labels": labels.to(device), "index": index}

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=cfg.amp == "bf16"):
            terms: dict[str, Tensor] = method.loss_terms(batch, 0.9)
        loss = torch.stack([method.weights[name] * term for name, term in terms.items()]).sum()
        loss.backward()
        optimizer.step()
        method.stepped()

    return step, begin_seconds


def seconds(function: Callable[[], None], device: str) -> float:
    """Seconds of one call: of the processor, all threads together, or of the clock where a GPU works."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    function()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


if __name__ == "__main__":
    main()
