"""Table 8: the components one after the other: ViT, HV-BiLSTM, CRF, adaptive-K pooling, patch contrast.

    python experiments/table8_components.py
    python experiments/table8_components.py --preset folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

The first two rows pool with the maximum and have no patch contrast, as the paper's baseline. The CRF learns nothing:
its row is the second row's run scored as `miou_crf`, and the paper's rows below it are to be read in that column too.
Four settings with 5 seeds each on the embedded data, about 14 minutes with two cores, 3 on photographs; the last row is
the same run as Table 7's adaptive-K. Expect HV-BiLSTM and adaptive-K to help, the CRF to harm the max-pooling rows,
whose masks are too small, and the gain of patch contrast to lie within the spread of the seeds.
"""  # noqa: E501

from apc.experiment import Experiment, main
from search_spaces.components import PLAN

EXPERIMENT = Experiment(
    name="table8_components",
    title="Table 8: the components one after the other",
    plan=PLAN,
    seeds={"pocket": 5, "folder": 3},
    minutes={"pocket": 14},
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
