"""Pages of words, and the commands that stand in their blocks of shell."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
"""Name below the repository -> file."""

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    before: str
    """The last line of words above it."""


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        above = [line.strip() for line in text[: match.start()].splitlines() if line.strip()]
        found.append(Block(match[2], match[3], above[-1] if above else ""))
    return found


def commands(page: Path) -> list[list[str]]:
    """Words of each command of a page's shell blocks, in their order."""
    return [words for block in blocks(page) if block.language == "sh" for words in split(block.text)]


def split(text: str) -> list[list[str]]:
    """Words of each command of a shell text: comments left out, `a && b` and `a & b` being two."""
    found: list[list[str]] = []
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&;|")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if set(word) <= set("&;|"):
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words)
    return [words for words in found if words]
