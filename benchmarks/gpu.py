"""How much of a GPU voc()'s training step uses, and how much memory one image of 960 pixels needs.

    python benchmarks/gpu.py [--compile] [--profile 20]
    python benchmarks/gpu.py --device cpu --encoder pocket --size 64 --eval-size 96 --batch 2 --matrix 256 --rounds 1

The second line checks the script itself, on a CPU in seconds; its ratios say nothing of a GPU.

Rate: the best of several products of two square bf16 matrices. Step: one of the real loop, forward, backward and
optimiser, of voc() from random weights with the last five blocks open, at 384 pixels and batch 16; its arithmetic as
torch's flop counter tells it of matrix products, convolutions and attention, and the HV-BiLSTM's, which the counter
does not see on every device, by the formula in `lstm_flops`. Wanted: at least 0.4 of the rate.

Memory: the most that torch holds while it predicts one image of 960 pixels, in GB of 10^9 bytes (on a CPU: the whole
process). Its floor: weights in float32, the image, both branches' probabilities in float32, the patch tokens that the
decoder reads and the widest layer of one block in bf16. Wanted: less than a fifth of the paper's 13.7 GB (Table 1).
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from apc.config import Config, voc
from apc.devices import peak_gib, restart
from apc.methods.base import Method
from apc.methods.registry import build
from apc.training.batches import Part
from apc.training.schedule import optimizer_of
from apc.training.step import Step

CLASSES, PAPER_GB = 21, 13.7


def best(function: Callable[[], object], device: str, rounds: int) -> float:
    """Least wall seconds of one call, after two for warming up."""
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        function()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[2:])


def matrix_rate(side: int, device: str, rounds: int) -> float:
    """Floating-point operations a second of a product of two bf16 matrices (side,side)."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / best(lambda: a @ b, device, rounds)


def a_step(cfg: Config, device: str) -> tuple[Method, Callable[[], None]]:
    """A method, and what trains it by one step of the real loop, once its last blocks are open."""
    method = build(cfg, CLASSES).to(device).train()
    method.encoder.open_last(cfg.unfreeze_blocks)
    if cfg.compile:
        method.encoder.compile_blocks()
    optimizer, train_step = optimizer_of(method, cfg), Step.of(method, cfg, device)
    labels = torch.zeros(cfg.batch_size, CLASSES - 1, device=device)
    labels[:, :2] = 1
    images = torch.rand(cfg.batch_size, 3, cfg.image_size, cfg.image_size, device=device)
    keys: list[tuple[int, ...]] = [(0, i, 0, 0) for i in range(cfg.batch_size)]
    part = {"image": images, "labels": labels, "index": torch.tensor([key[1:] for key in keys])}

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        train_step.gradients([Part(part, keys)], 0.5)
        optimizer.step()

    return method, step


def step_flops(cfg: Config, device: str) -> float:
    """Floating-point operations of a step, a multiply and an add being two."""
    method, step = a_step(replace(cfg, batch_size=1, bilstm=False, compile=False), device)
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # whose products are counted on every device, and none twice
        step()
    patches = (cfg.image_size // method.encoder.patch) ** 2
    return cfg.batch_size * float(counter.get_total_flops() + 3 * lstm_flops(method.encoder.width) * patches)


def lstm_flops(width: int) -> int:
    """The HV-BiLSTM's forward pass a patch: two LSTMs of two directions with width/4 units, each of which reads
    `width` features and width/4 states into four gates. The backward pass takes twice as much."""
    hidden = width // 4
    return 2 * 2 * 2 * 4 * hidden * (width + hidden)


def memory(cfg: Config, device: str) -> tuple[float, dict[str, float]]:
    """GB held at most while one image is predicted, and the floor's parts in GB."""
    method = build(cfg, CLASSES).to(device).eval()
    image = torch.rand(1, 3, cfg.scored_size, cfg.scored_size, device=device)
    restart(device)
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=cfg.amp == "bf16"):
        probabilities = method.predict(image)
    held = peak_gib(device) * 2**30 / 1e9
    h, w = method.encoder.grid(image)
    tokens, width = h * w + method.encoder.vit.num_prefix_tokens, method.encoder.width
    floor = {
        "weights": _bytes(*method.parameters()),
        "image": _bytes(image),
        "probabilities": _bytes(*probabilities.values()),
        "tokens": 2 * tokens * width * len(cfg.decoder_blocks),
        "widest layer": 2 * tokens * 4 * width,
    }
    return held, {name: count / 1e9 for name, count in floor.items()}


def _bytes(*tensors: Tensor) -> int:
    """Bytes of all of them."""
    return sum(t.numel() * t.element_size() for t in tensors)


def where_time_goes(step: Callable[[], object], device: str, rows: int) -> str:
    """A table of the kinds of kernels of one step that take most of the device's time."""
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device != "cpu" else [])
    with profile(activities=kinds) as found:
        step()
        if device != "cpu":
            torch.cuda.synchronize()
    by = "self_cpu_time_total" if device == "cpu" else "self_cuda_time_total"
    return str(found.key_averages().table(sort_by=by, row_limit=rows, max_name_column_width=60))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--encoder", default=voc().encoder)
    parser.add_argument("--size", type=int, default=voc().image_size)
    parser.add_argument("--eval-size", type=int, default=voc().eval_size)
    parser.add_argument("--batch", type=int, default=voc().batch_size)
    parser.add_argument("--matrix", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="the Config's field of this name")
    parser.add_argument(
        "--profile", type=int, default=0, metavar="N", help="the N kinds of kernels that take a step's time"
    )
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu with small shapes checks the script")
    cfg = replace(
        voc(),
        encoder=args.encoder,
        weights="",
        image_size=args.size,
        eval_size=args.eval_size,
        batch_size=args.batch,
        compile=args.compile,
    )
    if args.encoder == "pocket":
        cfg = replace(cfg, decoder_blocks=(1, 2, 3))
    torch.manual_seed(0)
    where = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(f"{args.encoder}, batch {args.batch} at {args.size}, one image at {args.eval_size}, {cfg.amp}, {where}")

    held, floor = memory(cfg, args.device)
    rate, flops = matrix_rate(args.matrix, args.device, args.rounds), step_flops(cfg, args.device)
    method, step = a_step(cfg, args.device)
    seconds = best(step, args.device, args.rounds)
    weights = _bytes(*method.parameters()) / 1e9
    print(f"matrix rate {rate / 1e12:.3g} TFLOP/s (bf16, {args.matrix} squared)")
    print(f"a step {1e3 * seconds:.1f} ms, {flops / 1e12:.4g} TFLOP, {weights:.3g} GB of weights; ", end="")
    print(f"floor {1e3 * flops / rate:.1f} ms at the matrix rate")
    parts = ", ".join(f"{name} {gb:.3g}" for name, gb in floor.items())
    print(f"one image {held:.3g} GB; floor {sum(floor.values()):.3g} GB: {parts}")
    print(f"ratio memory {held / PAPER_GB:.3f} of {PAPER_GB} GB (wanted: less than 0.2)")
    print(f"ratio step {flops / seconds / rate:.3f} of the matrix rate (wanted: at least 0.4)")
    if args.profile:
        print(where_time_goes(step, args.device, args.profile))


if __name__ == "__main__":
    main()
