"""The model of APC-Bench on the table that ships: it knows what was measured, and early epochs rank as they do."""

import numpy as np
import pytest

from benchmarks.apc_bench import model, table

pytest.importorskip("sklearn")


def test_the_model_knows_what_was_measured_and_how_early_epochs_rank() -> None:
    frame = table.load()
    bench = model.bench_of(frame)
    paper = {"pooling": "adaptive_k", "k": 6, "theta": 0.9, "lambda1": 0.02, "lambda2": 0.01, "epsilon": 0.85}
    best = {**paper, "pooling": "top_k"}
    assert abs(bench.quality(best) - 54.9) < 1.5  # five seeds' mean
    assert bench.quality(paper) < bench.quality(best)
    assert bench.quality({**paper, "pooling": "average"}) < 28
    assert len(bench.noise.common) >= 10 and abs(bench.noise.common[:, -1, 0].mean()) < 1e-6
    measured, own = model.early_ranks(model.in_space(frame, 10), bench)
    assert np.abs(np.array(measured) - own)[1:].max() < 0.15
