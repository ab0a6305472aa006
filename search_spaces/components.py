"""The components of the method, one after the other (Table 8); Tables 5, 6 and 9 take their rows from here."""

from typing import Any

from apc.search.plans import points

BASELINE: dict[str, Any] = {"pooling": "max", "lambda2": 0.0}
"""The paper's baseline: HV-BiLSTM, max pooling, no patch contrastive error. The decoder's loss stays on."""
AKP: dict[str, Any] = {"pooling": "adaptive_k", "lambda2": 0.0}
"""The baseline with adaptive-K pooling."""
APC: dict[str, Any] = {"pooling": "adaptive_k"}
"""The whole method: the base setting's own lambda2, so that it is one run with Table 7's adaptive-K row."""

SCORED: dict[str, Any] = {"eval_every": 1}
"""For Tables 5 and 6: the time to a share of the final score is read from a score an epoch."""

PLAN = points({"vit": {"bilstm": False, **BASELINE}, "hv_bilstm": BASELINE, "akp": AKP, "pcl": APC})
"""Table 8 from top to bottom. Its CRF row is a way to score the second run, `miou_crf`, and no run of its own; the
rows below it are the paper's with the CRF."""
