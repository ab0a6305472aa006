"""K, the most patches that a class takes, for both poolings that have one."""

from apc.config import default_of
from apc.search.plans import points

PAPER = {knob: default_of(knob) for knob in ("pooling", "k")}
"""The paper's choice."""
KS = (3, PAPER["k"], 12, 24)
"""More patches than an image has would be average pooling."""

PLAN = points([{"pooling": "max"}, *({"pooling": p, "k": k} for p in ("adaptive_k", "top_k") for k in KS)])
"""Max pooling is the K of 1 of both. With K of 6 and max these are rows of Table 7."""
