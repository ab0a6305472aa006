"""The weights lambda1 and lambda2 one after the other, from coarse to fine (section 4.1)."""

from apc.config import default_of
from apc.search.plans import Staged, Sweep

PAPER = {knob: default_of(knob) for knob in ("lambda1", "lambda2")}
"""The paper's choice."""

PLAN = Staged(
    (
        Sweep(knob="lambda1", coarse=(0.0, PAPER["lambda1"], 0.1, 1.0), held={"lambda2": 0.0}),
        Sweep(knob="lambda2", coarse=(0.0, PAPER["lambda2"], 0.1)),
    ),
    always=(PAPER,),
)
"""lambda1 over [0, 1] without PCE, then lambda2 with the best lambda1; the paper's choice whatever comes out."""
