"""Where tests reach into private names of our modules and objects, read from their syntax trees."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("apc", "search_spaces", "experiments")
PUBLIC = {"_asdict", "_replace", "_fields", "_make", "_exit"}
"""Names of a NamedTuple that are spelt so lest they meet a field's, and os._exit, which is documented."""
PATCHES = {"setattr", "delattr", "getattr", "hasattr", "object"}
"""Calls that take a name as their second argument: monkeypatch's, Python's own and `patch.object`."""
DOTTED = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+")
"""A dotted name of ours in a string, as monkeypatch takes it."""


def private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in PUBLIC


def reached(tests: Path) -> list[str]:
    """A sentence for each private name of ours that a file below `tests` imports, reads or patches."""
    return [
        f"{path.relative_to(tests).as_posix()}, line {line}, reaches into {name}; test its public effect, or name it"
        for path in sorted(tests.rglob("*.py"))
        for line, name in sorted(names_in(ast.parse(path.read_text())))
    ]


def names_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and spelling of each private name; those of a test's own `self` and of torch are not ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            base = f"{node.module or ''}." if isinstance(node, ast.ImportFrom) else ""
            spelt = [base + alias.name for alias in node.names]
            yield from ((node.lineno, name) for name in spelt if ours(name) and any(map(private, name.split("."))))
        elif isinstance(node, ast.Attribute) and private(node.attr):
            if (owner := first_name(node)) not in ("self", "torch"):
                yield node.lineno, f"{owner}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            if any(map(private, node.value.split("."))):
                yield node.lineno, node.value
        elif isinstance(node, ast.Call) and name_of(node.func) in PATCHES and len(node.args) > 1:
            name = node.args[1]
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and private(name.value):
                yield node.lineno, f"{first_name(node.args[0])}.{name.value}"


def ours(module: str) -> bool:
    return module.split(".")[0] in PACKAGES


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def first_name(node: ast.expr) -> str:
    """The name that a chain of attributes, calls and indices begins with."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else "it"
