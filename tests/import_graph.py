"""The imports between our own modules, read from their syntax trees: those in a function, too."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOMS = [
    ["escaping"],
    ["config", "files", "parallel", "devices", "flags"],
    ["folders"],
    ["data", "runs"],
    ["models", "reporting"],
    ["methods"],
    ["evaluation"],
    ["prediction", "training"],
    ["search"],
    ["search_spaces"],
    ["experiment"],
    ["api"],
    ["apc"],
    ["experiments", "cli"],
    ["__main__"],
]
"""From the ground up: a module may import its own room and the rooms of the floors below. Every file of `apc/`
itself is a room of its own; `apc` is its `__init__.py`, the Python way in."""

FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


class Import(NamedTuple):
    """Module `source` imports module `target` in line `line` of the file `path`."""

    source: str
    target: str
    path: str
    line: int


def modules(root: Path) -> dict[str, Path]:
    """Name -> file of each of our modules below `root`; a package's name is that of its folder."""
    files = sorted(path for room in ("apc", "search_spaces", "experiments") for path in (root / room).rglob("*.py"))
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def room_of(module: str) -> str:
    """The room that a module lies in: a folder or a file of `apc/`, or a folder beside it."""
    first, *rest = module.split(".")
    return rest[0] if first == "apc" and rest else first


def imports(root: Path) -> list[Import]:
    """Imports of our modules by our modules, a line for each."""
    ours = modules(root)
    return [
        Import(source, target, path.relative_to(root).as_posix(), node.lineno)
        for source, path in ours.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for target in named(node, source if path.stem == "__init__" else source.rpartition(".")[0], ours)
        if target in ours and target != source
    ]


def named(node: ast.Import | ast.ImportFrom, package: str, ours: dict[str, Path]) -> Iterator[str]:
    """Modules that a statement in a module of `package` names; `b` of `from a import b` may be one or stand in one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
    base = ".".join([*above, *filter(None, [node.module])])
    yield from (f"{base}.{alias.name}" if f"{base}.{alias.name}" in ours else base for alias in node.names)


def forbidden(root: Path) -> list[str]:
    """A sentence for each import that points up or sideways."""
    return [
        f"{i.path}, line {i.line}, imports {i.target}; {room_of(i.source)} may import {', '.join(allowed(i.source))}"
        for i in imports(root)
        if room_of(i.target) not in (room_of(i.source), *allowed(i.source))
    ]


def allowed(module: str) -> list[str]:
    """Rooms on the floors below a module's own; none below a room without a floor."""
    return [room for rooms in ROOMS[: FLOOR.get(room_of(module), 0)] for room in rooms]


def circles(root: Path) -> list[list[str]]:
    """Groups of modules each of which reaches every other by imports, smallest first."""
    below: dict[str, set[str]] = {name: set() for name in modules(root)}
    for i in imports(root):
        below[i.source].add(i.target)
    reached = {name: reachable(name, below) for name in below}
    groups = {tuple(sorted(m for m in reached[name] if name in reached[m])) for name in below}
    return sorted((list(group) for group in groups if group), key=lambda group: (len(group), group))


def reachable(name: str, below: dict[str, set[str]]) -> set[str]:
    """Modules that a module imports, and those that they import, and so on."""
    reached, ahead = set[str](), [*below[name]]
    while ahead:
        module = ahead.pop()
        if module not in reached:
            reached.add(module)
            ahead += below[module]
    return reached
