"""K, the most patches that a class takes, for both poolings that have one."""

from apc.search.plans import points

KS = (3, 6, 12, 24)
"""The paper's is 6; more patches than an image has would be average pooling."""

PLAN = points([{"pooling": "max"}, *({"pooling": p, "k": k} for p in ("adaptive_k", "top_k") for k in KS)])
"""Max pooling is the K of 1 of both. With K of 6 and max these are rows of Table 7."""
