"""The joint search over six knobs and the paper's staged search, on equal terms, judged on images neither has seen.

    python experiments/search_joint.py

Three steps, each of which goes on where it was:

1. an Optuna search over pooling, K, theta, epsilon, lambda1 and lambda2: 40 trials of one seed;
2. the paper's search (section 4.1), lambda1 and then lambda2: about a dozen settings with three seeds each, so that
   both train about as many epochs;
3. the paper's setting and what both searches chose, five seeds that neither search has trained.

Both choose by `tune_miou`, the score of every second validation image; `held_miou`, that of the others, judges. On the
embedded data it takes about 50 minutes with two cores. Expect top-K pooling with about the paper's K and weights from
the joint search, and a few points more than the paper's setting on the images that neither search has seen.
"""

import functools
import tomllib
from dataclasses import replace
from pathlib import Path

from apc.experiment.definition import Experiment
from apc.experiment.main import in_turn
from apc.search import spaces
from apc.search.plans import grid, points
from search_spaces import joint, lambdas

METRIC = "tune_miou"
FRESH = tuple(range(5, 10))
"""Seeds of the comparison; the searches train 0, and 0 to 2."""

JOINT = Experiment(
    name="search_joint",
    title="Joint search over six knobs",
    draw=functools.partial(spaces.suggest, joint.SPACE),
    space=joint.SPACE,
    first=joint.FIRST,
    trials=40,
    own_seeds=(0,),
    metric=METRIC,
    chooses=True,
    minutes={"pocket": 25},
)
STAGED = Experiment(
    name="search_staged",
    title="The paper's staged search, for comparison with the joint one",
    plan=replace(lambdas.PLAN, metric=METRIC),
    smoke_plan=grid({"lambda1": [0.02], "lambda2": [0.0, 0.01]}),
    own_seeds=(0, 1, 2),
    metric=METRIC,
    chooses=True,
)


def judged(results: Path, dataset: str) -> Experiment:
    """The comparison of the paper's setting with what both searches chose."""
    labels, settings = ["paper's setting"], [joint.FIRST[0]]
    for label, name in (("joint search", JOINT.name), ("staged search", STAGED.name)):
        best = tomllib.loads((results / name / f"{dataset}.best.toml").read_text())
        chosen = {knob: best[knob] for knob in joint.SPACE}
        if chosen in settings:  # one row of the table, under all its names
            labels[settings.index(chosen)] += f" and {label}"
        else:
            labels, settings = [*labels, label], [*settings, chosen]
    return Experiment(
        name="search_judged",
        title="What the searches chose, judged on held-out images",
        plan=points(dict(zip(labels, settings, strict=True))),
        own_seeds=FRESH,
        metric="held_miou",
    )


if __name__ == "__main__":
    raise SystemExit(in_turn([JOINT, STAGED, judged]))
