"""APC+: what each part beyond the paper is worth, and what it costs.

    python experiments/apc_plus.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors
    python experiments/apc_plus.py

From the paper's setting to APC+ a row a part, and the paper's setting trained for as long as APC+ takes. Seven settings
with 3 seeds on photographs, about 100 minutes of one core a seed for 650 of them at 256 pixels; 5 on the embedded data.
The column `train_cpu_seconds` is what a row costs. Expect the round on its own masks to give most, and a short training
with a large K and crops to be as good as the paper's longer one.
"""

from typing import Any

from apc.config import Config, plus
from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.table_entry import Claim
from apc.search.plans import Plan, points

PAPER, SHORT, CROPS, WHOLE = "paper's setting", "large K, short", "+ crops", "+ a round: APC+"
NO_CROPS, ROUND_ALONE, LONG = "APC+ without crops", "paper's setting and a round", "paper's setting, as long"
LONGER = 1.15
"""CPU-seconds of APC+, in those of the paper's setting, on photographs at 256 pixels."""


def ladder(base: Config) -> Plan:
    """The rows, of the parts in which APC+ over `base` differs from it."""
    best = plus(base)

    def part(*names: str) -> dict[str, Any]:
        return {name: getattr(best, name) for name in names}

    rate = part("k_share", "theta", "schedule", "lr", "frozen_epochs")
    crops, again = part("crop_scale", "jitter"), part("rounds", "round_epochs", "round_lr")
    first, every = {"epochs": best.first_stage_epochs}, {"epochs": best.epochs}
    return points(
        {
            PAPER: {},
            SHORT: rate | first,
            CROPS: rate | crops | first,
            WHOLE: rate | crops | again | every,
            NO_CROPS: rate | again | every,
            ROUND_ALONE: again | {"epochs": base.epochs + best.rounds * best.round_epochs},
            LONG: {"epochs": round(base.epochs * LONGER)},
        }
    )


def better(one: str, other: str, text: str) -> Claim:
    """A question of ours about two rows."""
    return Claim(text, one, other, None, "our question", ("held_miou", "miou", "miou_crf", "test_miou"), ours=True)


EXPERIMENT = Experiment(
    name="apc_plus",
    title="APC+: parts beyond the paper",
    about="From the paper's setting to APC+ part by part: a larger K under a falling rate and fewer epochs; crops and "
    "colours; a round of training on its own masks, made with the image labels and refined by the CRF. The paper has "
    "no such table.",
    place=125,
    plan=ladder,
    metric="held_miou",
    seeds={"pocket": 5, "folder": 3},
    minutes={"pocket": 45},
    by_default=False,
    knobs=(
        *("k_share", "theta", "schedule", "lr", "frozen_epochs", "epochs"),
        *("crop_scale", "jitter", "rounds", "round_epochs", "round_lr"),
    ),
    rows=(PAPER, SHORT, CROPS, WHOLE, NO_CROPS, ROUND_ALONE, LONG),
    columns=("held_miou", "miou", "miou_crf", "labelled_miou", "test_miou", "train_cpu_seconds"),
    reference=PAPER,
    figures=("classes", "curves"),
    claims=(
        better(WHOLE, PAPER, "APC+ beats the paper's setting"),
        better(WHOLE, LONG, "APC+ beats the paper's setting trained for as long"),
        better(WHOLE, CROPS, "a round on its own masks helps"),
        better(WHOLE, NO_CROPS, "crops and colours help"),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
