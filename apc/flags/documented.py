"""What the source says of a dataclass's fields: the docstring below each, and the heading above."""

import ast
import functools
import inspect
import re
from typing import NamedTuple


class Documented(NamedTuple):
    """What the source says of a field."""

    text: str
    """Its docstring, in one line."""
    part: str
    """Heading above it, as `# --- data ---`; empty where there is none."""


@functools.cache
def documented(kind: type) -> dict[str, Documented]:
    """Docstring and part of each field of a dataclass, from its source."""
    source = inspect.getsource(kind)
    heads = [(n, found[1]) for n, line in enumerate(source.splitlines(), 1) if (found := _HEADING.match(line))]
    (body,) = (node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    documents: dict[str, Documented] = {}
    for node, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            part = next((name for n, name in reversed(heads) if n < node.lineno), "")
            documents[node.target.id] = Documented(" ".join(str(text).split()), part)
    return documents


_HEADING = re.compile(r"\s*# -+ (.+?) -+$")
