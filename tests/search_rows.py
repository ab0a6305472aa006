"""Rows of searches for tests of the report."""

from dataclasses import replace
from typing import Any

from apc.config import Config, to_dict
from apc.runs.rows import Row, run_id

STAMP: dict[str, Any] = {
    "commit": "c0ffee123456",
    "machine": "box",
    "data": "pocket-1",
    "weights": "w1",
    "selection": "half",
    "threads": 1,
    "images": {"train": 8, "val": 8},
}
SEARCHED = {
    "sampler": "tpe",
    "objectives": ["tune_miou"],
    "stop_early": "none",
    "space": {"k": [2, 12, False], "lambda1": [0.001, 1, True]},
}


def a_row(label: str, seed: int, score: float, values: dict[str, Any], **fields: Any) -> Row:
    """A run of ten epochs; `fields` are those of the row, such as `stopped`."""
    config = to_dict(Config()) | {"seed": seed} | values
    ended = bool(fields.get("stopped") or fields.get("error"))
    return Row(
        run=run_id(config, "pocket-1", label),
        row=label,
        config=config,
        stamp=STAMP,
        experiment="x",
        metrics={} if ended else {"tune_miou": score, "held_miou": score - 1, "miou": score, "test_miou": score},
        seconds={"train": 36.0, "train_cpu": 36.0},
        curve=[{"epoch": e, "loss": 1 / e, "tune_miou": score / 2} for e in range(1, 4 if ended else 11)],
        **fields,
    )


def joint_rows() -> list[Row]:
    """Twelve settings: k decides the score, lambda1 does nothing, and the best k is the smallest of the space."""
    rows = []
    for i in range(12):
        pooling, k, lambda1 = ("top_k", "max")[i % 2], 2 + i % 6, 10 ** (-3 + (i * 5 % 12) / 4)
        values: dict[str, Any] = {"pooling": pooling, "lambda1": lambda1, "lambda2": 0.0}
        values |= {"k": k} if pooling == "top_k" else {}
        label = " ".join(f"{name}={value}" for name, value in values.items())
        row = a_row(label, 0, 50 - 3 * k + 0.01 * i, values)
        rows.append(replace(row, stamp=STAMP | {"search": SEARCHED}))
    return rows


def judged_rows(names: dict[str, float]) -> list[Row]:
    wobble = (0.0, 0.3, -0.2, 0.1, -0.1)
    return [
        a_row(name, seed, score + seed + wobble[seed] * (i + 1), {"lambda1": 0.1 * (i + 1)})
        for i, (name, score) in enumerate(names.items())
        for seed in range(5)
    ]
