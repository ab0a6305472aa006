"""APC's training step over the same encoder's bare forward and backward pass with a linear head.

    python benchmarks/step.py [--encoder deit_tiny_patch16_224] [--size 384] [--batch 4] [--device cpu]
                              [--compile] [--channels-last]

Same images, same open blocks (the paper's last five), random weights. The bare pass is what any method on this encoder
pays; the rest is HV-BiLSTM, pooling, decoder, pseudo labels and the three losses. Best of several alternating rounds
in one process, of the processor's time on a CPU (one thread) and by the clock on a GPU; the ratio, not the seconds, is
the result. Wanted: at most 1.35. With --compile or --channels-last, the Config's fields, both passes are taken again
with them in the same rounds: what share of the time is left is printed, and the ratio stays that of the plain ones.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from apc.config import Config, voc
from apc.methods.registry import build


def seconds(function: Callable[[], None], device: str) -> float:
    """Seconds of one call: the processor's on a CPU, where other programs may run, and by the clock on a GPU."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    function()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


def passes(cfg: Config, images: Tensor, labels: Tensor) -> tuple[Callable[[], None], Callable[[], None]]:
    """The bare pass and APC's, forward and backward, of one network."""
    torch.manual_seed(0)
    device = images.device.type
    method = build(cfg, labels.shape[1] + 1).to(device).train()
    method.encoder.open_last(cfg.unfreeze_blocks)
    if cfg.channels_last:
        method.to(memory_format=torch.channels_last)
    if cfg.compile:
        method.encoder.compile_blocks()
    head = nn.Linear(method.encoder.width, labels.shape[1]).to(device)

    def bare() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=cfg.amp == "bf16"):
            scores = head(method.encoder(images)[-1].mean(1))
        loss = nn.functional.binary_cross_entropy_with_logits(scores.float(), labels)
        loss.backward()

    def whole() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=cfg.amp == "bf16"):
            terms = method.loss_terms({"image": images, "labels": labels}, 0.5)
        sum(method.weights[name] * term for name, term in terms.items()).backward()  # type: ignore[union-attr]

    return bare, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="vit_base_patch16_384")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cfg = replace(
        voc(),
        encoder=args.encoder,
        weights="",
        image_size=args.size,
        amp="bf16" if args.device != "cpu" else "none",
    )
    images = torch.rand(args.batch, 3, args.size, args.size, device=args.device)
    labels = torch.zeros(args.batch, 20, device=args.device)
    labels[:, :2] = 1
    configs = [cfg]
    if args.compile or args.channels_last:
        configs.append(replace(cfg, compile=args.compile, channels_last=args.channels_last))
    both = [one for each in configs for one in passes(each, images, labels)]
    times = [[seconds(one, args.device) for one in both] for _ in range(args.rounds + 1)][1:]
    bare, whole, *faster = (min(column) for column in zip(*times, strict=True))
    where = torch.cuda.get_device_name() if args.device != "cpu" else "CPU, one thread"
    print(f"{args.encoder} at {args.size}, batch {args.batch}, {cfg.amp}, {where}")
    print(f"bare {1e3 * bare:.0f} ms, APC {1e3 * whole:.0f} ms")
    if faster:
        with_fields = " and ".join(["compile"] * args.compile + ["channels_last"] * args.channels_last)
        print(f"with {with_fields} {faster[0] / bare:.2f} of the bare pass's time, {faster[1] / whole:.2f} of APC's")
    print(f"ratio {whole / bare:.2f} (wanted: at most 1.35)")


if __name__ == "__main__":
    main()
