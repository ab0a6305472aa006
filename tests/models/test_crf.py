"""The CRF: its parameter sets, the winning classes alone, and processes that work, fail and end as they should."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from golden_files import golden

from apc.config import Config
from apc.models.crf import CRF, Contest, CRFPool, contenders, crf_labels, crf_labels_of_all, decided, dense_crf


def scene(seed: int = 0, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image (32,40,3) and blocks of probabilities (C,32,40)."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (32, 40, 3), dtype=np.uint8)
    p = rng.dirichlet(np.ones(classes) * 0.3, (4, 5)).astype(np.float32)
    return image, p.repeat(8, 0).repeat(8, 1).transpose(2, 0, 1)


def test_the_crf_moves_a_boundary_to_the_edge_of_the_object() -> None:
    truth = np.zeros((40, 40), int)
    truth[:, 20:] = 1
    image = np.where(truth[..., None] == 1, 200, 40).repeat(3, 2).astype(np.uint8)
    p = np.full((3, 40, 40), 0.05, np.float32)
    p[0, :, :16], p[1, :, 16:] = 0.7, 0.7  # four columns too far
    p /= p.sum(0)
    before = (p.argmax(0) == truth).mean()
    assert before == 0.9 and (crf_labels(image, p, CRF["pocket"]) == truth).mean() > 0.96


def test_the_crf_on_the_winning_classes_gives_the_labels_of_the_crf_on_all() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    p = rng.dirichlet(np.ones(8) * 0.2, (6, 8)).astype(np.float32).repeat(8, 0).repeat(8, 1).transpose(2, 0, 1)
    same = crf_labels(image, p, CRF["vit_pcm"]) == dense_crf(image, p, CRF["vit_pcm"]).argmax(0)
    assert same.mean() >= 0.999


def test_crfs_that_share_their_kernels_give_what_each_gives_alone() -> None:
    image, two = scene(0, classes=2)
    many = [two, scene(1, classes=3)[1], two[::-1], scene(2, classes=7)[1], 0.4 * two[:1]]
    for together, p in zip(crf_labels_of_all(image, many, CRF["afa"]), many, strict=True):
        assert (together == crf_labels(image, p, CRF["afa"])).all()
    for p in many[:4]:  # with the probabilities of as many classes as there are, and no slot left over
        assert (crf_labels(image, p, CRF["afa"]) == dense_crf(image, p, CRF["afa"]).argmax(0)).mean() > 0.999


def test_pixels_that_are_too_unsure_after_the_crf_are_unknown() -> None:
    image, p = scene(classes=2)
    refined = dense_crf(image, p, CRF["pocket"])
    unsure, least = refined.max(0), 0.9
    (labels,) = decided(image, [Contest(p, least=least)], CRF["pocket"])
    assert 0 < (unsure < least).mean() < 1
    np.testing.assert_array_equal(labels, np.where(unsure < least, 255, refined.argmax(0)))
    alone = np.array([[[0.5, 0.7]]], np.float32)  # of one class, which needs no CRF
    assert decided(image[:1, :2], [Contest(alone, least=0.6)], CRF["pocket"])[0].tolist() == [[255, 0]]


def test_one_winning_class_needs_no_crf() -> None:
    p = np.stack([np.full((5, 5), 0.9), np.full((5, 5), 0.1)]).astype(np.float32)
    assert (crf_labels(np.zeros((5, 5, 3), np.uint8), p, CRF["toco"]) == 0).all()


def test_the_parameter_sets_are_those_of_the_method_specification_and_all_are_choices_of_the_config() -> None:
    assert {name: tuple(p)[:6] for name, p in CRF.items()} == {
        "vit_pcm": (10, 3, 1, 4, 67, 3),
        "afa": (10, 3, 3, 4, 64, 5),
        "toco": (10, 1, 1, 4, 121, 5),
        "toco_cam": (10, 3, 3, 4, 36, 3),
        "irn": (10, 3, 3, 10, 50, 5),
        "deeplab": (10, 3, 3, 10, 80, 13),
        "pocket": (5, 3, 1.5, 5, 20, 8),
    }
    assert {name: p.label_probability for name, p in CRF.items() if p.label_probability} == {"irn": 0.7}
    assert set(get_args(get_type_hints(Config)["crf"])) == {"none", *CRF}


def test_labels_go_in_with_the_share_of_irn_and_probabilities_as_they_are() -> None:
    """Where neighbours weigh nothing, the CRF gives what goes in: here the shares of three classes in two pixels."""
    image, p = np.zeros((1, 2, 3), np.uint8), np.array([[0.5, 0.1], [0.3, 0.2], [0.2, 0.7]], np.float32)[:, None]
    alone = {name: parameters._replace(pos_w=1e-9, bi_w=1e-9) for name, parameters in CRF.items()}
    labels = dense_crf(image, p, alone["irn"])[:, 0]
    np.testing.assert_allclose(labels, [[0.7, 0.15], [0.15, 0.15], [0.15, 0.7]], atol=1e-6)  # 0.3 shared by two
    np.testing.assert_allclose(dense_crf(image, p[:2], alone["irn"])[:, 0], [[0.7, 0.3], [0.3, 0.7]], atol=1e-6)
    for name in set(CRF) - {"irn"}:
        np.testing.assert_allclose(dense_crf(image, p, alone[name]), p, atol=1e-6)


def test_without_a_step_neighbours_change_nothing() -> None:
    image, p = scene(0, classes=3)
    standing, moved = (dense_crf(image, p, CRF["pocket"]._replace(steps=steps)) for steps in (0, 1))
    np.testing.assert_allclose(standing, p.clip(1e-5) / p.clip(1e-5).sum(0), atol=1e-5)
    assert np.abs(moved - p).max() > 0.1


def test_a_probability_of_0_counts_as_1e_5() -> None:
    p = np.array([1.0, 0.0], np.float32)[:, None, None]
    made = dense_crf(np.zeros((1, 1, 3), np.uint8), p, CRF["afa"]._replace(pos_w=1e-9, bi_w=1e-9))
    assert made[1, 0, 0] == pytest.approx(1e-5, rel=1e-3)


def test_golden_irns_two_crfs_one_of_labels_and_one_of_probabilities() -> None:
    g = golden("dense_crf")
    labels = g["label_in"]
    sure = (labels == np.arange(labels.max() + 1)[:, None, None]).astype(np.float32)
    assert (crf_labels(g["image"], sure, CRF["irn"]) == g["label_crf"]).all()
    np.testing.assert_allclose(dense_crf(g["image"], g["prob"], CRF["deeplab"]), g["q_irn_style"], atol=1e-6)


def test_golden_a_class_that_wins_no_pixel_counts_in_irns_rule_and_moves_no_label() -> None:
    g = golden("dense_crf")
    labels, seen = g["label_in"], np.full((4, 48, 56), 1e-6, np.float32)
    seen[:3] = labels == np.arange(3)[:, None, None]
    assert (crf_labels(g["image"], seen, CRF["irn"]) == g["label_crf"]).all()  # all 2,688


@pytest.mark.parametrize("losers", [1, 2, 18])
def test_one_slot_stands_for_all_classes_that_irns_rule_makes_alike(losers: int) -> None:
    image, p = scene(0, classes=3)
    every = np.concatenate([p, np.full((losers, *p.shape[1:]), 1e-6, np.float32)])
    whole = dense_crf(image, every, CRF["irn"])
    np.testing.assert_allclose(dense_crf(image, p, CRF["irn"], others=losers), whole[:3], atol=2e-6)
    assert (crf_labels(image, every, CRF["irn"]) == whole.argmax(0)).all()
    assert np.abs(dense_crf(image, p, CRF["irn"]) - whole[:3]).max() > 0.01  # left out, they are missed


def test_all_classes_take_part_where_those_that_win_no_pixel_hold_more_than_a_twentieth() -> None:
    shares, winners = np.array([0.5, 0.03, 0.43, 0.04, 0.0]), np.array([0, 2])
    assert contenders(shares, winners, CRF["toco"]).classes.tolist() == [0, 1, 2, 3]  # but for one that cannot be
    shares = np.array([0.5, 0.02, 0.455, 0.025, 0.0])
    assert contenders(shares, winners, CRF["toco"]).classes.tolist() == [0, 2]
    irn = contenders(shares, winners, CRF["irn"])
    assert (irn.classes.tolist(), irn.others) == ([0, 2], 2)
    image, p = scene(3, classes=8)
    unsure = 0.6 * p + 0.05
    unsure[5:] = unsure[5:].clip(max=unsure[:5].max(0) - 0.01)
    assert set(np.unique(unsure.argmax(0))) <= set(range(5))
    labels = crf_labels(image, unsure, CRF["vit_pcm"])
    assert (labels == dense_crf(image, unsure / unsure.sum(0), CRF["vit_pcm"]).argmax(0)).all()


def test_processes_give_the_labels_that_this_process_gives() -> None:
    scenes = [scene(seed) for seed in range(3)]
    with CRFPool(2) as pool:
        futures = [pool.submit(image, [Contest(p)], CRF["pocket"]) for image, p in scenes]
        made = [refined for f in futures for refined in f.result(timeout=60)]
    for (image, p), refined in zip(scenes, made, strict=True):
        assert refined.seconds > 0 and (refined.labels == crf_labels(image, p, CRF["pocket"])).all()


def test_an_error_in_a_process_is_raised_here() -> None:
    image, p = scene()
    with CRFPool(1) as pool, pytest.raises(ValueError, match="."):
        pool.submit(image[:7], [Contest(p)], CRF["pocket"]).result(timeout=60)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread of another test's that ended after it was listed
            found += map(int, (task / "children").read_text().split())
    return found


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")
def test_an_interrupt_leaves_no_process_and_waits_for_none() -> None:
    hours = CRF["vit_pcm"]._replace(steps=10**9)
    before = set(children())
    with pytest.raises(KeyboardInterrupt), CRFPool(2) as pool:
        image, p = scene()
        pool.submit(image, [Contest(p)], CRF["pocket"]).result(timeout=60)
        under_way = [pool.submit(image, [Contest(p)], hours) for _ in range(8)]
        while not under_way[1].running():
            time.sleep(0.05)
        time.sleep(1.0)  # until the second process, too, is at work
        started = [pid for pid in set(children()) - before if "resource_tracker" not in _command(pid)]
        assert len(started) == 2
        start = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - start < 20 and gone(started)


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


_PARENT = """
import os, time
import numpy as np
from apc.models.crf import CRF, Contest, CRFPool

if __name__ == "__main__":
    with CRFPool(1) as pool:
        p = np.random.default_rng(0).dirichlet(np.ones(3), (20, 20)).astype(np.float32).transpose(2, 0, 1)
        pool.submit(np.zeros((20, 20, 3), np.uint8), [Contest(p)], CRF["pocket"]).result()
        print(*pool._executor._processes, flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")
def test_processes_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(_PARENT)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True, env=env)
    assert parent.stdout
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert workers and all(alive(pid) for pid in workers)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(workers)


def test_importing_the_crf_imports_no_torch() -> None:
    told = "import sys, apc.models.crf, apc.runs.scores; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True).stdout.strip() == "False"
