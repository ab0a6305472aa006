"""What a run of any setting scores, epoch by epoch, made of the table: a mean for the setting and noise as measured.

The mean is a Gaussian process over the knobs, or a forest: one for the final scores, from all runs, and one for what
earlier epochs have beside a straight line in them, from the runs that were scored on the way. Noise is of two kinds:
what a seed does to all settings alike, and what is left of single runs, whole curves drawn from those measured. Arrays
of scores are (E,2): epochs by tune_miou, which chooses, and held_miou, which judges.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.apc_bench.table import KNOBS

if TYPE_CHECKING:
    from pandas import DataFrame

BOTH = ["tune_miou", "held_miou"]
PATCHES = 144
"""Of an embedded picture: average pooling is top-K of all of them, max pooling of one."""
Data = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Knobs, what is to be predicted, and how many seeds it is the mean of, a line a setting."""


def encoded(knob: Mapping[str, Any]) -> list[float]:
    """The knobs as numbers of about one, poolings on one line: how many patches count, and how adaptively."""
    count = {"max": 1, "average": PATCHES}.get(knob["pooling"]) or knob["k"]
    adaptive = 2 * knob["theta"] - 1 if knob["pooling"] == "adaptive_k" else 0.0
    contrast = min(knob["lambda2"] / 0.05, 1)
    return [
        math.log(count) / math.log(12),
        adaptive,
        math.log10(knob["lambda1"]) / 1.5,
        knob["lambda2"] / 0.05,
        contrast * (knob["epsilon"] - 0.775) / 0.175 if contrast else 0.0,
    ]


def growth(final: float) -> float:
    """Share of the noise that a setting of this final score has: those near the floor hardly have any."""
    return float(np.clip((final - 20) / 25, 0.2, 1.0))


class Noise(NamedTuple):
    """What was measured of seeds and of single runs."""

    common: np.ndarray
    """What each seed does to all settings alike, (S,E,2)."""
    single: np.ndarray
    """Curves of what neither setting nor seed explains, (n,E,2)."""
    odd: np.ndarray
    """What single settings have beyond the model in their early epochs, (k,E,2)."""


@dataclass
class Bench:
    """The model; `mean` gives a setting's curve over all seeds, (E,2)."""

    mean: Callable[[Mapping[str, Any]], np.ndarray]
    noise: Noise
    known: dict[str, np.ndarray] = field(default_factory=dict)
    """Curves asked for before."""

    @property
    def epochs(self) -> int:
        """Of a whole run."""
        return int(self.noise.common.shape[1])

    def curve(self, setting: Mapping[str, Any]) -> np.ndarray:
        """Mean scores of a setting, (E,2)."""
        key = repr(sorted(setting.items()))
        if key not in self.known:
            self.known[key] = self.mean(setting)
        return self.known[key]

    def quality(self, setting: Mapping[str, Any]) -> float:
        """What judges in the end: the mean held-out score."""
        return float(self.curve(setting)[-1, 1])


@dataclass
class World:
    """One draw of all noise: a search in it meets the same seeds and the same luck again."""

    bench: Bench
    number: int

    def __post_init__(self) -> None:
        self.seeds = np.random.default_rng([7, self.number]).permutation(len(self.bench.noise.common))

    def run(self, setting: Mapping[str, Any], trial: int, seed: int) -> np.ndarray:
        """Scores of a run, (E,2); `seed` counts the seeds of this world from 0."""
        noise, own = self.bench.noise, self.seeds[seed % len(self.seeds)]
        curve = self.bench.curve(setting)
        chance = np.random.default_rng([11, self.number, trial, seed])
        left = noise.single[chance.integers(len(noise.single))] if len(noise.single) else 0.0
        whim = np.random.default_rng([13, self.number, trial])
        odd = noise.odd[whim.integers(len(noise.odd))] if len(noise.odd) else 0.0
        scores: np.ndarray = curve + odd + growth(curve[-1, 1]) * (noise.common[own] + left)
        return scores


def settings_of(frame: "DataFrame") -> list[dict[str, Any]]:
    """Settings of the lines of a table, each with the knobs that it has."""
    knobs = frame[list(KNOBS)]
    there = knobs.notna().to_numpy()
    lines = zip(knobs.itertuples(index=False), there, strict=True)
    return [{name: line[i] for i, name in enumerate(KNOBS) if own[i]} for line, own in lines]


def in_space(frame: "DataFrame", epochs: int) -> "DataFrame":
    """Lines of settings of the space; those of ablations and of other lengths left out."""
    return frame[(frame["variant"] == "") & (frame["epochs"] == epochs) & (frame["lambda1"] > 0)]


def seed_effects(finals: "DataFrame") -> dict[int, np.ndarray]:
    """Seed -> what it adds to both scores of a good setting, from settings that several seeds trained; mean 0."""
    keys = np.array([repr(setting) for setting in settings_of(finals)])
    numbers, seeds = finals[BOTH].to_numpy(float), finals["seed"].to_numpy()
    several = np.array([len(set(seeds[keys == key])) > 1 for key in keys], bool)
    effects = {int(seed): np.zeros(2) for seed in sorted(set(seeds))}
    for _ in range(30 if several.any() else 0):
        cleaned = numbers - np.array([effects[int(seed)] for seed in seeds])
        mean = {key: cleaned[keys == key].mean(0) for key in set(keys[several])}
        for seed in effects:
            at = np.flatnonzero(several & (seeds == seed))
            share = np.array([growth(mean[keys[i]][1]) for i in at])
            if len(at):
                away = np.array([numbers[i] - mean[keys[i]] for i in at])
                effects[seed] = (away * share[:, None]).sum(0) / (share**2).sum()
        middle = np.mean(list(effects.values()), axis=0)
        effects = {seed: effect - middle for seed, effect in effects.items()}
    return effects


def noise_of(frame: "DataFrame", epochs: int) -> Noise:
    """Noise from settings that the same seeds trained: its course over the epochs from those scored every epoch, where
    ablations of APC count as settings, its width from the final scores of settings of the space."""
    finals = in_space(frame, epochs)
    finals = finals[finals["epoch"] == epochs]
    effects = seed_effects(finals)
    apc = frame[(frame["epochs"] == epochs) & ~frame["variant"].str.contains("method")]
    whole = apc[apc.groupby("run")["epoch"].transform("count") == epochs]
    shares = [_share(scores.mean(0), np.array([effects[seed][0] for seed in seeds])) for seeds, scores in blocks(whole)]
    share = np.mean(shares, axis=0) if shares else np.ones(epochs)
    return Noise(
        np.array([share[:, None] * effect for effect in effects.values()]),
        _as_wide(left_over(whole), left_over(finals), epochs),
        np.zeros((0, epochs, 2)),
    )


def blocks(frame: "DataFrame") -> list[tuple[list[int], np.ndarray]]:
    """Seeds, and scores (settings,seeds,epochs,2) of the settings that exactly these trained, two of each at least."""
    runs: dict[str, dict[int, np.ndarray]] = {}
    for _, run in frame.groupby("run"):
        first = run.iloc[0]
        key = repr([first["variant"], *(first[name] for name in KNOBS)])
        runs.setdefault(key, {})[int(first["seed"])] = run.sort_values("epoch")[BOTH].to_numpy(float)
    by_seeds: dict[tuple[int, ...], list[list[np.ndarray]]] = {}
    for own in runs.values():
        by_seeds.setdefault(tuple(sorted(own)), []).append([own[seed] for seed in sorted(own)])
    return [(list(seeds), np.array(all_)) for seeds, all_ in sorted(by_seeds.items()) if min(len(seeds), len(all_)) > 1]


def left_over(frame: "DataFrame") -> list[np.ndarray]:
    """What neither setting nor seed explains, of a good setting. Those near the floor have little noise and are left
    out."""
    left: list[np.ndarray] = []
    for seeds, block in blocks(frame):
        shares = np.array([growth(own[:, -1, 1].mean()) for own in block])
        scores, share = block[shares > 0.5], shares[shares > 0.5, None, None, None]
        if len(scores) < 2:
            continue
        away = (scores - scores.mean(1, keepdims=True)) / share
        freedom = len(seeds) / (len(seeds) - 1) * len(scores) / (len(scores) - 1)
        left.extend(np.concatenate(away - away.mean(0)) * math.sqrt(freedom))
    return left


def _as_wide(curves: list[np.ndarray], finals: list[np.ndarray], epochs: int) -> np.ndarray:
    """The curves, scaled to the deviation of the final scores, (n,E,2)."""
    if not curves or not finals:
        return np.zeros((0, epochs, 2))
    width, wanted = np.array(curves)[:, -1].std(), np.array(finals)[:, -1].std()
    return np.array(curves) * (wanted / width if width > 0 else 1.0)


def _share(by_seed: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """How much of the seeds' final effects each epoch has, (E,): the slope over the seeds, the last epoch's being 1."""
    away = by_seed.mean(-1) - by_seed.mean((0, -1))
    slopes = (away * (effects - effects.mean())[:, None]).sum(0)
    return np.asarray(slopes / slopes[-1]) if abs(slopes[-1]) > 1e-9 else np.ones(len(slopes))


def bench_of(frame: "DataFrame", kind: str = "gp", epochs: int = 10) -> Bench:
    """The model of a table: `gp` or `forest`."""
    own = in_space(frame, epochs)
    final, early = training_data(own, epochs)
    of_final, of_early = fitted(kind, *final), Early(kind, early)

    def mean(setting: Mapping[str, Any]) -> np.ndarray:
        x = np.array([encoded(setting)])
        last = of_final(x)
        return np.vstack([of_early(x, last)[0], last])

    return as_ranked(own, Bench(mean, noise_of(frame, epochs)), odd_ones(kind, early))


class Early:
    """Scores of the epochs before the last: a straight line in the final score, and what the knobs say beside it."""

    def __init__(self, kind: str, data: Data) -> None:
        """`data` are whole curves, (n,E,2)."""
        x, curves, _ = data
        last = curves[:, -1].mean(1)
        lines = [np.polyfit(last, curves[:, epoch].mean(1), 1) for epoch in range(curves.shape[1] - 1)]
        self.slopes, self.bases = np.array(lines).T[:, :, None]
        rest = curves[:, :-1] - self.line(curves[:, -1])
        self.rest = fitted(kind, x, rest.reshape(len(x), -1), shortest=0.8, least=0.05)

    def line(self, last: np.ndarray) -> np.ndarray:
        """What final scores, (n,2), say of the epochs before, (n,E-1,2)."""
        return np.asarray(self.bases + self.slopes * last[:, None])

    def __call__(self, x: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Scores of settings whose final scores are `last`, (n,E-1,2)."""
        line = self.line(last)
        return np.asarray(line + self.rest(x).reshape(line.shape))


def as_ranked(own: "DataFrame", bench: Bench, odd: np.ndarray) -> Bench:
    """The bench with what single settings have of their own in early epochs, as wide as lets its early epochs rank as
    those measured do: where there is one seed a setting, `odd` holds the noise of single runs once more."""
    tried = {
        width: replace(bench, noise=bench.noise._replace(odd=width * odd)) for width in (0.0, 0.25, 0.5, 0.75, 1.0)
    }

    def away(made: Bench) -> float:
        measured, own_ranks = early_ranks(own, made)
        return float(np.abs(np.array(measured) - own_ranks)[1:-1].mean())

    return min(tried.values(), key=away)


def early_ranks(own: "DataFrame", bench: Bench) -> tuple[list[float], list[float]]:
    """Spearman of each epoch's tune_miou with the last one's over settings of one seed: as measured, and in the model's
    own runs of the same settings."""
    from scipy.stats import spearmanr

    epochs = bench.epochs
    own = own[(own["seed"] == 0) & (own.groupby("run")["epoch"].transform("count") == epochs)]
    own = own.sort_values(["run", "epoch"])
    measured = own["tune_miou"].to_numpy(float).reshape(-1, epochs)
    settings = settings_of(own[own["epoch"] == epochs])
    model = [
        np.array([World(bench, world).run(setting, trial, 0)[:, 0] for trial, setting in enumerate(settings)])
        for world in range(20)
    ]

    def ranks(scores: np.ndarray) -> list[float]:
        return [float(spearmanr(scores[:, epoch], scores[:, -1])[0]) for epoch in range(epochs)]

    return ranks(measured), list(np.mean([ranks(scores) for scores in model], axis=0))


def odd_ones(kind: str, early: Data) -> np.ndarray:
    """How far the early epochs of good settings lie from a model that has not seen them, (k,E,2)."""
    x, curves, seeds = early
    parts = np.random.default_rng(0).permutation(len(x)) % min(10, len(x))
    away = np.zeros_like(curves)
    for part in set(parts):
        own, others = parts == part, parts != part
        said = Early(kind, (x[others], curves[others], seeds[others]))(x[own], curves[own, -1])
        away[own, :-1] = curves[own, :-1] - said
    return away[[growth(curve[-1, 1]) > 0.5 for curve in curves]]


def training_data(own: "DataFrame", epochs: int) -> tuple[Data, Data]:
    """Knobs, final scores without the seeds' effects and how many seeds they are the mean of; and knobs, whole
    curves as they were, (n,E,2), and again how many."""
    ends = own[own["epoch"] == epochs]
    effects = seed_effects(ends)
    final: dict[tuple[float, ...], list[np.ndarray]] = {}
    early: dict[tuple[float, ...], list[np.ndarray]] = {}
    curves = {run: lines.sort_values("epoch")[BOTH].to_numpy(float) for run, lines in own.groupby("run")}
    for setting, run, seed in zip(settings_of(ends), ends["run"], ends["seed"], strict=True):
        at, curve = tuple(encoded(setting)), curves[run]
        final.setdefault(at, []).append(curve[-1] - growth(curve[-1, 1]) * effects[int(seed)])
        if len(curve) == epochs:
            early.setdefault(at, []).append(curve)
    return _means(final), _means(early)


def _means(by_setting: dict[tuple[float, ...], list[np.ndarray]]) -> Data:
    x = np.array(list(by_setting))
    y = np.array([np.mean(own, axis=0) for own in by_setting.values()])
    return x, y, np.array([len(own) for own in by_setting.values()])


def fitted(
    kind: str, x: np.ndarray, y: np.ndarray, seeds: np.ndarray | None = None, shortest: float = 0.1, least: float = 1e-3
) -> Callable[[np.ndarray], np.ndarray]:
    """What predicts y, (n,outputs), from x: a forest, or a process of at least that length and share of noise."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    if kind == "forest":
        forest = ExtraTreesRegressor(60, random_state=0).fit(x, y)
        return lambda at: np.asarray(forest.predict(at)).reshape(len(at), -1)
    middle, width = y.mean(0), y.std(0).max() + 1e-9  # of all outputs, so that those that vary most tell the kernel
    smooth = ConstantKernel(1.0, (0.1, 30)) * Matern(np.ones(x.shape[1]), (shortest, 30), nu=2.5)
    noise = WhiteKernel(max(0.03, least), (least, 2.0))
    process = GaussianProcessRegressor(smooth + noise, alpha=0.02 / (seeds if seeds is not None else 1), random_state=0)
    process.fit(x, (y - middle) / width)
    kernel, weights = process.kernel_.k1, process.alpha_
    return lambda at: kernel(at, x) @ weights * width + middle
