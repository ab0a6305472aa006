"""Ray Tune and Optuna: searches are driven from here, and nowhere else.

The package is also the function of that name: `apc.search(space, base=..., trials=...)`, see `help(apc.api.search)`.
"""
