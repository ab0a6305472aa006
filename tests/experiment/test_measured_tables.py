"""The paper's other tables: shared runs, component switches, and what is measured on finished runs."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from apc import data
from apc.config import Config, from_dict, pocket, to_dict
from apc.devices import peak_gib, restart
from apc.evaluation import remeasure
from apc.evaluation.class_distances import class_means, cosine_distances, distances, majority
from apc.experiment.measure import measured_result
from apc.methods.apc import APC
from apc.reporting.catalogue import described
from apc.reporting.command import command
from apc.reporting.timing import completed, seconds_to_share
from apc.runs.rows import Row
from apc.runs.scores import scores_of
from apc.search.plans import Point, Points, Result
from apc.training.run import identity, run
from experiments import (
    figure4_theta_epsilon,
    table1_image_size,
    table2_pseudo_masks,
    table5_efficiency,
    table6_peers,
    table7_pooling,
    table8_components,
    table9_cosine,
)
from search_spaces import components, joint, lambdas, theta_epsilon

BASE = replace(pocket(), weights="")


def runs_of(plan: Any) -> dict[str, str]:
    """Label -> identity of its run of seed 0."""
    made = plan(BASE) if callable(plan) else plan
    return {point.label: identity(from_dict(point.values, BASE)) for point in made.next([])}


def test_runs_that_tables_share_are_one_run() -> None:
    table7, table8 = (runs_of(e.EXPERIMENT.plan) for e in (table7_pooling, table8_components))
    table9, figure4 = (runs_of(e.EXPERIMENT.plan) for e in (table9_cosine, figure4_theta_epsilon))
    paper = identity(BASE)
    assert table7["adaptive_k"] == table8["pcl"] == table9["with_pcl"] == paper
    assert runs_of(table1_image_size.EXPERIMENT.plan) == {"training": paper}
    assert figure4["theta=0.9 epsilon=0.85"] == paper
    assert identity(from_dict(lambdas.PAPER, BASE)) == identity(from_dict(joint.FIRST[0], BASE)) == paper
    assert table8["akp"] == table9["without_pcl"] == runs_of(lambdas.PLAN)["lambda1=0.02 lambda2=0"]
    assert len({*table7.values(), *table8.values()}) == 7  # 4 and 4, one of them shared; the CRF has no run

    table5, table6 = (runs_of(e.EXPERIMENT.plan) for e in (table5_efficiency, table6_peers))
    assert table5["akp_pcl"] == table6["apc"] and table5["baseline"] == table6["baseline"]
    assert runs_of(table2_pseudo_masks.EXPERIMENT.plan) == table6
    assert paper not in table5.values() and len(set(table6.values())) == len(table6)


def test_figure_4_varies_one_threshold_at_a_time_around_the_papers() -> None:
    plan = figure4_theta_epsilon.EXPERIMENT.plan
    assert isinstance(plan, Points)
    settings = [(point.values["theta"], point.values["epsilon"]) for point in plan.next([])]
    assert len(settings) == len(set(settings)) == len(theta_epsilon.THETAS) + len(theta_epsilon.EPSILONS) - 1
    assert all(theta == 0.9 or epsilon == 0.85 for theta, epsilon in settings)
    assert min(settings)[0] == 0.5 and max(settings)[0] == 1.0


def test_the_peers_differ_from_apc_in_their_own_settings_and_not_in_data_encoder_or_length() -> None:
    for name, values in table6_peers.peers(BASE).items():
        cfg = from_dict(values, BASE)
        assert cfg.method == name and cfg.eval_every == 1
        for held in ("dataset", "encoder", "image_size", "num_train", "batch_size", "crf", "weights"):
            assert getattr(cfg, held) == getattr(BASE, held), (name, held)
        assert cfg.epochs - cfg.stage2_epochs == BASE.epochs  # ViT-PCM's second stage comes on top


# --- switches ---------------------------------------------------------------------------------------


def losses_of(cfg: Config) -> dict[str, float]:
    torch.manual_seed(0)
    method = APC(cfg, 9).eval()
    with torch.no_grad():
        method.classifier.weight *= 60  # a trained classifier is as sure
    labels = torch.zeros(4, 8)
    labels[:, 2:4] = 1
    torch.manual_seed(1)
    terms = method.loss_terms({"image": torch.rand(4, 3, 96, 96), "labels": labels, "index": torch.zeros(4, 3)}, 0.5)
    return {name: term.item() for name, term in terms.items()}


def test_each_component_of_table_8_is_a_switch_of_its_own() -> None:
    plan = components.PLAN
    rows = {point.label: from_dict(point.values, BASE) for point in plan.next([])}
    assert list(rows) == ["vit", "hv_bilstm", "akp", "pcl"]
    found = {label: losses_of(cfg) for label, cfg in rows.items()}
    bilstm = {label: sum(p.numel() for p in APC(cfg, 9).bilstm.parameters()) for label, cfg in rows.items()}
    assert bilstm["vit"] == 0 and len(set(bilstm.values())) == 2
    assert all(abs(found["vit"][term] - found["hv_bilstm"][term]) > 1e-4 for term in ("mce", "seg"))
    assert abs(found["hv_bilstm"]["mce"] - found["akp"]["mce"]) > 1e-4
    assert found["hv_bilstm"]["seg"] == found["akp"]["seg"]
    assert {label: "pce" in terms for label, terms in found.items()} == {
        "vit": False,
        "hv_bilstm": False,
        "akp": False,
        "pcl": True,
    }
    assert {k: found["pcl"][k] for k in ("mce", "seg")} == found["akp"]
    assert "miou_crf" in scores_of(BASE) and "miou_crf" not in scores_of(replace(BASE, crf="none"))


@pytest.mark.parametrize(
    ("knob", "one", "other", "term"),
    [
        ("theta", 0.5, 1.0, "mce"),
        ("k", 2, 6, "mce"),
        ("epsilon", 0.5, 0.95, "pce"),
        ("pooling", "max", "average", "mce"),
    ],
)
def test_each_searched_knob_changes_the_loss_it_belongs_to(knob: str, one: Any, other: Any, term: str) -> None:
    first, second = (losses_of(from_dict({knob: value}, BASE)) for value in (one, other))
    assert abs(first[term] - second[term]) > 1e-5
    assert all(first[name] == second[name] for name in first if name != term)


# --- Table 8 ----------------------------------------------------------------------------------------


def a_row(run: str, seed: int = 0, **more: Any) -> Row:
    return Row(run=run, config=to_dict(replace(BASE, seed=seed)), metrics={}, seconds={}, **more)


def test_the_crf_row_is_the_row_above_it_scored_again() -> None:
    result: Result = [
        (point, [replace(a_row(point.label), metrics={"miou": 10.0 + i, "miou_crf": 20.0 + i})])
        for i, point in enumerate(components.PLAN.next([]))
    ]
    made = table8_components.ladder(result, Path())
    assert [(point.label, rows[0].metrics["ladder_miou"]) for point, rows in made] == [
        ("vit", 10),
        ("hv_bilstm", 11),
        ("crf", 21),
        ("akp", 22),
        ("pcl", 23),
    ]
    assert made[2][1][0].run == "hv_bilstm@crf" and made[2][1][0].config == made[1][1][0].config
    lost = [(point, [replace(rows[0], metrics={}, error="lost")]) for point, rows in result[1:2]]
    assert table8_components.ladder(lost, Path())[0][1][0].metrics == {}


# --- Table 9 ----------------------------------------------------------------------------------------


def test_a_patch_has_the_class_of_more_than_half_of_its_pixels() -> None:
    mask = np.array(
        [
            [1, 1, 2, 2, 255],
            [1, 2, 2, 2, 255],
            [0, 0, 3, 0, 3],
            [0, 3, 3, 3, 0],
        ],
        np.uint8,
    )
    assert majority(mask[:, :4], (2, 2), 4).tolist() == [[1, 2], [0, 3]]  # three pixels of four
    assert majority(mask[:, 3:], (2, 1), 4).tolist() == [[-1], [-1]]  # two of four, and 255 is no class
    # a middle column's centre lies at the border of two patches and counts to the right one
    assert majority(mask[:2, :3], (1, 2), 4).tolist() == [[1, 2]]
    assert majority(mask, (1, 1), 4).tolist() == [[-1]]
    large = np.repeat(np.repeat(mask, 3, 0), 3, 1)
    assert majority(large, (4, 5), 4).tolist() == np.where(mask == 255, -1, mask.astype(int)).tolist()


def brute_force(vectors: Tensor, classes: Tensor) -> dict[str, float]:
    unit = [v / v.norm() for v in vectors.double()]
    of = {c: [u for u, k in zip(unit, classes.tolist(), strict=True) if k == c] for c in set(classes.tolist()) - {-1}}
    mean = {c: torch.stack(us).mean(0) for c, us in of.items()}

    def apart(a: Tensor, b: Tensor) -> float:
        return 100 * float(1 - torch.cosine_similarity(a, b, dim=0))

    objects = sorted(set(of) - {0})
    return {
        "intra_cosine": float(np.mean([np.mean([apart(u, mean[c]) for u in of[c]]) for c in objects])),
        "inter_cosine": float(np.mean([apart(mean[a], mean[b]) for a, b in combinations(objects, 2)])),
        "background_cosine": float(np.mean([apart(mean[0], mean[c]) for c in objects])),
    }


def test_the_distances_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(300, 16, generator=generator) + 0.5
    classes = torch.randint(-1, 5, (300,), generator=generator)
    sums, counts = class_means(vectors[:100], classes[:100], 6)
    more, number = class_means(vectors[100:], classes[100:], 6)  # the sixth class never occurs
    found = cosine_distances(sums + more, counts + number)
    assert found == pytest.approx(brute_force(vectors, classes), abs=1e-9)
    apart = cosine_distances(*class_means(torch.eye(3), torch.tensor([0, 1, 2]), 3))
    assert apart == pytest.approx({"intra_cosine": 0, "inter_cosine": 100, "background_cosine": 100})
    assert set(cosine_distances(*class_means(torch.eye(2), torch.tensor([1, 1]), 3))) == {"intra_cosine"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Row]]:
    """Folder of runs and the row of a tiny one."""
    runs = tmp_path_factory.mktemp("runs")
    cfg = replace(BASE, num_train=32, num_val=8, batch_size=8, epochs=2, frozen_epochs=0, crf="none", eval_every=1)
    yield runs, run(cfg, runs=runs)


def test_a_finished_run_is_measured_once_from_its_checkpoint(
    trained: tuple[Path, Row], capsys: pytest.CaptureFixture[str]
) -> None:
    runs, row = trained

    def measure(method: Any, cfg: Config, device: str) -> dict[str, Any]:
        return {"metrics": distances(method, data.load(cfg, "val"), cfg, device)}

    result: Result = [(Point("a", {}), [row, replace(row, run="gone", error="lost")])]
    ((_, (found, failed)),) = measured_result(result, runs, "cosine", measure)
    assert set(found.metrics) - set(row.metrics) >= {"inter_cosine", "background_cosine"}
    assert 0 <= found.metrics["inter_cosine"] <= 200 and found.metrics["miou"] == row.metrics["miou"]
    assert failed.error == "lost" and found.stamp["measured"]["device"] == "cpu"

    def twice(*words: Any) -> dict[str, Any]:
        raise AssertionError("measured again")

    assert remeasure.kept(row, runs, "cosine", twice)["metrics"]["inter_cosine"] == found.metrics["inter_cosine"]
    path = runs / row.run / "measured" / "cosine.json"
    path.write_text(path.read_text()[:20])  # a damaged file is measured again
    assert remeasure.kept(row, runs, "cosine", measure)["metrics"] == json.loads(path.read_text())["metrics"]
    capsys.readouterr()
    assert remeasure.kept(replace(row, run="elsewhere"), runs, "cosine", twice) == {}
    assert "not measured: " in (told := capsys.readouterr().err) and "elsewhere" in told


def test_at_its_own_size_a_run_scores_what_it_scored(trained: tuple[Path, Row]) -> None:
    runs, row = trained
    made = table1_image_size.at_sizes([(Point("training", {}), [row])], runs)
    assert [point.label for point, _ in made] == ["64", "96", "128", "160", "200", "240", "280"]
    own = made[1][1][0]
    assert own.metrics["miou"] == row.metrics["miou"] and own.per_class["miou"] == row.per_class["miou"]
    assert own.run == f"{row.run}@96" and own.seconds["network"] > 0 and own.metrics["peak_gib"] > 0
    assert "train" not in own.seconds and own.config["eval_size"] == 96
    assert any(rows[0].metrics["miou"] != own.metrics["miou"] for _, rows in made)


def test_the_sizes_at_the_papers_training_size_are_the_papers() -> None:
    assert table1_image_size.sizes(384, 16) == [256, 384, 512, 640, 800, 960, 1120]
    assert all(size % 14 == 0 for size in table1_image_size.sizes(224, 14))


# --- Table 2 ----------------------------------------------------------------------------------------


def test_pseudo_masks_of_train_are_scored_by_masks_that_training_never_sees(trained: tuple[Path, Row]) -> None:
    runs, row = trained
    cfg = from_dict({**row.config, "weights": ""})
    assert data.load(cfg, "train").mask(0) is None
    split = remeasure.with_masks(cfg)
    assert len(split) == cfg.num_train
    for i in range(len(split)):
        mask = split.mask(i)
        assert mask is not None
        assert set(np.unique(mask)) - {0, 255} == set((np.flatnonzero(split.labels[i]) + 1).tolist())
    metrics = remeasure.kept(row, runs, "pseudo_masks", remeasure.pseudo_masks_of_train)["metrics"]
    assert set(metrics) == {"train_pseudo_miou", "train_labelled_miou"} and metrics["train_pseudo_miou"] > 0


def test_photographs_find_their_own_masks_in_a_part_of_their_list(photographs: Path) -> None:
    cfg = Config(dataset="folder", root=str(photographs), image_size=48, num_train=5, seed=3)
    split = remeasure.with_masks(replace(cfg, eval_size=64))
    assert split.images[torch.arange(5)].shape == (5, 3, 64, 64)
    for i, name in enumerate(split.names):
        mask = split.mask(i)
        assert mask is not None and mask.shape == split.photo(i).shape[:2]
        assert mask.shape == (40 + int(name.split()[1].split(".")[0]), 60 - int(name.split()[1].split(".")[0]))


# --- Tables 5 and 6 ---------------------------------------------------------------------------------


def scored(final: float, *scores: float, seconds: float = 10.0) -> Row:
    curve = [{"epoch": i + 1, "seconds": seconds * (i + 1), "miou": s} for i, s in enumerate(scores)]
    curve.append({"epoch": len(curve) + 1, "seconds": seconds * (len(curve) + 1)})
    return Row(
        run="a",
        config={"eval_every": 1},
        metrics={"miou": final},
        seconds={"train": seconds * len(curve)},
        curve=curve,
        stamp={"images": {"train": 40}, "peak_gib": 1.5},
    )


def test_a_run_has_converged_at_the_first_epoch_with_95_percent_of_its_own_score() -> None:
    assert seconds_to_share(scored(40, 30, 38, 37)) == 20  # 38 is 95 % of 40
    assert seconds_to_share(scored(40, 30, 37.9, 37)) == 40
    assert seconds_to_share(scored(20, 30, 38, 37)) == 10  # it fell afterwards
    assert seconds_to_share(scored(40)) == 10
    unscored = scored(40, 30, 38)
    del unscored.curve[0]["miou"]
    assert seconds_to_share(unscored) is None
    row = completed(scored(40, 30, 38, 37))
    assert row.value("to_95_seconds") == 20 and row.value("images_per_second") == 4 and row.value("peak_gib") == 1.5
    assert "to_95" not in completed(replace(row, config={"eval_every": 2}, seconds={"train": 40.0})).seconds


def test_a_method_with_two_stages_converges_in_the_second() -> None:
    row = scored(40, 39, 39, 20, 38, 39)  # 39 is 95 % of 40 and of the first stage's network
    assert seconds_to_share(row) == 10
    two_stages = {"eval_every": 1, "epochs": 6, "stage2_epochs": 3}
    assert seconds_to_share(replace(row, config=two_stages)) == 40
    assert seconds_to_share(replace(row, config=two_stages | {"stage2_epochs": 1})) == 60


def test_a_cpu_is_timed_by_the_processors_clock_which_other_work_does_not_change() -> None:
    row = scored(40, 30, 38, 37)
    for entry in row.curve:
        entry["cpu_seconds"] = entry["seconds"] / 2
    row = replace(row, seconds=row.seconds | {"train_cpu": 20.0}, stamp=row.stamp | {"device": "cpu"})
    on_cpu, on_gpu = completed(row), completed(replace(row, stamp=row.stamp | {"device": "NVIDIA H100"}))
    assert on_cpu.value("to_95_cpu_seconds") == 10 and on_cpu.value("images_per_second") == 8
    assert "to_95" not in on_cpu.seconds and "to_95_cpu" not in on_gpu.seconds and "train_cpu" not in on_gpu.seconds
    assert on_gpu.value("to_95_seconds") == 20 and on_gpu.value("images_per_second") == 4
    assert completed(Row(run="a", config={}, metrics={}, seconds={}, error="lost")).metrics == {}


def test_a_row_keeps_the_most_memory_of_its_training(trained: tuple[Path, Row]) -> None:
    row = completed(trained[1])
    assert 0.05 < row.value("peak_gib") < 50 and row.value("images_per_second") > 0
    assert 0 < row.value("to_95_cpu_seconds") <= row.seconds["train_cpu"] + 0.001


def test_a_peak_is_that_since_the_restart() -> None:
    restart("cpu")
    before = peak_gib("cpu")
    block = np.ones(2**28, np.uint8)
    held = peak_gib("cpu")
    assert held >= before + 0.2 and block[-1] == 1
    del block
    restart("cpu")
    assert peak_gib("cpu") <= held


def test_the_command_of_a_table_names_nothing_that_its_script_sets() -> None:
    rows = [
        replace(a_row(label), row=label, config=to_dict(from_dict(values | {"eval_every": 1}, BASE)))
        for label, values in (("baseline", components.BASELINE), ("akp", components.AKP))
    ]
    told = command(described("table5_efficiency"), "pocket", rows)
    assert told.startswith("python experiments/table5_efficiency.py") and "eval_every" not in told
    assert "lambda2" not in told and told.endswith("--seeds 1")
