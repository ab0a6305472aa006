"""Runs that several tables share are one run."""

from dataclasses import replace
from typing import Any

from apc.config import from_dict, pocket
from apc.training.run import identity
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
from search_spaces import joint, lambdas

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
