"""What a search may choose by where nobody has drawn a mask: scores by image labels alone, held against masks.

    python experiments/choosing.py --epochs 5
    python experiments/choosing.py folder --root PHOTOGRAPHS --weights timm --epochs 4 --trials 40

Settings are drawn quasi-randomly from a space that holds good and bad ones, each is trained with one seed, and every
score that opens no mask is compared with `held_miou`: its rank correlation over the settings, what its choice loses,
and how many masked photographs choose as well. `label_rule` was written down before these runs, `border_rule` on the
first of them and `branch_rule` on all (docs/explanation/selection.md). 150 settings of five epochs take about 45
minutes with two cores on the embedded data, of its whole schedule 90 minutes. Expect products of several scores to hold
where single ones are fooled.
"""

from dataclasses import replace
from pathlib import Path

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.search.plans import Result
from search_spaces.choosing import KNOBS, SPACE


def with_votes(result: Result, runs: Path, root: str) -> Result:
    """The rows with the score that all others vote for, without it where a run has no ballot."""
    from apc.search.vote import ballot_of, vote

    rows = [row for _, rows in result for row in rows if "border_rule" in row.metrics]
    ballots = {row.run: b for row in rows if (b := ballot_of(runs / row.run, row.run, row.metrics["border_rule"]))}
    if len(ballots) < 2:
        return result
    scores = dict(zip(ballots, vote(list(ballots.values())), strict=True))
    return [
        (point, [replace(r, metrics=r.metrics | {"vote": scores[r.run]}) if r.run in scores else r for r in rows])
        for point, rows in result
    ]


EXPERIMENT = Experiment(
    name="choosing",
    title="What settings may be chosen by",
    about="Scores of the validation images that need no mask, over settings drawn quasi-randomly, held against the "
    "mIoU of photographs by whose masks nothing is chosen. The paper chooses by all validation masks.",
    place=140,
    presets=("pocket",),
    space=SPACE,
    sampler="qmc",
    trials=150,
    own_seeds=(0,),
    measure=with_votes,
    metric="tune_miou",
    chooses=True,
    minutes={"pocket": 90},
    by_default=False,
    knobs=KNOBS,
    columns=(
        "tune_miou",
        "held_miou",
        "branch_rule",
        "border_rule",
        "vote",
        "label_rule",
        "label_f1",
        "flip_agreement",
        "border_contrast",
    ),
    search=True,
    choosers=True,
    figures=("choosers", "history"),
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
