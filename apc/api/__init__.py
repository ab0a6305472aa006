"""What `import apc` gives: train, score, predict and search from Python, on what the verbs of the command line use.

Slips raise ValueError with one sentence that names the field or the file. Imports are local where they are heavy:
presets and rows are read without torch, and nothing but `search` needs Ray.
"""

from apc.api.models import Model, Run, evaluate, load_model, predict, train
from apc.api.rows import load_rows
from apc.api.searches import SearchResult, search

__all__ = ["Model", "Run", "SearchResult", "evaluate", "load_model", "load_rows", "predict", "search", "train"]
