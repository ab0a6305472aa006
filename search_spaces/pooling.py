"""The four ways from patch scores to image scores (Table 7)."""

from apc.search.plans import points

PLAN = points({name: {"pooling": name} for name in ("average", "max", "top_k", "adaptive_k")})
