"""The joint search over six knobs and the paper's staged search, on equal terms, judged on images neither has seen.

    python experiments/search_joint.py

Three steps, each of which goes on where it was:

1. an Optuna search over pooling, K, theta, epsilon, lambda1 and lambda2: 40 trials of one seed, eight at a time, most
   of which are given up at the rung of epoch 4, at most 226 epochs in all (400 with `--stop-early none`);
2. the paper's search (section 4.1), lambda1 and then lambda2: about a dozen settings with three seeds each, 260 to 330
   epochs;
3. the paper's setting, what both searches chose, and the paper's setting with nothing but the pooling that the joint
   search chose, five seeds that neither search has trained.

Both choose by `tune_miou`, the score of every second validation image; `held_miou`, that of the others, judges. On the
embedded data it takes about 35 minutes with two cores, and 55 where nothing is given up. Expect top-K pooling with
about the paper's K and weights from the joint search, and four to five points more than the paper's setting on the
images that neither search has seen.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from apc.experiment.definition import Experiment
from apc.experiment.main import in_turn
from apc.reporting.table_entry import Claim
from apc.search.plans import Plan, grid, label_of, points
from search_spaces import joint, lambdas

METRIC = "tune_miou"
FRESH = tuple(range(5, 10))
"""Seeds of the comparison; the searches train 0, and 0 to 2."""

PAPER, POOLING = "paper's setting", "paper's setting, pooling of the search"
COLUMNS = ("tune_miou", "held_miou", "miou", "miou_crf", "test_miou")


def plan_of_best(
    searches: Mapping[str, str], results: Path, dataset: str, by: str = "", *, pooling_of: str = ""
) -> Plan:
    """The paper's setting and what searches, by the row of the table that each makes, left in best.toml; of the row
    `pooling_of` also its pooling alone, the rest the paper's."""
    found = {}
    for label, name in searches.items():
        best = tomllib.loads((results / f"{name}{by}" / f"{dataset}.best.toml").read_text(encoding="utf-8"))
        found[label] = {knob: best[knob] for knob in joint.PAPER}
    if pooling_of:
        found[POOLING] = joint.PAPER | {"pooling": found[pooling_of]["pooling"]}
    labels, settings = [PAPER], [joint.PAPER]
    for label, chosen in found.items():
        if chosen in settings:  # one row of the table, under all its names
            labels[settings.index(chosen)] += f" and {label}"
        else:
            labels, settings = [*labels, label], [*settings, chosen]
    return points(dict(zip(labels, settings, strict=True)))


def beats_on_held_images(better: str, worse: str) -> Claim:
    """A question of ours about two rows of the comparison."""
    other = {POOLING: "paper's with its pooling alone", PAPER: PAPER}.get(worse, f"{worse}'s")
    text = f"the {better}'s setting beats the {other} on held-out images"
    return Claim(text, better, worse, None, "our question", ("held_miou", "test_miou"), ours=True)


JOINT = Experiment(
    name="search_joint",
    title="Joint search over six knobs",
    about="Pooling, K, theta, epsilon, lambda1 and lambda2 searched together with Optuna (TPE), one seed a "
    "setting, the paper's setting under each pooling first. The paper searched its knobs one after the other; it has "
    "no such table.",
    place=130,
    presets=("pocket",),
    script="search_joint",
    space=joint.SPACE,
    first=joint.FIRST,
    trials=40,
    stop_early="halving",
    own_seeds=(0,),
    metric=METRIC,
    chooses=True,
    minutes={"pocket": 12},
    by_default=False,
    knobs=tuple(joint.PAPER),
    columns=COLUMNS,
    reference=label_of(joint.PAPER),
    search=True,
    figures=("history", "knobs"),
)
STAGED = Experiment(
    name="search_staged",
    title="The paper's staged search",
    about="Section 4.1's search at about the epochs of the joint one: lambda1 with lambda2 = 0, then lambda2 at "
    "the best lambda1, three seeds a setting; the other knobs stay at the paper's values.",
    place=131,
    presets=("pocket",),
    script="search_joint",
    plan=replace(lambdas.PLAN, metric=METRIC),
    smoke_plan=grid({"lambda1": [lambdas.PAPER["lambda1"]], "lambda2": [0.0, lambdas.PAPER["lambda2"]]}),
    own_seeds=(0, 1, 2),
    metric=METRIC,
    chooses=True,
    minutes={"pocket": 13},
    knobs=("lambda1", "lambda2"),
    columns=COLUMNS,
    search=True,
    staged=True,
    figures=("history", "sweeps"),
)
COMPARISON = Experiment(
    name="search_judged",
    title="The joint search against the staged one",
    about="What both searches chose, the paper's setting, and this with the joint search's pooling alone, trained "
    "with seeds that neither search has trained and scored on the validation images that neither search has seen "
    "(`held_miou`).",
    place=132,
    presets=("pocket",),
    script="search_joint",
    plan_of_results=partial(
        plan_of_best, {"joint search": JOINT.name, "staged search": STAGED.name}, pooling_of="joint search"
    ),
    own_seeds=FRESH,
    metric="held_miou",
    minutes={"pocket": 8},
    knobs=tuple(joint.PAPER),
    rows=(PAPER, POOLING, "staged search", "joint search"),
    columns=("held_miou", *(column for column in COLUMNS if column != "held_miou")),
    reference=PAPER,
    compares=(STAGED.name, JOINT.name),
    figures=("race", "classes", "curves"),
    claims=(
        beats_on_held_images("joint search", PAPER),
        beats_on_held_images("joint search", POOLING),
        beats_on_held_images("joint search", "staged search"),
        beats_on_held_images("staged search", PAPER),
    ),
)
STEPS = (JOINT, STAGED, COMPARISON)

if __name__ == "__main__":
    raise SystemExit(in_turn(STEPS))
