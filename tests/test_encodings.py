"""No text of ours depends on the locale: each file that is read or written as text says that it is UTF-8."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _without_encoding(tree: ast.AST) -> Iterator[int]:
    """Lines that open a text file and leave its encoding to the locale."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("read_text", "write_text"):
            yield node.lineno
        elif isinstance(node.func, ast.Name) and node.func.id == "open":
            mode = node.args[1] if len(node.args) > 1 else ast.Constant("r")
            if not (isinstance(mode, ast.Constant) and "b" in str(mode.value)) and not isinstance(mode, ast.IfExp):
                yield node.lineno


def test_every_text_file_is_opened_as_utf8() -> None:
    files = [path for room in ("apc", "experiments", "search_spaces") for path in (ROOT / room).rglob("*.py")]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}
    slips = {path.relative_to(ROOT): list(_without_encoding(tree)) for path, tree in trees.items()}
    assert {path: lines for path, lines in slips.items() if lines} == {}


def test_such_a_line_is_seen() -> None:
    code = "open('a')\nopen('a', 'rb')\np.read_text()\np.write_text('x', encoding='utf-8')\nopen('a', 'w')"
    assert list(_without_encoding(ast.parse(code))) == [1, 3, 5]
