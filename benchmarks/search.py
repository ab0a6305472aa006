"""Epochs that searches need, replayed on APC-Bench: samplers, early stopping and races of `apc search`, and libraries.

    python -m benchmarks.search
    python -m benchmarks.search --only "tpe, halving" --replays 20
    python -m benchmarks.search --table

Each search is replayed in 200 worlds; a world is a draw of seeds and of noise as measured, the same for all searches.
What it would have returned after every epoch goes to benchmarks/apc_bench/replays.parquet, and from there the table is
printed: epochs from which on the true held-out score of what half, and three quarters, of the replays return lies
within 0.5 points of what the search of 40 full runs with TPE (400 epochs) returns on average, and the mean regret,
against the best setting of the space, at some budgets. What was replayed on the same model is not replayed again. SMAC3
is needed for its own lines alone (`pip install smac`), scikit-learn for all (SMAC3 brings it). `--check` says how well
the model predicts settings that it has not seen.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import optuna

from apc.files import write_encoded
from apc.reporting.searches import tuning_curve
from apc.search.spaces import suggest
from benchmarks.apc_bench import checks, model, table
from benchmarks.apc_bench.replay import Curve, epochs_for, quality_at, quantiles, replays
from benchmarks.apc_bench.strategies import DEFAULT, SPACE, STRATEGIES, Strategy

if TYPE_CHECKING:
    from pandas import DataFrame

PATH = table.PATH.with_name("replays.parquet")
BUDGETS = (50, 100, 200, 400)
REFERENCE = "tpe, in full, poolings first"
SHOWN = f"{DEFAULT.name}, poolings first"
"""What `experiments/search_joint.py` does."""
CLOSE = 0.5
"""Points of the reference's mean at its whole budget that still count as reaching it."""
DRAWS = 2_000
"""Settings at random among which the space's best is sought."""


class Line(NamedTuple):
    """One search in the table."""

    name: str
    peer: str
    replays: int
    epochs: tuple[float, float]
    """From which on half and three quarters of the replays are close; infinite where not within the budget."""
    regret: dict[int, tuple[float, float]]
    """Budget -> mean, and half the width of its 95 % interval."""


def line(strategy: Strategy, curves: Sequence[Curve], target: float, best: float) -> Line:
    """One search from what it returned in each world."""
    regret = {}
    for spent in [budget for budget in BUDGETS if budget <= strategy.budget]:
        lost = np.array([best - quality_at(curve, spent) for curve in curves])
        half = 1.96 * lost.std(ddof=1) / math.sqrt(len(lost)) if len(lost) > 1 else 0.0
        regret[spent] = (float(lost.mean()), float(half))
    half, most = (epochs_for(curves, target, share, strategy.budget) for share in (0.5, 0.75))
    return Line(strategy.name, strategy.peer, len(curves), (half, most), regret)


def markdown(lines: Sequence[Line]) -> str:
    """The table, the least regret at 200 epochs first."""
    head = [
        "search",
        "library",
        "replays",
        "epochs until half are close",
        "three quarters",
        *(f"regret at {b}" for b in BUDGETS),
    ]
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for own in sorted(lines, key=lambda own: own.regret[200][0]):
        epochs = ["–" if math.isinf(value) else f"{value:.0f}" for value in own.epochs]
        cells = [own.name, own.peer or "apc", str(own.replays), *epochs]
        cells += [f"{own.regret[b][0]:.2f} ± {own.regret[b][1]:.2f}" if b in own.regret else "–" for b in BUDGETS]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def picture(curves: Mapping[str, Sequence[Curve]], best: float, path: Path) -> None:
    """Median regret over epochs with the band between the quartiles, a line a search."""
    from apc.reporting.figures.style import COLOURS, empty, legend_below, save

    figure, (ax,) = empty(6, 3.2, 1, 1)
    for colour, (name, own) in zip(COLOURS, curves.items(), strict=False):
        epochs = range(10, max(each[-1][0] for each in own) + 1)
        lost = np.array([[best - quality_at(curve, at) for curve in own] for at in epochs])
        low, middle, high = np.nanquantile(lost, (0.25, 0.5, 0.75), axis=1)
        ax.fill_between(epochs, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
        ax.step(epochs, middle, where="post", color=colour, linewidth=1.6, label=name)
    ax.set_xlabel("epochs trained")
    ax.set_ylabel("points below the space's best")
    ax.set_xlim(0, 250)
    ax.set_ylim(0, 8)
    legend_below(figure, [ax])
    save(figure, path)


def best_of(bench: model.Bench) -> float:
    """The best true held-out score of the space among many random settings; what searches find may be better."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [suggest(SPACE, study.ask()) for _ in range(DRAWS)]
    return max(bench.quality(setting) for setting in drawn)


def band(strategy: Strategy, bench: model.Bench, count: int, path: Path) -> None:
    """Write the best score so far, as so many replays of a search see it: what `apc report` lays a real one on."""
    worlds = (model.World(bench, number) for number in range(count))
    curves = [own.best_so_far for own in replays(strategy.search, worlds, strategy.budget)]
    epochs, scores = quantiles(curves, tuning_curve.SHARES, strategy.budget)
    low, middle, high = np.round(scores, 2).tolist()
    told = {"search": strategy.name, "replays": count, "epochs": epochs, "low": low, "middle": middle, "high": high}
    write_encoded(path, json.dumps(told).encode())


def stored(kept: "DataFrame | None", name: str) -> list[Curve]:
    """What a search returned in each world, as it was stored; empty where it was not replayed."""
    if kept is None:
        return []
    own = kept[kept["search"] == name]
    return [
        list(zip(curve["epochs"].astype(int), curve["held_miou"].astype(float), strict=True))
        for _, curve in own.groupby("world")
    ]


def key_of(bench: model.Bench) -> str:
    """What tells a model from another: its scores of a few settings, and its noise."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    scores = [bench.curve(suggest(SPACE, study.ask())).sum() for _ in range(20)]
    numbers = [*scores, *(part.sum() for part in bench.noise)]
    return hashlib.sha256(" ".join(f"{number:.2f}" for number in numbers).encode()).hexdigest()[:12]


def load(key: str) -> "DataFrame | None":
    """Replays on this very model; None without any."""
    import pandas as pd

    if not PATH.is_file():
        return None
    kept = pd.read_parquet(PATH)
    return kept[kept["key"] == key]


def save(kept: "DataFrame | None", key: str, name: str, curves: Sequence[Curve]) -> "DataFrame":
    """Put a search's replays beside the others, in place of earlier ones of it."""
    import pandas as pd

    lines = [
        {"key": key, "search": name, "world": world, "epochs": at, "held_miou": quality}
        for world, curve in enumerate(curves)
        for at, quality in curve
    ]
    frame = pd.DataFrame(lines).astype({"world": "int16", "epochs": "int16", "held_miou": "float32"})
    if kept is not None:
        frame = pd.concat([kept[kept["search"] != name], frame], ignore_index=True)
    write_encoded(PATH, frame.to_parquet(index=False, compression="zstd"))
    return frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("gp", "forest"), default="gp", help="what stands between measured settings")
    parser.add_argument("--only", nargs="*", default=list(STRATEGIES), help="searches by name; default: all")
    parser.add_argument("--replays", type=int, default=200, help="of each search")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after which no further search is replayed")
    parser.add_argument("--table", action="store_true", help="only print what was replayed")
    parser.add_argument("--picture", type=Path, help="draw the regret of --only over epochs, as PATH.png and PATH.pdf")
    parser.add_argument("--band", type=Path, help="only write what `apc search` sees of its best so far, for the page")
    parser.add_argument("--check", action="store_true", help="only say how far the model can be trusted")
    args = parser.parse_args()
    if not importlib.util.find_spec("sklearn"):
        raise SystemExit('the model needs scikit-learn: pip install "apc-search[bench]"')
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    frame = table.load()
    if args.check:
        check(frame, args.model)
        return
    bench, began = model.bench_of(frame, args.model), time.process_time()
    if args.band:
        band(STRATEGIES[SHOWN], bench, args.replays, args.band)
        return
    key = key_of(bench)
    kept = load(key)
    if not args.table:
        for name in dict.fromkeys([REFERENCE, *args.only]):
            strategy = STRATEGIES[name]
            count = args.replays
            if time.process_time() - began > args.seconds or len(stored(kept, name)) >= count:
                continue
            since = time.process_time()
            worlds = (model.World(bench, number) for number in range(count))
            curves: list[Curve] = [own.returned for own in replays(strategy.search, worlds, strategy.budget)]
            kept = save(kept, key, name, curves)
            print(f"{name}: {count} replays in {time.process_time() - since:.0f} s of a core", flush=True)
    reference = stored(kept, REFERENCE)
    target = float(np.mean([quality_at(curve, 400) for curve in reference])) - CLOSE
    best = max(best_of(bench), float(kept["held_miou"].max()) if kept is not None else -math.inf)
    print(f"best setting {best:.2f}; {REFERENCE} returns {target + CLOSE:.2f} after 400 epochs\n")
    lines = [line(own, curves, target, best) for own in STRATEGIES.values() if (curves := stored(kept, own.name))]
    print(markdown(lines))
    if args.picture:
        picture({name: stored(kept, name) for name in args.only}, best, args.picture)


def check(frame: "DataFrame", kind: str) -> None:
    """Print how far the model can be trusted."""
    print("final held-out scores of settings left out (ten folds):")
    for name, (count, rank, explained, error) in checks.on_unseen(frame, kind).items():
        print(f"  {name}: {count} settings, Spearman {rank:.2f}, R2 {explained:.2f}, error {error:.2f} points")
    bench = model.bench_of(frame, kind)
    measured, own = model.early_ranks(model.in_space(frame, bench.epochs), bench)
    print("Spearman of each epoch with the last, seed 0, measured: " + " ".join(f"{value:.2f}" for value in measured))
    print("the same in the model's runs of these settings:         " + " ".join(f"{value:.2f}" for value in own))
    for way, (epochs, regret) in checks.on_real_runs(frame).items():
        print(
            f"among 24 of the settings drawn quasi-randomly, by their real curves, {way}: {epochs} epochs, {regret:.2f}"
        )
    for name, lost in checks.choosing(frame).items():
        print(f"choosing among these settings by {name}, seed by seed: " + " ".join(f"{each:.2f}" for each in lost))
    left = bench.noise
    print("deviation of single runs, epoch by epoch: " + " ".join(f"{sd:.1f}" for sd in left.single[:, :, 0].std(0)))
    print(f"final scores of the {len(left.common)} seeds: " + " ".join(f"{each[-1, 0]:+.1f}" for each in left.common))


if __name__ == "__main__":
    main()
