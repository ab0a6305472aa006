"""Table 6: APC beside ViT-PCM, AFA and ToCo on the same data, encoder, epochs and machine, with the same scoring.

    python experiments/table6_peers.py --max-concurrent 1
    python experiments/table6_peers.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors --max-concurrent 1

The paper's cells are not one protocol: ViT-PCM's 69.3 is that of pseudo masks made with image labels, ToCo's 70.5 that
of class activation maps with image labels, AFA's 63.8 is single scale without CRF. So all are trained again, each with
its own losses, optimiser and schedule in the published proportions (apc/baselines), and scored alike: at one scale and
as the mean over scales and flips, each with and without the CRF. The baseline is APC with max pooling and without patch
contrast, Table 5's first row. ViT-PCM has two stages, whose times add up. Every epoch is scored; two times are given as in Table 5, and times want --max-concurrent 1. 5 settings with 3 seeds each on
the embedded data, about 45 minutes, 1 seed on photographs. Expect AFA and ToCo, which run the encoder several times a
step, to take the longest; whose score is best on so little data is for the run to say.
"""  # noqa: E501

from pathlib import Path
from typing import Any

from apc.config import Config
from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.search.plans import Points, Result, points
from search_spaces.components import APC, BASELINE, SCORED

PEERS = ("vit_pcm", "afa", "toco")


def plan(base: Config) -> Points:
    """APC's baseline, the peers with settings that follow from `base`, and APC."""
    return points({"baseline": BASELINE | SCORED, **peers(base), "apc": APC | SCORED})


def peers(base: Config) -> dict[str, dict[str, Any]]:
    """Fields that turn `base` into each peer's setting."""
    from apc.methods.registry import proportioned

    return {name: proportioned(base, name) | SCORED for name in PEERS}


def over_scales(result: Result, runs: Path) -> Result:
    """The rows with the scores of their checkpoints as the mean over scales and flips."""
    from apc.evaluation.remeasure import multi_scale
    from apc.experiment.measure import measured_result

    return measured_result(result, runs, "multi_scale", multi_scale)


EXPERIMENT = Experiment(
    name="table6_peers",
    title="Table 6: APC, ViT-PCM, AFA and ToCo under equal conditions",
    plan=plan,
    measure=over_scales,
    seeds={"pocket": 3, "folder": 1},
    minutes={"pocket": 45},
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
