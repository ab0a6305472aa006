"""Fixtures: the reference data where it is to be had, tiny configs, one thread."""

import gc
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: a fork of a process with OpenMP's threads waits for ever

import torch
from PIL import Image
from predictions import CLASSES

from apc.config import Config, pocket
from apc.methods.apc import APC
from apc.methods.checkpoint import save_model
from apc.methods.registry import build
from apc.models.crf import Contest, CRFParameters, Refined, refine
from apc.runs.rows import Row
from apc.training.run import run

torch.set_num_threads(1)


LONGEST = (
    *("search/test_stopped_drivers", "cluster/test_clusters", "search/test_driver", "chaos/test_kills"),
    *("search/test_killed_trials", "search/test_lost_ray", "chaos/test_failures", "tests/test_python_api"),
    *("experiments/test_smoke", "reporting/test_rebuilt", "docs/test_commands", "examples/test_quickstart"),
)
"""Files that take longest. Of several processes none is left with one of them while the others are through."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((at for at, name in enumerate(LONGEST) if path.endswith(f"{name}.py")), len(LONGEST))

    items.sort(key=place)


def pytest_collection_finish(session: pytest.Session) -> None:
    """A training collects garbage once an epoch (apc/devices.py); modules and collected tests are none."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that nobody looks at: a file says how it would be drawn, with the digest that `once` looks for.
    Drawing is most of a page's time; tests/reporting/figures/ look at what is drawn."""
    from matplotlib.figure import Figure

    def savefig(_: Figure, file: BinaryIO, **how: Any) -> None:
        file.write(json.dumps(how).encode())

    monkeypatch.setattr(Figure, "savefig", savefig)


@pytest.fixture(scope="session")
def warm_ray() -> Iterator[None]:
    """One Ray for all tests of a process; search() uses a Ray that runs and leaves it running."""
    from apc.search import local_ray
    from apc.search.ray_session import ray  # imported there, after what it reads from the environment is set

    local_ray.start({"num_cpus": 2, "num_gpus": 0, "include_dashboard": True, "log_to_driver": False}, print)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def reference() -> Path:
    """Real photographs and weights; tests that need them skip without."""
    folder = os.environ.get("APC_REFERENCE", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("APC_REFERENCE is not set to the folder of the reference data")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny() -> Config:
    """A run of a few seconds on the embedded data, from random weights; with the encoder's residual, for without it
    untrained scores lie too near together for epsilon and thresholds to tell them apart."""
    small = {"num_train": 32, "num_val": 8, "batch_size": 8, "epochs": 2, "frozen_epochs": 0, "warmup_steps": 0}
    return replace(pocket(), weights="", bilstm_residual=True, **small)


@pytest.fixture
def refined(monkeypatch: pytest.MonkeyPatch) -> list[tuple[CRFParameters, int]]:
    """Of every photograph that a CRF refines from now on, with which parameters and how many contests."""
    ran: list[tuple[CRFParameters, int]] = []

    def counting(image: np.ndarray, contests: list[Contest], p: CRFParameters) -> list[Refined]:
        ran.append((p, len(contests)))
        return refine(image, contests, p)

    monkeypatch.setattr("apc.models.crf.refine", counting)
    return ran


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder data set of 12 small drawn photographs, two classes, odd sizes."""
    root, rng = tmp_path / "photos", np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    (root / "classes.txt").write_text("red\nblue\n")
    lines = ["image,labels"]
    for i in range(12):
        h, w = 40 + i, 60 - i
        image, mask = rng.integers(90, 160, (h, w, 3), dtype=np.uint8), np.zeros((h, w), np.uint8)
        found = ["red"] if i % 3 == 0 else ["blue"] if i % 3 == 1 else ["red", "blue"]
        for name in found:
            x = 5 if name == "red" else 30
            image[8:28, x : x + 18] = (220, 20, 20) if name == "red" else (20, 20, 220)
            mask[8:28, x : x + 18] = 1 if name == "red" else 2
        mask[0] = 255
        Image.fromarray(image).save(root / "images" / f"photo {i}.png")
        Image.fromarray(mask).save(root / "masks" / f"photo {i}.png")
        lines.append(f"photo {i}.png,{' '.join(found)}")
    (root / "train.csv").write_text("\n".join([lines[0], *lines[1:9]]) + "\n")
    (root / "val.csv").write_text("\n".join([lines[0], *lines[9:]]) + "\n")
    return root


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained model that names every class somewhere."""
    torch.manual_seed(0)
    cfg = replace(pocket(), weights="", image_size=48, crf="none")
    method = build(cfg, len(CLASSES))
    assert isinstance(method, APC)
    with torch.no_grad():
        method.decoder.classify.weight *= 20
        method.classifier.weight *= 20
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, method, cfg, CLASSES)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Row]:
    """Folder of runs and the row of a tiny one, which tests measure and leave as they found them."""
    runs = tmp_path_factory.mktemp("runs")
    small = {"num_train": 32, "num_val": 8, "batch_size": 8, "epochs": 2, "frozen_epochs": 0}
    cfg = replace(pocket(), weights="", bilstm_residual=True, crf="none", eval_every=1, **small)
    return runs, run(cfg, runs=runs)
