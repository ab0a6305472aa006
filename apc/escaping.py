"""Names of others, each escaped for where it is shown: a terminal, Markdown, a CSV cell, LaTeX.

Class names, labels, errors and folders come from whoever made the photographs, the rows or the archive. Where one is
shown it must stay a name: no escape sequence, no HTML, no formula, no command.
"""

import re
import sys
from typing import TypeVar
from urllib.parse import quote

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""C0 but for tab and line break, DEL, C1, separators of lines, and what turns the direction of writing."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKS = re.compile(r"[\\`*~]|](?=[(\[:])|(?<!\w)_|_(?!\w)")
"""What Markdown reads as a command in a line: code, emphasis, the end of a link's text."""
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
"""How a cell begins that a spreadsheet computes, or one that `in_csv` has quoted."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}

_ENDLESS = re.compile(r"\S{400,}")
LONGEST = 2000
"""Characters of an error that are shown: enough for every list of choices."""

Cell = TypeVar("Cell")


def printable(text: str) -> str:
    """A text as a terminal may show it: no escape sequence can begin in it, nothing in it is written backwards. What
    is no character, such as a byte of a file name in another encoding, is �."""
    return _SURROGATE.sub("�", _CONTROL.sub("", text))


def say(text: str, *, error: bool = False) -> None:
    """Print a text that may hold names, on stdout or, in one line, on stderr."""
    print(one_line(text) if error else printable(text), file=sys.stderr if error else sys.stdout, flush=True)


def one_line(text: str) -> str:
    """A sentence in one line, printable, whatever line breaks its names have; their blanks stay as they are."""
    return " ".join(printable(text).split("\n"))


def complain(sentence: str) -> None:
    """Say on stderr what is wrong: one line, whatever the names in it, and of what is very long the ends."""
    line = _ENDLESS.sub(lambda word: f"{word[0][:100]}...{word[0][-40:]}", " ".join(sentence.splitlines()))
    say(
        line if len(line) <= LONGEST else f"{line[:LONGEST]}... (and {len(line) - LONGEST:,} characters more)",
        error=True,
    )


def short(value: object, *, quoted: bool = True, most: int = 60) -> str:
    """A value in a sentence, as Python writes it or as it is, in a line and of so many characters at most."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return "a number beyond all"  # of more than 4,300 digits Python writes none
    try:
        text = in_a_line(repr(value) if quoted else value)
    except Exception:  # such a number in a list, a list in a list in a list, or a value whose own text fails
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}..."


def in_a_line(text: object) -> str:
    """A text in one line, printable."""
    return " ".join(printable(str(text)).split())


def in_markdown(name: object) -> str:
    """A name in a sentence of Markdown, read letter by letter: no HTML, link, picture, code or emphasis."""
    text = _MARKS.sub(lambda mark: f"\\{mark[0]}", in_a_line(name))
    return re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;")


def as_code(name: object) -> str:
    """A name as code in a sentence of Markdown, whatever is in it."""
    text = in_a_line(name)
    fence = "`" * (_longest_fence(text) + 1)
    apart = " " if text[:1] in ("`", "") or text.endswith("`") else ""
    return f"{fence}{apart}{text}{apart}{fence}"


def as_code_block(text: str) -> str:
    """Lines as a block of code in Markdown, whatever is in them."""
    fence = "`" * max(_longest_fence(text) + 1, 3)
    return f"{fence}\n{printable(text)}\n{fence}"


def _longest_fence(text: str) -> int:
    """Length of the longest run of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)


def in_link(path: str) -> str:
    """A relative path as the target of a link in Markdown."""
    return quote(path, safe="/.-_~", errors="surrogateescape")


def in_csv(cell: Cell) -> Cell | str:
    """A cell that no spreadsheet takes for a formula: a text that begins like one gets a quote in front. Numbers, and
    texts that are one, stay as they are."""
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def from_csv(cell: str) -> str:
    """The text that `in_csv` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def in_tex(text: str) -> str:
    """A text in LaTeX, its special characters shown and not obeyed."""
    return "".join(_TEX.get(sign, sign) for sign in in_a_line(text))


def counted(count: int, thing: str, things: str = "") -> str:
    """`1 photograph`, `2 photographs`; `things` is the plural where it is not made by an s."""
    return f"{count} {thing if count == 1 else things or f'{thing}s'}"


def are(count: int) -> str:
    """`is` for one, `are` for none and several."""
    return "is" if count == 1 else "are"


def have(count: int) -> str:
    """`has` for one, `have` for none and several."""
    return "has" if count == 1 else "have"
