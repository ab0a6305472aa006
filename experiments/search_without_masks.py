"""The joint search by image labels alone beside the same search by half of the masks, judged on the other half.

    python experiments/search_without_masks.py
    python experiments/search_without_masks.py folder --root PHOTOGRAPHS --weights timm --trials 24

Three steps, each of which goes on where it was:

1. the joint search over the paper's six knobs, settings chosen by `tune_miou`, the masks of every second validation
   image; most trials are given up at the first rung, none with `--stop-early none`;
2. the same search with as many trials, chosen by image labels (`branch_rule`), which opens no mask; what both propose
   is trained once;
3. the paper's setting and what either search chose, six seeds that neither has trained, by `held_miou`, the score of
   the validation images by which neither chose.

About 30 minutes with two cores on the embedded data, where it has not been run yet; 14 trials in full of 651
photographs at 256 pixels and four epochs, three hours of one core. Expect labels and masks to choose about equally well
(0.9 points apart there), and a larger K than the paper's, which learns in four epochs nearly what that needs fifteen
for; with a rung so early that nothing has settled both may end below the paper's setting (docs/explanation/search.md).
"""

from dataclasses import replace
from functools import partial

from apc.experiment.main import in_turn
from apc.reporting.table_entry import Claim
from apc.runs.scores import CHOOSERS
from experiments.search_joint import COMPARISON, JOINT, PAPER, plan_of_best

FRESH = tuple(range(5, 11))
"""Seeds of the comparison; the searches train 0."""
MASKS, LABELS = "chosen by half the masks", "chosen by labels"


def beats(better: str, worse: str) -> Claim:
    """A question of ours about two rows of the comparison."""
    text = f"the setting {better} beats the {worse if worse == PAPER else f'one {worse}'}"
    return Claim(text, better, worse, None, "our question", ("held_miou",), ours=True)


BY_MASKS = replace(
    JOINT,
    name="search_by_masks",
    title="The joint search, chosen by half the masks",
    about="Pooling, K, theta, epsilon, lambda1 and lambda2 searched together with Optuna (TPE), one seed a setting, "
    "the paper's setting under each pooling first, by the masks of every second validation image.",
    place=133,
    script="search_without_masks",
)
BY_LABELS = replace(
    BY_MASKS,
    name="search_by_labels",
    title="The joint search, chosen by image labels",
    about="The same search by image labels: no mask is opened to choose. Settings that both searches propose are "
    "trained once.",
    place=134,
    metric=CHOOSERS["labels"],
    columns=(CHOOSERS["labels"], *JOINT.columns),
)
JUDGED = replace(
    COMPARISON,
    name="search_without_masks",
    title="What labels choose against what masks choose",
    about="The paper's setting and what the two searches chose, trained with seeds that neither search has trained and "
    "scored on the validation images by whose masks neither has chosen (`held_miou`).",
    place=135,
    script="search_without_masks",
    plan_of_results=partial(plan_of_best, {MASKS: BY_MASKS.name, LABELS: BY_LABELS.name}),
    own_seeds=FRESH,
    minutes={"pocket": 7},
    rows=(PAPER, MASKS, LABELS),
    columns=(*COMPARISON.columns, CHOOSERS["labels"]),
    compares=(BY_MASKS.name, BY_LABELS.name),
    claims=(beats(LABELS, PAPER), beats(MASKS, PAPER), beats(MASKS, LABELS)),
)
STEPS = (BY_MASKS, BY_LABELS, JUDGED)

if __name__ == "__main__":
    raise SystemExit(in_turn(STEPS))
