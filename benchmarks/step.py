"""APC's training step over the same encoder's bare forward and backward pass with a linear head.

    python benchmarks/step.py [--encoder deit_tiny_patch16_224] [--size 384] [--batch 4] [--device cpu]

Same images, same open blocks (the paper's last five), random weights. The bare pass is what any method on this encoder
pays; the rest is HV-BiLSTM, pooling, decoder, pseudo labels and the three losses. Best of several alternating rounds in
one process; the ratio, not the seconds, is the result. Wanted: at most 1.35.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from apc.config import voc
from apc.methods import build


def seconds(function: Callable[[], None], device: str) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    function()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="vit_base_patch16_384")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    amp: Literal["none", "bf16"] = "bf16" if args.device != "cpu" else "none"
    cfg = replace(voc(), encoder=args.encoder, weights="", image_size=args.size, amp=amp)
    method = build(cfg, 21).to(args.device).train()
    method.encoder.open_last(cfg.unfreeze_blocks)
    head = nn.Linear(method.encoder.width, 20).to(args.device)
    images = torch.rand(args.batch, 3, args.size, args.size, device=args.device)
    labels = torch.zeros(args.batch, 20, device=args.device)
    labels[:, :2] = 1

    def bare() -> None:
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=amp == "bf16"):
            scores = head(method.encoder(images)[-1].mean(1))
        nn.functional.binary_cross_entropy_with_logits(scores.float(), labels).backward()

    def whole() -> None:
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=amp == "bf16"):
            terms = method.loss_terms({"image": images, "labels": labels}, 0.5)
        sum(method.weights[name] * term for name, term in terms.items()).backward()  # type: ignore[union-attr]

    times = [(seconds(bare, args.device), seconds(whole, args.device)) for _ in range(args.rounds + 1)][1:]
    least_bare, least_whole = (min(column) for column in zip(*times, strict=True))
    where = torch.cuda.get_device_name() if args.device != "cpu" else "CPU, one thread"
    print(f"{args.encoder} at {args.size}, batch {args.batch}, {amp}, {where}")
    print(f"bare {1e3 * least_bare:.0f} ms, APC {1e3 * least_whole:.0f} ms")
    print(f"ratio {least_whole / least_bare:.2f} (wanted: at most 1.35)")


if __name__ == "__main__":
    main()
