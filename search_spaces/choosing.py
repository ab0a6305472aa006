"""The joint space, wider, and both learning rates: settings good and bad, to judge what may be chosen by."""

from apc.search.spaces import Above, Choice, Real, Space, Whole

SPACE: Space = {
    "pooling": Choice(("adaptive_k", "top_k", "max", "average")),
    "k": Whole(2, 36, log=True, when={"pooling": ("top_k", "adaptive_k")}),
    "theta": Real(0.5, 0.98, when={"pooling": ("adaptive_k",)}),
    "lambda1": Real(0.001, 1.0, log=True),
    "lambda2": Real(0.0, 0.1, step=0.005),
    "epsilon": Real(0.6, 0.95, when={"lambda2": Above(0.0)}),
    "lr": Real(1e-4, 1e-2, log=True),
    "lr_frozen": Real(1e-4, 2e-2, log=True),
}
"""K reaches a quarter of the embedded data's 144 patches."""
